"""Masks and outlines: drawn on this image, not empty, not cancelling themselves, and about where the region's box is.

Where rows are to become Chebyshev shapes, drawing them finds masks that are empty, broken or of another size (`vlmr1-seg`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.dialects.mask_files import read_mask
from groundprep.errors import LineIndexError, PayloadError, RecordError
from groundprep.finding import Finding, PartFinding, Severity
from groundprep.geometry.boxes import iou_matrix
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.masks import MaskHW, box_xyxy_of_mask, decode_rle, polygon_area
from groundprep.record import BoxXYXY, Mask, Region

POLYGON_DEGENERATE = Rule(
    "polygon-degenerate",
    Severity.ERROR,
    "an outline encloses nothing",
    suppresses=(*REWARD_VERDICTS, "mask-empty", "mask-iou-low", "mask-border-centre", "mask-box-differs"),
)
POLYGON_CROSSED = Rule(
    "polygon-crossed", Severity.WARNING, "an outline crosses itself, so that most of what it goes round is cancelled"
)
MASK_BOX_DIFFERS = Rule("mask-box-differs", Severity.WARNING, "a region's mask or outline is elsewhere than its box")

RULES = (POLYGON_DEGENERATE, POLYGON_CROSSED, MASK_BOX_DIFFERS)

MASK_SIZE = Rule("mask-size", Severity.ERROR, "a mask has another size than its image")
MASK_EMPTY = Rule("mask-empty", Severity.ERROR, "a mask has no pixel")

DRAWN_BY = "vlmr1-seg"
"""The dialect whose rows are drawn anew, so that conversion itself tells of empty and broken masks."""

LEAST_AREA_PX = 1e-6
LEAST_BOX_IOU = 0.5
"""A box that an annotator drew loosely around the mask still overlaps the mask's own box more than that."""

CROSSED_SHARE = 0.5
SCANLINES = 32


def mask_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the masks and outlines of a record as it was read."""
    draws = subject.profile is not None and subject.profile.dialect == DRAWN_BY
    for name, regions in (("answer", subject.record.answers), ("region", subject.record.regions)):
        for index, region in enumerate(regions):
            where = f"{name} {index}"
            bounds: BoxXYXY | None = None
            if region.polygon is not None:
                yield from _outline(subject, where, region.polygon.rings)
                bounds = _bounds(region.polygon.rings)
            if region.mask is not None and not draws:
                try:
                    bounds = _bounds_of_mask(region.mask, _size_wh(subject, region))
                except (RecordError, PayloadError, LineIndexError) as error:
                    yield _of_error(subject, where, error)
                    continue
            if bounds is not None and region.box is not None:
                yield from _beside(subject, where, region.box.xyxy, bounds)


def _outline(subject: Subject, where: str, rings: Sequence[Sequence[float]]) -> Iterator[Finding]:
    if polygon_area(rings) <= LEAST_AREA_PX and max(map(cancelled_share, rings)) == 0:
        yield subject.finding(
            POLYGON_DEGENERATE,
            f"the outline of {where} encloses nothing",
            found=[round(number, 2) for number in rings[0]],
            expected="three points that are not on one line",
            fix="drop the object, or draw it again",
            about=where,
        )
        return
    for ring in rings:
        share = cancelled_share(ring)
        if share > CROSSED_SHARE:
            yield subject.finding(
                POLYGON_CROSSED,
                f"the outline of {where} crosses itself, so that its parts cancel each other",
                found=f"{share:.0%} of what it goes round is cancelled",
                expected="an outline that goes round once",
                fix="check the order of its points, and of x and y",
            )
            return


def cancelled_share(ring: Sequence[float]) -> float:
    """Return how much of what a ring goes round is cancelled by parts of the other direction, in [0, 1].

    It is 0 for a ring without crossings, whatever its shape, 1 for the figure 8; the area is taken along 32 horizontal lines.
    """
    points_N2 = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    if len(points_N2) < 4:
        return 0.0
    x, y = points_N2.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    low, high = float(y.min()), float(y.max())
    signed = abs(float(np.dot(x, next_y) - np.dot(next_x, y))) / 2
    box_area = float(x.max() - x.min()) * (high - low)
    if box_area <= LEAST_AREA_PX or signed > CROSSED_SHARE * box_area:
        return 0.0
    lines_NM = (low + (np.arange(SCANLINES) + 0.5) * (high - low) / SCANLINES)[:, None]  # N lines, M edges
    crosses_NM = (y <= lines_NM) != (next_y <= lines_NM)
    rise_M = np.where(next_y == y, 1.0, next_y - y)
    at_NM = np.where(crosses_NM, x + (lines_NM - y) / rise_M * (next_x - x), np.inf)
    order_NM = np.argsort(at_NM, axis=1)
    at_NM = np.take_along_axis(at_NM, order_NM, 1)
    turns_NM = np.take_along_axis(np.where(crosses_NM, np.sign(next_y - y), 0.0), order_NM, 1)
    winding_NM = np.cumsum(turns_NM, axis=1)[:, :-1]
    ends_NM = np.where(np.isfinite(at_NM), at_NM, 0.0)
    widths_NM = np.where(np.isfinite(at_NM[:, 1:]), ends_NM[:, 1:] - ends_NM[:, :-1], 0.0)
    around = float((np.abs(winding_NM) * widths_NM).sum())
    kept = abs(float((winding_NM * widths_NM).sum()))
    return 1.0 - kept / around if around > LEAST_AREA_PX else 0.0


def _bounds(rings: Sequence[Sequence[float]]) -> BoxXYXY:
    xs = [x for ring in rings for x in ring[0::2]]
    ys = [y for ring in rings for y in ring[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def _bounds_of_mask(mask: Mask, size_wh: SizeWH | None) -> BoxXYXY:
    """Return the box around a mask's pixels; raises RecordError (`mask-broken`, `mask-size`, `mask-empty`), PayloadError."""
    if mask.size_hw is not None:  # before run lengths of a size that somebody made up are decoded
        _require_size(mask.size_hw, size_wh)
    pixels = _pixels(mask, size_wh)
    _require_size((pixels.shape[0], pixels.shape[1]), size_wh)
    bounds = box_xyxy_of_mask(pixels)
    if bounds is None:
        raise RecordError("the mask has no pixel", code=MASK_EMPTY.code, fix="drop the object")
    return bounds


