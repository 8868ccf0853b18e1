"""Box algebra on xyxy arrays.

Shapes: `boxes_N4` is (N, 4) float64, xyxy, continuous coordinates (no +1 anywhere).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return boxes as a (N, 4) float64 array; an empty sequence gives (0, 4)."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def area(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return (N,) areas in square pixels; inverted boxes have area 0."""
    boxes_N4 = as_boxes(boxes)
    sides_N2 = np.clip(boxes_N4[:, 2:] - boxes_N4[:, :2], 0.0, None)
    return np.asarray(sides_N2[:, 0] * sides_N2[:, 1])


def iou_matrix(boxes_a: ArrayLike, boxes_b: ArrayLike) -> NDArray[np.float64]:
    """Return the (N, M) intersection over union of every pair, in [0, 1]; 0 where the union is empty."""
    a_N4, b_M4 = as_boxes(boxes_a), as_boxes(boxes_b)
    top_left = np.maximum(a_N4[:, None, :2], b_M4[None, :, :2])
    bottom_right = np.minimum(a_N4[:, None, 2:], b_M4[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0.0, None)
    intersection_NM = sides[..., 0] * sides[..., 1]
    union_NM = area(a_N4)[:, None] + area(b_M4)[None, :] - intersection_NM
    iou_NM: NDArray[np.float64] = np.zeros(intersection_NM.shape)
    np.divide(intersection_NM, union_NM, out=iou_NM, where=union_NM > 0)
    return iou_NM


def clip_boxes(boxes: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Return (N, 4) boxes cut to [0, width] x [0, height]; a box that lies outside becomes degenerate, never absent."""
    w, h = size_wh
    return np.clip(as_boxes(boxes), 0.0, np.array([w, h, w, h], dtype=np.float64))


def is_finite(numbers: Sequence[float]) -> bool:
    """Say whether every number is finite."""
    return all(math.isfinite(n) for n in numbers)
