"""Seeded defects among clean rows, several at once: each is found at its row with its code, and nothing else is.

A defect is a sentence: what is done to a clean row, and the codes that must be found there. The clean rows give no finding; so
every finding has to be one of the planted ones, and every planted one has to be found.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundprep.api.budget import BudgetConfig
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate

ROWS = 900
PLANTED = 400
IMAGES = 30
NOUNS = ("лампа", "chaise", "door", "Hund", "tree", "bücher", "cup", "vélo")
ADJECTIVES = ("red", "grüne", "small", "vieille", "left", "open", "белая", "far")

Row = dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """What is done to a row, in place or by returning the bytes of its line, and the codes that must be found."""

    codes: tuple[str, ...]
    plant: Callable[[Row, random.Random], bytes | None]


def size_of(index: int) -> tuple[int, int]:
    return 420 + 7 * index, 331 + 5 * index


def draw_images(directory: Path) -> None:
    """Draw sound images, and one of each unsound kind."""
    directory.mkdir()
    rng = np.random.default_rng(5)

    def noise(size_wh: tuple[int, int]) -> Image.Image:
        small = rng.integers(0, 255, (9, 11, 3), np.uint8)
        return Image.fromarray(small).resize(size_wh, Image.Resampling.BICUBIC)

    for index in range(IMAGES):
        noise(size_of(index)).save(directory / f"bild-é-{index}.jpg", quality=88)
    whole = (directory / "bild-é-0.jpg").read_bytes()
    (directory / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (directory / "text.jpg").write_text("no image")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise((433, 347)).save(directory / "turned.jpg", exif=exif)
    noise((433, 347)).convert("CMYK").save(directory / "cmyk.jpg")
    transparent = noise((433, 347)).convert("RGBA")
    transparent.paste((0, 0, 0, 0), (40, 30, 90, 70))
    transparent.save(directory / "alpha.png")
    noise((1213, 947)).quantize(64).save(directory / "palette.png")  # large: the loader will resize it
    Image.fromarray(rng.integers(0, 65535, (347, 433), np.uint16)).save(directory / "deep.png")
    noise((433, 347)).save(directory / "moving.gif", save_all=True, append_images=[noise((433, 347))])


def rexthinker_row(index: int) -> Row:
    """A clean row: five boxes on a grid, the answer at every place equally often."""
    width, height = size_of(index % IMAGES)
    boxes = [
        [12.25 + 80 * place, 20.5 + 9 * place, 71.75 + 80 * place - 0.125 * (index % 7), height / 2 + 11 * place]
        for place in range(5)
    ]
    assert boxes[-1][2] < width
    noun = NOUNS[index % 8]
    return {
        "id": index,
        "image_name": f"bild-é-{index % IMAGES}.jpg",
        "ans": list(boxes[index % 5]),
        "category": noun,
        "referring": f"the {ADJECTIVES[index // 8 % 8]} {noun} that was numbered {index} times",
        "candidate_boxes": [{"bbox": box, "category": noun} for box in boxes],
    }


def put(key: str, value: Any) -> Callable[[Row, random.Random], None]:
    def plant(row: Row, rng: random.Random) -> None:
        row[key] = value(row, rng) if callable(value) else value

    return plant


def in_words(text: str) -> Callable[[Row, random.Random], None]:
    def plant(row: Row, rng: random.Random) -> None:
        words = row["referring"].split(" ")
        words.insert(rng.randrange(1, len(words)), text)
        row["referring"] = " ".join(words)

    return plant


def other_place(row: Row, rng: random.Random) -> int:
    """Return the place of a candidate that is not the answer."""
    return rng.choice([i for i, c in enumerate(row["candidate_boxes"]) if c["bbox"] != row["ans"]])


def candidate(change: Callable[[list[float]], list[float]]) -> Callable[[Row, random.Random], None]:
    def plant(row: Row, rng: random.Random) -> None:
        place = other_place(row, rng)
        row["candidate_boxes"][place]["bbox"] = change(list(row["candidate_boxes"][place]["bbox"]))

    return plant


def hint_copied(shift: float) -> Callable[[Row, random.Random], None]:
    def plant(row: Row, rng: random.Random) -> None:
        box = row["ans"] if shift else row["candidate_boxes"][other_place(row, rng)]["bbox"]
        row["candidate_boxes"].insert(rng.randrange(6), {"bbox": [n + shift for n in box], "category": row["category"]})

    return plant


def answer_moved(row: Row, _: random.Random) -> None:
    row["ans"] = [row["ans"][0] + 6, row["ans"][1] + 5, row["ans"][2] - 4, row["ans"][3] - 7]


def answer_alone(row: Row, _: random.Random) -> None:
    row["candidate_boxes"] = [{"bbox": list(row["ans"]), "category": row["category"]}]


def without(key: str) -> Callable[[Row, random.Random], None]:
    def plant(row: Row, _: random.Random) -> None:
        del row[key]

    return plant


def line(change: Callable[[bytes], bytes]) -> Callable[[Row, random.Random], bytes]:
    return lambda row, _: change(json.dumps(row, ensure_ascii=False).encode())


REXTHINKER = {
    "a line cut off": Defect(("bad-json",), line(lambda data: data[: len(data) // 2])),
    "a byte that is no UTF-8": Defect(("bad-utf8",), line(lambda data: data.replace(b"the ", b"th\xff ", 1))),
    "a line that is a list": Defect(("row-not-object",), line(lambda data: b"[" + data + b"]")),
    "NaN in a box": Defect(("not-finite",), candidate(lambda box: [float("nan"), *box[1:]])),
    "half a surrogate pair": Defect(("lone-surrogate",), line(lambda data: data.replace(b"the ", b"th\\ud800 ", 1))),
    "no expression": Defect(("missing-key",), without("referring")),
    "no image name": Defect(("missing-key",), without("image_name")),
    "a number for an expression": Defect(("wrong-type",), put("referring", 7)),
    "three numbers for a box": Defect(("box-shape",), candidate(lambda box: box[:3])),
    "an inverted hint": Defect(("box-inverted",), candidate(lambda box: [box[2], box[1], box[0], box[3]])),
    "a hint without area": Defect(("box-degenerate",), candidate(lambda box: [box[0], box[1], box[0], box[3]])),
    "a hint outside": Defect(("box-outside",), candidate(lambda box: [box[0], box[1], box[2], box[3] + 700])),
    "a hint of a thousandth of a pixel": Defect(
        ("box-collapsed",), candidate(lambda b: [b[0], b[1], b[0] + 0.001, b[3]])
    ),
    "an image that is missing": Defect(("image-missing",), put("image_name", "nicht-da.jpg")),
    "an image that is cut off": Defect(("image-broken",), put("image_name", "cut.jpg")),
    "an image that is text": Defect(("image-broken",), put("image_name", "text.jpg")),
    "a name that leaves the root": Defect(("image-name",), put("image_name", "../bild-é-0.jpg")),
    "a URL": Defect(("image-url",), put("image_name", "https://example.org/a.jpg")),
    "an image that EXIF turns": Defect(("exif-rotated",), put("image_name", "turned.jpg")),
    "a CMYK image": Defect(("image-cmyk",), put("image_name", "cmyk.jpg")),
    "an image with alpha": Defect(("image-alpha",), put("image_name", "alpha.png")),
    "a palette image": Defect(("image-palette",), put("image_name", "palette.png")),
    "a 16-bit image": Defect(("image-16-bit",), put("image_name", "deep.png")),
    "an animated image": Defect(("image-animated",), put("image_name", "moving.gif")),
    "an empty expression": Defect(("expression-empty",), put("referring", " ")),
    "a control character": Defect(("text-control",), in_words("re\x07d")),
    "mojibake": Defect(("text-mojibake",), put("referring", lambda row, _: f"the chair nr {row['id']} by the cafÃ©")),
    "double spaces": Defect(("text-spaces",), in_words("")),
    "a mark of the template": Defect(("text-mark",), in_words("<answer>")),
    "an image mark": Defect(("image-mark",), in_words("<image>")),
    "digits in brackets": Defect(("digits-in-brackets",), in_words("[23]")),
    "an answer that was not snapped": Defect(("answer-not-in-hint",), answer_moved),
    "a hint twice": Defect(("hint-duplicate",), hint_copied(0)),
    "two hints on the answer": Defect(("hint-ambiguous",), hint_copied(1.5)),
    "no hints": Defect(("no-candidates",), put("candidate_boxes", [])),
    "the answer as the only hint": Defect(("candidate-single",), answer_alone),
    "an answer twice": Defect(("answer-duplicate",), put("ans", lambda row, _: [row["ans"], list(row["ans"])])),
    "an answer of another category": Defect(
        ("category-differs",),
        lambda row, _: row["candidate_boxes"][row["id"] % 5].update(category="something else"),
    ),
}


@dataclass
class Planted:
    """The lines of a file and what must be found: (row, code) → how often."""

    lines: list[bytes]
    expected: Counter[tuple[int, str]]


def plant(rows: Iterable[Row], defects: dict[str, Defect], count: int, seed: int) -> Planted:
    """Return rows of which `count` have a defect, every kind equally often, at random places."""
    rng = random.Random(seed)
    rows = list(rows)
    kinds = [list(defects)[i % len(defects)] for i in range(count)]
    places = dict(zip(rng.sample(range(len(rows)), count), kinds, strict=True))
    lines, expected = [], Counter[tuple[int, str]]()
    for index, row in enumerate(rows):
        data = None
        if index in places:
            defect = defects[places[index]]
            data = defect.plant(row, rng)
            expected.update((index + 1, code) for code in defect.codes)
        lines.append(json.dumps(row, ensure_ascii=False).encode() if data is None else data)
    return Planted(lines, expected)


def found_in(
    directory: Path, lines: list[bytes], profile: str, **more: Any
) -> tuple[Counter[tuple[int, str]], list[str]]:
    """Return what validate finds at rows, (row, code) → how often, and the codes of what concerns the whole file."""
    path = directory / "rows.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    result = validate(
        ValidateConfig(
            SourceConfig((str(path),), image_root=str(directory / "images")),
            profile,
            max_findings=10**6,
            budget=BudgetConfig(train_batch_size=64),
            **more,
        )
    )
    of_rows, of_file = Counter[tuple[int, str]](), []
    for finding in result.findings:
        place = finding.source.removeprefix(str(path)).removeprefix(":").partition("#")[0]
        if place:
            of_rows[int(place), finding.code] += 1
        else:
            of_file.append(finding.code)
    return of_rows, of_file


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("planted")
    draw_images(made / "images")
    return made


@pytest.mark.parametrize("profile", ["easyr1", "rexthinker"])
def test_clean_rows_give_no_finding(directory: Path, profile: str) -> None:
    lines = [json.dumps(rexthinker_row(index), ensure_ascii=False).encode() for index in range(ROWS)]
    assert found_in(directory, lines, profile, min_pixels=3136, max_pixels=1_003_520) == (Counter(), [])


@pytest.mark.parametrize(("profile", "seed"), [("easyr1", 1), ("rexthinker", 2)])
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(directory: Path, profile: str, seed: int) -> None:
    planted = plant(map(rexthinker_row, range(ROWS)), REXTHINKER, PLANTED, seed)
    of_rows, of_file = found_in(directory, planted.lines, profile, min_pixels=3136, max_pixels=1_003_520)
    assert sorted((planted.expected - of_rows).items()) == []  # planted and not found
    assert sorted((of_rows - planted.expected).items()) == []  # found and not planted
    assert of_file == []
