"""Geometry goes where Pillow puts the pixels, for all eight orientations and any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from groundprep.geometry.orientation import Move, upright_wh
from groundprep.images import EXIF_ORIENTATION_TAG

SIZE_WH = (61, 37)
coordinate = st.floats(min_value=-5, max_value=70, allow_nan=False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_lies_on_the_pixels_that_it_lay_on(orientation: int) -> None:
    pixels = np.zeros((37, 61), np.uint8)
    pixels[3:21, 7:40] = 255
    image = Image.fromarray(pixels)
    image.getexif()[EXIF_ORIENTATION_TAG] = orientation
    turned = ImageOps.exif_transpose(image)
    move = Move(SIZE_WH, orientation, upright_wh(SIZE_WH, orientation))
    assert turned.size == move.to_wh
    assert move.box((7.0, 3.0, 40.0, 21.0)) == pytest.approx(turned.getbbox())


@given(st.integers(1, 8), st.tuples(coordinate, coordinate, coordinate, coordinate))
def test_order_and_disorder_of_a_box_stay(orientation: int, box: tuple[float, float, float, float]) -> None:
    move = Move(SIZE_WH, orientation, (280, 168))
    x0, y0, x1, y1 = move.box(box)
    inverted = (box[0] > box[2], box[1] > box[3])
    if orientation in (5, 6, 7, 8):
        inverted = inverted[::-1]
    assert x0 >= x1 if inverted[0] else x0 <= x1
    assert y0 >= y1 if inverted[1] else y0 <= y1


def test_a_resize_scales_each_side_by_its_own_factor() -> None:
    move = Move((100, 50), 1, (200, 75))
    assert move.box((10, 10, 90, 20)) == (20.0, 15.0, 180.0, 30.0)
    assert move.point((7.5, 3.0)) == (15.0, 4.5)
    assert not move.is_nothing
    assert Move((100, 50), 1, (100, 50)).is_nothing
