"""A grounding question and its answer as text, in the styles that Qwen's models are trained on.

Question: Rex-Thinker's hint and request (dialects/hints.py) where candidates are known, else the request alone.
Answers:
    json    [{"bbox_2d": [x0, y0, x1, y1], "label": "dog"}, {"point_2d": [x, y], "label": "cat"}], fenced or not; [] for none
    tokens  <|object_ref_start|>dog<|object_ref_end|><|box_start|>(x0,y0),(x1,y1)<|box_end|>, always 0–1000
Either may stand in `<think>…</think><answer>…</answer>`; then the JSON is fenced, as Rex-Thinker expects it.
Source: QwenLM/Qwen3-VL @23d3cce qwen-vl-finetune (specs/targets.md §3.3), Rex-Thinker @5038b47 (specs/rexthinker.md §2.3, §5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from groundprep.containers.json_text import decode_value, encode_exact
from groundprep.dialects.hints import (
    FENCE_END,
    FENCE_START,
    HINT_START,
    IMAGE_MARK,
    REQUEST_END,
    REQUEST_START,
    format_problem,
    parse_problem,
)
from groundprep.errors import RecordError

COORDINATES = re.compile(r"\[\s*-?\d[\d.]*(?:\s*,\s*-?\d[\d.]*)+\s*\]")
"""A bracketed list of numbers, in which these texts give boxes and points."""

ANY_COORDINATES = re.compile(r"[\[(]\s*-?\d[\d.]*(?:\s*,\s*-?\d[\d.]*)+\s*[\])]")
"""Bracketed numbers, in which any text may give boxes and points."""

Style: TypeAlias = Literal["json", "tokens"]

REF_START, REF_END = "<|object_ref_start|>", "<|object_ref_end|>"
BOX_START, BOX_END = "<|box_start|>", "<|box_end|>"
TOKEN_MARK = "<|"  # noqa: S105 (how special tokens begin)

_REQUEST = REQUEST_START.lstrip()
_THINK = re.compile(r"\s*<think>(?P<think>.*?)</think>\s*<answer>(?P<body>.*?)</answer>\s*", re.DOTALL)
_FENCE = re.compile(r"\s*```(?:json)?\s*(?P<json>.*?)\s*```\s*", re.DOTALL)
_PAIR = r"\((-?\d+),\s*(-?\d+)\)"
"""Of a box that begins outside the image a number is negative, and written so."""

_BOX = re.compile(rf"{re.escape(BOX_START)}{_PAIR},\s*{_PAIR}{re.escape(BOX_END)}")
_NAMED_BOXES = re.compile(
    rf"{re.escape(REF_START)}(?P<label>.*?){re.escape(REF_END)}\s*(?P<boxes>(?:{_BOX.pattern}[,\s]*)+)", re.DOTALL
)
GEOMETRY_KEYS = {"bbox_2d": 4, "point_2d": 2}
"""Key → how many numbers it holds."""


class Item(NamedTuple):
    """One answered object: `kind` is the key of its numbers; `value` is the object as written, beyond label and numbers."""

    kind: str
    numbers: list[Any]
    label: str | None
    extra: dict[str, Any]


class AnswerText(NamedTuple):
    """A parsed answer."""

    items: list[Item]
    think: str | None
    style: Style
    is_fenced: bool = False


class Question(NamedTuple):
    """A parsed question: the expression, and the hint if there is one."""

    referring: str
    category: str | None
    hint: list[Any] | None


def parse_question(question: str) -> Question | None:
    """Return what a question of the known shape asks, wherever its `<image>` stands; None for another question."""
    text = question.replace(IMAGE_MARK, "").strip()
    if text.startswith(HINT_START):
        hint = parse_problem(IMAGE_MARK + text)
        return None if hint is None else Question(hint.referring, hint.category, list(hint.boxes))
    if text.startswith(_REQUEST) and text.endswith(REQUEST_END) and len(text) >= len(_REQUEST) + len(REQUEST_END):
        return Question(text[len(_REQUEST) : -len(REQUEST_END)], None, None)
    return None


def format_question(referring: str, category: str, hint: list[Any] | None) -> str:
    """Return the question without `<image>`; with a hint if there are candidates, even none."""
    if hint is None:
        return f"{_REQUEST}{referring}{REQUEST_END}"
    return format_problem(category, hint, referring).removeprefix(IMAGE_MARK)


def parse_answer_text(answer: Any) -> AnswerText | None:
    """Return the objects of an answer; None if it is not one of these styles, which free text need not be."""
    if not isinstance(answer, str):
        return None
    wrapped = _THINK.fullmatch(answer)
    body = answer if wrapped is None else wrapped["body"]
    think = None if wrapped is None else wrapped["think"]
    tokens = _parse_tokens(body)
    if tokens is not None:
        return AnswerText(tokens, think, "tokens")
    items = _parse_json(body)
    return None if items is None else AnswerText(items, think, "json", _FENCE.fullmatch(body) is not None)


def is_unfenced_answer(answer: Any) -> bool:
    """Say whether an answer is box tokens, or a list without a fence, even an empty one: Qwen's rows have it, VLM-R1's not."""
    parsed = None if not isinstance(answer, str) or answer.strip().startswith("```") else parse_answer_text(answer)
    return parsed is not None


def coordinates_in(text: str) -> str | None:
    """Return the first coordinates in a text, a bracketed list or the start of box tokens; None if there are none."""
    match = COORDINATES.search(text)
    return match.group() if match is not None else BOX_START if BOX_START in text else None


def _parse_tokens(body: str) -> list[Item] | None:
    if BOX_START not in body:
        return None
    items, end = [], 0
    for named in _NAMED_BOXES.finditer(body):
        if body[end : named.start()].strip(" \n,"):
            return None
        boxes = _BOX.findall(named["boxes"])
        items += [Item("bbox_2d", [int(number) for number in numbers], named["label"], {}) for numbers in boxes]
        end = named.end()
    return items if items and not body[end:].strip() else None


def _parse_json(body: str) -> list[Item] | None:
    fenced = _FENCE.fullmatch(body)
    text = (body if fenced is None else fenced["json"]).strip()
    if text[:1] not in ("[", "{"):
        return None
    try:
        value = decode_value(text)
    except RecordError:
        return None
    objects = [value] if isinstance(value, dict) else value
    items = [_item(value) for value in objects]
    return [item for item in items if item is not None] if None not in items else None


def _item(value: Any) -> Item | None:
    if not isinstance(value, dict) or not isinstance(value.get("label", ""), str):
        return None
    kinds = [kind for kind in GEOMETRY_KEYS if kind in value]
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    numbers = value[kind]
    if not isinstance(numbers, list) or len(numbers) != GEOMETRY_KEYS[kind]:
        return None
    if not all(type(number) in (int, float) for number in numbers):
        return None
    extra = {key: item for key, item in value.items() if key not in (kind, "label")}
    return Item(kind, numbers, value.get("label"), extra)


def format_answer_text(items: Sequence[Item], think: str | None, style: Style, *, is_fenced: bool = False) -> str:
    """Return the answer; raises RecordError (`negative-not-held`, `no-box`, `reserved-text`) for what tokens cannot say."""
    body = _format_tokens(items) if style == "tokens" else _format_json(items)
    if style != "tokens" and (is_fenced or think is not None):
        body = FENCE_START + body + FENCE_END
    if think is None:
        return body
    require_absent(think, "</think>", "<answer>")
    return f"<think>{think}</think><answer>{body}</answer>"


def _format_json(items: Sequence[Item]) -> str:
    labelled = ({} if item.label is None else {"label": require_absent(item.label, TOKEN_MARK)} for item in items)
    return encode_exact(
        [{item.kind: item.numbers} | label | item.extra for item, label in zip(items, labelled, strict=True)]
    )


def _format_tokens(items: Sequence[Item]) -> str:
    if not items:
        raise RecordError(
            "Qwen2-VL's box tokens cannot say that nothing is there",
            code="negative-not-held",
            fix="choose a profile whose answers are JSON, or leave such rows out with --on-error drop",
        )
    parts = []
    for item in items:
        if item.kind != "bbox_2d":
            raise RecordError("Qwen2-VL's box tokens hold boxes only", code="no-box", found="a point")
        if item.label is None:
            raise RecordError("a box has no words, which Qwen2-VL's tokens need", code="no-phrase")
        x0, y0, x1, y1 = item.numbers
        label = require_absent(item.label, TOKEN_MARK)
        parts.append(f"{REF_START}{label}{REF_END}{BOX_START}({x0},{y0}),({x1},{y1}){BOX_END}")
    return "".join(parts)


def require_absent(text: str, *marks: str) -> str:
    """Return a text; raises RecordError (`reserved-text`) if it holds what the trainer takes for a mark of its own."""
    for mark in marks:
        if mark in text:
            raise RecordError(
                f"the text holds {mark}, which the trainer takes for a mark of its own",
                code="reserved-text",
                found=text,
                fix="reword the text",
            )
    return text
