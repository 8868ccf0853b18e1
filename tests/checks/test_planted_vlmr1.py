"""Defects planted among clean REC rows of VLM-R1: one expression, one box in pixels of the stored image."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundprep.dialects.answers_text import REC_END, REC_START
from tests.checks.planting import (
    NO_DIFFERENCE,
    SIZE_WH,
    Row,
    differences,
    found,
    make_images,
    planted,
    spoils,
    write_lines,
)
from tests.checks.planting_conversations import conversation, conversation_defects, with_answer, with_question

LABELS = ("le chien à gauche", "狗", "die Straße", "the red car [sic]")


def clean(number: int, rng: random.Random) -> Row:
    """Return a row; a list and its text are the same to the loader."""
    x, y = rng.randrange(3, 60) + 0.25, rng.randrange(3, 50)
    box: Any = [x, y, x + rng.randrange(20, 70), y + 40]
    return conversation(
        number, f"{REC_START}{LABELS[number % 4]} {number}{REC_END}", str(box) if number % 3 == 0 else box
    )


def with_words(change: Callable[[str], str]) -> Callable[[Row], None]:
    return with_question(lambda text: REC_START + change(text.removeprefix(REC_START).removesuffix(REC_END)) + REC_END)


DEFECTS = [
    *conversation_defects([3, 2.5, 60, 19], [90, 90, 130, 130]),
    spoils("answer-not-box", with_answer('{"bbox_2d": [10, 20, 50, 60]}'), "answer words"),
    spoils("answer-not-box", with_answer([[10, 20, 50, 60]]), "answer words"),
    spoils("answer-not-box", with_answer("[[10, 20, 50, 60], [1, 2, 30, 40]]"), "answer words"),
    spoils("answer-not-box", with_answer([10, 20, 50]), "answer words"),
    spoils("answer-not-box", with_answer([10, 20, 50, "60"]), "answer words"),
    spoils("answer-not-box", with_answer([]), "answer words"),
    spoils("answer-not-box", with_answer("on the left"), "answer words"),
    spoils("answer-not-box", with_answer(None), "answer words"),
    spoils("bad-answer", with_answer("```json\n[10, 20, 50, 60]\n```")),
    spoils("box-one-pixel", with_answer([10.2, 20, 11.2, 60]), "answer"),
    spoils("box-one-pixel", with_answer([0.1, 0.2, 0.5, 0.6]), "answer"),
    spoils("box-inverted", with_answer([90, 20, 10, 60]), "answer"),
    spoils("box-degenerate", with_answer("[10, 20, 10, 60]"), "answer"),
    spoils("box-outside", with_answer([10, 20, 400, 60])),
    spoils("number-range", with_answer([10, 20, 1e12, 60])),
    spoils("reward-ceiling-low", with_answer([11.2, 11.2, 13.1, 13.1])),
    spoils("useless-answer-scores", with_answer([0, 0, *SIZE_WH])),
    spoils("expression-empty", with_words(lambda words: " "), "words"),
    spoils("text-control", with_words(lambda words: f"{words}\u202e links"), "words"),
    spoils("text-mojibake", with_words(lambda words: f"cafÃ© {words.split()[-1]}"), "words"),
    spoils("text-mark", with_words(lambda words: f"{words} <|im_end|>"), "words"),
    spoils("text-mark", with_words(lambda words: f"{words}. Output the answer in <answer> </answer> tags"), "words"),
    spoils("text-spaces", with_words(lambda words: f"{words} "), "words"),
    spoils(
        "question-junk", with_question(lambda text: f"Où est {text.split()[-1]} ? Think in <think> </think>."), "words"
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(seed: int, images: Path, tmp_path: Path) -> None:
    rows, expected = planted(clean, DEFECTS, seed=seed, count=90)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    actual = found(path, "vlmr1", image_root=str(images), source_frame="vlmr1")
    assert differences(expected, actual) == NO_DIFFERENCE
