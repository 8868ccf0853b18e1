"""Right and useless answers to EasyDistill's rows: one bare box, or a Python dict of the labels 0 to 3.

The loader reads `abs_box` and nothing else, for single boxes too; numbers are compared as they stand. Source:
modelscope/easydistill @acbe49b (specs/vlmr1_easydistill.md §3.2, §3.4, §3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.gold import EMPTY, FULL_IMAGE, Example, Unscored, drifts, full_box, said_box
from groundprep.dialects.easydistill import LABELS

SCORED_LABEL = "0"
"""The class that the multi-box kernels score; the others are matched, and count nothing (§3.5)."""

NO_ABS_BOX = Unscored("the loader raises KeyError: it reads abs_box, for single boxes too", is_fatal=True)


def single_box_example(subject: Subject) -> Example | Unscored:
    """Return what to score for a row of one box."""
    if "abs_box" not in subject.row:
        return NO_ABS_BOX
    truth = subject.row["abs_box"]
    answers = subject.record.answers
    said = truth
    if drifts(subject) and len(answers) == 1 and answers[0].box is not None:
        said = said_box(answers[0].box, subject)
    gold = str([round(number) for number in said]) if isinstance(said, list) else _literal(said)
    return Example(gold, truth, {EMPTY: "[]", FULL_IMAGE: str(full_box(subject))})


def multi_box_example(subject: Subject) -> Example | Unscored:
    """Return what to score for a row of the boxes of an image."""
    if "abs_box" not in subject.row:
        return NO_ABS_BOX
    truth = subject.row["abs_box"]
    if not isinstance(truth, dict):
        return Unscored("the reward raises AttributeError: abs_box is a list", is_fatal=True)
    nothing: dict[str, Sequence[Any]] = {label: [] for label in LABELS}
    whole = nothing | {SCORED_LABEL: [full_box(subject)]}
    right = frozenset() if any(truth.values()) else frozenset({EMPTY})
    return Example(
        _literal(_moved(truth, subject) if drifts(subject) else truth),
        truth,
        {EMPTY: _literal(nothing), FULL_IMAGE: _literal(whole)},
        right,
    )


def _literal(value: Any) -> str:
    """Return boxes by label as the sample's answers write them: a Python dict with whole numbers as keys."""
    if not isinstance(value, Mapping):
        return str(value)
    return (
        "{" + ", ".join(f"{label if label.isdigit() else repr(label)}: {boxes}" for label, boxes in value.items()) + "}"
    )


def _moved(truth: Mapping[str, Sequence[Any]], subject: Subject) -> dict[str, Sequence[Any]]:
    """Return the boxes where the trainer's model sees them."""
    moved: dict[str, list[Any]] = {label: [] for label in truth}
    for region in subject.record.regions:
        if region.box is not None and region.phrase in moved:
            moved[region.phrase].append(said_box(region.box, subject, region.image))
    return dict(moved)
