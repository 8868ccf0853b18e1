"""Defects planted among clean rows of VLM-R1's Chebyshev fork: one shape in pixels that the model sees."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundprep.dialects.answers_text import SEG_END, SEG_START
from tests.checks.planting import (
    NO_DIFFERENCE,
    Defect,
    Row,
    Rows,
    differences,
    found,
    make_images,
    planted,
    spoils,
    write_lines,
)
from tests.checks.planting_conversations import (
    conversation,
    conversation_defects,
    with_answer,
    with_question,
    with_row,
)

SEEN_HW = [140, 168]
"""What Qwen's resize makes of the clean images: multiples of 28."""

LABELS = ("vélo", "狗", "Straße", "red car")


def answer_of(shape: Any) -> str:
    return f"<answer>{json.dumps(shape)}</answer>"


def shaped(**changes: Any) -> Row:
    """Return a shape; `...` leaves a key out."""
    shape = {"centre": [80.0, 70.0], "coeffs": [24.5, 2.25, -1.5, 0.0], "size": SEEN_HW} | changes
    return {key: value for key, value in shape.items() if value is not ...}


def clean(number: int, rng: random.Random) -> Row:
    """Return a row: a blob somewhere in the image."""
    shape = shaped(
        centre=[50.0 + rng.randrange(60), 50.0 + rng.randrange(40)], coeffs=[20.0 + rng.randrange(9), 2.5, -1.0]
    )
    question = f"{SEG_START}{LABELS[number % 4]} {number}{SEG_END}"
    return conversation(number, question, answer_of(shape)) | {"mask_iou": 0.9}


def with_shape(**changes: Any) -> Callable[[Row], None]:
    return with_answer(answer_of(shaped(**changes)))


def with_words(change: Callable[[str], str]) -> Callable[[Row], None]:
    return with_question(lambda text: SEG_START + change(text.removeprefix(SEG_START).removesuffix(SEG_END)) + SEG_END)


def spelled_otherwise(rows: Rows, place: int) -> None:
    for near in (place - 1, place, place + 1):
        label = f"ziel {place}".upper() if near == place else f"ziel {place}"
        with_words(lambda _, label=label: label)(rows[near])


DEFECTS = [
    *conversation_defects(answer_of(shaped()), answer_of(shaped(coeffs=[40.0])), "image-needed"),
    spoils(
        "shape-not-chebyshev", with_answer(answer_of({"polygon": [8, 10, 48, 10, 48, 30], "size": SEEN_HW})), "answer"
    ),
    spoils("shape-not-chebyshev", with_answer(answer_of({"polygons": [[8, 10, 48, 10, 48, 30]]})), "answer"),
    spoils("shape-not-chebyshev", with_answer(answer_of([10, 20, 50, 60])), "answer words"),
    spoils("shape-not-chebyshev", with_answer([10, 20, 50, 60]), "answer words"),
    spoils("shape-not-chebyshev", with_answer("it is round"), "answer words"),
    spoils("shape-not-chebyshev", with_answer(f"```json\n{json.dumps(shaped())}\n```"), "answer words"),
    spoils("shape-not-chebyshev", with_shape(coeffs=...), "answer words"),
    spoils("bad-answer", with_shape(centre=[80.0])),
    spoils("bad-answer", with_shape(coeffs=[])),
    spoils("bad-answer", with_shape(coeffs=["24.5"])),
    spoils("number-range", with_shape(centre=[1e12, 70.0])),
    spoils("number-range", with_shape(coeffs=[1e12])),
    spoils("shape-size-missing", with_shape(size=...), "answer"),
    spoils("shape-size-missing", with_shape(size=[140]), "answer"),
    spoils("mask-size", with_shape(size=SEEN_HW[::-1]), "answer image"),
    spoils("mask-size", with_shape(size=[480, 640]), "answer image"),
    spoils("mask-border-centre", with_shape(centre=[0.0, 70.0]), "answer"),
    spoils("mask-border-centre", with_shape(centre=[80.0, 139.0]), "answer"),
    spoils("polygon-degenerate", with_shape(coeffs=[0.0] * 8), "answer"),
    spoils("mask-iou-low", with_row(mask_iou=0.71), "answer"),
    spoils("useless-answer-scores", with_shape(coeffs=[300.0])),
    spoils("expression-empty", with_words(lambda words: " "), "words"),
    spoils("text-control", with_words(lambda words: f"{words}\u2028"), "words"),
    spoils("text-mojibake", with_words(lambda words: f"cafÃ© {words.split()[-1]}"), "words"),
    spoils("text-mark", with_words(lambda words: f"{words}<|endoftext|>"), "words"),
    spoils("text-spaces", with_words(lambda words: f" {words}"), "words"),
    spoils(
        "question-junk", with_question(lambda text: f"Segment {text.split()[-1]} Answer in <answer></answer>."), "words"
    ),
    Defect("labels-differ", spelled_otherwise),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(seed: int, images: Path, tmp_path: Path) -> None:
    rows, expected = planted(clean, DEFECTS, seed=seed, count=90)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    actual = found(path, "vlmr1-seg", image_root=str(images), source_frame="vlmr1-seg")
    assert differences(expected, actual) == NO_DIFFERENCE
