"""Copies are near, other pictures far."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.photos import photo
from groundprep.checks.perceptual import SIMILAR_BITS, HashIndex, perceptual_hash

PHOTOS = [photo(np.random.default_rng(seed), (300 + 11 * seed, 203)) for seed in range(12)]


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def index() -> HashIndex:
    return HashIndex([perceptual_hash(image) for image in PHOTOS])


@pytest.mark.parametrize("share", [0.5, 0.75, 1.6])
def test_a_resized_copy_is_found(index: HashIndex, share: float) -> None:
    for number, image in enumerate(PHOTOS):
        copy = image.resize((int(image.width * share), int(image.height * share)))
        found = index.nearest(perceptual_hash(copy))
        assert found is not None
        assert found[0] == number


def test_a_recompressed_copy_in_another_aspect_is_found(index: HashIndex) -> None:
    for number, image in enumerate(PHOTOS):
        found = index.nearest(perceptual_hash(recompressed(image.resize((224, 224)), 40)))
        assert found is not None
        assert found[0] == number


def test_another_picture_is_not_found(index: HashIndex) -> None:
    for seed in range(100, 140):
        assert index.nearest(perceptual_hash(photo(np.random.default_rng(seed), (301, 203)))) is None


def test_a_mirrored_copy_is_not_found_as_documented(index: HashIndex) -> None:
    assert index.nearest(perceptual_hash(PHOTOS[3].transpose(Image.Transpose.FLIP_LEFT_RIGHT))) is None


def test_the_distance_is_that_of_all_256_bits() -> None:
    hash_4 = perceptual_hash(PHOTOS[0])
    changed = hash_4.copy()
    changed[3] ^= np.uint64((1 << SIMILAR_BITS) - 1)
    assert HashIndex([hash_4]).nearest(changed) == (0, SIMILAR_BITS)
    changed[0] ^= np.uint64(1)
    assert HashIndex([hash_4]).nearest(changed) is None


def test_an_empty_index_finds_nothing() -> None:
    assert HashIndex([]).nearest(perceptual_hash(PHOTOS[0])) is None
