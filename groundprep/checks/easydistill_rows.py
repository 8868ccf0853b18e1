"""EasyDistill's rows: what its loader looks up, and what its rewards can score.

The loader reads `abs_box` for single boxes, too, and opens `image_path` as it stands. The multi-box rewards know the labels 0 to
3 and nothing else, and the format rewards want integers. The SFT companion's answer is a Python dict with the same labels.
Source: modelscope/easydistill @acbe49b mmkd_rl_grounding.py (specs/vlmr1_easydistill.md §3.2, §3.5, §3.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.messages import MARK_AS_WORDS
from groundprep.checks.training_rows import IMAGE_MARK_COUNT
from groundprep.checks.vlmr1_rows import ANSWERERS, ASKERS, TURNS_SWAPPED
from groundprep.dialects.answers_text import IMAGE_MARK
from groundprep.dialects.easydistill import LABELS
from groundprep.dialects.easydistill_sft import parse_dict_literal
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

ABS_BOX_MISSING = Rule(
    "abs-box-missing",
    Severity.ERROR,
    "the row has no abs_box, the only key of boxes that the loader reads",
    suppresses=REWARD_VERDICTS,
)
ABS_BOX_KIND = Rule(
    "abs-box-kind",
    Severity.ERROR,
    "abs_box is one box where the rewards want boxes by label, or the other way round",
    suppresses=(*REWARD_VERDICTS, "absent-not-held"),
)
ABS_BOX_DIFFERS = Rule("abs-box-differs", Severity.WARNING, "bbox and abs_box are different boxes; abs_box is trained")
LABEL_NEEDED = Rule(
    "label-needed", Severity.ERROR, "a phrase is none of the labels that the trainer knows", suppresses=REWARD_VERDICTS
)
LABEL_MISSING = Rule(
    "label-missing",
    Severity.ERROR,
    "one of the labels 0 to 3 is missing; without 0 nothing scores",
    suppresses=REWARD_VERDICTS,
)
BOX_NOT_INTEGER = Rule(
    "box-not-integer", Severity.WARNING, "a box has fractions, and the trainer's answers are whole numbers"
)
PATH_RELATIVE = Rule(
    "image-path-relative", Severity.WARNING, "the trainer opens the path as it stands, from where it was started"
)

RULES = (
    ABS_BOX_MISSING,
    ABS_BOX_KIND,
    ABS_BOX_DIFFERS,
    LABEL_MISSING,
    BOX_NOT_INTEGER,
    PATH_RELATIVE,
)
"""`LABEL_NEEDED` belongs to the rows that no dialect can write, too: it is registered with those."""

MULTI, SINGLE, SFT = "easydistill", "easydistill-single", "easydistill-sft"

SCORED_LABEL = "0"
"""The class that the multi-box kernels score; without its key every answer earns 0 (§3.5)."""


def is_easydistill(profile: Profile) -> bool:
    """Say whether a profile is one of EasyDistill's."""
    return profile.dialect in (MULTI, SINGLE)


