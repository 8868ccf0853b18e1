"""Defects planted among clean rows of EasyDistill: boxes under the labels 0 to 3, and one box for an instruction."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundprep.dialects.easydistill import SINGLE_END, SINGLE_START
from tests.checks.planting import (
    HAZARDS,
    LONG_WH,
    NO_DIFFERENCE,
    SHORT_WH,
    SIZE_WH,
    Defect,
    Row,
    Rows,
    clean_image,
    copy_of,
    differences,
    found,
    make_images,
    planted,
    raw_defects,
    spoils,
    write_lines,
)

SEEN_WH = (168, 140)
"""What Qwen's resize makes of the clean images: multiples of 28."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


def new_row(root: Path, number: int, instruction: str, size_wh: tuple[int, int] = SIZE_WH) -> Row:
    width, height = size_wh
    return {
        "id": number,
        "image_path": str(root / clean_image(number)),
        "instruction": instruction,
        "height": height,
        "width": width,
    }


def with_row(**changes: Any) -> Callable[[Row], None]:
    """Return the change of some keys; `...` leaves one out."""

    def change(row: Row) -> None:
        row.update(changes)
        for key in [key for key, value in row.items() if value is ...]:
            del row[key]

    return change


def with_image(path: Path | str, size_wh: tuple[int, int] = SIZE_WH, **boxes: Any) -> Callable[[Row], None]:
    return with_row(image_path=str(path), height=size_wh[1], width=size_wh[0], **boxes)


def same_id(rows: Rows, place: int) -> None:
    rows[place]["id"] = rows[place - 1]["id"]


def shared_defects(root: Path, small: Row) -> list[Defect]:
    """Return the defects of file and image; `small` are boxes that fit into the images with a short side."""
    return [
        *raw_defects(),
        *(spoils(code, with_image(root / code), "image") for code in HAZARDS),
        spoils("image-broken", with_image(root / "image-broken"), "image"),
        spoils("image-missing", with_image(root / "nirgends.png"), "image"),
        spoils("image-name", with_image("/é.png")),
        spoils("image-url", with_image("https://example.org/é.png")),
        spoils("image-path-relative", with_image(clean_image(1)), "image"),
        spoils("size-refused", with_image(root / "short", SHORT_WH, **small)),
        spoils("size-refused", with_image(root / "long", LONG_WH, **small)),
        spoils("size-differs", with_row(width=SIZE_WH[1], height=SIZE_WH[0]), "image"),
        spoils("missing-key", with_row(image_path=...)),
        spoils("missing-key", with_row(instruction=...)),
        spoils("wrong-type", with_row(instruction=["Où ?"])),
        spoils("wrong-type", with_row(height="137")),
        spoils("image-mark-as-words", lambda row: row.update(instruction=f"<image>{row['instruction']}"), "words"),
        Defect("repeated-id", same_id, once=True, of_file=True),
    ]


def clean_multi(root: Path, number: int, rng: random.Random) -> Row:
    x, y = rng.randrange(3, 40), rng.randrange(3, 40)
    labels: dict[str, list[Any]] = {
        "0": [[x, y, x + rng.randrange(20, 50), y + 30], [x, y + 40, x + 90, y + 80]],
        "1": [],
        "2": [[x + 60, y, x + 100, y + 50]],
        "3": [[x + 60.0, y + 10, x + 100, y + 50]] if number % 4 == 0 else [],
    }
    return new_row(root, number, f"Où sont les chiens {number} ?") | {"abs_box": labels}


def with_label(**labels: Any) -> Callable[[Row], None]:
    """Return the change of labels, named `_0` to `_3`; `...` leaves one out."""

    def change(row: Row) -> None:
        with_row(abs_box=row["abs_box"] | {name.removeprefix("_"): boxes for name, boxes in labels.items()})(row)
        with_row()(row["abs_box"])

    return change


def asked_again(image: Callable[[str], str], **boxes: Any) -> Callable[[Rows, int], None]:
    """Return the defect of a row that asks what the row before it asks, of an image with the same bytes."""

    def plant(rows: Rows, place: int) -> None:
        before = rows[place - 1]
        rows[place].update(image_path=image(before["image_path"]), instruction=before["instruction"])
        if "abs_box" in boxes:
            rows[place].update(boxes)
        else:
            rows[place]["abs_box"] = before["abs_box"] | {"0": [[90, 90, 130, 130]]}

    return plant


