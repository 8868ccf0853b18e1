"""Parts that share no image: by bytes, exact, deterministic, whatever the names and the order."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from groundprep.errors import FormatError, RecordError
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Record
from groundprep.source import Source
from groundprep.stages.split import ImageGroups, SplitPart


@cache
def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3 + number % 5, 2), (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def record(row: int, *images: int) -> Record:
    return Record(Source("x.jsonl", row), images=tuple(ImageRef(f"é{row}.png", BytesImage(picture(n))) for n in images))


def assigned(records: list[Record], shares: list[Fraction], seed: int = 0) -> tuple[list[int], list[int]]:
    groups = ImageGroups(ImageLoader(), seed=seed)
    for item in records:
        groups.see(item)
    sizes = groups.cut(shares)
    return [groups.part_of(item) for item in records], sizes


rows_of_images = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=30, max_size=80)


@given(
    rows=rows_of_images, seed=st.integers(0, 9), shares=st.sampled_from([["1/10"], ["1/4", "1/8"], ["0.15", "0.15"]])
)
def test_no_image_is_in_two_parts_and_the_sizes_are_exact(rows: list[list[int]], seed: int, shares: list[str]) -> None:
    records = [record(number, *images) for number, images in enumerate(rows)]
    fractions = [Fraction(share) for share in shares]
    try:
        parts, sizes = assigned(records, fractions, seed)
    except FormatError:  # rows of several images may tie all of them together
        assume(False)
    parts_of: dict[int, set[int]] = {}
    for images, part in zip(rows, parts, strict=True):
        for image in images:
            parts_of.setdefault(image, set()).add(part)
    assert all(len(found) == 1 for found in parts_of.values())
    total = sum(sizes)
    assert sizes[1:] == [max(1, int(share * total + Fraction(1, 2))) for share in fractions]
    assert set(parts) == set(range(len(sizes)))
    shuffled = records[::-1]
    assert assigned(shuffled, fractions, seed)[0] == parts[::-1]


def test_the_shares_count_images_and_not_rows() -> None:
    records = [record(number, 0 if number < 900 else number) for number in range(1000)]
    parts, sizes = assigned(records, [Fraction("0.1"), Fraction("0.2")])
    assert sizes == [71, 10, 20]
    images = [
        len({item.images[0].location.key for item, part in zip(records, parts, strict=True) if part == p})
        for p in range(3)
    ]
    assert images == sizes


def test_the_seed_decides() -> None:
    records = [record(number, number) for number in range(40)]
    splits = {tuple(assigned(records, [Fraction(1, 4)], seed)[0]) for seed in range(20)}
    assert len(splits) > 15
    hits = [sum(assigned(records, [Fraction(1, 4)], seed)[0][n] for seed in range(200)) for n in (0, 17, 39)]
    assert all(25 < hit < 80 for hit in hits)  # 50 expected, standard deviation about 6


def test_nothing_left_to_train_on_and_rows_without_an_image_are_refused() -> None:
    with pytest.raises(FormatError) as caught:
        assigned([record(1, 5), record(2, 5)], [Fraction(1, 2)])
    assert (caught.value.code, caught.value.found) == ("split-too-small", "1 different images")
    with pytest.raises(RecordError):
        assigned([record(1)], [Fraction(1, 2)])


def test_the_stage_counts_what_is_in_other_parts() -> None:
    records = [record(number, number) for number in range(10)]
    groups = ImageGroups(ImageLoader(), seed=1)
    for item in records:
        groups.see(item)
    groups.cut([Fraction(3, 10)])
    stages = [SplitPart(groups, number) for number in (0, 1)]
    kept = [list(stage(records)) for stage in stages]
    assert [len(part) for part in kept] == [7, 3]
    assert [stage.counts.not_selected for stage in stages] == [3, 7]
    assert sorted(kept[0] + kept[1], key=lambda item: item.source.row or 0) == records
