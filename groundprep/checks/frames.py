"""Do a file's boxes contradict the frame that they are said to be in, and does another frame explain them?

A box contradicts a frame if it is inverted there, lies outside its image (where the size is known), or is smaller than
a pixel in pixels. A box without area, and one that touches the border, contradict nothing. The verdict is one on the
file: only counters are kept, whatever its length.

What numbers alone cannot tell: 0–1000 from pixels of images that are larger, rel1000 from rel1000-yxyx, and y-first boxes
from boxes drawn on the image turned by a quarter (both swap the sides). Such look-alikes are named together.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from groundprep.checks.base import Rule
from groundprep.checks.boxes import OUTSIDE_TOLERANCE_PX
from groundprep.errors import FormatError
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import FRAMES, PIXELS, Frame, Layout, SizeWH, Space
from groundprep.record import Box, Record

FRAME_CONTRADICTED = Rule(
    "frame-contradicted", Severity.ERROR, "the boxes contradict the frame of the file, and another frame explains them"
)

LEAST_BOXES = 20
"""Below this number nothing is said of a file."""

CONTRADICTED_SHARE = 0.20
EXPLAINED_SHARE = 0.99

UNIT_SLACK = 0.005
REL_SLACK = 1.0
UNKNOWN_WH = (0, 0)
SURELY_PIXELS = 1.02
"""A box with a number above this one fits none of the frames of 0–1, slack included."""

Numbers: TypeAlias = Sequence[float]
Test: TypeAlias = Callable[[float, float, float, float, int, int], bool]
"""Whether four numbers can be a box of a frame; a side of 0 is an unknown one."""


def _inside(x0: float, y0: float, x1: float, y1: float, width: int, height: int) -> bool:
    slack = OUTSIDE_TOLERANCE_PX
    if x1 < x0 or y1 < y0 or x0 < -slack or y0 < -slack:
        return False
    return not width or (x1 <= width + slack and y1 <= height + slack)


def _is_tiny(a: float, b: float, c: float, d: float) -> bool:
    """Say whether all of a box lies within the first pixel: shares of 1, most likely."""
    return 0 < max(a, b, c, d) <= 1


def _pixels(a: float, b: float, c: float, d: float, width: int, height: int) -> bool:
    return _inside(a, b, c, d, width, height) and not _is_tiny(a, b, c, d)


def _xywh(a: float, b: float, c: float, d: float, width: int, height: int) -> bool:
    return _inside(a, b, a + c, b + d, width, height) and not _is_tiny(a, b, c, d)


def _cxcywh(a: float, b: float, c: float, d: float, width: int, height: int) -> bool:
    inside = _inside(a - c / 2, b - d / 2, a + c / 2, b + d / 2, width, height)
    return inside and not _is_tiny(a, b, c, d)


def _yxyx(a: float, b: float, c: float, d: float, width: int, height: int) -> bool:
    return _inside(b, a, d, c, width, height) and not _is_tiny(a, b, c, d)


def _within(x0: float, y0: float, x1: float, y1: float, whole: float, slack: float) -> bool:
    return -slack <= x0 <= x1 <= whole + slack and -slack <= y0 <= y1 <= whole + slack


def _unit(a: float, b: float, c: float, d: float, _width: int, _height: int) -> bool:
    return _within(a, b, c, d, 1, UNIT_SLACK)


def _unit_xywh(a: float, b: float, c: float, d: float, _width: int, _height: int) -> bool:
    return _within(a, b, a + c, b + d, 1, UNIT_SLACK)


def _unit_cxcywh(a: float, b: float, c: float, d: float, _width: int, _height: int) -> bool:
    return _within(a - c / 2, b - d / 2, a + c / 2, b + d / 2, 1, UNIT_SLACK)


def _rel1000(a: float, b: float, c: float, d: float, _width: int, _height: int) -> bool:
    return _within(a, b, c, d, 1000, REL_SLACK) and not _is_tiny(a, b, c, d)


def _rel1000_xywh(a: float, b: float, c: float, d: float, width: int, height: int) -> bool:
    return _rel1000(a, b, a + c, b + d, width, height) and not _is_tiny(a, b, c, d)


TESTS: dict[str, Test] = {
    "unit-cxcywh": _unit_cxcywh,
    "unit": _unit,
    "unit-xywh": _unit_xywh,
    "pixels-cxcywh": _cxcywh,
    "pixels-xywh": _xywh,
    "pixels": _pixels,
    "pixels-yxyx": _yxyx,
    "rel1000": _rel1000,
    "rel1000-xywh": _rel1000_xywh,
}
"""Frame → test, the stricter before the looser: of two that explain a file equally well the first one is named first."""

REMARKS = {
    "pixels-yxyx": "pixels-yxyx, or pixels of the image turned by a quarter (EXIF, or width and height swapped)",
    "rel1000": "rel1000 (or rel1000-yxyx)",
    "turned": "pixels of the image turned by a quarter (EXIF, or width and height swapped)",
}
TURNED = "turned"
"""What y-first boxes look like in other layouts than xyxy: no frame of ours, so that it is no test and cannot be named."""

LOOSEST = "rel1000-xywh"
"""It holds inverted boxes and those of small images, too: said only of a file whose layout is x, y, width, height."""

NAMES = tuple(TESTS)
_AT = {name: index for index, name in enumerate(TESTS)}
FUNCTIONS = tuple(TESTS.values())


def contradicts(box: Box, frame: Frame, numbers: Numbers, size_wh: SizeWH) -> bool:
    """Say whether a box cannot be one of the frame that it was read in.

    Args:
        box: as read; its xyxy are pixels of the stored image.
        frame: the frame that it was read in.
        numbers: the four numbers in that frame.
        size_wh: (width, height) of the stored image; (0, 0) if unknown.
    """
    if not _inside(*box.xyxy, *size_wh):
        return True
    if frame.space is Space.STORED:
        return _is_tiny(*numbers)
    # Of the other spaces only this one hides an excess: a bin beyond the last means the border.
    return frame.space is Space.BIN999 and max(numbers) > 1000


@dataclass(slots=True)
class FrameCounts:
    """What the boxes of one file say about frames.

    Args:
        frame: the frame that they were read in.
        boxes: how many there were.
        against: how many contradict that frame.
        explained: how many each frame of `TESTS` can hold, in its order.
        turned: how many of another layout than xyxy lie in the image turned by a quarter.
        example: the first box that contradicts, and where it is.
    """

    frame: Frame
    boxes: int = 0
    against: int = 0
    explained: list[int] = field(default_factory=lambda: [0] * len(TESTS))
    turned: int = 0
    example: tuple[str, list[float]] | None = None

    def see(self, box: Box, size_wh: SizeWH | None, place: str) -> None:
        """Count one box that was read in this frame."""
        assert box.native is not None
        numbers = box.native.numbers
        a, b, c, d = numbers
        width, height = size_wh or UNKNOWN_WH
        self.boxes += 1
        if contradicts(box, self.frame, numbers, (width, height)):
            self.against += 1
            if self.example is None:
                self.example = (place, list(numbers))
        elif self.frame is PIXELS and a >= 0 and b >= 0 and max(c, d) > SURELY_PIXELS:
            self._see_sound_pixels(a, b, c, d, width, height)
            return
        if width and self.frame.space is Space.STORED and self.frame.layout is not Layout.XYXY:
            self.turned += _inside(*box.xyxy, height, width)
        explained = self.explained
        for index, test in enumerate(FUNCTIONS):
            if test(a, b, c, d, width, height):
                explained[index] += 1

    def _see_sound_pixels(self, a: float, b: float, c: float, d: float, width: int, height: int) -> None:
        """Do what the tests do, for the boxes of most files: measured, half of the time."""
        explained = self.explained
        explained[_AT["pixels"]] += 1
        explained[_AT["pixels-cxcywh"]] += _cxcywh(a, b, c, d, width, height) if 2 * a >= c - 2 else 0
        right, bottom = width + OUTSIDE_TOLERANCE_PX, height + OUTSIDE_TOLERANCE_PX
        explained[_AT["pixels-xywh"]] += not width or (a + c <= right and b + d <= bottom)
        explained[_AT["pixels-yxyx"]] += not width or (c <= bottom and d <= right)
        explained[_AT["rel1000"]] += max(c, d) <= 1000 + REL_SLACK
        explained[_AT["rel1000-xywh"]] += max(a + c, b + d) <= 1000 + REL_SLACK

    def add(self, other: FrameCounts) -> None:
        """Add the counts of later boxes."""
        self.boxes += other.boxes
        self.against += other.against
        self.explained = [mine + its for mine, its in zip(self.explained, other.explained, strict=True)]
        self.turned += other.turned
        self.example = self.example or other.example

    def look_alikes(self) -> list[str]:
        """Return the frames that explain the file where its own is contradicted, the most likely first; mostly none."""
        if self.boxes < LEAST_BOXES or self.against <= CONTRADICTED_SHARE * self.boxes:
            return []
        enough = EXPLAINED_SHARE * self.boxes
        found = [
            (-count, place, name)
            for place, (name, count) in enumerate(zip(NAMES, self.explained, strict=True))
            if count >= enough and name != self.frame.name and (name != LOOSEST or self.frame.layout is Layout.XYWH)
        ]
        return [name for _, _, name in sorted(found)] + [TURNED] * (self.turned >= enough)


class FrameTally:
    """The counts of every file of a run; files are told apart by the path in their records' sources."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], FrameCounts] = {}

    def see(self, record: Record, sizes_wh: Sequence[SizeWH | None]) -> None:
        """Count the boxes of a record that are still as they were read.

        Args:
            record: any record.
            sizes_wh: stored (width, height) of its images, in order; None or missing where unknown.
        """
        place = str(record.source)
        for region in (*record.answers, *record.regions):
            if region.box is not None:
                self._see_box(region.box, region.image, record, sizes_wh, place)
        for candidate in record.candidates or ():
            self._see_box(candidate.box, candidate.image, record, sizes_wh, place)

    def _see_box(self, box: Box, image: int, record: Record, sizes_wh: Sequence[SizeWH | None], place: str) -> None:
        if box.native is None:
            return
        counts = self.counts_of(record.source.path, box.native.frame)
        counts.see(box, sizes_wh[image] if image < len(sizes_wh) else None, place)

    def counts_of(self, path: str, frame: Frame) -> FrameCounts:
        """Return the counts of one file and frame."""
        counts = self.files.get((path, frame.name))
        if counts is None:
            counts = self.files[path, frame.name] = FrameCounts(frame)
        return counts

    def add(self, other: FrameTally) -> None:
        """Add the counts of later records."""
        for key, counts in other.files.items():
            if key in self.files:
                self.files[key].add(counts)
            else:
                self.files[key] = counts

    def findings(self) -> list[Finding]:
        """Return one finding for every file whose frame is contradicted and which another frame explains."""
        return [
            _finding(path, counts, look_alikes)
            for (path, _), counts in self.files.items()
            if (look_alikes := counts.look_alikes())
        ]

    def require_consistent(self, named: Container[str] = ()) -> None:
        """Raise FormatError (`frame-contradicted`) for the first such file; `named` ones have a frame that a person chose."""
        for finding in self.findings():
            if finding.source not in named:
                raise FormatError(
                    finding.message,
                    code=finding.code,
                    source=finding.source,
                    found=finding.found,
                    expected=finding.expected,
                    fix=finding.fix,
                )


def _finding(path: str, counts: FrameCounts, look_alikes: list[str]) -> Finding:
    frames = [name for name in look_alikes if name != TURNED]
    rename = "turn the images, or correct their width and height"
    if frames:
        best, *others = frames
        rename = f"pass --source-frame {best}" + (f" (or {', '.join(others)})" if others else "")
    place, numbers = counts.example or (path, [])
    return Finding(
        code=FRAME_CONTRADICTED.code,
        severity=FRAME_CONTRADICTED.severity,
        record=None,
        source=path,
        message=f"{counts.against} of {counts.boxes} boxes contradict the frame {_title(counts.frame)}; "
        f"the numbers look like {', or like '.join(REMARKS.get(name, name) for name in look_alikes)}",
        found=f"{[round(number, 3) for number in numbers]} in {place}",
        expected=f"boxes in {counts.frame.name}",
        fix=f"{rename}, or --source-frame {counts.frame.name} if the frame is right all the same"
        if FRAMES[counts.frame.name].space is not Space.SEEN
        else f"{rename}, or the trainer that the file was written for",
    )


def _title(frame: Frame) -> str:
    return f"{frame.name} (xyxy)" if frame.layout is Layout.XYXY else frame.name
