"""Coordinate frames: what four numbers mean, and how to get from one meaning to another.

The one hub is `box_xyxy`: float64 pixels of the stored image, xyxy, continuous. Every frame has `to_stored` and
`from_stored`. For an integer frame `from_stored(to_stored(n)) == n` for every n that the frame can hold: the inverse of a
truncating frame goes through the centre of the bin, because its lower edge may fall into the bin below after rounding. Where
the image's border has a number of its own (1000, bin 999), it is read as the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import sub
from typing import Any, TypeAlias

Numbers: TypeAlias = Sequence[float]
SizeWH: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]


class Space(StrEnum):
    """The length that a coordinate is a share of."""

    STORED = "stored"  # pixels of the stored image
    SEEN = "seen"  # pixels of the image that the model sees, after the trainer's resize chain
    UNIT = "unit"  # 0–1 of the stored image's sides
    REL1000 = "rel1000"  # 0–1000 of the stored image's sides
    BIN999 = "bin999"  # bins 0–999 of the stored image's sides


class Layout(StrEnum):
    """The order and meaning of a box's four numbers."""

    XYXY = "xyxy"
    XYWH = "xywh"
    CXCYWH = "cxcywh"
    YXYX = "yxyx"


class Rounding(StrEnum):
    """How a frame makes numbers from real coordinates."""

    NONE = "none"
    TRUNCATE = "truncate"
    ROUND = "round"


STORED, SEEN, BIN999 = Space.STORED, Space.SEEN, Space.BIN999
XYXY, XYWH, CXCYWH, YXYX = Layout.XYXY, Layout.XYWH, Layout.CXCYWH, Layout.YXYX
NOT_ROUNDED, TRUNCATE = Rounding.NONE, Rounding.TRUNCATE
"""Looking a member up in its class takes ten times as long in Python 3.11, and frames compare several for every box."""

WHOLE = {Space.UNIT: 1, Space.REL1000: 1000, Space.BIN999: 999}
"""What an image side measures in the frames in which all measure the same."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate convention.

    Args:
        name: the word used on the command line and in metadata.
        space: what the numbers are a share of.
        layout: the order of a box's numbers.
        rounding: how real coordinates become numbers.
        clamp: integer pixels are clamped to [0, side - 1], as Rex-Thinker's converter does.
    """

    name: str
    space: Space = Space.STORED
    layout: Layout = Layout.XYXY
    rounding: Rounding = Rounding.NONE
    clamp: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpickle a known frame as that very object: what is done for every box compares frames by identity."""
        return _frame, (self.name, self.space, self.layout, self.rounding, self.clamp)

    @property
    def needs_size(self) -> bool:
        """Say whether converting needs the size of the stored image."""
        return self.space is not STORED

    def box_to_stored(self, numbers: Numbers, *, size_wh: SizeWH, seen_wh: SizeWH | None = None) -> Box:
        """Return the box as xyxy pixels of the stored image.

        Args:
            numbers: four numbers in this frame.
            size_wh: (width, height) of the stored image; (0, 0) will do for a stored-pixel frame.
            seen_wh: (width, height) that the model sees; needed by the space `seen` only.
        """
        layout = self.layout
        if layout is YXYX:
            numbers = (numbers[1], numbers[0], numbers[3], numbers[2])
        a, b, c, d = self._undo(numbers, size_wh * 2, self._lengths(size_wh, seen_wh) * 2)
        if layout is XYWH:
            return a, b, a + c, b + d
        if layout is CXCYWH:
            return a - c / 2, b - d / 2, a + c / 2, b + d / 2
        return a, b, c, d

    def box_from_stored(self, box_xyxy: Numbers, *, size_wh: SizeWH, seen_wh: SizeWH | None = None) -> list[float]:
        """Return the four numbers of this frame for a box in xyxy pixels of the stored image."""
        a, b, c, d = box_xyxy
        layout = self.layout
        if layout is XYWH:
            c, d = c - a, d - b
        elif layout is CXCYWH:
            a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
        a, b, c, d = self._apply((a, b, c, d), size_wh * 2, self._lengths(size_wh, seen_wh) * 2)
        return [b, a, d, c] if layout is YXYX else [a, b, c, d]

    def boxes_from_stored(
        self, boxes_xyxy: Sequence[Box], *, size_wh: SizeWH, seen_wh: SizeWH | None = None
    ) -> tuple[list[list[float]], list[float]]:
        """Return `box_from_stored` of each box of one image, and by how many stored pixels each misses its box.

        Written out for whole numbers in xyxy, the frame of most trainers: a step for every number took a third of writing a row.
        """
        if self.layout is not XYXY or self.rounding is not TRUNCATE or not self.clamp:
            rows = [self.box_from_stored(box, size_wh=size_wh, seen_wh=seen_wh) for box in boxes_xyxy]
            again = [self.box_to_stored(row, size_wh=size_wh, seen_wh=seen_wh) for row in rows]
            return rows, [max(map(abs, map(sub, *pair))) for pair in zip(boxes_xyxy, again, strict=True)]
        (w, h), (length_w, length_h) = size_wh, self._lengths(size_wh, seen_wh)
        rows, errors = [], []
        for x0, y0, x1, y1 in boxes_xyxy:
            a, b, c, d = int(x0 / w * length_w), int(y0 / h * length_h), int(x1 / w * length_w), int(y1 / h * length_h)
            if not (0 <= a < length_w and 0 <= c < length_w and 0 <= b < length_h and 0 <= d < length_h):
                a, c = min(max(a, 0), length_w - 1), min(max(c, 0), length_w - 1)
                b, d = min(max(b, 0), length_h - 1), min(max(d, 0), length_h - 1)
            rows.append([a, b, c, d])
            errors.append(
                max(
                    abs(x0 - (a + 0.5) / length_w * w),
                    abs(y0 - (b + 0.5) / length_h * h),
                    abs(x1 - (c + 0.5) / length_w * w),
                    abs(y1 - (d + 0.5) / length_h * h),
                )
            )
        return rows, errors

    def point_to_stored(
        self, numbers: Numbers, *, size_wh: SizeWH, seen_wh: SizeWH | None = None
    ) -> tuple[float, float]:
        """Return a point as (x, y) pixels of the stored image."""
        x, y = (numbers[1], numbers[0]) if self.layout is YXYX else (numbers[0], numbers[1])
        x, y = self._undo((x, y), size_wh, self._lengths(size_wh, seen_wh))
        return x, y

    def point_from_stored(self, point_xy: Numbers, *, size_wh: SizeWH, seen_wh: SizeWH | None = None) -> list[float]:
        """Return a point's two numbers in this frame."""
        x, y = self._apply((point_xy[0], point_xy[1]), size_wh, self._lengths(size_wh, seen_wh))
        return [y, x] if self.layout is YXYX else [x, y]

    def _lengths(self, size_wh: SizeWH, seen_wh: SizeWH | None) -> SizeWH:
        """Return what a full image side measures in this frame."""
        if self.space is SEEN:
            if seen_wh is None:
                raise ValueError(f"frame {self.name} needs the size that the model sees")
            return seen_wh
        whole = WHOLE.get(self.space)
        return size_wh if whole is None else (whole, whole)

    def _undo(self, numbers: Numbers, sides: Sequence[int], lengths: Sequence[int]) -> list[float]:
        """Return pixels of the stored image, whose sides measure `lengths` in this frame."""
        space, truncates = self.space, self.rounding is TRUNCATE
        if space is STORED and self.rounding is NOT_ROUNDED:
            return list(map(float, numbers))
        centres = [number + 0.5 for number in numbers] if truncates else numbers
        pixels = [centre / length * side for centre, length, side in zip(centres, lengths, sides, strict=True)]
        if truncates and space in WHOLE:  # the full length is the border, and no bin of its own begins there
            for place, side in enumerate(sides):
                if numbers[place] == lengths[place] or (space is BIN999 and numbers[place] > lengths[place]):
                    pixels[place] = float(side)
        return pixels

    def _apply(self, pixels: Numbers, sides: Sequence[int], lengths: Sequence[int]) -> list[float]:
        """Return this frame's numbers for pixels of the stored image, whose sides measure `lengths` in it."""
        space, rounding = self.space, self.rounding
        if space is STORED and rounding is NOT_ROUNDED:
            return list(pixels)
        # The operation order x / W * Wr is part of the format: the last bit decides where truncation falls.
        # Source: Rex-Thinker convert_dataset.py @5038b47 (specs/rexthinker.md §2.2 step 2).
        numbers = [pixel / side * length for pixel, side, length in zip(pixels, sides, lengths, strict=True)]
        if space is BIN999:
            numbers = [min(max(number, 0.0), float(length)) for number, length in zip(numbers, lengths, strict=True)]
        if rounding is NOT_ROUNDED:
            return numbers
        # Truncating is flooring: below 0, where the two differ, the other frames clamp (specs/vlmr1_easydistill.md §1.3).
        whole = (
            [math.floor(number) for number in numbers]
            if rounding is TRUNCATE
            else [round(number) for number in numbers]
        )
        if not self.clamp:
            return list(whole)
        return [
            number if 0 <= number < length else min(max(number, 0), length - 1)
            for number, length in zip(whole, lengths, strict=True)
        ]


