"""Shapes that were read as a centre and a Chebyshev series, when they are written again: as they were, or drawn anew.

Their numbers stay beside the outline that they draw, so that they come back exactly wherever the outline has not moved. Where it
was only scaled, it can be drawn again about its own centre, instead of about the one that an encoder would look for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from groundprep.dialects.answers_text import is_numbers
from groundprep.dialects.base import WriteContext
from groundprep.record import Record, Region

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHEBYSHEV_KEYS = ("centre", "coeffs", "size")

SAME_OUTLINE_PX = 1e-6
SCALED_OUTLINE_PX = 1e-3


class Drawn(NamedTuple):
    """A region that was read as numbers: they, the (72, 2) outline that they draw, and where that lies now, in stored pixels."""

    centre: list[float]
    coeffs: list[float]
    before_N2: NDArray[np.float64]
    now_N2: NDArray[np.float64]


def drawn_of(region: Region) -> Drawn | None:
    """Return what is known of a region that was read as numbers; None if it was not, or has another outline since."""
    import numpy as np

    from groundprep.geometry.chebyshev import decode

    centre, coeffs = region.extra.get("centre"), region.extra.get("coeffs")
    coeffs = [coeffs] if type(coeffs) in (int, float) else coeffs
    if region.polygon is None or region.mask is not None or not isinstance(centre, list) or not is_numbers(centre, 2):
        return None
    if not isinstance(coeffs, list) or not coeffs or not is_numbers(coeffs, len(coeffs)):
        return None
    before_N2 = decode(centre, coeffs)
    if len(region.polygon.rings) != 1 or len(region.polygon.rings[0]) != before_N2.size:
        return None
    now_N2 = np.asarray(region.polygon.rings[0], dtype=np.float64).reshape(-1, 2)
    return Drawn(centre, coeffs, before_N2, now_N2)


def own_numbers(region: Region, record: Record, context: WriteContext) -> dict[str, Any] | None:
    """Return the numbers that a shape came with, if they still draw its very outline in the target's pixels."""
    drawn = drawn_of(region)
    if drawn is None or abs(drawn.before_N2 - drawn.now_N2).max() > SAME_OUTLINE_PX:
        return None
    shape = {key: region.extra[key] for key in CHEBYSHEV_KEYS if key in region.extra}
    if len(shape) < len(CHEBYSHEV_KEYS) or drawn.coeffs is not shape["coeffs"]:
        return None
    if context.row_frame.frame.needs_size:
        return shape if context.seen_wh(record, region.image) == context.size_wh(record, region.image) else None
    return shape


def moved_shape(
    region: Region, stored_wh: tuple[int, int], seen_wh: tuple[int, int]
) -> tuple[NDArray[np.float64], tuple[float, float], int] | None:
    """Return outline, centre and number of coefficients of a shape that was read as numbers, in pixels that the model sees.

    None if it was not, or if its outline was not just scaled since.
    """
    drawn = drawn_of(region)
    if drawn is None:
        return None
    centre = []
    for axis, (before_N, now_N) in enumerate(zip(drawn.before_N2.T, drawn.now_N2.T, strict=True)):
        spread_N = before_N - before_N.mean()
        if not spread_N.any():
            return None
        scale = float(spread_N @ now_N / (spread_N @ spread_N))
        shift = float(now_N.mean() - scale * before_N.mean())
        if scale <= 0 or abs(scale * before_N + shift - now_N).max() > SCALED_OUTLINE_PX:
            return None
        centre.append((scale * drawn.centre[axis] + shift) * seen_wh[axis] / stored_wh[axis])
    to_seen = [seen / stored for seen, stored in zip(seen_wh, stored_wh, strict=True)]
    return drawn.now_N2 * to_seen, (centre[0], centre[1]), len(drawn.coeffs)


def worth_of(iou: float, region: Region, record: Record) -> float | None:
    """Return the IoU of a drawn shape with the mask that it stands for, or None if nobody knows.

    Args:
        iou: of the drawn shape with what was to be drawn: the mask, or a shape that itself stands for one. For 1 - IoU is a
            distance, the way over that shape is no shorter than the straight one.
        region: what was to be drawn.
        record: its record, which may say what the region is worth.
    """
    if drawn_of(region) is None:
        return iou
    before = record.extra.get("mask_iou")
    return max(0.0, before + iou - 1) if isinstance(before, int | float) and is_numbers([before], 1) else None
