"""Defects of images, geometry and words, planted among clean rows: each is found at its row with its code, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.planting import (
    HAZARDS,
    NO_DIFFERENCE,
    SIZE_WH,
    Defect,
    Row,
    Rows,
    clean_image,
    differences,
    found,
    make_images,
    planted,
    spoils,
    write_lines,
)

LABELS = ("chien", "狗", "Straße", "red car")


def with_image(name: str, box: list[float] | None = None) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        row["image_name"] = name
        if box is not None:
            with_entry(bbox=box)(row)

    return change


def with_entry(**changes: Any) -> Callable[[Row], None]:
    return lambda row: row["annotation"]["boxes"][0].update(changes)


def phrase_of(change: Callable[[str], str]) -> Callable[[Row], None]:
    return lambda row: with_entry(phrase=change(row["annotation"]["boxes"][0]["phrase"]))(row)


def twice(row: Row) -> None:
    row["annotation"]["boxes"].append(dict(row["annotation"]["boxes"][0]))


def contradicted(row: Row) -> None:
    row["annotation"]["boxes"].append({"bbox": None, "phrase": row["annotation"]["boxes"][0]["phrase"]})


def spelled_otherwise(rows: Rows, place: int) -> None:
    """Spell a label otherwise than two rows beside it: which of two spellings is wrong is decided by their numbers."""
    for near in (place - 1, place, place + 1):
        phrase = f"ziel {place}".upper() if near == place else f"ziel {place}"
        rows[near]["annotation"]["boxes"].append({"bbox": [9, 9, 50, 60], "phrase": phrase})


DEFECTS = [
    *(spoils(code, with_image(code), "image") for code in HAZARDS),
    spoils("image-broken", with_image("image-broken"), "image"),
    spoils("image-missing", with_image("nirgends.png"), "image"),
    spoils("image-name", with_image("../é.png")),
    spoils("image-url", with_image("https://example.org/é.png")),
    spoils("image-side-short", with_image("short", [3, 2.5, 60, 19])),
    spoils("image-ratio-high", with_image("long", [3, 2.5, 60, 19])),
    spoils("size-differs", lambda row: row.update(width=SIZE_WH[1], height=SIZE_WH[0]), "image"),
    spoils("box-inverted", with_entry(bbox=[90, 20, 10, 60]), "box"),
    spoils("box-degenerate", with_entry(bbox=[10, 20, 10, 60]), "box"),
    spoils("box-outside", with_entry(bbox=[10, 20, 400, 60])),
    spoils("box-shape", with_entry(bbox=[10, 20, 400])),
    spoils("number-range", with_entry(bbox=[10, 20, 1e12, 60])),
    spoils("box-repeated", twice),
    spoils("phrase-contradicted", contradicted),
    spoils("phrase-empty", with_entry(phrase=" "), "words"),
    spoils("text-control", phrase_of(lambda phrase: f"{phrase}\x07 links"), "words"),
    spoils("text-mojibake", phrase_of(lambda phrase: f"cafÃ© {phrase.split()[-1]}"), "words"),
    spoils("text-mark", phrase_of(lambda phrase: f"{phrase} <image>"), "words"),
    spoils("text-spaces", phrase_of(lambda phrase: f"{phrase}  "), "words"),
    Defect("labels-differ", spelled_otherwise),
]


def clean(number: int, rng: random.Random) -> Row:
    x, y = rng.randrange(3, 60), rng.randrange(3, 50)
    label = LABELS[number % len(LABELS)]
    entry = {"bbox": [x, y + 0.5, x + rng.randrange(20, 70), y + 40], "phrase": f"{label} {number}"}
    return {"image_name": clean_image(number), "annotation": {"boxes": [entry]}, "id": number}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


@pytest.mark.parametrize("seed", range(4))
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(tmp_path: Path, images: Path, seed: int) -> None:
    rows, expected = planted(clean, DEFECTS, seed=seed, count=100)
    path = write_lines(tmp_path / "planted.jsonl", rows)
    assert differences(expected, found(path, None, image_root=str(images))) == NO_DIFFERENCE
