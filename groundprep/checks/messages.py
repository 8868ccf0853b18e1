"""TRL's messages: content that its trainer or the model's chat template reads otherwise than it is meant.

Arrow fills every missing key of a struct with null. TRL counts an image part as a placeholder only if it has no key `image`, and
Qwen2.5-VL's chat template takes every part that has one, a null one too, for an image.
Source: TRL 1.16 data_utils.prepare_multimodal_messages (specs/targets.md §3.4); Qwen2.5-VL's chat template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundprep.checks.base import Rule, Subject
from groundprep.checks.training_rows import IMAGE_MARK_COUNT
from groundprep.dialects.hints import IMAGE_MARK
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

PARTS_NULL = Rule(
    "message-parts-null", Severity.ERROR, "parts of a message have a null image, which counts as an image or hides one"
)
MARK_AS_WORDS = Rule(
    "image-mark-as-words", Severity.WARNING, "a message spells <image>, which TRL gives to the model as words"
)

RULES = (PARTS_NULL, MARK_AS_WORDS)

SFT = "trl-sft"
TRL = ("trl", SFT)
MESSAGE_KEYS = ("prompt", "completion", "messages")
IMAGE_KEYS = ("image", "image_url")


def reads_messages(profile: Profile) -> bool:
    """Say whether a profile's rows are TRL's."""
    return profile.dialect in TRL


def message_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the messages of a row as the file has it; what a conversion writes is one string for each."""
    origin, number = subject.record.origin, subject.record.source.part
    if origin is None or origin.dialect not in TRL or number not in (None, 1):
        return
    contents = [message.get("content") for message in _messages(origin.value)]
    nulls = [
        (key, part) for content in contents for part in _parts(content) for key in IMAGE_KEYS if _is_null(part, key)
    ]
    if nulls:
        key, part = nulls[0]
        yield subject.finding(
            PARTS_NULL,
            f"a part of a message has a key {key} that is null, which the trainer takes for an image or misses one by",
            found=str(dict(part)),
            expected="content as one string, or parts without null keys",
            fix="write the rows again with `groundprep convert --for`, which makes each content one string",
        )
    elif origin.dialect == SFT and (placeholders := _placeholders(origin.value)) != (images := _images(origin.value)):
        yield subject.finding(
            IMAGE_MARK_COUNT,
            "the messages must hold one image part for each image, or text only",
            found=f"{placeholders} parts, {images} images",
            expected=f"{images}",
            fix="write the rows again with `groundprep convert --for`, which makes each content one string",
        )
    if any(isinstance(content, str) and IMAGE_MARK in content for content in contents):
        yield subject.finding(
            MARK_AS_WORDS,
            f"the message spells {IMAGE_MARK}: TRL puts the images in front itself, and the model reads the mark as words",
            found=IMAGE_MARK,
            expected="text without it",
            fix="take it out, or write the rows again with `groundprep convert --for`",
        )


def _messages(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in MESSAGE_KEYS:
        messages = row.get(key)
        if isinstance(messages, list):
            yield from messages


def _placeholders(row: Mapping[str, Any]) -> int:
    """Return how many images TRL looks for: it puts them all in front of the first user message that is one string."""
    contents = [(message.get("role"), message.get("content")) for message in _messages(row)]
    parts = [part for _, said in contents for part in _parts(said)]
    written = sum(1 for part in parts if part.get("type") == "image" and "image" not in part)
    return written + (_images(row) if any(role == "user" and isinstance(said, str) for role, said in contents) else 0)


def _images(row: Mapping[str, Any]) -> int:
    return len(row["images"]) if isinstance(row.get("images"), list) else int("image" in row)


def _parts(content: Any) -> list[Mapping[str, Any]]:
    return content if isinstance(content, list) else []


def _is_null(part: Mapping[str, Any], key: str) -> bool:
    return key in part and part[key] is None
