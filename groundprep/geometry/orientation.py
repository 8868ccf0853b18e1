"""Moving geometry with its image: first into the upright orientation (EXIF 1 to 8), then onto another size."""

from __future__ import annotations

from dataclasses import dataclass

from groundprep.geometry.frames import Box, SizeWH

SWAPS_SIDES = frozenset({5, 6, 7, 8})
"""EXIF orientations whose upright image has width and height exchanged."""
FLIPS_X = frozenset({2, 3, 7, 8})
FLIPS_Y = frozenset({3, 4, 6, 7})
"""EXIF orientations whose upright image is mirrored in that direction, before the sides are exchanged.

Source: Exif 2.3, tag 0x0112: 2 mirrored, 3 upside down, 4 both, 5 transposed, 6 and 8 a quarter turn, 7 transverse.
"""


def upright_wh(size_wh: SizeWH, orientation: int) -> SizeWH:
    """Return the (width, height) of an image after its EXIF orientation (1 to 8) is applied."""
    return (size_wh[1], size_wh[0]) if orientation in SWAPS_SIDES else size_wh


@dataclass(frozen=True, slots=True)
class Move:
    """How pixels of the stored image become pixels of the image that is written.

    Args:
        from_wh: (width, height) of the image as stored.
        orientation: EXIF orientation that is applied first, 1 to 8; 1 leaves the pixels where they are.
        to_wh: (width, height) of the image that is written.
    """

    from_wh: SizeWH
    orientation: int
    to_wh: SizeWH

    @property
    def is_nothing(self) -> bool:
        """Say whether the image stays as it is."""
        return self.orientation == 1 and self.from_wh == self.to_wh

    @property
    def turns(self) -> bool:
        """Say whether the image is rotated or mirrored: then no share of a side stays the same."""
        return self.orientation != 1

    def point(self, point_xy: tuple[float, float]) -> tuple[float, float]:
        """Return (x, y), continuous pixels of the written image, of a point in pixels of the stored image."""
        x, y = point_xy
        w, h = self.from_wh
        if self.orientation in FLIPS_X:
            x = w - x
        if self.orientation in FLIPS_Y:
            y = h - y
        if self.orientation in SWAPS_SIDES:
            x, y = y, x
            w, h = h, w
        to_w, to_h = self.to_wh
        # A side that stays as long as it is gives back the very numbers: x / w * w may be another float than x.
        return x if w == to_w else x / w * to_w, y if h == to_h else y / h * to_h

    def box(self, box_xyxy: Box) -> Box:
        """Return a box's xyxy in the written image; a box with x0 <= x1 and y0 <= y1 keeps that order.

        An inverted box stays inverted in each direction in which it was, so that checks still find it.
        """
        x0, y0, x1, y1 = box_xyxy
        (ax, ay), (bx, by) = self.point((x0, y0)), self.point((x1, y1))
        flips_x, flips_y = x0 > x1, y0 > y1
        if self.orientation in SWAPS_SIDES:
            flips_x, flips_y = flips_y, flips_x
        left, right = sorted((ax, bx), reverse=flips_x)
        top, bottom = sorted((ay, by), reverse=flips_y)
        return left, top, right, bottom