TINY = {"0": [[3, 2, 60, 19]], "1": [], "2": [], "3": []}
MULTI = [
    spoils("missing-key", with_row(abs_box=...)),
    spoils("abs-box-missing", with_row(abs_box=..., bbox=[10, 20, 50, 60])),
    spoils("abs-box-kind", with_row(abs_box=[10, 20, 50, 60]), "boxes"),
    spoils("wrong-type", with_row(abs_box="10, 20, 50, 60")),
    spoils("wrong-type", with_label(_1=None)),
    spoils("box-shape", with_label(_1=[[10, 20, 50]])),
    spoils("number-range", with_label(_1=[[10, 20, 10**12, 60]])),
    spoils("label-needed", with_label(chien=[[10, 20, 50, 60]]), "boxes"),
    spoils("label-needed", with_label(_4=[]), "boxes"),
    spoils("label-needed", with_label(_00=[]), "boxes"),
    spoils("label-missing", with_label(_0=...), "boxes"),
    spoils("label-missing", with_label(_1=..., _3=...), "boxes"),
    spoils("useless-answer-scores", with_label(_0=[])),
    spoils("useless-answer-scores", with_label(_0=[[0, 0, *SEEN_WH]])),
    spoils("box-not-integer", with_label(_2=[[10.5, 20, 50, 60]]), "boxes"),
    spoils("box-degenerate", with_label(_2=[[10, 20, 10, 60]]), "boxes"),
    spoils("box-inverted", with_label(_2=[[90, 20, 10, 60]]), "boxes"),
    spoils("box-outside", with_label(_2=[[10, 20, 400, 60]])),
    spoils("box-repeated", with_label(_2=[[10, 20, 50, 60]] * 2), "boxes"),
    spoils("answer-too-long", with_label(_1=[[n, n + 1, n + 40, n + 30] for n in range(30)])),
    Defect("same-expression-different-answers", asked_again(str)),
    Defect("same-image-different-answers", asked_again(copy_of)),
]


@pytest.mark.parametrize("seed", range(3))
def test_every_defect_of_labelled_boxes_is_found_at_its_row_and_nothing_else(
    seed: int, images: Path, tmp_path: Path
) -> None:
    defects = [*shared_defects(images, {"abs_box": TINY}), *MULTI]
    rows, expected = planted(lambda number, rng: clean_multi(images, number, rng), defects, seed=seed, count=80)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    actual = found(path, "easydistill", image_root=str(images), source_frame="easydistill")
    assert differences(expected, actual) == NO_DIFFERENCE


def clean_single(root: Path, number: int, rng: random.Random) -> Row:
    """Return a row; the documented key may be missing, and the wording is free."""
    x, y = rng.randrange(3, 60), rng.randrange(3, 50)
    box = [x, y, x + rng.randrange(20, 70), y + 40]
    words = f"Wo ist 狗 {number}?" if number % 5 == 0 else f"{SINGLE_START}le chien {number}{SINGLE_END}"
    return new_row(root, number, words) | ({} if number % 4 == 0 else {"bbox": box}) | {"abs_box": box}


def both(box: Any) -> Row:
    return {"bbox": box, "abs_box": box}


def with_words(change: Callable[[str], str]) -> Callable[[Row], None]:
    return lambda row: row.update(instruction=SINGLE_START + change(f"la rue {row['id']}") + SINGLE_END)


SINGLE = [
    spoils("missing-key", with_row(abs_box=..., bbox=...)),
    spoils("abs-box-missing", with_row(abs_box=..., bbox=[10, 20, 50, 60]), "boxes"),
    spoils("abs-box-differs", with_row(bbox=[10, 20, 50, 60]), "boxes"),
    spoils("abs-box-kind", with_row(bbox=..., abs_box=TINY), "boxes words"),
    spoils("wrong-type", with_row(**both("10, 20, 50, 60"))),
    spoils("box-shape", with_row(**both([10, 20, 50]))),
    spoils("box-shape", with_row(**both([]))),
    spoils("number-range", with_row(**both([10, 20, 10**12, 60]))),
    spoils("box-not-integer", with_row(**both([10.5, 20, 50, 60])), "boxes"),
    spoils("box-degenerate", with_row(**both([10, 20, 10, 60])), "boxes"),
    spoils("box-inverted", with_row(**both([90, 20, 10, 60])), "boxes"),
    spoils("box-outside", with_row(**both([10, 20, 400, 60]))),
    spoils("useless-answer-scores", with_row(**both([0, 0, *SEEN_WH]))),
    spoils("expression-empty", with_words(lambda words: ""), "words"),
    spoils("text-control", with_words(lambda words: f"{words}\x00"), "words"),
    spoils("text-mojibake", with_words(lambda words: f"cafÃ© {words.split()[-1]}"), "words"),
    spoils("text-mark", with_words(lambda words: f"{words} </s>"), "words"),
    spoils("text-spaces", with_words(lambda words: f"{words}  rouge"), "words"),
    Defect("same-expression-different-answers", asked_again(str, **both([90, 90, 130, 130]))),
    Defect("same-image-different-answers", asked_again(copy_of, **both([90, 90, 130, 130]))),
]


@pytest.mark.parametrize("seed", range(3))
def test_every_defect_of_one_box_is_found_at_its_row_and_nothing_else(seed: int, images: Path, tmp_path: Path) -> None:
    defects = [*shared_defects(images, both([3, 2, 60, 19])), *SINGLE]
    rows, expected = planted(lambda number, rng: clean_single(images, number, rng), defects, seed=seed, count=80)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    actual = found(path, "easydistill-single", image_root=str(images), source_frame="easydistill-single")
    assert differences(expected, actual) == NO_DIFFERENCE
