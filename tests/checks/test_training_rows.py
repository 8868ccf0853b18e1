"""The rules of Rex-Thinker's reward (specs/rexthinker.md §3.4), each with the text that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.training_rows import RULES, SCORED, training_row_findings
from groundprep.dialects.hints import format_answer, format_problem
from groundprep.finding import Finding
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

HINTS = [[13, 7, 92, 49], [2, 4, 69, 77]]


def check(
    hints: list[Any] | None = None,
    answers: list[Any] | None = None,
    *,
    words: str = "le garçon",
    category: str = "garçon",
    problem: str | None = None,
    answer: str | None = None,
    images: int = 1,
    native: bool = True,
    record: dict[str, Any] | None = None,
) -> list[Finding]:
    hints, answers = HINTS if hints is None else hints, [HINTS[0]] if answers is None else answers
    row = {
        "problem": format_problem(category, hints, words) if problem is None else problem,
        "answer": format_answer([{"bbox_2d": box, "label": words} for box in answers]) if answer is None else answer,
    }
    refs = tuple(ImageRef(None, BytesImage(b"")) for _ in range(images))
    subject = Record(Source("é.jsonl", 4), id="r4", images=refs, **(record or {}))
    profile = get_profile("rexthinker")
    return list(training_row_findings(Subject(subject, profile=profile, row=row, is_native=native)))


def codes(*args: Any, **more: Any) -> list[str]:
    return [finding.code for finding in check(*args, **more)]


def test_a_row_whose_answer_is_a_hint_gives_no_finding() -> None:
    assert check() == []
    assert check(answers=HINTS) == []
    assert check(answers=[]) == []


def test_equal_numbers_of_another_type_are_the_same_to_the_reward() -> None:
    assert check(answers=[[13.0, 7, 92.0, 49]]) == []


def test_an_answer_one_pixel_beside_a_hint_can_never_be_right() -> None:
    (finding,) = check(answers=[[13, 7, 92, 50]])
    assert (finding.code, finding.severity, finding.record, finding.source) == (
        "answer-not-in-hint",
        "error",
        "r4",
        "é.jsonl:4",
    )
    assert finding.found == "[13, 7, 92, 50]"
    assert finding.expected == "one of 2 hints; the nearest is [13, 7, 92, 49]"


def test_every_answer_is_compared_not_only_the_first() -> None:
    assert [finding.found for finding in check(answers=[HINTS[1], [1, 1, 2, 2], [3, 3, 4, 4]])] == [
        "[1, 1, 2, 2]",
        "[3, 3, 4, 4]",
    ]


def test_without_hints_there_is_one_warning_and_not_one_error_per_answer() -> None:
    for findings in (check(hints=[]), check(problem="<image>Where is the boy?")):
        assert [(finding.code, finding.severity) for finding in findings] == [("no-candidates", "warning")]


def test_a_detector_that_found_nothing_is_not_to_be_run_again_as_it_was() -> None:
    (empty,), (without,) = check(hints=[]), check(problem="<image>Where is the boy?")
    assert str(empty.fix).startswith("run `groundprep add-candidates` first")  # who knows whether it ran
    assert "--box-threshold" in str(empty.fix)
    assert without.fix == "run `groundprep add-candidates` first"


def test_hints_that_are_equal_are_a_warning_and_answers_that_are_equal_an_error() -> None:
    found = check(hints=[*HINTS, HINTS[0]], answers=[HINTS[0], HINTS[0]])
    assert [(finding.code, finding.severity) for finding in found] == [
        ("hint-duplicate", "warning"),
        ("answer-duplicate", "error"),
    ]


@pytest.mark.parametrize(
    "words", ["boy [12]", "boy [1, 2]", "boy [1,2]", "boy [3.5]", "boy [...]", "boy [1.2.3]", "[0] boy"]
)
def test_a_bracket_group_of_digits_in_the_words_is_taken_for_a_box(words: str) -> None:
    (finding,) = check(words=words)
    assert (finding.code, finding.severity) == ("digits-in-brackets", "error")
    assert finding.found is not None
    assert SCORED.fullmatch(finding.found)


@pytest.mark.parametrize(
    "words", ["boy (12)", "boy [ 12]", "boy [12", "boy [a1]", "boy [-1]", "boy [1,  2]", "boy [1 2]", "12"]
)
def test_other_brackets_are_left_alone(words: str) -> None:
    assert check(words=words) == []


def test_a_category_and_an_expression_without_answer_are_read_too() -> None:
    assert codes(category="boy [2]") == ["digits-in-brackets"]
    assert codes(words="boy [2]", answers=[]) == ["digits-in-brackets"]


@pytest.mark.parametrize("box", ["[ 13, 7, 92, 49]", "[13,\\n7,92,49]", "[13, 7, 92,  49]", "[1.3e1, 7, 92, 49]"])
def test_an_answer_box_that_the_reward_cannot_read_is_an_error(box: str) -> None:
    answer = '```json\n[{"bbox_2d": %s, "label": "é"}]\n```' % box.replace("\\n", "\n")  # noqa: UP031 (braces all over)
    assert codes(answer=answer) == ["answer-not-scored"]


def test_an_answer_in_free_text_is_read_as_the_reward_reads_it() -> None:
    assert check(answer="It is at [13, 7, 92, 49].") == []
    assert check(answer="None") == []
    assert codes(answer="It is at [13, 7, 92, 48].") == ["answer-not-in-hint"]
    assert codes(answer="It is at [...].") == ["digits-in-brackets"]


@pytest.mark.parametrize(
    ("marks", "images", "fine"), [(1, 1, True), (2, 1, False), (0, 1, False), (1, 2, False), (2, 2, True)]
)
def test_there_is_one_image_mark_for_each_image(marks: int, images: int, *, fine: bool) -> None:
    problem = format_problem("garçon", HINTS, "x").removeprefix("<image>")
    found = codes(problem="<image>" + problem + "<image>" * (marks - 1) if marks else problem, images=images)
    assert ("image-mark" not in found) == fine


def test_an_image_mark_in_the_expression_is_one_too_many() -> None:
    (finding,) = check(words="the <image> sign")
    assert (finding.code, finding.found) == ("image-mark", "2 marks, 1 images")


def test_a_box_that_loses_its_area_in_a_conversion_is_an_error() -> None:
    tiny, good = Box((13.1, 7.0, 13.4, 49.0)), Box((2.0, 4.0, 69.0, 77.0))
    record = {"answers": (Region("x", tiny), Region("x")), "candidates": (Candidate(tiny), Candidate(good))}
    hints = [[13, 7, 13, 49], HINTS[1]]
    found = check(hints=hints, answers=[hints[0]], native=False, record=record)
    assert [(finding.code, finding.message.split(" has")[0]) for finding in found] == [
        ("box-collapsed", "answer 0"),
        ("box-collapsed", "candidate 0"),
    ]
    flat = Box((13.1, 7.0, 13.1, 49.0))  # the box check reports this one
    record = {"answers": (Region("x", flat),), "candidates": (Candidate(flat), Candidate(good))}
    assert check(hints=hints, answers=[hints[0]], native=False, record=record) == []


def test_every_code_found_here_is_registered() -> None:
    assert {rule.code for rule in RULES} == {
        "answer-not-in-hint", "answer-duplicate", "answer-not-scored", "hint-duplicate", "no-candidates", "box-collapsed",
        "digits-in-brackets", "image-mark",
    }  # fmt: skip
