"""Scenes: the same seed draws the same picture, and boxes, sizes and gaps are what captions rely on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from toy_data.scenes import COLOURS, SCALE_EXTENT, SHAPES, SIZES_WH, BoxXyxy, Scene, draw_scene

SEEDS = range(60)


def scene_of(seed: int, *, min_objects: int = 1, max_objects: int = 6) -> Scene:
    return draw_scene(SIZES_WH[seed % len(SIZES_WH)], seed, min_objects=min_objects, max_objects=max_objects)


def drawn_extent(changed: NDArray[np.bool_], box_xyxy: BoxXyxy) -> BoxXyxy:
    """Return the box of the changed pixels in and two pixels around a box; no other object is so near."""
    left, top = (max(0, int(edge) - 2) for edge in box_xyxy[:2])
    right, bottom = (int(edge) + 3 for edge in box_xyxy[2:])
    rows, columns = np.nonzero(changed[top:bottom, left:right])
    return (columns.min() + left, rows.min() + top, columns.max() + 1 + left, rows.max() + 1 + top)


def test_the_same_seed_draws_the_same_scene() -> None:
    for seed in (0, 7):
        first, again = scene_of(seed), scene_of(seed)
        assert np.array_equal(first.image, again.image)
        assert first.objects == again.objects
    assert scene_of(0).objects != draw_scene(SIZES_WH[0], 1).objects


def test_a_generator_continues_from_scene_to_scene() -> None:
    rng = np.random.default_rng(5)
    first, second = draw_scene((61, 47), rng), draw_scene((61, 47), rng)
    assert np.array_equal(first.image, draw_scene((61, 47), 5).image)
    assert not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_the_image_has_the_size_of_the_canvas(size_wh: tuple[int, int]) -> None:
    scene = draw_scene(size_wh, 3)
    assert scene.size_wh == size_wh
    assert scene.image.shape == (size_wh[1], size_wh[0], 3)
    assert scene.image.dtype == np.uint8


def test_no_canvas_is_square_or_a_whole_number_of_patches() -> None:
    assert all(width != height and (width % 28 or height % 28) for width, height in SIZES_WH)
    assert len({round(width / height, 2) for width, height in SIZES_WH}) == len(SIZES_WH)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_box_encloses_the_drawn_pixels_within_one_pixel(seed: int) -> None:
    scene, empty = scene_of(seed), scene_of(seed, min_objects=0, max_objects=0)
    changed = np.abs(scene.image.astype(int) - empty.image.astype(int)).sum(axis=2) > 12
    assert not empty.objects
    for drawn in scene.objects:
        assert np.abs(np.subtract(drawn.box_xyxy, drawn_extent(changed, drawn.box_xyxy))).max() <= 1.0, drawn


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_drawn_outside_the_boxes(seed: int) -> None:
    scene, empty = scene_of(seed), scene_of(seed, min_objects=0, max_objects=0)
    changed = (scene.image != empty.image).any(axis=2)
    for left, top, right, bottom in (drawn.box_xyxy for drawn in scene.objects):
        changed[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = False
    assert not changed.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_lie_inside_the_image_and_apart_from_each_other(seed: int) -> None:
    scene = scene_of(seed)
    width, height = scene.size_wh
    for left, top, right, bottom in (drawn.box_xyxy for drawn in scene.objects):
        assert 0 < left < right < width
        assert 0 < top < bottom < height
    for one, other in itertools.combinations([drawn.box_xyxy for drawn in scene.objects], 2):
        gaps = [max(other[axis] - one[axis + 2], one[axis] - other[axis + 2]) for axis in (0, 1)]
        assert max(gaps) > 2.0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scale_of_an_object_tells_its_extent(seed: int) -> None:
    scene = scene_of(seed)
    for drawn in scene.objects:
        left, top, right, bottom = drawn.box_xyxy
        share = max(right - left, bottom - top) / min(scene.size_wh)
        smallest, largest = SCALE_EXTENT[drawn.scale]
        assert smallest - 0.001 <= share <= largest + 0.001


def test_small_and_large_do_not_meet() -> None:
    assert SCALE_EXTENT["large"][0] >= 1.5 * SCALE_EXTENT["small"][1]


def test_every_shape_colour_and_scale_is_drawn() -> None:
    objects = [drawn for seed in SEEDS for drawn in scene_of(seed).objects]
    assert {drawn.shape for drawn in objects} == set(SHAPES)
    assert {drawn.colour for drawn in objects} == set(COLOURS)
    assert {drawn.scale for drawn in objects} == set(SCALE_EXTENT)


def test_the_number_of_objects_stays_within_its_bounds() -> None:
    assert {len(scene_of(seed, max_objects=2).objects) for seed in range(20)} == {1, 2}
    assert {len(scene_of(seed, min_objects=0, max_objects=0).objects) for seed in range(3)} == {0}


def test_too_little_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="40 objects fit on a 61x37 canvas"):
        draw_scene((61, 37), 1, min_objects=40, max_objects=40)
