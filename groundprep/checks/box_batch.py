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
from groundprep.record import BoxXYXY, Candidate, Record, Region

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
    return [finding for index in sorted(table.suspects()) for finding in box_findings(records[index], *known_wh[index])]


def table_of(subjects: Sequence[Subject]) -> BoxTable:
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
    places = table_of(subjects).suspects()
    places.update(place for place, subject in enumerate(subjects) if _has_more_than_boxes(subject.record))
    return sorted(places)


def _has_more_than_boxes(record: Record) -> bool:
    """Say whether a record has points or outlines, or states a phrase's box twice."""
    return _are_more(record.answers) or _are_more(record.regions)


def _are_more(regions: tuple[Region, ...]) -> bool:
    stated = set()
    for region in regions:
        if region.point is not None or region.polygon is not None or region.keypoints is not None:
            return True
        if region.box is not None:
            stated.add((region.phrase, region.box.xyxy))
    return len(regions) > 1 and len(stated) < sum(region.box is not None for region in regions)


class FrameWatch:
    """The verdict on each file's frame, of boxes whose frame no person named. It keeps a dozen counters a file and frame."""

    def __init__(self) -> None:
        self.tally = FrameTally()

    def note(self, subjects: Sequence[Subject]) -> FrameTally | None:
        """Return what the boxes say about frames."""
        tally = FrameTally()
        named = [subject.is_frame_named for subject in subjects]
        if not any(named):
            table_of(subjects).count_frames(tally, [subject.sizes_wh for subject in subjects])
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
    """The boxes of some records, as columns.

    Of those that are plain (all of the first image and as read in the frame `pixels`, of the file of the first plain one) the
    numbers are held; the others are suspects from the start.

    Args:
        records: any records.
        known_wh: per record the (width, height) of its images; None where unknown.
    """

    def __init__(self, records: Sequence[Record], known_wh: Sequence[SizesWH]) -> None:
        self.records = records
        self.known_wh = known_wh
        self.path: str | None = None
        self.boxes: list[BoxXYXY] = []
        self.counts: list[int] = []
        self.others: list[int] = []
        for index, record in enumerate(records):
            boxes = self._plain_boxes(record)
            if boxes is None:
                self.others.append(index)
                self.counts.append(0)
            else:
                self.boxes += boxes
                self.counts.append(len(boxes))
        numbers = np.fromiter(chain.from_iterable(self.boxes), np.float64, 4 * len(self.boxes))
        self._columns = tuple(np.ascontiguousarray(numbers.reshape(-1, 4).T))
        self._owners_N = np.repeat(np.arange(len(records)), self.counts)

    def _plain_boxes(self, record: Record) -> list[BoxXYXY] | None:
        path = record.source.path
        if self.path is None:
            self.path = path
        elif path is not self.path and path != self.path:
            return None
        boxes = []
        items: Iterable[Region | Candidate] = chain(record.answers, record.regions, record.candidates or ())
        for item in items:
            box = item.box
            if box is None:
                continue
            if item.image or box.native is None or box.native.frame is not PIXELS:
                return None
            boxes.append(box.xyxy)
        return boxes

    def suspects(self) -> set[int]:
        """Return the places of the records that may have a box which is inverted, without area or outside its image."""
        x0, y0, x1, y1 = self._columns
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
        if self.boxes:
            self._count_plain(frames, stated_wh)
        for index in self.others:
            frames.see(self.records[index], stated_wh[index])

    def _count_plain(self, frames: FrameTally, stated_wh: Sequence[SizesWH]) -> None:
        a, b, c, d = self._columns
        sides = self._sides(stated_wh)
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
            counts.example = (str(self.records[int(self._owners_N[first])].source), list(self.boxes[first]))

    def _sides(self, sizes_wh: Sequence[SizesWH]) -> tuple[Floats, Floats] | None:
        """Return right and bottom borders of the boxes' images, infinite where the size is unknown; None if all are."""
        first_wh = [(sizes[0] if sizes else None) or UNKNOWN_WH for sizes in sizes_wh]
        if first_wh.count(UNKNOWN_WH) == len(first_wh):
            return None
        sizes_N2 = np.array(first_wh, np.float64)
        sizes_N2[sizes_N2[:, 0] == 0] = np.inf
        return np.repeat(sizes_N2[:, 0], self.counts), np.repeat(sizes_N2[:, 1], self.counts)


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
