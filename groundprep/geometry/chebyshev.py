"""Masks as a centre and a short Chebyshev series: the answer that the Chebyshev fork of VLM-R1 learns and scores.

A shape is r(θ) = Σ c_n T_n(cos θ) about a centre, drawn through 72 points. Because r depends on cos θ alone, every shape
mirrors about the horizontal line through its centre: most masks cannot be drawn well, whatever the number of coefficients.
So each encoded mask carries the IoU that it reaches, and `doubts` says which ones should not be learned from. `fit="fork"`
gives the fork's numbers; `fit="best"` gives numbers of the same form, chosen for the highest IoU, to the same readers.

Shapes: masks (h, w) uint8; points (72, 2) float64, (x, y), pixels of the stored image. In the search: N centres, 72 angles,
K coefficients.
Source: oguz-kolukisa/VLM-R1 @66d7e61 download_coco_dataset.py (encoder), @61d8282 draw_polygons.py (decoder), @2070f13
qwen_module.py (reward); specs/vlmr1_easydistill.md §2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundprep.errors import MissingDependencyError, UsageError
from groundprep.geometry.masks import (
    MaskHW,
    SizeHW,
    as_mask,
    box_xyxy_of_mask,
    decode_polygons,
    mask_iou,
    outline_iou,
)

Fit: TypeAlias = Literal["fork", "best"]
Floats: TypeAlias = NDArray[np.float64]

DEFAULT_ORDER = 8
"""The number of coefficients (degree + 1). Source: download_coco_dataset.py @66d7e61, --order."""

SUGGESTED_MIN_IOU = 0.8
"""Below this a mask is doubtful, unless the caller says otherwise."""

ANGLES = 72
MAX_ORDER = ANGLES // 2 + 1
HALVINGS = 11
CENTRE_DECIMALS, COEFF_DECIMALS = 2, 4

GRID = 11
"""`best` tries the fork's centre and GRID x GRID centres inside the mask's box."""

RADII = 160
"""Samples along a ray in `best`, from the centre to the length of the box's diagonal."""

GRID_STARTS = 4
"""So many of the best centres are drawn before one is refined."""

MAX_DRAWINGS = 700
"""The refinement of `best` draws and compares about so many shapes, never more than one sweep beyond."""


_THETA_32 = (2 * np.pi * np.arange(ANGLES) / ANGLES).astype(np.float32)
_COS_32, _SIN_32 = np.cos(_THETA_32), np.sin(_THETA_32)
_COS, _SIN = _COS_32.astype(np.float64), _SIN_32.astype(np.float64)


@dataclass(frozen=True, slots=True)
class ChebyshevMask:
    """A mask as the fork writes it.

    Args:
        centre_xy: (column, row), pixels of the stored image, 2 decimals.
        coeffs: the series in cos θ, pixels, 4 decimals.
        size_hw: (height, width) of the image.
        iou: intersection over union of the drawn shape and the mask that it stands for, in [0, 1].
    """

    centre_xy: tuple[float, float]
    coeffs: tuple[float, ...]
    size_hw: SizeHW
    iou: float

    def payload(self) -> str:
        """Return the JSON text between `<answer>` and `</answer>`; -0.0 stays as it comes."""
        value = {"centre": list(self.centre_xy), "coeffs": list(self.coeffs), "size": list(self.size_hw)}
        return json.dumps(value, separators=(",", ":"))


class Doubt(NamedTuple):
    """A reason not to learn from an encoded mask: a stable code and a sentence."""

    code: str
    message: str


