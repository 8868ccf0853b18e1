"""Box algebra: overlap is symmetric, bounded and blind to where the origin lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundprep.geometry.boxes import area, as_boxes, clip_boxes, iou_matrix

coordinate = st.floats(-500, 5000, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def boxes_N4(draw: st.DrawFn, min_size: int = 0) -> NDArray[np.float64]:
    corners = draw(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=min_size, max_size=6))
    return as_boxes([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners])


def iou_by_hand(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union if union > 0 else 0.0


@given(boxes_N4(), boxes_N4())
def test_the_matrix_holds_the_overlap_of_every_pair(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    matrix = iou_matrix(a, b)
    assert matrix.shape == (len(a), len(b))
    by_hand = np.array([[iou_by_hand(x, y) for y in b] for x in a]).reshape(matrix.shape)
    assert np.allclose(matrix, by_hand, rtol=1e-9, atol=0)
    assert ((matrix >= 0) & (matrix <= 1 + 1e-12)).all()


@given(boxes_N4(), boxes_N4())
def test_overlap_is_symmetric(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    assert (iou_matrix(a, b) == iou_matrix(b, a).T).all()


@given(boxes_N4(min_size=1))
def test_a_box_with_area_overlaps_itself_completely(a: NDArray[np.float64]) -> None:
    assert (np.diag(iou_matrix(a, a)) == (area(a) > 0)).all()


@given(boxes_N4(), boxes_N4(), st.integers(-4096, 4096), st.sampled_from([0.25, 0.5, 2, 8]))
def test_overlap_follows_when_both_boxes_are_moved_and_scaled(
    a: NDArray[np.float64], b: NDArray[np.float64], shift: int, scale: float
) -> None:
    assert np.allclose(iou_matrix(a, b), iou_matrix((a + shift) * scale, (b + shift) * scale), atol=1e-6)


def test_no_plus_one_is_added_anywhere() -> None:
    assert area([[7, 3, 9, 8]]) == [10]
    assert iou_matrix([[7, 3, 9, 8]], [[9, 3, 12, 8]]) == [[0]]


def test_an_inverted_box_has_no_area_and_overlaps_nothing() -> None:
    assert area([[9, 8, 7, 3]]) == [0]
    assert iou_matrix([[9, 8, 7, 3]], [[0, 0, 20, 20]]) == [[0]]


def test_no_boxes_give_an_empty_matrix_of_the_right_shape() -> None:
    assert iou_matrix([], [[1, 2, 3, 4]]).shape == (0, 1)
    assert as_boxes([]).shape == (0, 4)


@given(boxes_N4(min_size=1))
def test_a_clipped_box_lies_inside_and_none_disappears(a: NDArray[np.float64]) -> None:
    clipped = clip_boxes(a, (61, 37))
    assert len(clipped) == len(a)
    assert (clipped >= 0).all()
    assert (clipped <= [61, 37, 61, 37]).all()
    assert (clip_boxes(clipped, (61, 37)) == clipped).all()


def test_a_box_inside_is_not_changed_by_clipping() -> None:
    assert clip_boxes([[7.5, 3, 40, 21.25]], (61, 37)).tolist() == [[7.5, 3, 40, 21.25]]


def test_an_odd_number_of_coordinates_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        as_boxes([1, 2, 3])