def easydistill_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on one row of the reinforcement stage."""
    row = subject.row
    if not PurePath(row["image_path"]).is_absolute():
        yield subject.finding(
            PATH_RELATIVE,
            "the trainer joins no image root, and looks for the file in the directory that it was started in",
            found=row["image_path"],
            expected="an absolute path",
            fix="write the rows again with `groundprep convert --for`",
        )
    if IMAGE_MARK in row["instruction"]:
        yield subject.finding(
            MARK_AS_WORDS,
            f"the instruction spells {IMAGE_MARK}: the trainer puts the image in front itself",
            found=row["instruction"],
            expected="text without it",
            fix="take it out of the instruction",
        )
    yield from _boxes(subject, row)


def _boxes(subject: Subject, row: Mapping[str, Any]) -> Iterator[Finding]:
    assert subject.profile is not None
    if "abs_box" not in row:
        yield subject.finding(
            ABS_BOX_MISSING,
            "the loader reads abs_box, for a single box too, and stops with a KeyError",
            found=", ".join(sorted(row)),
            expected="abs_box beside bbox",
            fix="write the box under both keys, or convert the file again: both are written",
        )
        return
    truth, is_multi = row["abs_box"], subject.profile.dialect == MULTI
    if isinstance(truth, Mapping) != is_multi:
        yield subject.finding(
            ABS_BOX_KIND,
            "the multi-box rewards stop at a list"
            if is_multi
            else "the single-box rewards give 0 for everything that is no list of four numbers",
            found=str(truth),
            expected='{"0": [[x0, y0, x1, y1], …], "1": [], "2": [], "3": []}' if is_multi else "[x0, y0, x1, y1]",
            fix="train it with the other kind of reward (--for easydistill or easydistill-single)",
        )
        return
    if is_multi:
        yield from _labels(subject, truth)
    elif row.get("bbox", truth) != truth:
        yield subject.finding(
            ABS_BOX_DIFFERS,
            "the documented key and the one that is read hold different boxes",
            found=f"bbox {row['bbox']}, abs_box {truth}",
            expected="the same box under both",
            fix="correct the wrong one",
        )
    boxes = [box for group in truth.values() for box in group] if is_multi else [truth]
    yield from fraction_findings(subject, boxes, as_text=False)


def sft_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on a record that was read from a row of the SFT companion, whatever it is checked for."""
    origin = subject.record.origin
    if origin is None or origin.dialect != SFT:
        return
    question, answer = origin.value["messages"]
    if question["role"] not in ASKERS or answer["role"] not in ANSWERERS:
        yield subject.finding(
            TURNS_SWAPPED,
            "the first message is not the user's, or the second not the assistant's",
            found=f"{question['role']}, {answer['role']}",
            expected="user, assistant",
            fix="exchange the messages or correct the roles",
        )
    marks = question["content"].count(IMAGE_MARK)
    if marks != 1:
        yield subject.finding(
            IMAGE_MARK_COUNT,
            f"the question must hold {IMAGE_MARK} once",
            found=f"{marks} marks, 1 images",
            expected="1",
            fix=f"begin the question with {IMAGE_MARK}",
        )
    boxes = parse_dict_literal(answer["content"])
    yield from _labels(subject, boxes)
    yield from fraction_findings(subject, [box for group in boxes.values() for box in group], as_text=True)


def _labels(subject: Subject, boxes: Mapping[str, Any]) -> Iterator[Finding]:
    unknown = [label for label in boxes if label not in LABELS]
    if unknown:
        yield subject.finding(
            LABEL_NEEDED,
            "the multi-box rewards know four labels, and a name that is no number makes them score 0",
            found=", ".join(unknown),
            expected=", ".join(LABELS),
            fix="rename the labels to 0, 1, 2, 3, and keep the meaning in a file of its own",
        )
    missing = [label for label in LABELS if label not in boxes]
    if missing:
        yield subject.finding(
            LABEL_MISSING,
            "the rewards score the label 0, and nothing without it"
            if SCORED_LABEL in missing
            else "every label is a list, an empty one where nothing is",
            found=f"no {', '.join(missing)}",
            expected=", ".join(LABELS),
            fix="write all four labels",
            severity=Severity.ERROR if SCORED_LABEL in missing else Severity.WARNING,
        )


def fraction_findings(subject: Subject, boxes: Sequence[Any], *, as_text: bool) -> Iterator[Finding]:
    """Yield a finding if boxes (or points) of a row are not whole numbers.

    Args:
        subject: the row.
        boxes: their numbers.
        as_text: the model learns to write them as they stand, so that `10.0` counts too.
    """
    fractional = [box for box in boxes if any(isinstance(number, float) and (as_text or number % 1) for number in box)]
    if fractional:
        yield subject.finding(
            BOX_NOT_INTEGER,
            f"the trainer's answers are whole numbers, and {len(fractional)} of {len(boxes)} boxes are not",
            found=fractional[0],
            expected="integers",
            fix="write the rows again with `groundprep convert --for`, which rounds as the trainer's frame does",
        )
