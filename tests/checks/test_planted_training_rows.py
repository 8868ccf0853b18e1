"""Defects planted among clean training rows as they stand in the file: EasyR1's and Rex-Thinker's parquet, TRL's rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from groundprep.containers.parquet import METADATA_KEY
from groundprep.dialects.hints import IMAGE_MARK, format_answer, format_problem
from groundprep.trainers import get_profile
from tests.checks.planting import (
    HAZARDS,
    NO_DIFFERENCE,
    SIZE_WH,
    Defect,
    Found,
    Row,
    Rows,
    clean_image,
    copy_of,
    differences,
    found,
    make_images,
    planted,
    raw_defects,
    saved,
    spoils,
    write_lines,
)

LABELS = ("chien", "狗", "Straße", "red car")
OUTSIDE = 4000
"""More than any of the trainers makes of a side of the clean images."""


def clean(number: int, rng: random.Random) -> Row:
    """Return what a row says: five candidates that overlap little, the answer one of them, anywhere."""
    x, y = rng.randrange(3, 30), rng.randrange(3, 30)
    hints = [[x + 12 * n, y + 5 * n, x + 12 * n + 20 + rng.randrange(15), y + 5 * n + 30] for n in range(5)]
    return {
        "image": clean_image(number),
        "category": LABELS[number % 4],
        "hints": hints,
        "words": f"le {LABELS[number % 4]} à gauche [sic] {number}",
        "answers": [rng.choice(hints)],
    }


def problem_of(row: Row) -> Any:
    return row.get("problem", format_problem(row["category"], row["hints"], row["words"]))


def answer_of(row: Row) -> Any:
    objects = [{"bbox_2d": box, "label": row["words"]} for box in row["answers"]]
    return row.get("answer", format_answer(objects))


def with_row(**changes: Any) -> Callable[[Row], None]:
    return lambda row: row.update(changes)


def derived(**changes: Callable[[Row], Any]) -> Callable[[Row], None]:
    """Return the change of some keys into what is made of the row."""
    return lambda row: row.update({key: make(row) for key, make in changes.items()})


def others(row: Row) -> list[list[int]]:
    """Return the hints that are no answers."""
    return [box for box in row["hints"] if box not in row["answers"]]


def with_words(change: Callable[[str], str]) -> Callable[[Row], None]:
    return derived(words=lambda row: change(row["words"]))


def with_hints(change: Callable[[Row], list[Any]]) -> Callable[[Row], None]:
    return derived(hints=change)


def asked_again(image: Callable[[str], str]) -> Callable[[Rows, int], None]:
    """Return the defect of a row that asks what the row before it asks, of an image with the same bytes."""

    def plant(rows: Rows, place: int) -> None:
        before, row = rows[place - 1], rows[place]
        row.update(image=image(before["image"]), words=before["words"], hints=before["hints"])
        row["answers"] = [others(before)[0]]

    return plant


ANSWER, HINTS, WORDS, PICTURE = "answer", "hints", "words", "image"
DEFECTS = [
    *(spoils(code, with_row(image=code), PICTURE) for code in HAZARDS),
    spoils("image-broken", with_row(image="image-broken"), PICTURE),
    spoils("size-refused", with_row(image="long")),
    spoils(
        "answer-not-in-hint",
        derived(answers=lambda r: [[r["answers"][0][0] - 1, *r["answers"][0][1:]]]),
        "answer hints",
    ),
    spoils("answer-duplicate", derived(answers=lambda row: row["answers"] * 2), ANSWER),
    spoils("answer-not-scored", derived(answer=lambda row: answer_of(row).replace(", ", ",  ")), "answer words"),
    spoils("answer-not-scored", derived(answer=lambda row: answer_of(row).replace("[", "[ ")), "answer words"),
    spoils("hint-duplicate", with_hints(lambda row: [*row["hints"], row["hints"][0]]), HINTS),
    spoils(
        "hint-ambiguous",
        with_hints(lambda r: [*r["hints"], [*r["answers"][0][:3], r["answers"][0][3] + 1]]),
        "answer hints",
    ),
    spoils("no-candidates", with_hints(lambda row: []), "answer hints"),
    spoils("candidate-single", with_hints(lambda row: row["answers"]), "answer hints"),
    spoils("box-degenerate", with_hints(lambda row: [*row["hints"], [10, 20, 10, 60]]), HINTS),
    spoils("box-inverted", with_hints(lambda row: [*row["hints"], [90, 20, 10, 60]]), HINTS),
    spoils("box-outside", with_hints(lambda row: [*row["hints"], [10, 20, OUTSIDE, 60]]), "hints image"),
    spoils("number-range", with_hints(lambda row: [*row["hints"], [10, 20, 10**12, 60]])),
    spoils("bad-hint", with_hints(lambda row: [*row["hints"], [10, 20, 50]])),
    spoils("bad-hint", derived(problem=lambda row: problem_of(row).replace('": [[', '": [], "é": [['))),
    spoils("bad-json", derived(problem=lambda row: problem_of(row).replace("]]}", "]}"))),
    spoils("bad-json", derived(answer=lambda row: answer_of(row).replace("}]", "]"))),
    spoils("bad-answer", with_row(answers=[[10, 20, 50]])),
    spoils("bad-answer", derived(answer=lambda row: answer_of(row).replace("bbox_2d", "bbox"))),
    spoils("not-finite", derived(answer=lambda row: answer_of(row).replace("[", "[NaN, ", 2).replace("[NaN, {", "[{"))),
    spoils("answer-unread", with_row(answer="à gauche, à 3 m"), "answer hints words"),
    spoils("rejection-not-scored", with_row(answers=[[0, 0, 0, 0]]), "answer hints"),
    spoils("digits-in-brackets", with_words(lambda words: f"{words} [3, 4]"), WORDS),
    spoils("digits-in-brackets", derived(category=lambda row: f"{row['category']} [7]"), "category words"),
    spoils("expression-empty", with_row(words=" "), WORDS),
    spoils("text-control", with_words(lambda words: f"{words}\x07"), WORDS),
    spoils("text-mojibake", with_words(lambda words: f"cafÃ© {words.split()[-1]}"), WORDS),
    spoils("text-mark", with_words(lambda words: f"{words} <|vision_end|>"), WORDS),
    spoils("text-mark", with_words(lambda words: f"{words} </answer>"), WORDS),
    spoils("text-spaces", with_words(lambda words: f" {words}"), WORDS),
    Defect("same-expression-different-answers", asked_again(str)),
]
IN_PARQUET = [spoils("wrong-type", with_row(answer=None)), spoils("wrong-type", with_row(problem=None, prompt=None))]
NO_IMAGE = with_row(image=None)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_images(tmp_path_factory.mktemp("é"))
    (root / "palette").write_bytes(saved(Image.effect_noise(SIZE_WH, 50).convert("P")))
    return root


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
TEXT = {"problem": pa.string(), "answer": pa.string()}
COLUMNS = {
    "easyr1": {"images": pa.list_(STRUCT), **TEXT},
    "rexthinker": {"images": pa.binary(), **TEXT},
    "trl": {"prompt": MESSAGES, "images": pa.list_(STRUCT), "solution": pa.string()},
}


def embedded(row: Row, profile: str, root: Path) -> Row:
    """Return a row as one of a trainer's parquet; no image: a cell without bytes and path."""
    data = None if row["image"] is None else (root / row["image"]).read_bytes()
    if profile == "rexthinker":
        return {"images": data, "problem": problem_of(row), "answer": answer_of(row)}
    images = [{"bytes": data, "path": None}]
    if profile == "easyr1":
        return {"images": images, "problem": problem_of(row), "answer": answer_of(row)}
    return {"prompt": chat_of(row), "images": images, "solution": answer_of(row)}