def _require_size(size_hw: tuple[int, int], size_wh: SizeWH | None) -> None:
    if size_wh is not None and tuple(size_hw) != size_wh[::-1]:
        raise RecordError(
            "the mask was drawn on an image of another size",
            code=MASK_SIZE.code,
            found=f"{size_hw[1]}x{size_hw[0]}",
            expected=f"{size_wh[0]}x{size_wh[1]}",
            fix="use the image that was annotated, at its stored size",
        )


def _pixels(mask: Mask, size_wh: SizeWH | None) -> MaskHW:
    if mask.path is not None:
        return read_mask(mask.path)
    size_hw = mask.size_hw or (None if size_wh is None else (size_wh[1], size_wh[0]))
    if size_hw is None:
        raise RecordError("run lengths need the size of their image", code=MASK_SIZE.code, fix="give `size` [h, w]")
    return decode_rle(mask.counts, size_hw)


def _size_wh(subject: Subject, region: Region) -> SizeWH | None:
    sizes_wh = subject.sizes_wh
    return sizes_wh[region.image] if region.image < len(sizes_wh) else None


def _beside(subject: Subject, where: str, box: BoxXYXY, bounds: BoxXYXY) -> Iterator[Finding]:
    has_area = box[0] < box[2] and box[1] < box[3] and bounds[0] < bounds[2] and bounds[1] < bounds[3]
    iou = float(iou_matrix([box], [bounds])[0, 0])
    if has_area and iou < LEAST_BOX_IOU:
        yield subject.finding(
            MASK_BOX_DIFFERS,
            f"the mask or outline of {where} is elsewhere than its box",
            found=f"box {[round(n, 1) for n in box]}, mask {[round(n, 1) for n in bounds]}, IoU {iou:.2f}",
            expected=f"an IoU of at least {LEAST_BOX_IOU}",
            fix="check which of the two belongs to the phrase, and the frame of both",
            about=where,
        )


def _of_error(subject: Subject, where: str, error: RecordError | PayloadError | LineIndexError) -> Finding:
    return PartFinding(
        code=error.code,
        severity=Severity.ERROR,
        record=subject.record.label,
        source=str(subject.record.source),
        message=f"{where}: {error.message}",
        found=error.found,
        expected=error.expected,
        fix=error.fix,
        about=where,
    )
