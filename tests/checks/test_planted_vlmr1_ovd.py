"""Defects planted among clean OVD rows of VLM-R1: labelled boxes in pixels that the model sees, or `None`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundprep.dialects.answers_text import NONE, format_ovd_question, parse_ovd_question
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

SEEN_WH = (168, 140)
"""What Qwen's resize makes of the clean images: multiples of 28."""

LABELS = ("chien", "Hund 狗", "rue d'été", "red car")
FENCE = "```"


def fenced(objects: Any) -> str:
    return f"{FENCE}json\n{json.dumps(objects, ensure_ascii=False)}\n{FENCE}"


def thing(label: str | None, *box: float) -> Row:
    return {"bbox_2d": list(box)} | ({} if label is None else {"label": label})


def clean(number: int, rng: random.Random) -> Row:
    """Return a row of three labels: two boxes of the first, one of the second, none of the third; now and then `None`."""
    x, y = rng.randrange(3, 40), rng.randrange(3, 40)
    labels = labels_of(number)
    objects = [
        thing(labels[0], x, y, x + rng.randrange(20, 50), y + 30),
        thing(labels[1], x + 60, y, x + 100, y + 50),
        thing(labels[0], x, y + 40, x + 90, y + 80.5),
    ]
    return conversation(number, format_ovd_question(labels), NONE if number % 9 == 0 else fenced(objects))


def labels_of(number: int) -> list[str]:
    return [f"{LABELS[number % 4]} {number}", f"{LABELS[number % 4 - 1]} n° {number}", f"nirgends {number}"]


def label_of(row: Row) -> str:
    """Return the first label that a row asks for."""
    return labels_of(int(row["id"]))[0]


def with_objects(make: Callable[[str], Any]) -> Callable[[Row], None]:
    """Return the change to an answer that is made of the first label."""
    return lambda row: with_answer(fenced(make(label_of(row))))(row)


def with_label(change: Callable[[str], str]) -> Callable[[Row], None]:
    """Return the change of a label, in question and answer."""

    def apply(row: Row) -> None:
        label = change(label_of(row))
        with_question(lambda _: format_ovd_question([label]))(row)
        with_answer(fenced([thing(label, 10, 20, 50, 60)]))(row)

    return apply


def other_method(method: str, answer: str) -> Callable[[Row], None]:
    def apply(row: Row) -> None:
        with_row(accu_reward_method=method)(row)
        with_question(lambda _: "A ou B ?")(row)
        with_answer(answer)(row)

    return apply


def spelled_otherwise(rows: Rows, place: int) -> None:
    """Ask for a label beside two rows that spell it otherwise."""
    for near in (place - 1, place, place + 1):
        label = f"ziel {place}".upper() if near == place else f"ziel {place}"
        with_question(lambda text, label=label: format_ovd_question([*(parse_ovd_question(text) or ()), label]))(
            rows[near]
        )


def elsewhere(before: Row) -> str:
    """Return an answer to what a row asks that differs in the first label only."""
    label, answer = label_of(before), before["conversations"][1]["value"]
    others = [] if answer == NONE else json.loads(answer.strip(f"{FENCE}json"))
    return fenced([thing(label, 90, 90, 130, 130), *(item for item in others if item["label"] != label)])


DEFECTS = [
    *conversation_defects(fenced([thing("chien", 3, 2.5, 60, 19)]), elsewhere, "image-needed"),
    spoils(
        "answer-not-fenced", lambda r: with_answer(json.dumps([thing(label_of(r), 9, 9, 50, 60)]))(r), "answer method"
    ),
    spoils("answer-not-fenced", with_answer("none"), "answer method"),
    spoils("answer-not-fenced", with_answer("There is nothing."), "answer method"),
    spoils("answer-not-fenced", with_answer(""), "answer method"),
    spoils("answer-not-fenced", with_answer([10, "20"]), "answer method"),
    spoils("fences-several", lambda r: with_answer(elsewhere(r) + fenced([thing(label_of(r), 9, 9, 50, 60)]))(r)),
    spoils("bad-json", with_answer(f"{FENCE}json\n[{{]\n{FENCE}")),
    spoils("bad-answer", with_objects(lambda label: {"label": label})),
    spoils("bad-answer", with_objects(lambda label: [{"label": label}])),
    spoils("bad-answer", with_objects(lambda label: [thing(label, 10, 20, 50)])),
    spoils("label-not-asked", with_objects(lambda label: [thing(label.upper(), 10, 20, 50, 60)]), "answer words"),
    spoils("label-not-asked", with_objects(lambda label: [thing(f"{label} ", 10, 20, 50, 60)]), "answer words"),
    spoils("label-not-asked", with_objects(lambda label: [thing(f"no {label}", 10, 20, 50, 60)]), "answer words"),
    spoils("label-not-asked", with_objects(lambda label: [thing(None, 10, 20, 50, 60)]), "answer words"),
    spoils("label-boxes", with_objects(lambda s: [thing(s, n, n % 50, n + 40, n % 50 + 30) for n in range(101)])),
    spoils("reward-method", with_row(accu_reward_method="odlength"), "method"),
    spoils("answer-lines", other_method("mcq", "B\nparce que"), "method answer words"),
    spoils("box-inverted", with_objects(lambda label: [thing(label, 90, 20, 10, 60)]), "answer"),
    spoils("box-degenerate", with_objects(lambda label: [thing(label, 10, 20, 10, 60)]), "answer"),
    spoils("box-outside", with_objects(lambda label: [thing(label, 10, 20, 400, 60)])),
    spoils("number-range", with_objects(lambda label: [thing(label, 10, 20, 1e12, 60)])),
    spoils("box-collapsed", with_objects(lambda label: [thing(label, 10.1, 20, 10.3, 60)])),
    spoils("box-repeated", with_objects(lambda label: [thing(label, 10, 20, 50, 60)] * 2), "answer"),
    spoils("box-indistinct", with_objects(lambda label: [thing(label, 9, 9, 50, 60), thing(label, 9.1, 9, 50, 60)])),
    spoils("useless-answer-scores", with_objects(lambda label: [thing(label, 0, 0, *SEEN_WH)])),
    spoils("phrase-empty", with_label(lambda label: ""), "answer words"),
    spoils("text-control", with_label(lambda label: f"{label}\x07"), "answer words"),
    spoils("text-mojibake", with_label(lambda label: f"cafÃ© {label.split()[-1]}"), "answer words"),
    spoils("text-mark", with_label(lambda label: f"{label} <|im_end|>"), "answer words"),
    spoils("text-mark", with_label(lambda label: f"<answer> {label}"), "answer words"),
    spoils("text-spaces", with_label(lambda label: f"{label}  links"), "answer words"),
    spoils("question-junk", with_question(lambda text: f"Détecter : {text} Think in <think> </think>."), "words"),
    Defect("labels-differ", spelled_otherwise),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_defect_is_found_at_its_row_and_nothing_else(seed: int, images: Path, tmp_path: Path) -> None:
    rows, expected = planted(clean, DEFECTS, seed=seed, count=100)
    path = write_lines(tmp_path / "zeilen.jsonl", rows)
    actual = found(path, "vlmr1-ovd", image_root=str(images), source_frame="vlmr1-ovd")
    assert differences(expected, actual) == NO_DIFFERENCE
