from __future__ import annotations

import json
from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.qwen_rows import is_qwen_trainer, qwen_findings
from groundprep.finding import Finding
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import PROFILES, get_profile

TOKENS = "<|object_ref_start|>der Hund 狗<|object_ref_end|><|box_start|>(123,81),(656,574)<|box_end|>"


def check(*texts: str, profile: str = "qwen2.5-vl", images: int = 1) -> list[Finding]:
    """Check a conversation in which human and gpt take turns."""
    turns = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(texts)]
    refs = tuple(ImageRef(None, BytesImage(b"")) for _ in range(images))
    record = Record(Source("é.jsonl", 2), images=refs)
    return list(qwen_findings(Subject(record, profile=get_profile(profile), row={"conversations": turns})))


def codes(*args: Any, **more: Any) -> list[str]:
    return [finding.code for finding in check(*args, **more)]


def answer(*numbers: float, key: str = "bbox_2d") -> str:
    return json.dumps([{key: list(numbers), "label": "der Hund 狗"}], ensure_ascii=False)


def test_it_concerns_the_three_generations() -> None:
    names = {profile.name for profile in PROFILES.values() if is_qwen_trainer(profile)}
    assert names == {"qwen2-vl", "qwen2.5-vl", "qwen3-vl"}


@pytest.mark.parametrize("profile", ["qwen2.5-vl", "qwen3-vl"])
def test_json_is_the_style_of_the_later_models_fenced_or_not(profile: str) -> None:
    for text in (answer(123, 81, 656, 574), f"```json\n{answer(123, 81, 656, 574)}\n```", "[]", "Nichts."):
        assert codes("<image>\nWo?", text, profile=profile) == []
    assert codes("<image>\nWo?", TOKENS, profile=profile) == ["answer-style"]


def test_tokens_are_the_style_of_the_first() -> None:
    assert codes("<image>\nWo?", TOKENS, profile="qwen2-vl") == []
    assert codes("<image>\nWo?", answer(123, 81, 656, 574), profile="qwen2-vl") == ["answer-style"]
    assert codes("<image>\nWo?", answer(123, 81, key="point_2d"), profile="qwen2-vl") == ["answer-style"]
    assert codes("<image>\nWo?", "Nichts.", profile="qwen2-vl") == []


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [1, 2, 30, 40], "label": "le "grand" chien"}',
        '[{"bbox_2d": [1, 2, 30, 40]',
        '{"point_2d": [1, 2, 30], "label": "x"}',
        "<|box_start|>(123,81)<|box_end|>",
        'Da: [{"bbox_2d": [1, 2, 30, 40], "label": "x"}]',
    ],
)
def test_what_spells_boxes_and_cannot_be_read_is_an_error(text: str) -> None:
    (finding,) = check("<image>\nWo?", text, profile="qwen3-vl")
    assert (finding.code, finding.severity, finding.source) == ("answer-unparsed", "error", "é.jsonl:2")


def test_every_answer_of_a_conversation_is_read_and_no_question() -> None:
    assert codes("<image>\nWo?", TOKENS, "Als bbox_2d?", answer(1.5, 2, 30, 40)) == ["answer-style", "box-not-integer"]


@pytest.mark.parametrize("numbers", [(123.5, 81, 656, 574), (123.0, 81, 656, 574)])
def test_a_number_with_a_point_is_learned_as_it_is_spelled(numbers: tuple[float, ...]) -> None:
    assert codes("<image>\nWo?", answer(*numbers)) == ["box-not-integer"]


@pytest.mark.parametrize(
    ("question", "images", "found"),
    [
        ("Wo?", 0, []),
        ("<image>\nWo?", 1, []),
        ("<image>Hier und <image>da?", 2, []),
        ("Wo?", 1, ["image-mark"]),
        ("<image>\nWo?", 0, ["image-mark"]),
        ("<image>\nWo?", 2, ["image-mark"]),
    ],
)
def test_there_is_one_mark_for_each_image(question: str, images: int, found: list[str]) -> None:
    assert codes(question, "Da.", images=images) == found
