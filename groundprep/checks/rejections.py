"""Rows that say "nothing there" in a way that the reward does not read, and answers that it takes for one.

The exact-match reward reads bracket groups of numbers: an answer without any is a rejection, which a completion without any earns
in full; a placeholder such as [0, 0, 0, 0] is a box, which the model would have to name. Source: specs/rexthinker.md §3.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.training_rows import SCORED
from groundprep.dialects.hints import parse_answer, parse_problem
from groundprep.dialects.trl import scored_text
from groundprep.finding import Finding, Severity

REJECTION_NOT_SCORED = Rule(
    "rejection-not-scored",
    Severity.ERROR,
    "a placeholder box stands for `nothing there`, which the reward takes for a box or cannot read",
    suppresses=(
        "answer-not-in-hint",
        "answer-not-scored",
        "box-collapsed",
        "box-degenerate",
        "box-outside",
        *REWARD_VERDICTS,
    ),
)
ANSWER_UNREAD = Rule(
    "answer-unread",
    Severity.ERROR,
    "the reward reads no box in the answer and takes the row for a rejection",
    suppresses=REWARD_VERDICTS,
)

RULES = (REJECTION_NOT_SCORED, ANSWER_UNREAD)

EMPTY_LISTS = re.compile(r"\s*\[[\s\[\]]*\]\s*")
DENIAL = re.compile(r"\b(?:no|not|none|nothing|nobody|nowhere|null|absent)\b", re.IGNORECASE)
"""Any answer without a box is a rejection to the reward (specs/rexthinker.md §3.4, "None"); these say that one was meant."""


def rejection_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the answer of one training row, as it is or as a conversion would write it."""
    problem, answer = scored_text(subject.row)
    answers = parse_answer(answer)
    if answers is None:
        if not SCORED.search(answer) and not _says_nothing(answer):
            yield subject.finding(
                ANSWER_UNREAD,
                "the reward reads no box in the answer, and takes the row for one where nothing is to be found",
                found=answer,
                expected='a fenced [{"bbox_2d": [x0, y0, x1, y1], "label": …}], or [] for nothing',
                fix="write the row again with `groundprep convert --for`",
            )
        return
    hint = parse_problem(problem)
    for item in answers:
        is_placeholder = len(set(item.box)) == 1 and item.box[0] <= 0
        if is_placeholder and (hint is None or item.box not in hint.boxes):
            yield subject.finding(
                REJECTION_NOT_SCORED,
                "a placeholder box stands for `nothing there`, which the reward takes for a box or cannot read",
                found=item.box,
                expected="[] as the whole answer",
                fix="write `ans: []` and convert again",
            )


def _says_nothing(answer: str) -> bool:
    """Say whether a person would take an answer for "nothing there"; numbers are meant as a place."""
    if any(character.isdecimal() for character in answer):
        return False
    return EMPTY_LISTS.fullmatch(answer) is not None or DENIAL.search(answer) is not None
