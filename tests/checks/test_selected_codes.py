"""A code that several checks may yield is found by all of them when it alone is selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundprep.dialects.answers_text import SEG_END, SEG_START
from tests.checks.planting import Row, found, make_images, write_lines
from tests.checks.planting_conversations import conversation


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("é"))


def asked(question: str, answer: Any, image: str = "bilder/é1.png") -> Row:
    row = conversation(1, question, answer) | {"image": image}
    return {key: row[key] for key in ("id", "image", "conversations")}


def omni(*box: float) -> Row:
    return {"image_name": "bilder/é1.png", "annotation": {"boxes": [{"bbox": list(box), "phrase": "狗"}]}}


def distilled(instruction: str = "Où ?", **labels: Any) -> Row:
    boxes = {"0": [[10, 20, 50, 60]], "1": [], "2": [], "3": []} | labels
    return {"image_path": "bilder/é1.png", "instruction": instruction, "abs_box": boxes}


def messages(*kinds: str) -> Row:
    parts = [{"type": kind} | ({"text": "Où ?"} if kind == "text" else {}) for kind in kinds]
    said = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "Là."}]}]
    return {"messages": said, "images": ["bilder/é1.png"]}


SHAPE = '{"centre": [80, 70], "coeffs": [24.5], "size": [480, 640]}'
DETECTED = '[{"bbox_2d": [10.5, 20, 50, 60], "label": "狗"}]'
CASES: dict[str, tuple[Row, str, str]] = {
    "a box of no bin": (omni(10, 20, 10.05, 60), "rexomni-sft", "box-collapsed"),
    "a shape of another image": (asked(SEG_START + "狗" + SEG_END, SHAPE), "vlmr1-seg", "mask-size"),
    "a side that is enlarged": (asked("Où ?", [10, 20, 50, 60], "short"), "vlmr1-internvl", "image-side-short"),
    "a name for a label": (distilled(chien=[]), "easydistill", "label-needed"),
    "a mark in an instruction": (distilled("<image>Où ?"), "easydistill", "image-mark-as-words"),
    "no mark": (asked("", DETECTED) | {"image": ["bilder/é1.png", "bilder/é2.png"]}, "qwen3-vl", "image-mark"),
    "fractions": (asked("Où ?", DETECTED), "qwen3-vl", "box-not-integer"),
    "no part for an image": (messages("text"), "trl-sft", "image-mark"),
}


@pytest.mark.parametrize(("row", "profile", "code"), CASES.values(), ids=CASES)
def test_a_shared_code_is_found_when_it_alone_is_selected(
    row: Row, profile: str, code: str, images: Path, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "zeilen.jsonl", [row])
    source = {"image_root": str(images), "source_frame": profile}
    assert found(path, profile, select=(code,), **source) == [(code, 1)]
    assert (code, 1) in found(path, profile, **source)
