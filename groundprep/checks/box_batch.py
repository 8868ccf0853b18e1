"""The checks of boxes for many records at once: what `box_findings` and `FrameWatch` find one by one, in numpy.

Nearly every box of nearly every file is sound pixels. A batch of such boxes is judged in a few steps of numpy; a record with an
unsound box, or with numbers in another frame, is left to the checks that look at one box at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundprep.checks.boxes import OUTSIDE_TOLERANCE_PX, box_findings
from groundprep.checks.frames import NAMES, REL_SLACK, UNIT_SLACK, UNKNOWN_WH, FrameWatch
from groundprep.finding import Finding
from groundprep.geometry.frames import PIXELS, SizeWH
from groundprep.record import BoxXYXY, Candidate, Record, Region

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
SizesWH: TypeAlias = Sequence[SizeWH | None]


def check_boxes(
    records: Sequence[Record], known_wh: Sequence[SizesWH], stated_wh: Sequence[SizesWH], frames: FrameWatch
) -> list[Finding]:
    """Return the findings on the records' boxes, in order, and count in `frames` what the boxes say about frames.

    Args:
        records: any records.
        known_wh: per record the (width, height) of its images, as read; None where unknown.
        stated_wh: the same, as read or else as the data declares.
        frames: the counts to add to.
    """
    findings: list[Finding] = []
    table = _BoxTable()
    for index, record in enumerate(records):
        if not table.add(index, record, known_wh[index], stated_wh[index]):
            findings += box_findings(record, *known_wh[index])
            frames.see(record, stated_wh[index])
    if not table.boxes:
        return findings
    unsound = table.unsound_records()
    if unsound:  # rare: the order of the findings is that of the records
        findings = [
            finding
            for index, record in enumerate(records)
            if index in unsound or index not in table.places
            for finding in box_findings(record, *known_wh[index])
        ]
    table.count_frames(records, frames)
    return findings


class _BoxTable:
    """Boxes of one file in the frame `pixels`, as columns."""

    def __init__(self) -> None:
        self.path: str | None = None
        self.boxes: list[BoxXYXY] = []
        self.owners: list[int] = []
        self.known: list[SizeWH] = []
        self.stated: list[SizeWH] = []
        self.places: set[int] = set()
        self._numbers: tuple[Floats, Floats, Floats, Floats] | None = None

    def add(self, index: int, record: Record, known_wh: SizesWH, stated_wh: SizesWH) -> bool:
        """Take a record's boxes, all of its first image and as read in `pixels`; say whether the record is such a one."""
        if self.path is None:
            self.path = record.source.path
        if record.source.path != self.path:
            return False
        boxes = []
        items: Iterable[Region | Candidate] = chain(record.answers, record.regions, record.candidates or ())
        for item in items:
            box = item.box
            if box is None:
                continue
            if item.image or box.native is None or box.native.frame is not PIXELS:
                return False
            boxes.append(box.xyxy)
        self.places.add(index)
        self.boxes += boxes
        count = len(boxes)
        self.owners += [index] * count
        self.known += [(known_wh[0] if known_wh else None) or UNKNOWN_WH] * count
        self.stated += [(stated_wh[0] if stated_wh else None) or UNKNOWN_WH] * count
        return True

    def _columns(self) -> tuple[Floats, Floats, Floats, Floats]:
        if self._numbers is None:
            numbers = np.fromiter(chain.from_iterable(self.boxes), np.float64, 4 * len(self.boxes))
            x0, y0, x1, y1 = np.ascontiguousarray(numbers.reshape(-1, 4).T)
            self._numbers = x0, y0, x1, y1
        return self._numbers

    def unsound_records(self) -> set[int]:
        """Return the indices of the records that have a box which is inverted, without area or outside its image."""
        x0, y0, x1, y1 = self._columns()
        sound = (x1 > x0) & (y1 > y0)
        sides = _sides(self.known)
        if sides is not None:
            sound &= _inside(x0, y0, x1, y1, sides) | np.isinf(sides[0])
        return {self.owners[place] for place in np.flatnonzero(~sound)}

    def count_frames(self, records: Sequence[Record], frames: FrameWatch) -> None:
        """Add what the boxes say about frames; see `checks.frames`."""
        a, b, c, d = self._columns()
        sides = _sides(self.stated)
        assert self.path is not None
        counts = frames.counts_of(self.path, PIXELS)
        largest = np.maximum(np.maximum(a, b), np.maximum(c, d))
        large = ~((largest > 0) & (largest <= 1))
        pixels = _inside(a, b, c, d, sides) & large
        against = np.flatnonzero(~pixels)
        explained = {
            "pixels": pixels,
            "pixels-xywh": _inside(a, b, a + c, b + d, sides) & large,
            "pixels-cxcywh": _inside(a - c / 2, b - d / 2, a + c / 2, b + d / 2, sides) & large,
            "pixels-yxyx": _inside(b, a, d, c, sides) & large,
            "unit": _within(a, b, c, d, 1, UNIT_SLACK),
            "unit-xywh": _within(a, b, a + c, b + d, 1, UNIT_SLACK),
            "unit-cxcywh": _within(a - c / 2, b - d / 2, a + c / 2, b + d / 2, 1, UNIT_SLACK),
            "rel1000": _within(a, b, c, d, 1000, REL_SLACK) & large,
        }
        counts.boxes += len(self.boxes)
        counts.against += len(against)
        counts.explained = [
            count + int(np.count_nonzero(explained[name])) for count, name in zip(counts.explained, NAMES, strict=True)
        ]
        if len(against) and counts.example is None:
            first = int(against[0])
            counts.example = (str(records[self.owners[first]].source), list(self.boxes[first]))


def _sides(sizes_wh: list[SizeWH]) -> tuple[Floats, Floats] | None:
    """Return right and bottom borders, infinite where the size is unknown; None if all are."""
    if sizes_wh.count(UNKNOWN_WH) == len(sizes_wh):
        return None
    sizes_N2 = np.array(sizes_wh, np.float64)
    sizes_N2[sizes_N2[:, 0] == 0] = np.inf
    return sizes_N2[:, 0], sizes_N2[:, 1]


def _inside(x0: Floats, y0: Floats, x1: Floats, y1: Floats, sides: tuple[Floats, Floats] | None) -> Bools:
    slack = OUTSIDE_TOLERANCE_PX
    inside: Bools = (x1 >= x0) & (y1 >= y0) & (x0 >= -slack) & (y0 >= -slack)
    if sides is not None:
        inside &= (x1 <= sides[0] + slack) & (y1 <= sides[1] + slack)
    return inside


def _within(x0: Floats, y0: Floats, x1: Floats, y1: Floats, whole: float, slack: float) -> Bools:
    ends: Bools = (
        (x0 >= -slack) & (x0 <= x1) & (x1 <= whole + slack) & (y0 >= -slack) & (y0 <= y1) & (y1 <= whole + slack)
    )
    return ends
