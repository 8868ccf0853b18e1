"""TRL's messages as TRL itself and Qwen's chat template read them (specs/targets.md §3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.messages import message_findings, reads_messages
from groundprep.profile import RowFrame
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile

PLAIN = [{"role": "user", "content": "Où est le chien ?"}]


def codes(value: dict[str, Any], dialect: str = "trl", part: int | None = None) -> list[tuple[str, str]]:
    profile = get_profile(dialect)
    record = Record(Source("é.parquet", 1)).with_origin(dialect, value, RowFrame.of_profile(profile))
    record = replace(record, source=replace(record.source, part=part))
    return [(f.code, str(f.severity)) for f in message_findings(Subject(record, profile=profile, row=value))]


def parts(*content: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": [{"role": "user", "content": list(content)}], "solution": "[]", "images": ["a.jpg"]}


def test_text_and_parts_without_null_images_are_fine() -> None:
    assert codes({"prompt": PLAIN, "solution": "[]", "images": ["a.jpg"]}) == []
    assert codes(parts({"type": "image"}, {"type": "text", "text": "Où ?"})) == []
    assert codes(parts({"type": "image", "text": None}, {"type": "text", "text": "Où ?"})) == []


@pytest.mark.parametrize("key", ["image", "image_url"])
def test_a_null_image_counts_as_one_or_hides_one(key: str) -> None:
    filled = parts({"type": "image", key: None, "text": None}, {"type": "text", key: None, "text": "Où ?"})
    assert codes(filled) == [("message-parts-null", "error")]
    assert codes(filled, part=1) == [("message-parts-null", "error")]
    assert codes(filled, part=2) == []  # the same row again


def test_trl_itself_refuses_a_null_image() -> None:
    data_utils = pytest.importorskip("trl.data_utils", reason="the extra train is not installed")
    prompt = parts({"type": "image", "image": None}, {"type": "text", "text": "Où ?"})["prompt"]
    with pytest.raises(ValueError, match="does not match number of image placeholders"):
        data_utils.prepare_multimodal_messages(prompt, images=["image"])


def test_a_mark_in_a_string_is_read_as_words() -> None:
    said = [{"role": "user", "content": "<image>Où est le chien ?"}]
    assert codes({"prompt": said, "solution": "[]", "images": ["a.jpg"]}) == [("image-mark-as-words", "warning")]
    chat = {"messages": [*PLAIN, {"role": "assistant", "content": "le voilà <image>"}], "images": ["a.jpg"]}
    assert codes(chat, "trl-sft") == [("image-mark-as-words", "warning")]


def test_parts_must_hold_as_many_images_as_there_are_where_no_message_is_one_string() -> None:
    def chat(*content: dict[str, Any], system: Any = ()) -> dict[str, Any]:
        said = [*system, {"role": "user", "content": list(content)}, {"role": "assistant", "content": "là"}]
        return {"messages": said, "images": ["a.jpg"]}

    image, text = {"type": "image"}, {"type": "text", "text": "Où ?"}
    assert codes(chat(image, text), "trl-sft") == []
    assert codes(chat({"type": "image", "image": "a.jpg"}, image, text), "trl-sft") == []
    assert codes(chat(text), "trl-sft") == [("image-mark", "error")]
    assert codes(chat(image, image, text), "trl-sft") == [("image-mark", "error")]
    assert codes(chat(text, system=PLAIN), "trl-sft") == []  # TRL fills in at the message that is one string


def test_trl_itself_refuses_parts_without_their_image() -> None:
    data_utils = pytest.importorskip("trl.data_utils", reason="the extra train is not installed")
    prompt = parts({"type": "text", "text": "Où ?"})["prompt"]
    with pytest.raises(ValueError, match="does not match number of image placeholders"):
        data_utils.prepare_multimodal_messages(prompt, images=["image"])


def test_rows_of_another_layout_have_no_messages() -> None:
    value = {"problem": "<image>Où ?", "answer": "", "images": []}
    record = Record(Source("é.parquet", 1)).with_origin("easyr1", value, RowFrame.of_profile(get_profile("easyr1")))
    assert list(message_findings(Subject(record, profile=get_profile("trl"), row=value))) == []
    assert [reads_messages(get_profile(name)) for name in ("trl", "trl-sft", "easyr1")] == [True, True, False]
