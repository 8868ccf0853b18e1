"""Defects of images, geometry and words, planted among clean rows: each is found at its row with its code, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate

Row = dict[str, Any]
SIZE_WH = (161, 137)
LABELS = ("chien", "狗", "Straße", "red car")

IMAGES: dict[str, Callable[[Path], object]] = {
    "image-16-bit": lambda path: Image.new("I;16", SIZE_WH, 40_000).save(path, "PNG"),
    "image-alpha": lambda path: Image.new("RGBA", SIZE_WH, (9, 90, 200, 80)).save(path, "PNG"),
    "image-cmyk": lambda path: Image.new("CMYK", SIZE_WH, (9, 90, 20, 8)).save(path, "JPEG"),
    "image-animated": lambda path: Image.new("RGB", SIZE_WH).save(
        path, "GIF", save_all=True, append_images=[Image.new("RGB", SIZE_WH, (9, 90, 200))]
    ),
    "image-broken": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 no image"),
    "exif-rotated": lambda path: Image.new("RGB", SIZE_WH).save(path, "JPEG", exif=rotated()),
}


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def with_image(name: str) -> Callable[[Row], None]:
    return lambda row: row.update(image_name=name)


def with_entry(**changes: Any) -> Callable[[Row], None]:
    return lambda row: row["annotation"]["boxes"][0].update(changes)


def phrase_of(change: Callable[[str], str]) -> Callable[[Row], None]:
    return lambda row: with_entry(phrase=change(row["annotation"]["boxes"][0]["phrase"]))(row)


def twice(row: Row) -> None:
    row["annotation"]["boxes"].append(dict(row["annotation"]["boxes"][0]))


def contradicted(row: Row) -> None:
    row["annotation"]["boxes"].append({"bbox": None, "phrase": row["annotation"]["boxes"][0]["phrase"]})


DEFECTS: list[tuple[str, Callable[[Row], None]]] = [
    *((code, with_image(code)) for code in IMAGES),
    ("image-missing", with_image("nirgends.png")),
    ("image-name", with_image("../é.png")),
    ("image-url", with_image("https://example.org/é.png")),
    ("image-side-short", with_image("image-side-short")),
    ("image-ratio-high", with_image("image-ratio-high")),
    ("size-differs", lambda row: row.update(width=SIZE_WH[1], height=SIZE_WH[0])),
    ("box-inverted", with_entry(bbox=[90, 20, 10, 60])),
    ("box-degenerate", with_entry(bbox=[10, 20, 10, 60])),
    ("box-outside", with_entry(bbox=[10, 20, 400, 60])),
    ("box-shape", with_entry(bbox=[10, 20, 400])),
    ("number-range", with_entry(bbox=[10, 20, 1e12, 60])),
    ("box-repeated", twice),
    ("phrase-contradicted", contradicted),
    ("phrase-empty", with_entry(phrase=" ")),
    ("text-control", phrase_of(lambda phrase: f"{phrase}\x07 links")),
    ("text-mojibake", phrase_of(lambda phrase: f"cafÃ© {len(phrase)}")),
    ("text-mark", phrase_of(lambda phrase: f"{phrase} <image>")),
    ("text-spaces", phrase_of(lambda phrase: f"{phrase}  ")),
    ("labels-differ", phrase_of(str.upper)),
]


def clean(number: int, rng: random.Random) -> Row:
    x, y = rng.randrange(3, 60), rng.randrange(3, 50)
    label = LABELS[number % len(LABELS)]
    entry = {"bbox": [x, y + 0.5, x + rng.randrange(20, 70), y + 40], "phrase": f"{label} {number}"}
    return {"image_name": f"bilder/{number % 7}.png", "annotation": {"boxes": [entry]}, "id": number}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("é")
    (root / "bilder").mkdir()
    for number in range(7):
        Image.effect_noise(SIZE_WH, 50 + number).convert("RGB").save(root / "bilder" / f"{number}.png")
    for name, make in IMAGES.items():
        make(root / name)
    Image.effect_noise((161, 20), 50).save(root / "image-side-short", "PNG")
    Image.effect_noise((4200, 20), 50).save(root / "image-ratio-high", "PNG")
    return root


@pytest.mark.parametrize("seed", range(4))
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(tmp_path: Path, images: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = [clean(number, rng) for number in range(600)]
    expected = []
    for place, (code, plant) in zip(sorted(rng.sample(range(3, 300), 100)), rng.choices(DEFECTS, k=100), strict=True):
        if code in ("image-side-short", "image-ratio-high"):
            rows[place]["annotation"]["boxes"][0]["bbox"] = [3, 2.5, 60, 19]
        if code == "labels-differ":  # which of two spellings is wrong is decided by their numbers
            for row in (rows[place], rows[place + 297], rows[place + 300]):
                row["annotation"]["boxes"].append({"bbox": [9, 9, 50, 60], "phrase": f"ziel {place}"})
            rows[place]["annotation"]["boxes"].reverse()
        plant(rows[place])
        expected.append((code, place + 1))
    path = tmp_path / "planted.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = ValidateConfig(SourceConfig((str(path),), image_root=str(images)))
    found = [(finding.code, int(finding.source.rsplit(":", 1)[1])) for finding in validate(config).findings]
    assert sorted(found) == sorted(expected)
