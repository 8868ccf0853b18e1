"""What is left of boxes once a trainer has rounded them: some have no area any more, some cannot be told apart.

Rows with hints have rules of their own (`training_rows`), because equal numbers are there what is scored.
"""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks.base import Rule, Subject
from groundprep.checks.training_rows import BOX_COLLAPSED
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import Frame, Rounding
from groundprep.profile import Profile
from groundprep.record import BoxXYXY, Region

BOX_INDISTINCT = Rule(
    "box-indistinct", Severity.WARNING, "two different boxes of a phrase are equal after the trainer's rounding"
)


def rounds(profile: Profile) -> bool:
    """Say whether a profile's trainer teaches rounded boxes, in rows without hints."""
    return profile.dialect not in SCORED_ROWS and _frame(profile).rounding is not Rounding.NONE


def rounding_findings(subject: Subject) -> Iterator[Finding]:
    """Yield boxes that lose their area, and pairs of one phrase that become one; those without area, or equal before, are not.

    The record's answers and regions are looked at, in stored pixels; sizes that are not known are left out.
    """
    profile = subject.profile
    if profile is None:
        return
    frame = _frame(profile)
    earlier: dict[tuple[str | None, int, tuple[float, ...]], tuple[str, BoxXYXY]] = {}
    for where, region in _regions(subject):
        size_wh = subject.sizes_wh[region.image] if region.image < len(subject.verdicts) else None
        if region.box is None or size_wh is None:
            continue
        box = region.box.xyxy
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        numbers = frame.box_from_stored(box, size_wh=size_wh, seen_wh=profile.seen_wh(size_wh))
        if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
            yield subject.finding(
                BOX_COLLAPSED,
                f"{where} has no area left in the numbers that the model is taught",
                found=f"{_short(numbers)} from {_short(box)}",
                expected="x0 < x1 and y0 < y1",
                fix="drop the object: it is too small for this trainer",
                about=where,
            )
            continue
        first, first_box = earlier.setdefault((region.phrase, region.image, tuple(numbers)), (where, box))
        if first_box != box:
            yield subject.finding(
                BOX_INDISTINCT,
                f"{where} and {first} are one box in the numbers that the model is taught: only one can be right",
                found=f"{_short(numbers)} from {_short(box)} and {_short(first_box)}",
                expected="boxes that differ after rounding",
                fix="drop one of the objects",
            )


def _frame(profile: Profile) -> Frame:
    return profile.said_frame or profile.frame


def _regions(subject: Subject) -> Iterator[tuple[str, Region]]:
    for name, regions in (("answer", subject.record.answers), ("region", subject.record.regions)):
        for index, region in enumerate(regions):
            yield f"{name} {index}", region


def _short(numbers: tuple[float, ...] | list[float]) -> str:
    return f"[{', '.join(f'{number:g}' for number in numbers)}]"