def encode(mask_hw: ArrayLike, order: int = DEFAULT_ORDER, fit: Fit = "fork") -> ChebyshevMask:
    """Return the mask as a centre and `order` coefficients.

    Args:
        mask_hw: (h, w), nonzero inside.
        order: number of coefficients, 1 to 37: the 72 angles have no more different cosines.
        fit: `fork` computes exactly the fork's numbers; `best` searches numbers of the same form with a higher IoU, never a
            lower one. It is deterministic and bounded: about 0.2 s and 70 MB for a mask of a 640 x 480 image; the time
            grows with the outline.

    Raises:
        UsageError: `chebyshev-order`.
        RecordError: `mask-size`.
        MissingDependencyError: OpenCV or pycocotools is not installed.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UsageError(
            "no such order", code="chebyshev-order", found=order, expected=f"1 to {MAX_ORDER} coefficients"
        )
    mask = as_mask(mask_hw)
    centre = _distance_peak(mask)
    fork = _rounded(mask, np.array([*centre, *_fit(_fork_radii(mask, centre), order)]))
    if fit == "fork" or not mask.any():
        return fork
    return _search(mask, fork)


def encode_outline(
    mask_hw: ArrayLike, points_N2: Floats, centre_xy: Sequence[float], order: int = DEFAULT_ORDER
) -> ChebyshevMask:
    """Return a mask as numbers about a known centre: for a shape that was drawn from numbers, and resized since.

    Sides that shrink or grow by different factors leave it a shape that mirrors about the horizontal line through its centre,
    so that it can be drawn again; the fork's own encoder would look for another centre and lose what the first one lost.

    Args:
        mask_hw: (h, w), the shape as drawn.
        points_N2: (N, 2), its outline, seen from the centre once around.
        centre_xy: (x, y), where its centre has gone.
        order: number of coefficients, at least 1; more than 37 tell the 72 angles no more, and are left out.
    """
    offsets_N2 = points_N2 - np.asarray(centre_xy, dtype=np.float64)
    angles, radii = np.arctan2(offsets_N2[:, 1], offsets_N2[:, 0]), np.hypot(offsets_N2[:, 0], offsets_N2[:, 1])
    at_angles = np.interp(_THETA_32.astype(np.float64), angles, radii, period=2 * np.pi)
    return _rounded(as_mask(mask_hw), np.array([*centre_xy, *_fit(at_angles, min(order, MAX_ORDER))]))


def decode(centre_xy: Sequence[float], coeffs: Sequence[float]) -> Floats:
    """Return the (72, 2) points of a shape, x right, y down, not cut at the image's border; any number of coefficients."""
    radii = np.maximum(np.polynomial.chebyshev.chebval(_COS, np.asarray(coeffs, dtype=np.float64)), 0.0)
    return np.stack([centre_xy[0] + radii * _COS, centre_xy[1] + radii * _SIN], axis=1)


def rasterise(points_N2: ArrayLike, size_hw: SizeHW) -> MaskHW:
    """Return the (h, w) mask of a closed outline as the fork's reward draws it: points moved into [0, side - 1] first."""
    return decode_polygons([_ring_inside(points_N2, size_hw)], size_hw)


def round_trip_iou(mask_hw: ArrayLike, centre_xy: Sequence[float], coeffs: Sequence[float]) -> float:
    """Return the IoU of a mask and the shape that stands for it, in [0, 1]; 0 when both are empty."""
    mask = as_mask(mask_hw)
    return mask_iou(mask, rasterise(decode(centre_xy, coeffs), (mask.shape[0], mask.shape[1])))


def doubts(mask_hw: ArrayLike, shape: ChebyshevMask, min_iou: float = SUGGESTED_MIN_IOU) -> tuple[Doubt, ...]:
    """Return why the encoded mask should not be learned from; () when nothing speaks against it.

    `mask-empty` stands alone. `mask-border-centre`: the centre lies in the outermost row or column, where the distance
    transform puts it because it does not take the image's border for an edge (from there a half disc is drawn well, a strip
    is not: the IoU decides). `mask-iou-low`: below min_iou.
    """
    if not as_mask(mask_hw).any():
        return (Doubt("mask-empty", "the mask has no pixel"),)
    return shape_doubts(shape.centre_xy, shape.size_hw, shape.iou, min_iou)


def shape_doubts(
    centre_xy: Sequence[float], size_hw: SizeHW, iou: float | None, min_iou: float = SUGGESTED_MIN_IOU
) -> tuple[Doubt, ...]:
    """Return what `doubts` says of a shape whose mask is not at hand, and not empty.

    Args:
        centre_xy: (column, row), pixels of the image.
        size_hw: (height, width) of the image.
        iou: of the drawn shape and its mask; None where nobody measured it.
        min_iou: below it a shape is doubtful.
    """
    found = []
    (x, y), (h, w) = centre_xy, size_hw
    if x < 1 or y < 1 or x >= w - 1 or y >= h - 1:
        found.append(
            Doubt("mask-border-centre", f"the centre ({x:g}, {y:g}) lies on the border of the {w} x {h} image")
        )
    if iou is not None and iou < min_iou:
        found.append(Doubt("mask-iou-low", f"the drawn shape reaches an IoU of {iou:.3f}, less than {min_iou:g}"))
    return tuple(found)


def _ring_inside(points_N2: ArrayLike, size_hw: SizeHW) -> Floats:
    h, w = size_hw
    return np.clip(np.asarray(points_N2, dtype=np.float64), 0.0, [w - 1, h - 1]).ravel()


