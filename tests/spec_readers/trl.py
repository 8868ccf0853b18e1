"""TRL's rows: chats whose content is text, a list of images beside them (specs/targets.md §3.4)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.spec_readers.easyr1 import images_of
from tests.spec_readers.facts import Fact, RefusedError, SpecRow, StoredImage, file_image
from tests.spec_readers.parquet_rows import rows_of
from tests.spec_readers.resize import MODEL_LIMITS, SizeWH, smart_resize
from tests.spec_readers.rexthinker import frame
from tests.spec_readers.training_text import answered, grounding_facts, hinted, text_of


def seen_wh(size_wh: SizeWH) -> SizeWH:
    """TRL resizes nothing: the processor does, with the model's limits (specs/targets.md §3.0)."""
    return smart_resize(size_wh, MODEL_LIMITS, raises_below_factor=False)


def read_grpo(path: str | Path, root: Path | None = None) -> list[SpecRow]:
    """Return GRPO rows of a parquet or jsonl file; raises RefusedError."""
    return [read_grpo_row(row, number, root) for number, row in enumerate(_rows(path), start=1)]


def read_sft(path: str | Path, root: Path | None = None) -> list[SpecRow]:
    """Return SFT rows of a parquet or jsonl file; raises RefusedError."""
    return [read_sft_row(row, number, root) for number, row in enumerate(_rows(path), start=1)]


def read_grpo_row(row: Mapping[str, Any], number: int, root: Path | None = None) -> SpecRow:
    """Return one GRPO row: `prompt`, `images` or `image`, and columns for the reward functions."""
    images = _images(row, root)
    (asked,) = (_text(message, len(images)) for message in row["prompt"] if message["role"] == "user")
    truth = row.get("solution") or row["answer"]
    facts = grounding_facts(asked, truth, images[0], frame(images[0], seen_wh))
    return SpecRow(number, tuple(facts), images[0])


def read_sft_row(row: Mapping[str, Any], number: int, root: Path | None = None) -> SpecRow:
    """Return one SFT row: `messages`, or `prompt` and `completion`."""
    images = _images(row, root)
    messages = row.get("messages") or [*row["prompt"], *row["completion"]]
    asked, answer = (_text(message, len(images)) for message in messages if message["role"] in ("user", "assistant"))
    return SpecRow(number, tuple(_sft_facts(asked, answer, images[0])), images[0])


def _sft_facts(asked: str, answer: str, image: StoredImage) -> list[Fact]:
    seen = frame(image, seen_wh)
    answer = re.sub(r"^<think>.*?</think>\s*<answer>(.*)</answer>$", r"\1", answer, flags=re.DOTALL)
    try:
        objects = json.loads(answer.removeprefix("```json\n").removesuffix("\n```"))
    except json.JSONDecodeError:
        return [text_of(image)]
    candidates, phrase = hinted(asked, image, seen)
    return [*candidates, *answered(objects, phrase, image, seen)]


def _rows(path: str | Path) -> list[dict[str, Any]]:
    if str(path).endswith(".parquet"):
        return rows_of(path)
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _images(row: Mapping[str, Any], root: Path | None) -> list[StoredImage]:
    value = row["images"] if "images" in row else [row["image"]]
    return [file_image((root or Path()) / item) for item in value] if isinstance(value[0], str) else images_of(value)


def _text(message: Mapping[str, Any], images: int) -> str:
    """Return a message's text; TRL inserts an image part for each image itself, so that no `<image>` may stand in it."""
    content = message["content"]
    if not isinstance(content, str):
        marks = sum(part["type"] == "image" for part in content)
        if marks not in (0, images):
            raise RefusedError(f"{marks} image parts for {images} images")
        content = "".join(part.get("text") or "" for part in content)
    if "<image>" in content:
        raise RefusedError("<image> would stay as text: TRL puts the images in itself")
    return str(content)
