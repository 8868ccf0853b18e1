"""The checks of boxes for many records at once: what `box_findings` and `FrameTally.see` find one by one, in numpy.

Nearly every box of nearly every file is sound pixels. A batch of such boxes is judged in a few steps of numpy; a record with an
unsound box, or with numbers in another frame, is left to the checks that look at one box at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundprep.checks.base import Batch, Subject
from groundprep.checks.boxes import OUTSIDE_TOLERANCE_PX, box_findings
from groundprep.checks.frames import NAMES, REL_SLACK, SURELY_PIXELS, UNIT_SLACK, UNKNOWN_WH, FrameTally
from groundprep.finding import Finding
from groundprep.geometry.frames import PIXELS, SizeWH
from groundprep.record import Candidate, Record, Region

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
SizesWH: TypeAlias = Sequence[SizeWH | None]

_TABLE = "box-table"

_ELSEWHERE, _NO_PIXELS, _BOXLESS, _SHAPED, _REPEATING = 1, 2, 4, 8, 16
"""Noted of a record: a box of another image, one that was not read as pixels, none, another shape, the same one twice."""


class Boxes(NamedTuple):
    """The boxes of one record: those of its answers, then regions, then candidates, unless one is of another image.

    Args:
        numbers: xyxy of each, one after the other.
        faults: what is noted of the record.
    """

    numbers: array[float]
    faults: int


def boxes_of(record: Record) -> Boxes:
    """Return the boxes of a record; cheapest right after it was made, while all of it is in the processor's cache."""
    numbers = array("d")
    faults = _add_regions(record.answers, numbers)
    if record.regions:
        faults |= _add_regions(record.regions, numbers)
    if record.candidates:
        faults |= _add_candidates(record.candidates, numbers)
    if faults & _ELSEWHERE:
        del numbers[:]
    return Boxes(numbers, faults)


def _add_regions(regions: tuple[Region, ...], numbers: array[float]) -> int:
    """Add the boxes of answers or regions; returns what is to be noted of them."""
    faults = 0
    for region in regions:
        box = region.box
        if region.point is not None or region.polygon is not None or region.mask is not None or region.keypoints:
            faults |= _SHAPED
        if box is None:
            faults |= _BOXLESS
            continue
        if region.image:
            faults |= _ELSEWHERE
        if box.native is None or box.native.frame is not PIXELS:
            faults |= _NO_PIXELS
        numbers.extend(box.xyxy)
    return faults | _REPEATING if len(regions) > 1 and _repeats(regions) else faults


def _add_candidates(candidates: tuple[Candidate, ...], numbers: array[float]) -> int:
    faults = 0
    for candidate in candidates:
        box = candidate.box
        if candidate.image:
            faults |= _ELSEWHERE
        if box.native is None or box.native.frame is not PIXELS:
            faults |= _NO_PIXELS
        numbers.extend(box.xyxy)
    return faults


def check_boxes(
    records: Sequence[Record],
    boxes: Sequence[Boxes],
    sizes_wh: Sequence[SizesWH],
    frames: FrameTally,
) -> list[Finding]:
    """Return the findings on the records' boxes, in order, and count in `frames` what the boxes say about frames.

    Args:
        records: any records.
        boxes: what `boxes_of` returns for each of them.
        sizes_wh: per record the (width, height) of its images, as read or else as the data declares; None where unknown.
        frames: the counts to add to.
    """
    table = BoxTable(records, boxes, sizes_wh)
    table.count_frames(frames)
    return [finding for index in sorted(table.suspects()) for finding in box_findings(records[index], *sizes_wh[index])]


def box_table_of(subjects: Sequence[Subject]) -> BoxTable:
    """Return the boxes of some subjects as columns; made once for a batch."""
    memo: dict[str, Any] = subjects.memo if isinstance(subjects, Batch) else {}
    table: BoxTable | None = memo.get(_TABLE)
    if table is None:
        records = [subject.record for subject in subjects]
        table = memo[_TABLE] = BoxTable(
            records, list(map(boxes_of, records)), [subject.sizes_wh for subject in subjects]
        )
    return table


def geometry_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects in which `boxes.geometry_findings` may find something."""
    table = box_table_of(subjects)
    return sorted({*table.suspects(), *table.shaped, *table.repeating})


def shape_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects that have points, outlines, keypoints or masks."""
    return box_table_of(subjects).shaped