def _distance_peak(mask: MaskHW) -> tuple[float, float]:
    """Return (column, row) of the first pixel, row by row, that is farthest from the background; (0, 0) without background."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError("Chebyshev masks need OpenCV", fix="pip install 'groundprep[masks]'") from error
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    row, column = divmod(int(np.argmax(distance)), mask.shape[1])
    return float(column), float(row)


def _fork_radii(mask: MaskHW, centre_xy: tuple[float, float]) -> Floats:
    """Return the 72 radii by bisection: 11 halvings of [0, max(h, w)], the lower end kept; not always the first crossing.

    A probe is cut toward zero, so that -0.5 counts as column 0.
    """
    h, w = mask.shape
    low, high = np.zeros(ANGLES), np.full(ANGLES, float(max(h, w)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        radii_32 = middle.astype(np.float32)
        x = (np.float32(centre_xy[0]) + radii_32 * _COS_32).astype(np.int64)
        y = (np.float32(centre_xy[1]) + radii_32 * _SIN_32).astype(np.int64)
        in_range = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        inside = in_range & (mask[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)] == 1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


def _fit(radii: Floats, order: int) -> Floats:
    """Return the least-squares series in float32, the fork's precision."""
    return np.asarray(np.polynomial.chebyshev.chebfit(_COS_32, radii.astype(np.float32), order - 1))


def _rounded(mask: MaskHW, numbers: Floats) -> ChebyshevMask:
    """Return the encoded mask of (cx, cy, c0, …) with the IoU of what is left after rounding."""
    centre = (round(float(numbers[0]), CENTRE_DECIMALS), round(float(numbers[1]), CENTRE_DECIMALS))
    coeffs = tuple(round(float(c), COEFF_DECIMALS) for c in numbers[2:])
    return ChebyshevMask(centre, coeffs, (mask.shape[0], mask.shape[1]), round_trip_iou(mask, centre, coeffs))


@dataclass(frozen=True, slots=True)
class _Rays:
    """What a mask covers along every ray from every centre; an IoU from it is a look-up, not a drawing.

    Args:
        centres_N2: (x, y).
        on_mask, on_image: (N, 72, RADII + 1) square pixels of the mask, of the image, from the centre out to each sample.
        step: pixels from one sample to the next.
        mask_area: square pixels.
        basis: (72, K), T_k(cos θ).
    """

    centres_N2: Floats
    on_mask: Floats
    on_image: Floats
    step: float
    mask_area: float
    basis: Floats

    @classmethod
    def cast(cls, mask: MaskHW, centres_N2: Floats, reach: float, order: int) -> _Rays:
        """Sample the mask from each centre out to `reach` pixels."""
        h, w = mask.shape
        step = reach / RADII
        distance = (np.arange(RADII) + 0.5) * step
        x = np.floor(centres_N2[:, 0, None, None] + distance * _COS[:, None]).astype(np.int32)
        y = np.floor(centres_N2[:, 1, None, None] + distance * _SIN[:, None]).astype(np.int32)
        in_image = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        in_mask = in_image & (mask[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)] == 1)
        area = distance * step * (2 * np.pi / ANGLES)
        on_mask, on_image = (np.zeros((len(centres_N2), ANGLES, RADII + 1)) for _ in range(2))
        np.cumsum(in_mask * area, axis=-1, out=on_mask[..., 1:])
        np.cumsum(in_image * area, axis=-1, out=on_image[..., 1:])
        basis = np.asarray(np.polynomial.chebyshev.chebvander(_COS, order - 1), dtype=np.float64)
        return cls(centres_N2, on_mask, on_image, step, float(mask.sum()), basis)

    def iou(self, series: Floats) -> Floats:
        """Return the (N,) estimated IoU of one shape about each centre."""
        samples = np.clip(series @ self.basis.T / self.step, 0, RADII)
        below = np.minimum(samples.astype(np.intp), RADII - 1)[..., None]
        share = samples - below[..., 0]

        def covered(table: Floats) -> Floats:
            low = np.take_along_axis(table, below, -1)[..., 0]
            high = np.take_along_axis(table, below + 1, -1)[..., 0]
            return np.asarray((low + share * (high - low)).sum(-1))

        common = covered(self.on_mask)
        return np.asarray(common / (self.mask_area + covered(self.on_image) - common))

    def mirrored_radii(self) -> Floats:
        """Return the (N, 72) radii of the mirror shape with the highest IoU, however ragged.

        An IoU of at least t is the same as (1 + t)·common - t·drawn >= t·mask. For a given t each pair of mirrored rays
        reaches its best end alone; t is then the IoU so reached, a few times over (Dinkelbach's method).
        """
        mirror = -np.arange(ANGLES) % ANGLES
        on_mask, on_image = (table + table[:, mirror] for table in (self.on_mask, self.on_image))
        t = np.full((len(self.centres_N2), 1, 1), 0.5)
        for _ in range(5):
            ends = np.argmax((1 + t) * on_mask - t * on_image, axis=-1)
            common = np.take_along_axis(self.on_mask, ends[..., None], -1).sum((1, 2), keepdims=True)
            drawn = np.take_along_axis(self.on_image, ends[..., None], -1).sum((1, 2), keepdims=True)
            t = common / (self.mask_area + drawn - common)
        return np.asarray(ends * self.step)


