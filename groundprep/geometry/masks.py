"""Binary masks and the three ways in which COCO writes them: polygons, run lengths, compressed run lengths.

Polygons are drawn by pycocotools, because every trainer and metric in this field compares masks as it draws them. What it is
given is checked first: it takes a ring of two points for a box and allocates by the length of an outline. Run lengths are
decoded here: for an empty text it returns uninitialised memory. Nothing here repairs a broken mask, knows records or reads files.

Shapes: a mask is (h, w) uint8, 1 inside. A ring is (x0, y0, x1, y1, …), continuous pixels of the stored image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundprep.config import MAX_IMAGE_PIXELS
from groundprep.errors import MissingDependencyError, RecordError
from groundprep.geometry.orientation import FLIPS_X, FLIPS_Y, SWAPS_SIDES, Move

MaskHW: TypeAlias = NDArray[np.uint8]
SizeHW: TypeAlias = tuple[int, int]
Counts: TypeAlias = str | bytes | Sequence[int]

MAX_OUTLINE_PIXELS = 4_000_000
"""The longest outline of one mask, in pixels: the rasteriser needs about 100 bytes for each."""

_FIRST_CHARACTER = 48
_MAX_CHARACTERS_PER_RUN = 7
"""Source: cocoapi common/maskApi.c, rleToString: 5 bits per character from "0" on, bit 5 says that more follow."""


def decode_segmentation(segmentation: object, size_hw: SizeHW) -> MaskHW:
    """Return the mask of COCO's `segmentation` value: a list of rings, or `{"size": [h, w], "counts": …}`.

    Raises:
        RecordError: `mask-broken`, or `mask-size` when the value's own size is not size_hw.
        MissingDependencyError: pycocotools is not installed.
    """
    if isinstance(segmentation, Mapping):
        _require_same_size(segmentation.get("size"), size_hw)
        return decode_rle(segmentation.get("counts"), size_hw)
    if isinstance(segmentation, Sequence) and not isinstance(segmentation, str | bytes):
        return decode_polygons(segmentation, size_hw)
    raise RecordError(
        "the segmentation is neither polygons nor run lengths",
        code="mask-broken",
        found=segmentation,
        expected='[[x0, y0, x1, y1, …], …] or {"size": [h, w], "counts": …}',
    )


def decode_polygons(rings: Sequence[Any], size_hw: SizeHW) -> MaskHW:
    """Return the union of the rings; what lies outside the image is cut off, no ring gives an empty mask.

    Args:
        rings: each a flat sequence of at least three points.
        size_hw: (height, width) of the image.

    Raises:
        RecordError: `mask-broken` for a ring that is not one, `mask-size` for an impossible size.
        MissingDependencyError: pycocotools is not installed.
    """
    h, w = require_size(size_hw)
    numbers = [_as_ring(ring, place) for place, ring in enumerate(rings)]
    _require_drawable(numbers)
    if not numbers:
        return np.zeros((h, w), dtype=np.uint8)
    coco = _pycocotools()
    return _picture(_runs_of_text(coco.merge(coco.frPyObjects(numbers, h, w))["counts"]), (h, w))


def decode_rle(counts: object, size_hw: SizeHW) -> MaskHW:
    """Return the mask of run lengths, column by column, the first run outside: compressed (str, bytes) or plain (a list).

    Raises:
        RecordError: `mask-broken` for counts that are none, `mask-size` when they do not fill size_hw exactly.
    """
    h, w = require_size(size_hw)
    runs = _runs_of_text(counts) if isinstance(counts, str | bytes) else _runs_of_list(counts)
    if sum(runs) != h * w:
        raise RecordError(
            "the run lengths do not fill the image",
            code="mask-size",
            found=f"{sum(runs)} pixels",
            expected=f"{h} x {w} = {h * w} pixels",
            fix="give the size of the image that the mask was drawn on, as (height, width)",
        )
    return _picture(runs, (h, w))


def encode_rle(mask_hw: ArrayLike) -> str:
    """Return COCO's compressed run lengths as text; equal masks give equal text."""
    coco = _pycocotools()
    counts: bytes = coco.encode(np.asfortranarray(as_mask(mask_hw)))["counts"]
    return counts.decode("ascii")


def as_mask(mask_hw: ArrayLike) -> MaskHW:
    """Return an array as (h, w) uint8 of 0 and 1; any nonzero value is inside. Raises RecordError `mask-size`."""
    array = np.asarray(mask_hw)
    if array.ndim != 2:
        raise RecordError(
            "a mask has two dimensions",
            code="mask-size",
            found=f"shape {array.shape}",
            expected="shape (height, width)",
        )
    require_size((array.shape[0], array.shape[1]))
    return np.asarray(array != 0, dtype=np.uint8)