PIXELS = Frame("pixels")
SEEN_TRUNCATED = Frame("seen-truncated", Space.SEEN, rounding=Rounding.TRUNCATE, clamp=True)
"""Rex-Thinker: int(x / W * Wr), clamped to [0, side - 1]. Source: specs/rexthinker.md §2.2."""

FRAMES: dict[str, Frame] = {
    frame.name: frame
    for frame in (
        PIXELS,
        Frame("pixels-xywh", layout=Layout.XYWH),
        Frame("pixels-cxcywh", layout=Layout.CXCYWH),
        Frame("pixels-yxyx", layout=Layout.YXYX),
        SEEN_TRUNCATED,
        Frame("seen-rounded", Space.SEEN, rounding=Rounding.ROUND),
        Frame("seen", Space.SEEN),
        Frame("unit", Space.UNIT),
        Frame("unit-xywh", Space.UNIT, Layout.XYWH),
        Frame("unit-cxcywh", Space.UNIT, Layout.CXCYWH),
        Frame("rel1000", Space.REL1000, rounding=Rounding.ROUND),
        Frame("rel1000-xywh", Space.REL1000, Layout.XYWH, Rounding.ROUND),
        Frame("rel1000-yxyx", Space.REL1000, Layout.YXYX, Rounding.ROUND),
        # floor(1000 * x / W). Source: om-ai-lab/VLM-R1 @90052f4, normalized_solution (specs/vlmr1_easydistill.md §1.3).
        Frame("rel1000-truncated", Space.REL1000, rounding=Rounding.TRUNCATE),
        # int(x / W * 999), 0–999. Source: Rex-Omni @478e44f (specs/rexomni.md §3.4).
        Frame("bin999", Space.BIN999, rounding=Rounding.TRUNCATE),
    )
}


def _frame(name: str, *rest: Any) -> Frame:
    frame = Frame(name, *rest)
    known = FRAMES.get(name)
    return known if known == frame else frame
