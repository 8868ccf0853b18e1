"""The answer is exactly one of the candidates, nothing is lost, and its place says nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import RecordError
from groundprep.geometry.boxes import iou_matrix
from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.record import Box, BoxXYXY, Candidate, Point, Region
from groundprep.stages.answer_policy import AnswerPolicy, Choice, PolicyCounts, arrange, choose, match

SIZE_WH, SEEN_WH = (613, 409), (308, 196)
POLICIES: list[AnswerPolicy] = ["snap-answer", "snap-candidate", "append"]


def seen(box_xyxy: BoxXYXY) -> tuple[int, ...]:
    return tuple(int(n) for n in SEEN_TRUNCATED.box_from_stored(box_xyxy, size_wh=SIZE_WH, seen_wh=SEEN_WH))


@st.composite
def boxes(draw: st.DrawFn) -> BoxXYXY:
    # A coarse grid plus small offsets, so that overlaps, near-duplicates and exact duplicates all happen.
    x0, y0 = draw(st.integers(0, 5)) * 80.0, draw(st.integers(0, 4)) * 70.0
    offset = draw(st.sampled_from([0.0, 0.2, 0.9, 13.7]))
    return x0 + offset, y0 + offset, x0 + 90.5 + offset, y0 + 61.0 + offset


def row(candidate_boxes: list[BoxXYXY], answer_boxes: list[BoxXYXY]) -> tuple[list[Candidate], list[Region]]:
    candidates = [Candidate(Box(b), score=0.3 + i / 100) for i, b in enumerate(candidate_boxes)]
    return candidates, [Region(phrase=f"№{i}", box=Box(b)) for i, b in enumerate(answer_boxes)]


def chosen(
    policy: AnswerPolicy, candidate_boxes: list[BoxXYXY], answer_boxes: list[BoxXYXY]
) -> tuple[Choice, PolicyCounts]:
    counts = PolicyCounts()
    candidates, answers = row(candidate_boxes, answer_boxes)
    return choose(policy, candidates, answers, match_iou=0.5, key_of=seen, counts=counts), counts


@pytest.mark.parametrize("policy", POLICIES)
@given(candidate_boxes=st.lists(boxes(), max_size=12), answer_boxes=st.lists(boxes(), min_size=1, max_size=4))
def test_after_rounding_every_answer_is_exactly_one_of_the_hints(
    policy: AnswerPolicy, candidate_boxes: list[BoxXYXY], answer_boxes: list[BoxXYXY]
) -> None:
    choice, counts = chosen(policy, candidate_boxes, answer_boxes)
    hints = [seen(c.box.xyxy) for c in choice.candidates]
    assert len(set(hints)) == len(hints)
    answers = [seen(a.box.xyxy) for a in choice.answers if a.box]
    assert all(hints.count(answer) == 1 for answer in answers)
    assert [hints[a.candidate] for a in choice.answers if a.candidate is not None] == answers
    assert len(set(answers)) == len(answers)
    assert counts.matched + counts.appended == len(answer_boxes)
    assert len(answers) == len(answer_boxes) - counts.merged_answers
    assert len(hints) == len(candidate_boxes) + counts.appended - counts.merged_candidates


@given(answers=st.lists(boxes(), max_size=5), candidates=st.lists(boxes(), max_size=8))
def test_matching_is_one_to_one_above_the_threshold_and_no_swap_improves_it(
    answers: list[BoxXYXY], candidates: list[BoxXYXY]
) -> None:
    matched = match(answers, candidates, 0.5)
    taken = [m for m in matched if m is not None]
    assert len(set(taken)) == len(taken)
    iou_NM = iou_matrix(answers, candidates)
    assert all(iou_NM[i, m] >= 0.5 for i, m in enumerate(matched) if m is not None)
    free = set(range(len(candidates))) - set(taken)
    for i, m in enumerate(matched):
        current = 0.0 if m is None else iou_NM[i, m]
        assert all(iou_NM[i, f] <= current or iou_NM[i, f] < 0.5 for f in free)


def test_two_answers_that_like_the_same_candidate_best_share_out_two() -> None:
    answers = [(0.0, 0.0, 100.0, 50.0), (0.0, 0.0, 100.0, 60.0)]
    candidates = [(0.0, 0.0, 100.0, 56.0), (0.0, 0.0, 100.0, 80.0)]
    assert match(answers, candidates, 0.5) == [0, 1]


def test_snap_answer_moves_the_answer_and_snap_candidate_the_candidate() -> None:
    detected, annotated, other = (10.2, 20.7, 110.9, 90.1), (12.0, 20.0, 111.0, 92.0), (300.0, 10.0, 400.0, 60.0)
    to_candidate, _ = chosen("snap-answer", [other, detected], [annotated])
    assert [c.box.xyxy for c in to_candidate.candidates] == [other, detected]
    assert to_candidate.answers[0].box == Box(detected)
    assert to_candidate.answers[0].candidate == 1
    to_answer, _ = chosen("snap-candidate", [other, detected], [annotated])
    assert [c.box.xyxy for c in to_answer.candidates] == [other, annotated]
    assert to_answer.candidates[1].score == 0.31
    assert to_answer.answers[0].box == Box(annotated)
    appended, counts = chosen("append", [other, detected], [annotated])
    assert [c.box.xyxy for c in appended.candidates] == [other, detected, annotated]
    assert (appended.answers[0].candidate, counts.appended) == (2, 1)


def test_a_candidate_that_rounds_to_the_answers_box_is_merged_and_the_answers_box_stays() -> None:
    detected, annotated = (10.2, 20.7, 110.9, 90.1), (10.3, 20.8, 110.8, 90.2)
    assert seen(detected) == seen(annotated)
    choice, counts = chosen("append", [detected], [annotated])
    assert [c.box.xyxy for c in choice.candidates] == [annotated]
    assert choice.candidates[0].score == 0.3
    assert counts.merged_candidates == 1


def test_legacy_appends_last_what_nothing_overlaps_by_half_and_else_does_nothing() -> None:
    half = (0.0, 0.0, 100.0, 50.0)
    candidates, answers = row([(0.0, 0.0, 100.0, 100.0), (0.0, 0.0, 100.0, 100.0)], [half, (300.0, 10.0, 400.0, 60.0)])
    choice = choose("legacy", candidates, answers, match_iou=0.5, key_of=seen, counts=PolicyCounts())
    assert [c.box.xyxy for c in choice.candidates] == [(0.0, 0.0, 100.0, 100.0)] * 2 + [(300.0, 10.0, 400.0, 60.0)]
    assert choice.answers == answers
    alone = choose("legacy", [], answers[:1], match_iou=0.5, key_of=seen, counts=PolicyCounts())
    assert [c.box for c in alone.candidates] == [answers[0].box]


def test_an_answer_without_a_box_is_refused_and_an_absent_one_is_no_answer() -> None:
    with pytest.raises(RecordError) as caught:
        choose("append", [], [Region(point=Point((3.0, 4.0)))], match_iou=0.5, key_of=seen, counts=PolicyCounts())
    assert caught.value.code == "no-box"
    absent = choose(
        "snap-answer", [], [Region(phrase="ein Einhorn")], match_iou=0.5, key_of=seen, counts=PolicyCounts()
    )
    assert absent == Choice([], [])


@pytest.mark.parametrize(
    ("order", "expected"), [("position", [1, 2, 0]), ("score", [2, 1, 0]), ("detector", [0, 1, 2])]
)
def test_an_order_moves_the_answers_index_along(order: str, expected: list[int]) -> None:
    candidates, _ = row([(50.0, 9.0, 60.0, 20.0), (5.0, 8.0, 60.0, 20.0), (5.0, 9.0, 60.0, 20.0)], [])
    choice = Choice(candidates, [Region(box=candidates[0].box, candidate=0)])
    arranged = arrange(choice, order, "0:1:0")  # type: ignore[arg-type]
    assert arranged.candidates == [candidates[i] for i in expected]
    assert arranged.answers[0].candidate == expected.index(0)


def test_a_shuffled_answers_place_is_uniform_over_rows_and_repeatable() -> None:
    candidates, _ = row([(float(i), 5.0, i + 9.0, 30.0) for i in range(5)], [])
    choice = Choice(candidates, [Region(box=candidates[-1].box, candidate=4)])
    places = [arrange(choice, "shuffle", f"0:{number}:0").answers[0].candidate for number in range(2000)]
    counts = Counter(places)
    chi_square = sum((counts[place] - 400) ** 2 / 400 for place in range(5))
    assert chi_square < 18.5  # four degrees of freedom: above it with a probability of 0.001
    assert places == [arrange(choice, "shuffle", f"0:{number}:0").answers[0].candidate for number in range(2000)]
    assert places != [arrange(choice, "shuffle", f"1:{number}:0").answers[0].candidate for number in range(2000)]
