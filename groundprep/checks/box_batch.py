"""The checks of boxes for many records at once: what `box_findings` and `FrameTally.see` find one by one, in numpy.

Nearly every box of nearly every file is sound pixels. A batch of such boxes is judged in a few steps of numpy; a record with an
unsound box, or with numbers in another frame, is left to the checks that look at one box at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundprep.checks.base import Batch, Subject
from groundprep.checks.boxes import OUTSIDE_TOLERANCE_PX, box_findings
from groundprep.checks.frames import NAMES, REL_SLACK, UNIT_SLACK, UNKNOWN_WH, FrameTally
from groundprep.finding import Finding
from groundprep.geometry.frames import PIXELS, SizeWH
from groundprep.record import BoxXYXY, Record, Region

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
SizesWH: TypeAlias = Sequence[SizeWH | None]

_TABLE = "box-table"


def check_boxes(
    records: Sequence[Record], known_wh: Sequence[SizesWH], stated_wh: Sequence[SizesWH], frames: FrameTally
) -> list[Finding]:
    """Return the findings on the records' boxes, in order, and count in `frames` what the boxes say about frames.

    Args:
        records: any records.
        known_wh: per record the (width, height) of its images, as read; None where unknown.
        stated_wh: the same, as read or else as the data declares.
        frames: the counts to add to.
    """
    table = BoxTable(records, known_wh)
    table.count_frames(frames, stated_wh)
    return [
        finding for index in sorted(table.suspects()) for finding in box_findings(records[index], *known_wh[index])
    ]


def box_table_of(subjects: Sequence[Subject]) -> BoxTable:
    """Return the boxes of some subjects as columns; made once for a batch."""
    memo: dict[str, Any] = subjects.memo if isinstance(subjects, Batch) else {}
    table: BoxTable | None = memo.get(_TABLE)
    if table is None:
        table = memo[_TABLE] = BoxTable(
            [subject.record for subject in subjects], [subject.sizes_wh for subject in subjects]
        )
    return table


def geometry_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects in which `boxes.geometry_findings` may find something."""
    table = box_table_of(subjects)
    return sorted({*table.suspects(), *table.shaped, *table.repeating})


class FrameWatch:
    """The verdict on each file's frame, of boxes whose frame no person named. It keeps a dozen counters a file and frame."""

    def __init__(self) -> None:
        self.tally = FrameTally()

    def note(self, subjects: Sequence[Subject]) -> FrameTally | None:
        """Return what the boxes say about frames."""
        tally = FrameTally()
        named = [subject.is_frame_named for subject in subjects]
        if not any(named):
            box_table_of(subjects).count_frames(tally, [subject.sizes_wh for subject in subjects])
        elif not all(named):
            for subject in subjects:
                if not subject.is_frame_named:
                    tally.see(subject.record, subject.sizes_wh)
        return tally if tally.files else None

    def see(self, note: FrameTally) -> Iterable[Finding]:
        """Add the counts."""
        self.tally.add(note)
        return ()

    def findings(self) -> list[Finding]:
        """Return one finding for every file whose frame is contradicted and which another frame explains."""
        return self.tally.findings()


