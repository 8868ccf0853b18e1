"""Qwen's finetuning rows: images by name, a conversation, and three ways to write boxes (specs/targets.md §3.0, §3.3)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from tests.spec_readers.facts import Fact, Frame, RefusedError, SpecRow, StoredImage, file_image
from tests.spec_readers.resize import smart_resize
from tests.spec_readers.training_text import answered, hinted, text_of

Model = Literal["qwen2-vl", "qwen2.5-vl", "qwen3-vl"]
LIMITS = (12_544, 451_584)
"""The trainer's defaults, argument.py (§3.0)."""

_TOKENS = re.compile(
    r"<\|object_ref_start\|>(?P<label>.*?)<\|object_ref_end\|><\|box_start\|>\((?P<x0>\d+),(?P<y0>\d+)\),\((?P<x1>\d+),(?P<y1>\d+)\)"
    r"<\|box_end\|>",
    re.DOTALL,
)


def frame(image: StoredImage, model: Model) -> Frame:
    """Qwen2.5-VL: integers in resized pixels, rounded; the others: 0 to 1000 of the stored image."""
    if model == "qwen2.5-vl":
        return Frame(smart_resize(image.size_wh, LIMITS, raises_below_factor=False), "round")
    return Frame((1000, 1000), "round")


def read(path: str | Path, root: Path, model: Model) -> list[SpecRow]:
    """Return the rows; raises RefusedError."""
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        names = [row["image"]] if isinstance(row["image"], str) else row["image"]
        human, gpt = row["conversations"]
        if (human["from"], gpt["from"]) != ("human", "gpt"):
            raise RefusedError("a conversation is human, then gpt")
        if human["value"].count("<image>") != len(names):
            raise RefusedError(f"{human['value'].count('<image>')} <image> for {len(names)} images")
        image = file_image(root / names[0])
        asked = human["value"].replace("<image>", "").lstrip("\n")
        rows.append(SpecRow(number, tuple(_facts(asked, gpt["value"], image, model)), image))
    return rows


def _facts(asked: str, answer: str, image: StoredImage, model: Model) -> list[Fact]:
    candidates, phrase = hinted(asked, image, frame(image, model))
    answer = re.sub(r"^<think>.*?</think>\s*<answer>(.*)</answer>$", r"\1", answer, flags=re.DOTALL)
    if "<|box_start|>" in answer:
        return [*candidates, *_of_tokens(answer, image)]
    try:
        objects: Any = json.loads(answer.removeprefix("```json\n").removesuffix("\n```"))
    except json.JSONDecodeError:
        return [text_of(image)]
    if model == "qwen2-vl":
        raise RefusedError("Qwen2-VL's answers are tokens")
    return [*candidates, *answered(objects, phrase, image, frame(image, model))]


def _of_tokens(answer: str, image: StoredImage) -> list[Fact]:
    """Box tokens are 0 to 1000 of the stored image, whatever the model."""
    found = list(_TOKENS.finditer(answer))
    if "".join(match[0] for match in found) != answer:
        raise RefusedError(f"something stands between the box tokens: {answer}")
    numbers = [[int(match[key]) for key in ("x0", "y0", "x1", "y1")] for match in found]
    thousand = Frame((1000, 1000), "round")
    return [thousand.fact(image, match["label"], "box", box) for match, box in zip(found, numbers, strict=True)]
