"""Painting marks onto a picture so that they can be seen on black, on white and on anything in between.

Every coloured line lies on a wider dark and light one: whatever is behind it, one of the three stands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundprep.dialects.mask_files import read_mask
from groundprep.geometry.masks import decode_rle
from groundprep.record import Keypoints, Mask
from groundprep.view.labels import Placer, Rect, is_far
from groundprep.view.marks import Mark
from groundprep.view.typeface import Typeface

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

DARK, LIGHT = "#101010", "#FFFFFF"
TINT = 0.25
"""How much of its colour a mask or polygon lays over the image."""
DARK_TEXT_ABOVE = 0.18
"""Relative luminance of a label's ground from which dark text has more contrast than light text. Source: WCAG 2.2."""
FAR = 1e7
"""Coordinates are cut here, in picture pixels, far outside every picture: huge numbers would overflow the rasteriser."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """Where one image lies on the picture.

    Args:
        origin_xy: its top left corner, picture pixels.
        shown_wh: its size there.
        stored_wh: its stored size.
        area: the part of the picture that its labels may use.
        text_px: size of label text; lines follow from it.
    """

    origin_xy: tuple[int, int]
    shown_wh: tuple[int, int]
    stored_wh: tuple[int, int]
    area: Rect
    text_px: int

    @property
    def line_px(self) -> int:
        """Width of an answer's line."""
        return max(3, round(self.text_px / 5))

    def xy(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a stored pixel coordinate on the picture."""
        left, top = self.origin_xy
        at_x = left + max(-FAR, min(FAR, x)) * self.shown_wh[0] / self.stored_wh[0]
        at_y = top + max(-FAR, min(FAR, y)) * self.shown_wh[1] / self.stored_wh[1]
        return at_x, at_y

    def clipped(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of the shown image that is nearest to a coordinate."""
        at_x, at_y = self.xy(x, y)
        left, top = self.origin_xy
        right, bottom = left + self.shown_wh[0] - 1, top + self.shown_wh[1] - 1
        return round(max(left, min(right, at_x))), round(max(top, min(bottom, at_y)))


class Painter:
    """Paints the marks of one image.

    Args:
        picture: RGB; painted on in place.
        viewport: where the image lies.
        typeface: draws labels.
    """

    def __init__(self, picture: Image.Image, viewport: Viewport, typeface: Typeface) -> None:
        from PIL import ImageDraw

        self.picture = picture
        self.viewport = viewport
        self.typeface = typeface
        self.draw: ImageDraw.ImageDraw = ImageDraw.Draw(picture)

    def paint(self, marks: Sequence[Mark]) -> int:
        """Paint outlines, points, then labels; returns how many labels found no room."""
        for mark in marks:
            if mark.mask is not None:
                self._mask(mark.mask, mark.colour)
            if mark.rings:
                self._polygon(mark)
        boxed = [mark for mark in marks if mark.box_xyxy is not None]
        for mark in sorted(boxed, key=lambda mark: mark.dashed):  # dashes over solid lines: both stay visible
            (self._dashed_box if mark.dashed else self._solid_box)(mark)
        for mark in marks:
            if mark.keypoints is not None:
                self._keypoints(mark.keypoints, mark.colour)
            if mark.point_xy is not None:
                self._dot(mark.point_xy, mark.colour, self._radius)
        return self._labels(marks)

    @property
    def _radius(self) -> int:
        return max(4, round(self.viewport.text_px * 0.36))

    @property
    def _dashes_px(self) -> int:
        return max(2, self.viewport.line_px - 1)

    def _rect(self, mark: Mark) -> Rect:
        """Return where a mark is, in picture pixels, cut at the image's border."""
        assert mark.box_xyxy is not None
        x0, y0, x1, y1 = mark.box_xyxy
        left, top = self.viewport.clipped(x0, y0)
        right, bottom = self.viewport.clipped(x1, y1)
        return Rect(left, top, right, bottom)

    def _solid_box(self, mark: Mark) -> None:
        """Draw an answer's or a phrase's frame, inside its box."""
        rect, line = self._rect(mark), self.viewport.line_px
        self._frame(rect, DARK, inside=line + 3, outside=1)
        self._frame(rect, LIGHT, inside=line + 2, outside=0)
        self._frame(rect, mark.colour, inside=line + 1, outside=-1)

    def _dashed_box(self, mark: Mark) -> None:
        """Draw a candidate's frame, outside its box: an answer that is this very box stays visible within."""
        rect, line = self._rect(mark), self._dashes_px
        self._frame(rect, DARK, inside=0, outside=line + 2)
        x0, y0, x1, y1 = rect.x0 - line - 1, rect.y0 - line - 1, rect.x1 + line + 1, rect.y1 + line + 1
        dash = 4 * line
        for x in range(x0, x1 + 1, 2 * dash):
            right = min(x + dash, x1)
            self.draw.rectangle((x, y0, right, y0 + line - 1), fill=mark.colour)
            self.draw.rectangle((x, y1 - line + 1, right, y1), fill=mark.colour)
        for y in range(y0, y1 + 1, 2 * dash):
            bottom = min(y + dash, y1)
            self.draw.rectangle((x0, y, x0 + line - 1, bottom), fill=mark.colour)
            self.draw.rectangle((x1 - line + 1, y, x1, bottom), fill=mark.colour)

    def _frame(self, rect: Rect, colour: str, *, inside: int, outside: int) -> None:
        """Draw a frame from `outside` pixels out of rect to `inside` pixels into it; one that is too small is filled."""
        x0, y0, x1, y1 = rect.x0 - outside, rect.y0 - outside, rect.x1 + outside, rect.y1 + outside
        self.draw.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=inside + outside)

    def _polygon(self, mark: Mark) -> None:
        line = self.viewport.line_px
        for ring in mark.rings:
            corners = [self.viewport.xy(x, y) for x, y in zip(ring[0::2], ring[1::2], strict=False)]
            if len(corners) < 2:
                continue
            closed = [*corners, corners[0], corners[1]]
            for colour, width in ((DARK, line + 4), (LIGHT, line + 2), (mark.colour, line)):
                self.draw.line(closed, fill=colour, width=width, joint="curve")

    def _mask(self, mask: Mask, colour: str) -> None:
        """Tint a mask and draw its outline."""
        from PIL import Image, ImageChops, ImageFilter

        shown = _mask_image(mask, self.viewport.stored_wh).resize(self.viewport.shown_wh, Image.Resampling.NEAREST)
        origin, line = self.viewport.origin_xy, self.viewport.line_px
        self.picture.paste(colour, origin, shown.point(lambda value: round(value * TINT)))
        inner = shown.filter(ImageFilter.MinFilter(2 * line - 1))
        for shade, reach in ((DARK, 5), (LIGHT, 3), (colour, 0)):
            outer = shown.filter(ImageFilter.MaxFilter(reach)) if reach else shown
            self.picture.paste(shade, origin, ImageChops.subtract(outer, inner))

    def _keypoints(self, keypoints: Keypoints, colour: str) -> None:
        for x, y, visibility in keypoints.points:
            if visibility > 0:
                self._dot((x, y), colour if visibility > 1 else LIGHT, max(3, self._radius - 2))

    def _dot(self, point_xy: tuple[float, float], colour: str, radius: int) -> None:
        x, y = self.viewport.clipped(*point_xy)
        for shade, reach in ((DARK, radius + 3), (LIGHT, radius + 2), (colour, radius)):
            self.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=shade)

    def _labels(self, marks: Sequence[Mark]) -> int:
        placer = Placer(self.viewport.area)
        for point_xy in _points(marks):
            placer.reserve(self._around(point_xy))
        placed, homeless = [], 0
        for mark in sorted(marks, key=lambda mark: mark.dashed):
            target = self._target(mark)
            label = placer.place(self._label_wh(mark.label), target)
            if label is None:
                homeless += 1
                continue
            placed.append((mark, label))
            if is_far(label, target):
                self._leader(label, target, mark.colour)
        for mark, label in placed:
            self._label(mark, label)
        return homeless

    def _target(self, mark: Mark) -> Rect:
        """Return what a mark's label should touch."""
        if mark.box_xyxy is not None:
            rect, reach = self._rect(mark), self._dashes_px + 2 if mark.dashed else 0
            return Rect(rect.x0 - reach, rect.y0 - reach, rect.x1 + reach, rect.y1 + reach)
        if mark.point_xy is not None:
            return self._around(mark.point_xy)
        corners = [pair for ring in mark.rings for pair in zip(ring[0::2], ring[1::2], strict=False)]
        if mark.keypoints is not None:
            corners += [(x, y) for x, y, visibility in mark.keypoints.points if visibility > 0]
        if mark.mask is not None:
            bounds = _mask_image(mark.mask, self.viewport.stored_wh).getbbox() or (0, 0, 1, 1)
            corners += [(bounds[0], bounds[1]), (bounds[2], bounds[3])]
        shown = [self.viewport.clipped(x, y) for x, y in corners] or [self.viewport.origin_xy]
        xs, ys = [x for x, _ in shown], [y for _, y in shown]
        return Rect(min(xs), min(ys), max(xs), max(ys))

    def _around(self, point_xy: tuple[float, float]) -> Rect:
        """Return the room that a dot takes."""
        x, y = self.viewport.clipped(*point_xy)
        reach = self._radius + 3
        return Rect(x - reach, y - reach, x + reach, y + reach)

    def _label_wh(self, text: str) -> tuple[int, int]:
        px = self.viewport.text_px
        return self.typeface.width(text, px) + px // 2 + 2, self.typeface.line_height(px) + 3

    def _label(self, mark: Mark, rect: Rect) -> None:
        px = self.viewport.text_px
        self.draw.rectangle((rect.x0, rect.y0, rect.x1 - 1, rect.y1 - 1), fill=mark.colour, outline=DARK, width=1)
        fill = DARK if luminance(mark.colour) > DARK_TEXT_ABOVE else LIGHT
        self.typeface.draw(self.draw, (rect.x0 + px // 4 + 1, rect.y0 + 2), mark.label, px=px, fill=fill)

    def _leader(self, label: Rect, target: Rect, colour: str) -> None:
        """Join a label to the nearest corner of its target."""
        x, y = (label.x0 + label.x1) // 2, (label.y0 + label.y1) // 2
        corner = min(
            ((cx, cy) for cx in (target.x0, target.x1) for cy in (target.y0, target.y1)),
            key=lambda at: abs(at[0] - x) + abs(at[1] - y),
        )
        self.draw.line((x, y, *corner), fill=DARK, width=4)
        self.draw.line((x, y, *corner), fill=colour, width=2)


def _points(marks: Sequence[Mark]) -> list[tuple[float, float]]:
    """Return every dot of the marks, stored pixels."""
    dots = [mark.point_xy for mark in marks if mark.point_xy is not None]
    return dots + [
        (x, y) for mark in marks if mark.keypoints for x, y, visibility in mark.keypoints.points if visibility > 0
    ]


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0 to 1. Source: WCAG 2.2, relative luminance."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mask_image(mask: Mask, stored_wh: tuple[int, int]) -> Image.Image:
    """Return a mask as an image of 0 and 255; raises RecordError, PayloadError, MissingDependencyError."""
    from PIL import Image

    if mask.path is not None:
        return Image.fromarray(read_mask(mask.path) * 255)
    size_hw = mask.size_hw or (stored_wh[1], stored_wh[0])
    return Image.fromarray(decode_rle(mask.counts, size_hw) * 255)