def mask_iou(a_hw: ArrayLike, b_hw: ArrayLike) -> float:
    """Return the intersection over union in [0, 1]; 0 when both are empty. Raises RecordError `mask-size` if sizes differ."""
    a, b = as_mask(a_hw), as_mask(b_hw)
    if a.shape != b.shape:
        raise RecordError(
            "the two masks have different sizes", code="mask-size", found=f"{b.shape}", expected=f"{a.shape}"
        )
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0


def outline_iou(mask_hw: ArrayLike) -> Callable[[NDArray[np.float64]], float]:
    """Return a function from a ring, a flat array of at least three points inside the image, to its IoU with the mask.

    It compares run lengths: the time of a call grows with the outlines, not with the image, so a search can afford thousands.
    Raises RecordError `mask-size`; MissingDependencyError.
    """
    coco = _pycocotools()
    mask = as_mask(mask_hw)
    h, w = mask.shape
    wanted = coco.encode(np.asfortranarray(mask))

    def iou(ring: NDArray[np.float64]) -> float:
        return float(coco.iou(coco.frPyObjects([ring.tolist()], h, w), [wanted], [0])[0, 0])

    return iou


def largest_gap_px(a_hw: ArrayLike, b_hw: ArrayLike) -> float:
    """Return how far, in pixels, the farthest pixel of either mask lies from the other mask; 0 when they are equal.

    When exactly one of them is empty it is the diagonal of the image. Raises RecordError `mask-size` if sizes differ,
    MissingDependencyError if OpenCV is not installed.
    """
    a, b = as_mask(a_hw), as_mask(b_hw)
    if a.shape != b.shape:
        raise RecordError(
            "the two masks have different sizes", code="mask-size", found=f"{b.shape}", expected=f"{a.shape}"
        )
    if bool(a.any()) != bool(b.any()):
        return float(np.hypot(*a.shape))
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError("comparing masks needs OpenCV", fix="pip install 'groundprep[masks]'") from error
    gaps = [
        cv2.distanceTransform(1 - to, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[(since == 1)]
        for since, to in ((a, b), (b, a))
    ]
    return max(float(gap.max(initial=0.0)) for gap in gaps)


def resize_mask(mask_hw: ArrayLike, size_hw: SizeHW) -> MaskHW:
    """Return the mask at another size: each pixel takes the value of the old pixel under its centre."""
    mask = as_mask(mask_hw)
    h, w = require_size(size_hw)
    if mask.shape == (h, w):
        return mask
    rows = ((np.arange(h) + 0.5) * mask.shape[0] / h).astype(np.intp)
    columns = ((np.arange(w) + 0.5) * mask.shape[1] / w).astype(np.intp)
    return np.ascontiguousarray(mask[np.ix_(rows, columns)])


def move_mask(mask_hw: ArrayLike, move: Move) -> MaskHW:
    """Return the mask of an image whose pixels have moved: turned with it, then resampled as `resize_mask` does.

    Raises RecordError: `mask-size` unless the mask has the size that the image had, `mask-empty` if the last pixel inside is
    lost on the way to a smaller image.
    """
    mask = as_mask(mask_hw)
    require_size_of_image(mask.shape, move.from_wh)
    turned = mask[:: -1 if move.orientation in FLIPS_Y else 1, :: -1 if move.orientation in FLIPS_X else 1]
    w, h = move.to_wh
    moved = resize_mask(turned.T if move.orientation in SWAPS_SIDES else turned, (h, w))
    if mask.any() and not moved.any():
        raise RecordError(
            "the mask is too small for the resized image",
            code="mask-empty",
            found=f"{int(mask.sum())} pixels of {move.from_wh[0]}x{move.from_wh[1]}, none of {w}x{h}",
            fix="drop it with --on-error drop, or leave the images as they are",
        )
    return np.ascontiguousarray(moved)


def box_xyxy_of_mask(mask_hw: ArrayLike) -> tuple[float, float, float, float] | None:
    """Return the smallest box around the mask, xyxy, continuous pixels (one pixel gives a 1 x 1 box); None if it is empty."""
    mask = as_mask(mask_hw)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def polygon_area(rings: Sequence[Any]) -> float:
    """Return the sum of the rings' areas in square pixels, whatever their direction; overlaps count twice, as in COCO."""
    total = 0.0
    for place, ring in enumerate(rings):
        x, y = np.asarray(_as_ring(ring, place)).reshape(-1, 2).T
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return total


def require_size(size_hw: SizeHW) -> SizeHW:
    """Return (height, width) as two ints, each at least 1; raises RecordError `mask-size`."""
    if len(size_hw) == 2 and all(_is_int(side) and side >= 1 for side in size_hw):
        h, w = int(size_hw[0]), int(size_hw[1])
        if h * w <= MAX_IMAGE_PIXELS:
            return h, w
    raise RecordError(
        "this is not the size of a mask",
        code="mask-size",
        found=size_hw,
        expected=f"(height, width), each at least 1, together at most {MAX_IMAGE_PIXELS} pixels",
    )


def require_size_of_image(mask_hw: SizeHW, image_wh: tuple[int, int]) -> None:
    """Raise RecordError (`mask-size`) unless a mask of (height, width) lies on an image of (width, height)."""
    if tuple(mask_hw) != image_wh[::-1]:
        raise RecordError(
            "the mask was drawn on an image of another size",
            code="mask-size",
            found=f"{mask_hw[1]}x{mask_hw[0]}",
            expected=f"{image_wh[0]}x{image_wh[1]}",
            fix="use the image that was annotated, at its stored size",
        )


def _picture(runs: Sequence[int], size_hw: SizeHW) -> MaskHW:
    h, w = size_hw
    pixels = np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs)
    return np.ascontiguousarray(pixels.reshape(w, h).T)