def _search(mask: MaskHW, fork: ChebyshevMask) -> ChebyshevMask:
    """Return the numbers with the highest IoU found: centres by look-up, the best few drawn, the best of them refined.

    The centre stays inside the image, where a model can point at it.
    """
    order = len(fork.coeffs)
    box = box_xyxy_of_mask(mask)
    assert box is not None
    reach = float(np.hypot(box[2] - box[0], box[3] - box[1]))
    xs, ys = (np.linspace(box[i], box[i + 2], GRID + 2)[1:-1] for i in (0, 1))
    centres_N2 = np.array([fork.centre_xy, *((x, y) for y in ys for x in xs)])
    rays = _Rays.cast(mask, centres_N2, reach, order)
    series = _climb_by_look_up(rays, _fit_by_area(rays), reach)
    best_first = np.argsort(-rays.iou(series), kind="stable")[:GRID_STARTS]

    iou_of_ring = outline_iou(mask)
    h, w = fork.size_hw

    def iou(numbers: Floats) -> float:
        if not (0 <= numbers[0] <= w - 1 and 0 <= numbers[1] <= h - 1):
            return 0.0
        points = decode(np.round(numbers[:2], CENTRE_DECIMALS).tolist(), np.round(numbers[2:], COEFF_DECIMALS).tolist())
        return iou_of_ring(_ring_inside(points, fork.size_hw))

    starts = [np.array([*fork.centre_xy, *fork.coeffs])]
    starts += [np.array([*centres_N2[g], *series[g]]) for g in best_first]
    found = _rounded(mask, _climb_by_drawing(iou, max(starts, key=iou), reach))
    return found if found.iou > fork.iou else fork


def _fit_by_area(rays: _Rays) -> Floats:
    """Return the (N, K) series nearest to the best mirror shapes; a pixel of radius weighs more the farther out it is."""
    radii = rays.mirrored_radii()
    weights = np.sqrt(radii + rays.step)
    return np.stack(
        [
            np.linalg.lstsq(rays.basis * weight[:, None], target * weight, rcond=None)[0]
            for target, weight in zip(radii, weights, strict=True)
        ]
    )


def _moves(order: int) -> Floats:
    """Return (2K, K) directions: each coefficient alone, and each of K bumps, at the extrema of the last polynomial."""
    knots = np.cos(np.pi * np.arange(order) / max(order - 1, 1))
    bumps = np.linalg.inv(np.polynomial.chebyshev.chebvander(knots, order - 1)).T
    return np.concatenate([np.eye(order), bumps])


def _climb_by_look_up(rays: _Rays, series: Floats, reach: float) -> Floats:
    """Return better series, all centres at once: try each move both ways, then halve it."""
    series, best = series.copy(), rays.iou(series)
    moves = np.concatenate([_moves(series.shape[1]), -_moves(series.shape[1])])
    length = reach * 0.1
    while length > max(0.2, reach * 0.003):
        for move in np.tile(moves, (2, 1)):
            tried = series + length * move
            reached = rays.iou(tried)
            better = reached > best
            series[better], best[better] = tried[better], reached[better]
        length /= 2
    return series


def _climb_by_drawing(iou: Callable[[Floats], float], numbers: Floats, reach: float) -> Floats:
    """Return better (cx, cy, c0, …): a pattern search on the IoU that the numbers reach once rounded and drawn."""
    order = len(numbers) - 2
    moves = np.zeros((2 + 2 * order, 2 + order))
    moves[:2, :2], moves[2:, 2:] = np.eye(2), _moves(order)
    best, drawings, length = iou(numbers), 0, max(reach * 0.03, 0.5)
    while length > 0.03 and drawings < MAX_DRAWINGS:
        before = best
        for move in moves:
            for step in (length, -length):
                tried = numbers + step * move
                drawings += 1
                if (reached := iou(tried)) > best:
                    numbers, best = tried, reached
                    break
        if best == before:
            length /= 2
    return numbers
