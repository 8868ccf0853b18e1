"""What was measured on VLM-R1's detection rewards (specs/vlmr1_easydistill.md §1.6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import RecordError
from groundprep.rewards.base import Score
from groundprep.rewards.vlmr1_od import vlmr1_od_score

NAMES = ("od_ap", "od_ap50", "odLength", "weighted_sum", "map")
CAT, DOG = {"bbox_2d": [3, 18, 199, 133], "label": "Katze é"}, {"bbox_2d": [210, 40, 290, 97], "label": "dog"}


def fence(*items: Any) -> str:
    return f"```json\n{json.dumps(items, ensure_ascii=False)}\n```"


def answer(text: str) -> str:
    return f"<think>x</think><answer>{text}</answer>"


def solution(text: str) -> str:
    return f"<answer> {text} </answer>"


def scores(completion: str, truth: str) -> tuple[float | None, ...]:
    score = vlmr1_od_score(completion, truth)
    assert tuple(score.parts) == NAMES
    return tuple(score.parts.values())


def near(*expected: float) -> Any:
    """COCO's precision of a perfect answer is 1 / (1 + 2.2e-16)."""
    return pytest.approx(expected, abs=1e-12)


def test_the_right_boxes_earn_everything() -> None:
    assert scores(answer(fence(CAT, DOG)), solution(fence(CAT, DOG))) == near(1.0, 1.0, 1.0, 1.0, 1.0)


def test_none_for_none_earns_everything() -> None:
    assert scores(answer("None"), solution("None")) == near(1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("text", ["there is nothing", fence()])
def test_any_answer_without_boxes_earns_1_for_none_but_in_weighted_sum(text: str) -> None:
    assert scores(answer(text), solution("None")) == near(1.0, 1.0, 1.0, 0.0, 1.0)


def test_a_solution_without_a_fence_is_read_as_empty() -> None:
    bare = solution(json.dumps([CAT]))
    assert scores(answer(fence(CAT)), bare) == near(0.0, 0.0, 0.0, 0.0, 0.0)
    assert scores(answer("None"), bare)[0] == 1.0


def test_twenty_false_positives_cost_the_average_precision_nothing() -> None:
    wrong = [{"bbox_2d": [300 + n, 300, 320 + n, 333], "label": CAT["label"]} for n in range(20)]
    ap, ap50, by_length, _, _ = scores(answer(fence(CAT, DOG, *wrong)), solution(fence(CAT, DOG)))
    assert (ap, ap50) == near(1.0, 1.0)
    assert by_length == pytest.approx(2 / 22)


def test_a_label_that_the_solution_lacks_is_dropped_but_counted_in_length() -> None:
    other = CAT | {"label": "Vogel"}
    ap, _, by_length, _, _ = scores(answer(fence(DOG, other)), solution(fence(DOG)))
    assert (ap, by_length) == near(1.0, 0.5)


def test_labels_compare_case_by_case_except_in_weighted_sum() -> None:
    shouted = CAT | {"label": "KATZE É"}
    assert scores(answer(fence(shouted)), solution(fence(CAT))) == near(0.0, 0.0, 0.0, 1.0, 0.0)


def test_more_than_a_hundred_boxes_of_a_label_cannot_all_be_found() -> None:
    row = [{"bbox_2d": [12 * n, 5, 12 * n + 9, 26], "label": "dog"} for n in range(150)]
    assert scores(answer(fence(*row)), solution(fence(*row)))[0] == pytest.approx(0.663, abs=1e-3)


def test_a_true_box_without_area_earns_0() -> None:
    flat = {"bbox_2d": [3, 18, 3, 133], "label": "dog"}
    assert scores(answer(fence(flat)), solution(fence(flat)))[:2] == near(0.0, 0.0)


def test_a_solution_whose_boxes_are_all_inverted_earns_minus_1() -> None:
    inverted = {"bbox_2d": [199, 18, 3, 133], "label": "dog"}
    assert scores(answer(fence(DOG)), solution(fence(inverted)))[0] == -1.0


def test_without_an_answer_only_map_reads_the_fence() -> None:
    assert scores(fence(CAT), solution(fence(CAT))) == near(0.0, 0.0, 0.0, 1.0, 1.0)


def test_weighted_sum_reads_the_first_fence_and_the_others_the_last() -> None:
    ap, _, _, weighted, whole = scores(answer(fence(CAT) + fence(DOG)), solution(fence(CAT)))
    assert (ap, weighted, whole) == near(0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("said", "weighted"),
    [
        pytest.param([CAT], 0.7 * 0.5 + 0.3 * 0.75, id="one of two"),
        pytest.param([CAT, DOG, CAT], 0.7 + 0.3 * (1 - (1 / 3) / 2), id="one too many"),
        pytest.param([CAT, DOG | {"label": "cow"}], 0.7 * 0.5 + 0.3, id="a wrong label earns no position"),
        pytest.param([], 0.0, id="none of two"),
    ],
)
def test_weighted_sum_is_position_and_completeness(said: list[Any], weighted: float) -> None:
    assert scores(answer(fence(*said)), solution(fence(CAT, DOG)))[3] == pytest.approx(weighted)


def test_weighted_sum_dies_of_a_first_match_without_a_label_and_reuses_labels_later() -> None:
    nameless = {"bbox_2d": CAT["bbox_2d"]}
    score = vlmr1_od_score(answer(fence(nameless)), solution(fence(CAT)))
    assert score.parts["weighted_sum"] is None
    assert score.reason == "raises UnboundLocalError"
    twins = [DOG, CAT | {"label": "dog"}]
    later = vlmr1_od_score(answer(fence(DOG, nameless)), solution(fence(*twins)))
    assert later == Score(later.parts, None)
    assert later.parts["weighted_sum"] == pytest.approx(1.0)


def test_a_broken_solution_ends_the_trainer_and_a_broken_completion_does_not() -> None:
    score = vlmr1_od_score(answer(fence(CAT)), solution("```json\n[{]\n```"))
    assert set(score.parts.values()) == {None}
    assert score.reason == "raises JSONDecodeError"
    assert scores(answer("```json\n[{]\n```"), solution(fence(CAT)))[0] == 0.0
    assert scores(answer("```json\n" + "[" * 100_000 + "```"), solution(fence(CAT)))[0] == 0.0


def test_a_solution_without_an_answer_ends_the_methods_that_search_in_it() -> None:
    score = vlmr1_od_score(answer(fence(CAT)), fence(CAT))
    assert [score.parts[name] for name in NAMES] == [None, None, None, 1.0, pytest.approx(1.0)]
    assert score.reason == "raises TypeError"


def test_predictions_that_are_no_boxes_are_dropped() -> None:
    odd = [5, None, {"label": "dog"}, {"label": "dog", "bbox_2d": "abcd"}, {"label": ["x"], "bbox_2d": [1, 2, 3, 4]}]
    assert scores(answer(fence(DOG, *odd)), solution(fence(DOG)))[0] == pytest.approx(1.0)


@given(st.text(alphabet=st.sampled_from('<answer>/`json[]{}":,0123 bbox_2dlabel\n'), max_size=80))
def test_any_completion_has_every_part(completion: str) -> None:
    for value in scores(answer(completion), solution(fence(CAT))):
        assert value is not None
        assert 0.0 <= value <= 1.0


def test_a_ground_truth_that_is_no_text_is_refused() -> None:
    with pytest.raises(RecordError, match="ground truth"):
        vlmr1_od_score("", [1, 2, 3, 4])