def chat_of(row: Row) -> Any:
    """Return TRL's prompt: it puts the image in itself."""
    return row["prompt"] if "prompt" in row else [{"role": "user", "content": problem_of(row).removeprefix(IMAGE_MARK)}]


def write_parquet(path: Path, rows: Rows, profile: str, root: Path) -> Path:
    metadata = {METADATA_KEY: json.dumps(get_profile(profile).as_metadata())}
    schema = pa.schema(COLUMNS[profile].items(), metadata)
    pq.write_table(pa.Table.from_pylist([embedded(row, profile, root) for row in rows], schema), path)
    return path


def many(row: Row) -> None:
    """Give a row many candidates, all of them answers."""
    row["hints"] = row["answers"] = [
        [3 + 5 * (n % 20), 3 + 20 * (n // 20), 13 + 5 * (n % 20), 20 + 20 * (n // 20)] for n in range(60)
    ]


LONG = spoils("answer-too-long", many, once=True)


def of_profile(profile: str) -> tuple[list[Defect], list[Found]]:
    """Return the defects that a trainer alone has, and what is found of the file because it is small."""
    marks = [
        spoils("image-mark", with_words(lambda words: f"{words} <image>"), WORDS),
        spoils(
            "image-mark", derived(problem=lambda row: problem_of(row).removeprefix(IMAGE_MARK)), "answer hints words"
        ),
    ]
    if profile == "easyr1":
        return [
            *marks,
            spoils("image-needed", NO_IMAGE),
            spoils("image-palette", with_row(image="palette"), PICTURE),
            spoils("prompt-too-long", with_row(image="large"), PICTURE),
        ], [("rows-few", 0)]
    if profile == "rexthinker":
        return [*marks, spoils("wrong-type", NO_IMAGE)], []
    return [
        spoils("image-needed", NO_IMAGE),
        spoils(
            "image-mark-as-words",
            derived(prompt=lambda r: [{"role": "user", "content": problem_of(r)}]),
            "answer hints words",
        ),
        LONG,
        spoils("prompt-shape", derived(prompt=lambda row: [*chat_of(row), *chat_of(row)])),
        spoils("prompt-shape", derived(prompt=lambda row: [chat_of(row)[0] | {"role": "system"}])),
    ], []


@pytest.mark.parametrize("profile", ["easyr1", "rexthinker", "trl"])
@pytest.mark.parametrize("seed", range(2))
def test_every_defect_of_a_parquet_is_found_at_its_row_and_nothing_else(
    profile: str, seed: int, images: Path, tmp_path: Path
) -> None:
    own, of_file = of_profile(profile)
    rows, expected = planted(clean, [*DEFECTS, *IN_PARQUET, *own], seed=seed, count=80)
    path = write_parquet(tmp_path / "zeilen.parquet", rows, profile, images)
    assert differences([*expected, *of_file], found(path, profile)) == NO_DIFFERENCE


def in_parts(*kinds: str, **more: Any) -> Callable[[Row], None]:
    """Return the change of a prompt into parts of these kinds; `more` are further keys of every text."""

    def prompt(row: Row) -> list[Row]:
        text = problem_of(row).removeprefix(IMAGE_MARK)
        parts = [{"type": kind} | ({"text": text} | more if kind == "text" else {}) for kind in kinds]
        return [{"role": "user", "content": parts}]

    return derived(prompt=prompt)


def two_users(row: Row) -> None:
    in_parts("image", "text")(row)
    row["prompt"] *= 2


IN_LINES = [
    *raw_defects(),
    spoils("image-missing", with_row(image="nirgends.png"), PICTURE),
    spoils("image-name", with_row(image="../é.png")),
    spoils("image-url", with_row(image="https://example.org/é.png")),
    spoils("prompt-shape", two_users),
    spoils("image-mark", in_parts("text"), "answer hints words"),
    spoils("image-mark", in_parts("image", "image", "text"), "answer hints words"),
    spoils("message-parts-null", in_parts("image", "text", image=None), "answer hints words"),
    spoils("wrong-type", with_row(images=None)),
    spoils("wrong-type", with_row(answer=["[10, 20, 50, 60]"])),
    spoils("missing-key", with_row(answer=...)),
    spoils("column-types", with_row(id="sieben"), "id", once=True),
    Defect("same-image-different-answers", asked_again(copy_of)),
]


def named(row: Row, number: int) -> Row:
    """Return a row as one of TRL's JSON Lines; contents are lists of parts, as in its own documentation."""
    if "prompt" not in row:
        in_parts("image", "text")(row)
    value = {"prompt": row["prompt"], "images": row.get("images", [row["image"]]), "id": row.get("id", number)}
    return value | ({} if row.get("answer") is ... else {"solution": answer_of(row)})


@pytest.mark.parametrize("seed", range(2))
def test_every_defect_of_trls_json_lines_is_found_at_its_row_and_nothing_else(
    seed: int, images: Path, tmp_path: Path
) -> None:
    rows, expected = planted(clean, [*DEFECTS, *IN_LINES, LONG], seed=seed, count=90)
    lines: Rows = [row if isinstance(row, bytes) else named(row, number) for number, row in enumerate(rows)]
    path = write_lines(tmp_path / "zeilen.jsonl", lines)
    actual = found(path, "trl", image_root=str(images), source_frame="trl")
    assert differences(expected, actual) == NO_DIFFERENCE
