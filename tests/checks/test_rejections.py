"""Rejections that the exact-match reward cannot score, and answers that it takes for one (specs/rexthinker.md §3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.rejections import rejection_findings
from groundprep.dialects.hints import format_answer, format_problem
from groundprep.finding import Finding
from groundprep.record import Record
from groundprep.rewards.rexthinker import rexthinker_reward
from groundprep.source import Source
from groundprep.trainers import get_profile

HINTS: list[Any] = [[13, 7, 92, 49], [2, 4, 69, 77]]


def check(answer: str, hints: list[Any] = HINTS) -> list[Finding]:
    row = {"problem": format_problem("garçon", hints, "le garçon"), "answer": answer}
    return list(rejection_findings(Subject(Record(Source("é.jsonl", 4)), profile=get_profile("easyr1"), row=row)))


def fenced(box: list[Any]) -> str:
    return format_answer([{"bbox_2d": box, "label": "le garçon"}])


@pytest.mark.parametrize(
    "answer", [format_answer([]), "None", "[]", "[[]]", "nothing", fenced(HINTS[0]), "[13, 7, 92, 49]"]
)
def test_an_empty_list_and_a_box_are_scored(answer: str) -> None:
    assert check(answer) == []


@pytest.mark.parametrize("answer", ["le garçon", "", "  ", "???", "```json\n[]", "left", "Notes"])
def test_words_that_deny_nothing_are_no_rejection_and_no_answer(answer: str) -> None:
    (finding,) = check(answer)
    assert (finding.code, finding.severity) == ("answer-unread", "error")


@pytest.mark.parametrize("answer", ["There is no such person.", "none", "NOTHING", "[ ]", "the object is not visible"])
def test_a_denial_is_a_rejection(answer: str) -> None:
    assert check(answer) == []


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [-1, -1, -1, -1], [0.0, 0, 0, 0.0]])
def test_a_placeholder_is_no_rejection(box: list[Any]) -> None:
    (finding,) = check(fenced(box))
    assert (finding.code, finding.severity, finding.expected) == (
        "rejection-not-scored",
        "error",
        "[] as the whole answer",
    )


def test_the_reward_wants_the_placeholder_itself_and_no_rejection() -> None:
    assert rexthinker_reward("None", fenced([0, 0, 0, 0]))["accuracy"] == 0.0
    assert rexthinker_reward("None", format_answer([]))["accuracy"] == 1.0


def test_a_small_box_that_is_a_hint_is_no_placeholder() -> None:
    assert check(fenced([0, 0, 0, 0]), [*HINTS, [0, 0, 0, 0]]) == []
    assert check(fenced([5, 5, 5, 5])) == []  # a point: degenerate, which another check says


@pytest.mark.parametrize(
    "answer", ["<box>(13,7),(92,49)</box>", "13, 7, 92, 49", "[13 7 92 49]", "[ 13,7,92,49 ]", '{"x0": 13, "y0": 7}']
)
def test_numbers_that_the_reward_does_not_read_make_the_row_a_rejection(answer: str) -> None:
    (finding,) = check(answer)
    assert (finding.code, finding.severity, finding.found) == ("answer-unread", "error", answer)
    assert rexthinker_reward("I see nothing.", answer)["accuracy"] == 1.0
