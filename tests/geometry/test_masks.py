"""Masks: what COCO writes becomes the same pixels as pycocotools', and what is broken becomes one clear error."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from groundprep.errors import MissingDependencyError, RecordError
from groundprep.geometry.masks import (
    as_mask,
    box_xyxy_of_mask,
    decode_polygons,
    decode_rle,
    decode_segmentation,
    encode_rle,
    largest_gap_px,
    mask_iou,
    outline_iou,
    polygon_area,
    resize_mask,
)

SIZE_HW = (37, 61)
BAR = [7.0, 3.0, 40.0, 3.0, 40.0, 21.0, 7.0, 21.0]
TRIANGLE = [30.5, 10.0, 58.0, 33.5, 22.0, 30.0]

masks = st.tuples(st.integers(1, 23), st.integers(1, 31)).flatmap(
    lambda hw: arrays(np.uint8, hw, elements=st.integers(0, 1))
)
coordinates = st.floats(-20, 80, allow_nan=False).map(lambda x: round(x, 2))
rings = st.integers(3, 8).flatmap(lambda n: st.lists(coordinates, min_size=2 * n, max_size=2 * n))


def bar() -> NDArray[np.uint8]:
    mask = np.zeros(SIZE_HW, dtype=np.uint8)
    mask[3:21, 7:40] = 1
    return mask


def code_of(error: pytest.ExceptionInfo[RecordError]) -> str:
    return error.value.code


def test_a_polygon_covers_the_pixels_between_its_whole_numbers() -> None:
    assert np.array_equal(decode_polygons([BAR], SIZE_HW), bar())


def test_a_polygon_is_cut_off_at_the_image() -> None:
    beyond = decode_polygons([[50.0, 30.0, 90.0, 30.0, 90.0, 70.0, 50.0, 70.0]], SIZE_HW)
    assert beyond.sum() == (61 - 50) * (37 - 30)
    assert beyond[30:, 50:].all()


def test_no_ring_is_an_empty_mask() -> None:
    assert decode_polygons([], SIZE_HW).shape == SIZE_HW
    assert not decode_polygons([], SIZE_HW).any()


@given(st.lists(rings, min_size=1, max_size=4))
def test_several_rings_are_the_union_of_each(several: list[list[float]]) -> None:
    union = np.zeros(SIZE_HW, dtype=np.uint8)
    for ring in several:
        union |= decode_polygons([ring], SIZE_HW)
    assert np.array_equal(decode_polygons(several, SIZE_HW), union)


@given(masks)
def test_run_lengths_round_trip_exactly(mask: NDArray[np.uint8]) -> None:
    text = encode_rle(mask)
    assert np.array_equal(decode_rle(text, mask.shape), mask)
    assert np.array_equal(decode_rle(text.encode("ascii"), mask.shape), mask)
    assert encode_rle(decode_rle(text, mask.shape)) == text


@given(masks)
def test_plain_counts_say_the_same_as_compressed_ones(mask: NDArray[np.uint8]) -> None:
    column_by_column = mask.T.ravel()
    edges = np.flatnonzero(np.diff(column_by_column)) + 1
    counts = np.diff([0, *edges, column_by_column.size]).tolist()
    counts = [0, *counts] if column_by_column[0] else counts
    assert np.array_equal(decode_rle(counts, mask.shape), mask)
    compressed = coco.frPyObjects({"size": list(mask.shape), "counts": counts}, *mask.shape)["counts"]
    assert compressed.decode("ascii") == encode_rle(mask)


@given(st.one_of(st.text(max_size=12), st.binary(max_size=12)))
def test_any_text_is_a_mask_of_this_size_or_a_record_error(counts: str | bytes) -> None:
    try:
        outcome: object = decode_rle(counts, (3, 5)).shape
    except RecordError as error:
        outcome = error.code
    assert outcome in {"mask-broken", "mask-size", (3, 5)}


@pytest.mark.parametrize(
    "counts", ["é", "\ud800", "0 1", "PPPPPPPPPPPPPP", "P", "N", b"\xff", None, 7, [1, -1, 15], [1.0, 14], [True, 14]]
)
def test_counts_that_are_none_are_broken(counts: Any) -> None:
    with pytest.raises(RecordError) as error:
        decode_rle(counts, (3, 5))
    assert code_of(error) == "mask-broken"


@pytest.mark.parametrize("counts", ["", [], [14], [16], [10**30], [7, 7]])
def test_counts_that_do_not_fill_the_image_are_of_another_size(counts: Any) -> None:
    with pytest.raises(RecordError, match="3 x 5 = 15 pixels") as error:
        decode_rle(counts, (3, 5))
    assert code_of(error) == "mask-size"


@pytest.mark.parametrize(
    "ring",
    [
        [1, 2, 30, 20],
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4, 5, 6, 7],
        [1, 2, 3, 4, 5, math.nan],
        [1, 2, 3, 4, 5, math.inf],
        [1, 2, 3, 4, 5, 10**400],
        [1, 2, 3, 4, 5, 1e9],
        [1, 2, 3, 4, 5, "6"],
        [1, 2, 3, 4, 5, True],
        [[1, 2], [3, 4], [5, 6]],
        "1,2,3,4,5,6",
        7,
    ],
)
def test_a_ring_that_is_none_is_named_and_refused(ring: Any) -> None:
    with pytest.raises(RecordError, match="ring 1 of the polygon") as error:
        decode_polygons([BAR, ring], SIZE_HW)
    assert code_of(error) == "mask-broken"


def test_an_outline_that_would_fill_the_memory_is_refused() -> None:
    zigzag = [-3e6, 0.0, 3e6, 0.0] * 50
    with pytest.raises(RecordError, match="too long to be drawn") as error:
        decode_polygons([zigzag], SIZE_HW)
    assert code_of(error) == "mask-broken"


@pytest.mark.parametrize("size_hw", [(0, 5), (3, -1), (3,), (3, 5, 1), (3.0, 5), (True, 5), (2**20, 2**20)])
def test_an_impossible_size_is_refused(size_hw: Any) -> None:
    for decode in (lambda: decode_polygons([BAR], size_hw), lambda: decode_rle([15], size_hw)):
        with pytest.raises(RecordError) as error:
            decode()
        assert code_of(error) == "mask-size"


def test_a_segmentation_is_read_in_all_three_forms() -> None:
    size = list(SIZE_HW)
    plain = [7 * 37 + 3, *([18, 19] * 32), 18, 37 - 21 + 37 * 21]
    assert np.array_equal(decode_segmentation([BAR], SIZE_HW), bar())
    assert np.array_equal(decode_segmentation({"size": size, "counts": encode_rle(bar())}, SIZE_HW), bar())
    assert np.array_equal(decode_segmentation({"size": size, "counts": plain}, SIZE_HW), bar())


@pytest.mark.parametrize("size", [[61, 37], None, 37, "37", [37]])
def test_run_lengths_of_another_image_are_refused(size: Any) -> None:
    with pytest.raises(RecordError, match="another size") as error:
        decode_segmentation({"size": size, "counts": encode_rle(bar())}, SIZE_HW)
    assert code_of(error) == "mask-size"


@pytest.mark.parametrize("segmentation", [None, "[[1,2]]", 7, BAR])
def test_a_segmentation_of_no_known_form_is_broken(segmentation: Any) -> None:
    with pytest.raises(RecordError) as error:
        decode_segmentation(segmentation, SIZE_HW)
    assert code_of(error) == "mask-broken"


def test_a_mask_of_any_nonzero_value_is_a_mask_and_three_dimensions_are_not() -> None:
    assert as_mask(np.array([[0, 255], [True, 0]])).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(RecordError, match="two dimensions") as error:
        as_mask(np.zeros((3, 5, 1)))
    assert code_of(error) == "mask-size"


@given(masks, st.data())
def test_iou_is_symmetric_and_equals_pycocotools(a: NDArray[np.uint8], data: st.DataObject) -> None:
    b = data.draw(arrays(np.uint8, a.shape, elements=st.integers(0, 1)))
    theirs = coco.iou([coco.encode(np.asfortranarray(a))], [coco.encode(np.asfortranarray(b))], [0])[0, 0]
    assert mask_iou(a, b) == mask_iou(b, a) == pytest.approx(theirs)
    assert 0 <= mask_iou(a, b) <= 1
    assert mask_iou(a, a) == (1.0 if a.any() else 0.0)


def test_masks_of_different_sizes_have_no_iou() -> None:
    with pytest.raises(RecordError) as error:
        mask_iou(np.ones((3, 5)), np.ones((5, 3)))
    assert code_of(error) == "mask-size"


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 36)), min_size=3, max_size=7))
def test_the_iou_of_an_outline_is_that_of_its_pixels(points: list[tuple[float, float]]) -> None:
    ring = np.array(points).ravel()
    assert outline_iou(bar())(ring) == pytest.approx(mask_iou(bar(), decode_polygons([ring], SIZE_HW)))


def test_the_box_of_a_mask_encloses_whole_pixels() -> None:
    assert box_xyxy_of_mask(bar()) == (7.0, 3.0, 40.0, 21.0)
    assert box_xyxy_of_mask(np.eye(5)[:, 4:]) == (0.0, 4.0, 1.0, 5.0)
    assert box_xyxy_of_mask(np.zeros(SIZE_HW)) is None


@given(masks)
def test_the_box_of_a_mask_is_cocos(mask: NDArray[np.uint8]) -> None:
    box = box_xyxy_of_mask(mask)
    if box is not None:
        x, y, w, h = coco.toBbox(coco.encode(np.asfortranarray(mask))).tolist()
        assert box == (x, y, x + w, y + h)


def test_the_area_of_a_polygon_does_not_depend_on_its_direction() -> None:
    reverse = [number for point in list(zip(BAR[::2], BAR[1::2], strict=True))[::-1] for number in point]
    assert polygon_area([BAR]) == polygon_area([reverse]) == 33 * 18
    assert polygon_area([BAR, TRIANGLE]) == pytest.approx(33 * 18 + 374.875)
    assert polygon_area([]) == 0


def test_without_pycocotools_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingDependencyError, match=r"groundprep\[masks\]"):
        encode_rle(bar())
    assert np.array_equal(decode_rle([15], (3, 5)), np.zeros((3, 5)))


def test_importing_the_geometry_of_masks_loads_neither_opencv_nor_pycocotools() -> None:
    code = "import sys, groundprep.geometry.chebyshev; print({'cv2', 'pycocotools', 'scipy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_largest_gap_is_the_way_to_the_farthest_stray_pixel_of_either_mask() -> None:
    a, b = np.zeros((37, 61), np.uint8), np.zeros((37, 61), np.uint8)
    a[5:10, 5:10] = b[5:10, 5:10] = 1
    assert largest_gap_px(a, b) == 0
    b[9 + 3, 9 + 4] = 1
    assert largest_gap_px(a, b) == largest_gap_px(b, a) == pytest.approx(5, abs=1e-4)
    assert largest_gap_px(a, np.zeros((37, 61))) == pytest.approx(float(np.hypot(37, 61)))
    assert largest_gap_px(np.zeros((2, 3)), np.zeros((2, 3))) == 0
    with pytest.raises(RecordError) as caught:
        largest_gap_px(a, np.zeros((61, 37)))
    assert caught.value.code == "mask-size"


def test_a_resized_mask_takes_the_pixel_under_each_new_centre() -> None:
    mask = np.array([[1, 0, 0], [0, 0, 1]], np.uint8)
    doubled = resize_mask(mask, (4, 6))
    assert np.array_equal(doubled, np.kron(mask, np.ones((2, 2), np.uint8)))
    assert np.array_equal(resize_mask(doubled, (2, 3)), mask)
    assert resize_mask(mask, (5, 2)).shape == (5, 2)