def _require_same_size(found: object, size_hw: SizeHW) -> None:
    if isinstance(found, Sequence) and not isinstance(found, str | bytes) and list(found) == list(size_hw):
        return
    raise RecordError(
        "the mask was drawn on an image of another size",
        code="mask-size",
        found=found,
        expected=f"[height, width] = {list(size_hw)}",
        fix="use the image that was annotated, at its stored size",
    )


def _as_ring(ring: object, place: int) -> list[float]:
    """Return a ring as floats; two points would be taken for a box by pycocotools, so they are refused."""
    if isinstance(ring, Sequence | np.ndarray) and not isinstance(ring, str | bytes):
        numbers = list(ring)
        if len(numbers) >= 6 and len(numbers) % 2 == 0 and all(_is_coordinate(n) for n in numbers):
            return [float(n) for n in numbers]
    raise RecordError(
        f"ring {place} of the polygon is not a ring",
        code="mask-broken",
        found=ring,
        expected="x0, y0, x1, y1, x2, y2, …: at least three points of finite numbers within any image",
    )


def _require_drawable(rings: Sequence[Sequence[float]]) -> None:
    outline = 0.0
    for ring in rings:
        points_N2 = np.asarray(ring).reshape(-1, 2)
        outline += float(np.abs(np.roll(points_N2, -1, axis=0) - points_N2).max(axis=1).sum())
    if outline > MAX_OUTLINE_PIXELS:
        raise RecordError(
            "the polygon is too long to be drawn",
            code="mask-broken",
            found=f"an outline of {outline:.0f} pixels",
            expected=f"at most {MAX_OUTLINE_PIXELS} pixels",
        )


def _runs_of_list(counts: object) -> list[int]:
    if isinstance(counts, Sequence | np.ndarray):
        runs = list(counts)
        if all(_is_int(run) and run >= 0 for run in runs):
            return [int(run) for run in runs]
    raise RecordError(
        "the counts are not run lengths",
        code="mask-broken",
        found=counts,
        expected="integers of at least 0, or COCO text",
    )


def _runs_of_text(counts: str | bytes) -> list[int]:
    """Return the run lengths of COCO's text: variable-length signed numbers, from the fourth on as differences.

    Source: cocoapi common/maskApi.c, rleFrString.
    """
    data = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        bits = byte - _FIRST_CHARACTER
        if not 0 <= bits < 64 or shift >= 5 * _MAX_CHARACTERS_PER_RUN:
            raise _broken_text(counts)
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise _broken_text(counts)
        runs.append(value)
        value = shift = 0
    if shift:
        raise _broken_text(counts)
    return runs


def _broken_text(counts: str | bytes) -> RecordError:
    found = counts if isinstance(counts, str) else counts[:200].decode("latin-1")
    return RecordError(
        "the counts are not COCO's compressed run lengths",
        code="mask-broken",
        found=found,
        expected="the text that pycocotools.mask.encode writes",
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_coordinate(value: object) -> bool:
    """Say whether value is a number that the rasteriser's 32-bit integers can hold; NaN and infinity are not."""
    return (_is_int(value) or isinstance(value, float | np.floating)) and abs(value) <= MAX_OUTLINE_PIXELS  # type: ignore[arg-type]


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingDependencyError(
            "masks need the package pycocotools", fix="pip install 'groundprep[masks]'"
        ) from error
    return mask