class BoxTable:
    """The boxes of some records, as columns: those of each record's answers, then regions, then candidates.

    Args:
        records: any records.
        known_wh: per record the (width, height) of its images; None where unknown.

    Attributes:
        boxes: xyxy of the records that are held: those whose boxes are all of their first image.
        counts: how many boxes of each record are held.
        others: the records that are not held.
        uncounted: of those that are held, the ones with a box that was not read in the frame `pixels`, or of another file
            than the first of them.
        boxless, shaped: records with an answer or region that has no box; that has a point, an outline, keypoints or a mask.
        repeating: records that state a phrase's box twice.
    """

    def __init__(self, records: Sequence[Record], known_wh: Sequence[SizesWH]) -> None:
        self.records = records
        self.known_wh = known_wh
        self.path: str | None = None
        self.boxes: list[BoxXYXY] = []
        self.counts: list[int] = []
        self.others: list[int] = []
        self.uncounted: list[int] = []
        self.boxless: list[int] = []
        self.shaped: list[int] = []
        self.repeating: list[int] = []
        for index, record in enumerate(records):
            before = len(self.boxes)
            held, counted = self._add(index, record)
            if not held:
                del self.boxes[before:]
                self.others.append(index)
            elif not counted:
                self.uncounted.append(index)
            self.counts.append(len(self.boxes) - before)
        self.columns_4N = np.ascontiguousarray(
            np.fromiter(chain.from_iterable(self.boxes), np.float64, 4 * len(self.boxes)).reshape(-1, 4).T
        )
        self.counts_R = np.array(self.counts, np.intp)
        self._owners_N = np.repeat(np.arange(len(records)), self.counts_R)

    def _add(self, index: int, record: Record) -> tuple[bool, bool]:
        """Add a record's boxes; say whether it is held and whether its boxes are counted as pixels of this file."""
        path = record.source.path
        if self.path is None:
            self.path = path
        held, counted, shaped, boxless, boxes = True, path is self.path or path == self.path, False, False, self.boxes
        for regions in (record.answers, record.regions):
            for region in regions:
                box = region.box
                if region.point is not None or region.polygon is not None:
                    shaped = True
                elif region.mask is not None or region.keypoints is not None:
                    shaped = True
                if box is None:
                    boxless = True
                    continue
                if region.image:
                    held = False
                if box.native is None or box.native.frame is not PIXELS:
                    counted = False
                boxes.append(box.xyxy)
            if len(regions) > 1 and _repeats(regions):
                self.repeating.append(index)
        for candidate in record.candidates or ():
            box = candidate.box
            if candidate.image:
                held = False
            if box.native is None or box.native.frame is not PIXELS:
                counted = False
            boxes.append(box.xyxy)
        if shaped:
            self.shaped.append(index)
        if boxless:
            self.boxless.append(index)
        return held, counted

    def suspects(self) -> set[int]:
        """Return the places of the records that may have a box which is inverted, without area or outside its image."""
        x0, y0, x1, y1 = self.columns_4N
        sound = (x1 > x0) & (y1 > y0)
        sides = self._sides(self.known_wh)
        if sides is not None:
            sound &= _inside(x0, y0, x1, y1, sides) | np.isinf(sides[0])
        return {*self.others, *self._owners_N[~sound].tolist()}

    def count_frames(self, frames: FrameTally, stated_wh: Sequence[SizesWH]) -> None:
        """Add what the boxes say about frames; see `checks.frames`.

        Args:
            frames: the counts to add to.
            stated_wh: per record the (width, height) of its images, as read or else as the data declares.
        """
        if len(self.boxes) > sum(self.counts[index] for index in self.uncounted):
            self._count_pixels(frames, stated_wh)
        for index in sorted((*self.others, *self.uncounted)):
            frames.see(self.records[index], stated_wh[index])

    def _count_pixels(self, frames: FrameTally, stated_wh: Sequence[SizesWH]) -> None:
        columns_4N, owners_N, sides = self.columns_4N, self._owners_N, self._sides(stated_wh)
        if self.uncounted:
            kept = ~np.isin(owners_N, self.uncounted)
            columns_4N, owners_N = columns_4N[:, kept], owners_N[kept]
            sides = None if sides is None else (sides[0][kept], sides[1][kept])
        a, b, c, d = columns_4N
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
        counts.boxes += len(a)
        counts.against += len(against)
        counts.explained = [
            count + int(np.count_nonzero(explained[name])) for count, name in zip(counts.explained, NAMES, strict=True)
        ]
        if len(against) and counts.example is None:
            first = int(against[0])
            counts.example = (str(self.records[int(owners_N[first])].source), columns_4N[:, first].tolist())

    def _sides(self, sizes_wh: Sequence[SizesWH]) -> tuple[Floats, Floats] | None:
        """Return right and bottom borders of the boxes' images, infinite where the size is unknown; None if all are."""
        first_wh = [(sizes[0] if sizes else None) or UNKNOWN_WH for sizes in sizes_wh]
        if first_wh.count(UNKNOWN_WH) == len(first_wh):
            return None
        sizes_N2 = np.array(first_wh, np.float64)
        sizes_N2[sizes_N2[:, 0] == 0] = np.inf
        return np.repeat(sizes_N2[:, 0], self.counts_R), np.repeat(sizes_N2[:, 1], self.counts_R)


def _repeats(regions: tuple[Region, ...]) -> bool:
    stated = [(region.phrase, region.box.xyxy) for region in regions if region.box is not None]
    return len(set(stated)) < len(stated)


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
