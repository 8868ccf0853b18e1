"""Rows in which a model chooses among candidates: is there a choice, and does it have one right answer?

These rules concern every layout that holds candidates, and the record as it was read: they do not depend on a trainer's pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from groundprep.checks.base import Rule, Subject
from groundprep.dialects import get_dialect
from groundprep.finding import Finding, Severity
from groundprep.record import Candidate, Record, Region

HINT_AMBIGUOUS = Rule(
    "hint-ambiguous",
    Severity.WARNING,
    "another candidate covers the same object as the answer: choosing it scores nothing",
)
CANDIDATE_SINGLE = Rule(
    "candidate-single",
    Severity.WARNING,
    "the answer is the only candidate: the row can be answered unread",
    suppresses=("useless-answer-scores",),
)
CATEGORY_DIFFERS = Rule(
    "category-differs", Severity.WARNING, "the answer's category is not that of the candidate that it is"
)

RULES = (HINT_AMBIGUOUS, CANDIDATE_SINGLE, CATEGORY_DIFFERS)

AMBIGUOUS_IOU = 0.9
"""Two boxes that overlap so far are, to people and to the usual thresholds, the same object (issue text: IoU >= 0.9)."""

SAME_IOU = 0.5
"""From here on a candidate is the answer. Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47
(specs/rexthinker.md §1.4)."""


class Choice(NamedTuple):
    """One question about a row's candidates.

    Args:
        phrase: what is asked for.
        answers: the right answers that have a box.
        chosen: for each answer the index of the candidate that it is; None if it is none, or two are equally good.
        overlaps: for each answer the IoU with each candidate; 0 between boxes of different images.
    """

    phrase: str | None
    answers: tuple[Region, ...]
    chosen: tuple[int | None, ...]
    overlaps: tuple[list[float], ...]


def offers_choice(subject: Subject) -> bool:
    """Say whether the row has candidates, and the trainer, if one is named, is shown them."""
    if not subject.record.candidates:
        return False
    return subject.profile is None or _holds_candidates(subject.profile.dialect)


@cache
def _holds_candidates(dialect: str) -> bool:
    return "candidates" in get_dialect(dialect).holds


def choices(subject: Subject) -> tuple[Choice, ...]:
    """Return the questions of a record with candidates: its expression, or each phrase of its regions."""
    known: tuple[Choice, ...] | None = subject.memo.get("choices")
    if known is None:
        known = subject.memo["choices"] = tuple(_choices(subject.record))
    return known


def _choices(record: Record) -> Iterator[Choice]:
    candidates = record.candidates or ()
    groups: dict[str | None, list[Region]] = {record.referring: list(record.answers)}
    if record.referring is None:
        for region in record.regions:
            groups.setdefault(region.phrase, []).append(region)
    for phrase, regions in groups.items():
        answers = tuple(region for region in regions if region.box is not None)
        overlaps = tuple([_overlap(region, candidate) for candidate in candidates] for region in answers)
        chosen = tuple(_chosen(region, row) for region, row in zip(answers, overlaps, strict=True))
        if answers:
            yield Choice(phrase, answers, chosen, overlaps)


def _overlap(region: Region, candidate: Candidate) -> float:
    """Return the IoU of two boxes, as geometry.boxes.iou_matrix does for many: most rows have few."""
    if region.box is None or region.image != candidate.image:
        return 0.0
    ax0, ay0, ax1, ay1 = region.box.xyxy
    bx0, by0, bx1, by1 = candidate.box.xyxy
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared)


def _chosen(region: Region, overlaps: list[float]) -> int | None:
    """Return the candidate that a region says it is, else the one that overlaps it most."""
    if region.candidate is not None and region.candidate < len(overlaps):
        return region.candidate
    best = max(overlaps, default=0.0)
    return None if best < SAME_IOU or overlaps.count(best) > 1 else overlaps.index(best)


def candidate_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what makes a row's choice ambiguous, trivial or mislabelled."""
    if not offers_choice(subject):
        return
    asked = choices(subject)
    yield from _single(subject, asked)
    for choice in asked:
        yield from _ambiguous(subject, choice)
        yield from _categories(subject, choice)


def _single(subject: Subject, asked: tuple[Choice, ...]) -> Iterator[Finding]:
    if len(subject.record.candidates or ()) == 1 and any(0 in choice.chosen for choice in asked):
        yield subject.finding(
            CANDIDATE_SINGLE,
            "the answer is the only candidate, so that the row teaches nothing about its words",
            found="1 candidate",
            expected="at least 2, or an expression that fits none",
            fix="propose more (`groundprep add-candidates` with a lower --box-threshold), or leave the row out",
        )


def _ambiguous(subject: Subject, choice: Choice) -> Iterator[Finding]:
    """Yield one finding for each answer that other candidates cover too; candidates that are answers themselves are none."""
    right = {index for index in choice.chosen if index is not None}
    for chosen, overlaps in zip(choice.chosen, choice.overlaps, strict=True):
        near = [index for index, iou in enumerate(overlaps) if iou >= AMBIGUOUS_IOU and index not in right]
        if not near or (chosen is None and len(near) < 2):
            continue
        worst = max(near, key=overlaps.__getitem__)
        yield subject.finding(
            HINT_AMBIGUOUS,
            "several candidates are the answer's object, and only one of them is right",
            found=f"candidate {worst} overlaps the answer at IoU {overlaps[worst]:.2f}",
            expected=f"one candidate at IoU {AMBIGUOUS_IOU} or more",
            fix="remove the others, or leave the row out",
        )


def _categories(subject: Subject, choice: Choice) -> Iterator[Finding]:
    record = subject.record
    candidates = record.candidates or ()
    first = candidates[0].phrase
    for region, chosen in zip(choice.answers, choice.chosen, strict=True):
        own = None if chosen is None else candidates[chosen].phrase
        if own is None:
            continue
        stated = region.category if region.category is not None else record.category
        if stated is not None and stated.strip() and not _same(stated, own):  # an empty one is `phrase-empty`
            message, expected = "the answer's category is not that of its candidate", stated
        elif subject.profile is not None and first is not None and not _same(first, own):
            message, expected = "the hint files all candidates under the first one's category, the answer too", first
        else:
            continue
        yield subject.finding(
            CATEGORY_DIFFERS,
            message,
            found=f"candidate {chosen}: {own}",
            expected=expected,
            fix="correct the category, or propose candidates for the row's own category",
        )


def _same(a: str, b: str) -> bool:
    return " ".join(a.split()).casefold() == " ".join(b.split()).casefold()