def absence_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects that may say of a phrase that it is not in the image."""
    return box_table_of(subjects).boxless


class FrameWatch:
    """The verdict on each file's frame, of boxes whose frame no person named. It keeps a dozen counters a file and frame."""

    def __init__(self) -> None:
        self.tally = FrameTally()

    def note(self, subjects: Sequence[Subject]) -> FrameTally | None:
        """Return what the boxes say about frames."""
        tally = FrameTally()
        named = [subject.is_frame_named for subject in subjects]
        if not any(named):
            table = box_table_of(subjects)
            table.count_frames(tally)
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
        boxes: what `boxes_of` returns for each of them.
        sizes_wh: per record the (width, height) of its images; None where unknown.

    Attributes:
        others: the records that are not held.
        uncounted: of those that are held, the ones with a box that was not read in the frame `pixels`, or of another file
            than the first of them.
        boxless, shaped: records with an answer or region that has no box; that has a point, an outline, keypoints or a mask.
        repeating: records that state a phrase's box twice.
        columns: x0, y0, x1 and y1 of the boxes of the records that are held, (4, N).
        counts_N: how many boxes of each record are held.
    """

    def __init__(self, records: Sequence[Record], boxes: Sequence[Boxes], sizes_wh: Sequence[SizesWH]) -> None:
        self.records = records
        self.sizes_wh = sizes_wh
        self.path = records[0].source.path if records else ""
        self.others: list[int] = []
        self.uncounted: list[int] = []
        self.boxless: list[int] = []
        self.shaped: list[int] = []
        self.repeating: list[int] = []
        for index, (record, (_, faults)) in enumerate(zip(records, boxes, strict=True)):
            path = record.source.path
            if faults or (path is not self.path and path != self.path):
                self._place(index, path, faults)
        numbers = np.frombuffer(b"".join(own.numbers for own in boxes), np.float64)
        self.columns = np.ascontiguousarray(numbers.reshape(-1, 4).T)
        self.counts_N = np.array([len(own.numbers) // 4 for own in boxes], np.intp)
        self._owners_N = np.repeat(np.arange(len(records)), self.counts_N)

    def _place(self, index: int, path: str, faults: int) -> None:
        """Put a record where what was noted of it belongs."""
        if faults & _ELSEWHERE:
            self.others.append(index)
        elif faults & _NO_PIXELS or path != self.path:
            self.uncounted.append(index)
        for mask, places in ((_BOXLESS, self.boxless), (_SHAPED, self.shaped), (_REPEATING, self.repeating)):
            if faults & mask:
                places.append(index)

    def suspects(self) -> set[int]:
        """Return the places of the records that may have a box which is inverted, without area or outside its image."""
        x0, y0, x1, y1 = self.columns
        sound = (x1 > x0) & (y1 > y0)
        sides = self._sides
        if sides is not None:
            sound &= _inside(x0, y0, x1, y1, sides) | np.isinf(sides[0])
        return {*self.others, *self._owners_N[~sound].tolist()}

    def count_frames(self, frames: FrameTally) -> None:
        """Add to the counts what the boxes say about frames; see `checks.frames`."""
        if self.columns.shape[1] > int(self.counts_N[self.uncounted].sum()):
            self._count_pixels(frames)
        for index in sorted((*self.others, *self.uncounted)):
            frames.see(self.records[index], self.sizes_wh[index])

    def _count_pixels(self, frames: FrameTally) -> None:
        columns, owners_N, sides = self.columns, self._owners_N, self._sides
        if self.uncounted:
            kept = ~np.isin(owners_N, self.uncounted)
            columns, owners_N = columns[:, kept], owners_N[kept]
            sides = None if sides is None else (sides[0][kept], sides[1][kept])
        counts = frames.counts_of(self.path, PIXELS)
        explained = _explained(columns, sides)
        against = np.flatnonzero(~explained["pixels"])
        counts.boxes += columns.shape[1]
        counts.against += len(against)
        counts.explained = [
            count + int(np.count_nonzero(explained[name])) for count, name in zip(counts.explained, NAMES, strict=True)
        ]
        if len(against) and counts.example is None:
            first = int(against[0])
            counts.example = (str(self.records[int(owners_N[first])].source), columns[:, first].tolist())

    @cached_property
    def _sides(self) -> tuple[Floats, Floats] | None:
        """Right and bottom borders of the boxes' images, infinite where the size is unknown; None if all are."""
        first_wh = [(sizes[0] if sizes else None) or UNKNOWN_WH for sizes in self.sizes_wh]
        if first_wh.count(UNKNOWN_WH) == len(first_wh):
            return None
        sizes_N2 = np.array(first_wh, np.float64)
        sizes_N2[sizes_N2[:, 0] == 0] = np.inf
        return np.repeat(sizes_N2[:, 0], self.counts_N), np.repeat(sizes_N2[:, 1], self.counts_N)


def _repeats(regions: tuple[Region, ...]) -> bool:
    stated = [(region.phrase, region.box.xyxy) for region in regions if region.box is not None]
    return len(set(stated)) < len(stated)


def _explained(columns: Floats, sides: tuple[Floats, Floats] | None) -> dict[str, Bools]:
    """Return which boxes each frame can hold: the tests of `checks.frames`; `columns` are the numbers, (4, N)."""
    a, b, c, d = columns
    largest = columns.max(axis=0)
    large = (largest <= 0) | (largest > 1)
    explained = {
        "pixels": _inside(a, b, c, d, sides) & large,
        "pixels-xywh": _inside(a, b, a + c, b + d, sides) & large,
        "pixels-cxcywh": _inside(a - c / 2, b - d / 2, a + c / 2, b + d / 2, sides) & large,
        "pixels-yxyx": _inside(b, a, d, c, sides) & large,
        "rel1000": _within(a, b, c, d, 1000, REL_SLACK) & large,
        "rel1000-xywh": _within(a, b, a + c, b + d, 1000, REL_SLACK) & large,
    }
    none = np.zeros(len(a), np.bool_)
    is_far = bool((columns[2:].max(axis=0) > SURELY_PIXELS).all())  # none of them ends in the first pixel: most files
    explained["unit"] = none if is_far else _within(a, b, c, d, 1, UNIT_SLACK)
    explained["unit-xywh"] = none if is_far else _within(a, b, a + c, b + d, 1, UNIT_SLACK)
    explained["unit-cxcywh"] = none if is_far else _within(a - c / 2, b - d / 2, a + c / 2, b + d / 2, 1, UNIT_SLACK)
    return explained


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
