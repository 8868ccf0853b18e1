"""What VLM-R1's rewards make of a row's answer: one box as a bare list (REC), or labelled boxes in a fence (OVD).

A REC answer that is JSON but no list of four numbers scores 0 without a word; one that is no JSON ends the training. Boxes are
compared with an IoU that counts an overlap of at most one pixel as none, so that a box no wider than that can never be hit. A
detection answer without a fence is read as "nothing there": the right boxes score 0 and `None` scores 1.
Source: om-ai-lab/VLM-R1 @90052f4 (specs/vlmr1_easydistill.md §1.2, §1.3, §1.6, §5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.vlmr1_rows import answers_with_question
from groundprep.dialects.answers_text import (
    FENCED,
    NONE,
    parse_box_answer,
    parse_objects,
    parse_ovd_question,
    plain_question,
    without_answer_tags,
)
from groundprep.errors import RecordError
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

ANSWER_NOT_BOX = Rule(
    "answer-not-box",
    Severity.ERROR,
    "the answer is no bare list of four numbers: the REC reward gives 0 for everything, or stops",
    suppresses=REWARD_VERDICTS,
)
BOX_ONE_PIXEL = Rule(
    "box-one-pixel",
    Severity.ERROR,
    "a side of the box is at most one pixel, an overlap that the REC reward counts as none",
    suppresses=(*REWARD_VERDICTS, "box-collapsed"),
)
ANSWER_NOT_FENCED = Rule(
    "answer-not-fenced",
    Severity.ERROR,
    "the detection answer is neither fenced JSON nor `None`, and the rewards read it as nothing there",
    suppresses=REWARD_VERDICTS,
)
FENCES_SEVERAL = Rule(
    "fences-several",
    Severity.WARNING,
    "the answer has several fences, of which one reward reads the first, others the last",
)
LABEL_NOT_ASKED = Rule(
    "label-not-asked",
    Severity.ERROR,
    "a label of the answer is not among those of the question, byte for byte",
    suppresses=(*REWARD_VERDICTS, "text-spaces"),
)
REWARD_METHOD = Rule(
    "reward-method",
    Severity.ERROR,
    "accu_reward_method is no method of the trainer, which then compares texts",
    suppresses=REWARD_VERDICTS,
)
ANSWER_LINES = Rule(
    "answer-lines",
    Severity.WARNING,
    "the answer has several lines, and the row's reward method reads its tags as words",
)

REC_RULES = (ANSWER_NOT_BOX, BOX_ONE_PIXEL)
OVD_RULES = (ANSWER_NOT_FENCED, FENCES_SEVERAL, LABEL_NOT_ASKED, REWARD_METHOD, ANSWER_LINES)

BOX_METHODS = frozenset({"od_ap", "od_ap50", "odLength", "weighted_sum", "map"})
TEXT_METHODS = frozenset({"mcq", "yes_no", "llm", "math", "all_match", "default"})
ONE_LINE_METHODS = frozenset({"default", "llm", "mcq", "yes_no"})
"""They look for the answer tags without dot-matches-newline (§1.6 (h))."""

LEAST_SIDE_PX = 1


def is_rec(profile: Profile) -> bool:
    """Say whether a profile's rows hold one box."""
    return profile.dialect == "vlmr1"


def is_ovd(profile: Profile) -> bool:
    """Say whether a profile's rows hold labelled boxes."""
    return profile.dialect == "vlmr1-ovd"


def rec_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the answer of a REC row."""
    answer = _answer_of(subject)
    numbers = parse_box_answer(answer)
    if numbers is None and answers_with_question(subject.row["conversations"]):
        return
    if numbers is None:
        yield subject.finding(
            ANSWER_NOT_BOX,
            "the reward takes the answer for a list of four numbers",
            found=answer,
            expected="[x0, y0, x1, y1]",
            fix="write the bare list, or detection rows with --for vlmr1-ovd",
        )
        return
    sides = numbers[2] - numbers[0], numbers[3] - numbers[1]
    if min(sides) > 0 and min(sides) <= LEAST_SIDE_PX:  # a side of 0 or less is the geometry's finding
        yield subject.finding(
            BOX_ONE_PIXEL,
            "the reward counts an overlap of at most one pixel as none, so that the right answer scores 0",
            found=numbers,
            expected="x1 > x0 + 1 and y1 > y0 + 1",
            fix="leave the row out, or check the frame of the numbers: shares of 1 look like this",
        )


def ovd_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the answer of a detection row; one that another method scores has rules of its own."""
    answer, method = _answer_of(subject), subject.row.get("accu_reward_method")
    fences = FENCED.findall(answer) if isinstance(answer, str) else []
    if method is not None and method not in BOX_METHODS:
        yield from _other_method(subject, answer, method)
        if method in TEXT_METHODS or not fences:  # a misspelled name beside boxes was meant for boxes
            return
    try:
        objects = parse_objects(answer)
    except RecordError:  # a fence that does not hold what it should; a conversation may be carried over with one
        objects = None
    if objects is None and answers_with_question(subject.row["conversations"]):
        return
    if objects is None:
        yield subject.finding(
            ANSWER_NOT_FENCED,
            "the rewards read a JSON list in a fence, or `None` as the whole answer; this one counts as nothing there",
            found=answer,
            expected='```json [{"bbox_2d": [x0, y0, x1, y1], "label": …}] ```, or None',
            fix="put the list into a ```json fence",
        )
        return
    if len(fences) > 1 and without_answer_tags(answer) != NONE:
        yield subject.finding(
            FENCES_SEVERAL,
            "the mAP rewards read the last fence, and weighted_sum the first",
            found=f"{len(fences)} fences",
            expected="one",
            fix="put all objects into one fence",
        )
    yield from _labels(subject, list(dict.fromkeys(item.label for item in objects)))


def _answer_of(subject: Subject) -> Any:
    return subject.row["conversations"][1]["value"]


def _labels(subject: Subject, labels: list[str | None]) -> Iterator[Finding]:
    """Yield labels that the question does not ask for: an error if it lists what it wants, else words to look for."""
    question = subject.row["conversations"][0]["value"]
    asked = parse_ovd_question(question)
    for label in labels:
        if label is not None and (label in asked if asked is not None else label in plain_question(question)):
            continue
        alike = [other for other in asked or () if label is not None and _folded(other) == _folded(label)]
        yield subject.finding(
            LABEL_NOT_ASKED,
            "an object has no label"
            if label is None
            else "the label differs from the question's by case or blanks, and the rewards compare it to the letter"
            if alike
            else "the question does not ask for this label, and the rewards compare labels to the letter",
            found=label,
            expected=None if asked is None else alike[0] if alike else ", ".join(asked),
            fix="write the label as the question does",
            severity=Severity.ERROR if asked is not None or label is None else Severity.WARNING,
            about=label,
        )


def _folded(label: str) -> str:
    return "".join(label.split()).casefold()


def _other_method(subject: Subject, answer: Any, method: str) -> Iterator[Finding]:
    if method not in TEXT_METHODS:
        yield subject.finding(
            REWARD_METHOD,
            "the trainer knows no such accu_reward_method and falls back to comparing texts",
            found=method,
            expected=", ".join(sorted(BOX_METHODS | TEXT_METHODS)),
            fix="correct the name: case counts",
        )
    elif method in ONE_LINE_METHODS and "\n" in without_answer_tags(str(answer)):
        yield subject.finding(
            ANSWER_LINES,
            f"{method} looks for the answer tags within one line, and compares them as words otherwise",
            found=answer,
            expected="one line",
            fix="write the answer in one line",
        )
