"""What makes the choice among candidates ambiguous, trivial or mislabelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.base import Subject
from groundprep.checks.candidates import candidate_findings, choices
from groundprep.geometry.boxes import iou_matrix
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

DOG, CAT = (13.5, 7.0, 92.0, 49.0), (100.0, 4.0, 169.0, 77.0)
NEAR_DOG = (13.5, 7.0, 92.0, 46.0)  # IoU .93 with DOG
BESIDE_DOG = (13.5, 7.0, 92.0, 44.7)  # IoU .898


def row(boxes: list[Any], answers: list[Any], **more: Any) -> Record:
    return Record(
        Source("é.jsonl", 4),
        referring="le chien gauche",
        answers=tuple(Region("le chien gauche", Box(box)) for box in answers),
        candidates=tuple(Candidate(Box(box), "chien") for box in boxes),
        **more,
    )


def codes(record: Record, profile: str | None = None) -> list[str]:
    subject = Subject(record, profile=None if profile is None else get_profile(profile))
    return [finding.code for finding in candidate_findings(subject)]


def test_an_answer_with_one_candidate_of_its_own_among_others_is_fine() -> None:
    assert codes(row([CAT, DOG], [DOG])) == []
    assert codes(row([CAT, BESIDE_DOG, DOG], [DOG])) == []


def test_a_second_candidate_on_the_answers_object_is_ambiguous() -> None:
    record = row([CAT, NEAR_DOG, DOG], [DOG])
    (finding,) = candidate_findings(Subject(record))
    assert (finding.code, finding.severity, finding.record) == ("hint-ambiguous", "warning", 4)
    assert finding.found == "candidate 1 overlaps the answer at IoU 0.93"


def test_two_equal_candidates_are_ambiguous_though_neither_is_better() -> None:
    assert codes(row([CAT, DOG, DOG], [DOG])) == ["hint-ambiguous"]


def test_answers_that_overlap_each_other_are_not_ambiguous() -> None:
    assert codes(row([CAT, NEAR_DOG, DOG], [DOG, NEAR_DOG])) == []


def test_candidates_of_another_image_do_not_overlap() -> None:
    record = row([CAT, DOG], [DOG])
    elsewhere = Candidate(Box(NEAR_DOG), "chien", image=1)
    assert codes(replace(record, candidates=(*(record.candidates or ()), elsewhere))) == []


def test_an_answer_that_is_the_only_candidate_is_given_away() -> None:
    (finding,) = candidate_findings(Subject(row([DOG], [DOG])))
    assert (finding.code, finding.severity) == ("candidate-single", "warning")
    assert codes(row([NEAR_DOG], [DOG])) == ["candidate-single"]


def test_one_candidate_that_is_not_the_answer_leaves_a_choice() -> None:
    assert codes(row([CAT], [])) == []
    assert codes(row([CAT], [DOG])) == []


def test_trainers_that_are_shown_no_candidates_have_no_choice_to_check() -> None:
    record = row([DOG], [DOG])
    assert codes(record, "vlmr1") == []
    assert codes(record, "rexomni-sft") == []
    for profile in ("rexthinker", "easyr1", "trl", "trl-sft", "qwen2.5-vl"):
        assert codes(record, profile) == ["candidate-single"]


@pytest.mark.parametrize(
    ("category", "fine"), [("chien", True), (" Chien ", True), (None, True), (" ", True), ("chat", False)]
)
def test_the_rows_category_is_that_of_the_answers_candidate(category: str | None, *, fine: bool) -> None:
    found = codes(row([CAT, DOG], [DOG], category=category))
    assert found == ([] if fine else ["category-differs"])


def test_an_answers_own_category_is_meant_before_the_rows() -> None:
    record = row([CAT, DOG], [], category="chat")
    answer = Region("le chien gauche", Box(DOG), category="chien")
    assert codes(replace(record, answers=(answer,))) == []


def test_a_hint_files_all_candidates_under_the_first_ones_category() -> None:
    record = row([CAT, DOG], [DOG])
    cat = Candidate(Box(CAT), "chat")
    mixed = replace(record, candidates=(cat, *(record.candidates or ())[1:]))
    assert codes(mixed) == []  # as data, it is fine
    (finding,) = candidate_findings(Subject(mixed, profile=get_profile("rexthinker")))
    assert (finding.code, finding.found, finding.expected) == ("category-differs", "candidate 1: chien", "chat")
    other_way = replace(record, candidates=(*(record.candidates or ())[1:], cat))
    assert codes(other_way, "rexthinker") == []


def test_phrases_of_an_image_share_its_candidates_and_name_theirs() -> None:
    people = tuple(Candidate(Box(box)) for box in (DOG, CAT, NEAR_DOG))
    regions = (Region("à gauche", Box(DOG), candidate=2), Region("rien"), Region("à droite", Box(CAT), candidate=1))
    found = choices(Subject(Record(Source("h.tsv", 1), regions=regions, candidates=people)))
    assert [(choice.phrase, choice.chosen) for choice in found] == [("à gauche", (2,)), ("à droite", (1,))]


coordinates = st.floats(-50, 700)
boxes = st.tuples(coordinates, coordinates, st.floats(0.5, 300), st.floats(0.5, 300)).map(
    lambda xywh: (xywh[0], xywh[1], xywh[0] + xywh[2], xywh[1] + xywh[3])
)


@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=6))
def test_overlaps_are_those_of_the_box_algebra(answers: list[Any], candidates: list[Any]) -> None:
    (choice,) = choices(Subject(row(candidates, answers)))
    np.testing.assert_allclose(choice.overlaps, iou_matrix(answers, candidates), atol=1e-12)
