"""The text that Rex-Thinker's and EasyR1's rows share: a hint of candidate boxes, a request, a fenced JSON answer.

Source of every literal: Rex-Thinker convert_dataset.py @5038b47 (specs/rexthinker.md §2.3). JSON is Python's default:
ASCII escapes, `", "` and `": "`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from groundprep.containers.json_text import decode_value, encode_exact
from groundprep.errors import RecordError

IMAGE_MARK = "<image>"
HINT_START = "Hint: Object and its coordinates in this image: "
REQUEST_START = "\nPlease detect "
REQUEST_END = " in this image."
FENCE_START = "```json\n"
FENCE_END = "\n```"


class Hint(NamedTuple):
    """A parsed problem: the category, the boxes as written, and the expression."""

    category: str
    boxes: list[list[float]]
    referring: str


class Answer(NamedTuple):
    """One object of a parsed answer; `value` is the object as written."""

    box: list[float]
    label: str | None
    value: dict[str, Any]


def format_problem(category: str, boxes: list[Any], referring: str, *, images: int = 1) -> str:
    """Return `<image>Hint: …{"category": [[…], …]}⏎Please detect … in this image.`, with a mark for each image.

    EasyR1's loader counts marks and images against each other (specs/rexthinker.md §4.2).
    """
    hint = encode_exact({category: boxes}, ascii_only=True)
    return f"{IMAGE_MARK * images}{HINT_START}{hint}{REQUEST_START}{referring}{REQUEST_END}"


def parse_problem(problem: str) -> Hint | None:
    """Return the parts of a problem, or None if it is not one of this shape; raises RecordError if its hint is broken."""
    text = problem
    while text.startswith(IMAGE_MARK):
        text = text.removeprefix(IMAGE_MARK)
    start = text.find(REQUEST_START)
    if text is problem or not text.startswith(HINT_START) or start < 0 or not text.endswith(REQUEST_END):
        return None
    hint = decode_value(text[len(HINT_START) : start])
    if not isinstance(hint, dict) or len(hint) != 1:
        raise RecordError("the hint is not an object of one category", code="bad-hint", found=hint)
    category, boxes = next(iter(hint.items()))
    if not isinstance(boxes, list) or not all(_is_box(box) for box in boxes):
        raise RecordError("the hint's boxes are not lists of four numbers", code="bad-hint", found=boxes)
    return Hint(category, boxes, text[start + len(REQUEST_START) : -len(REQUEST_END)])


def format_answer(objects: list[dict[str, Any]]) -> str:
    """Return the fenced JSON list of `{"bbox_2d", "label"}` objects; `[]` when there is none."""
    return FENCE_START + encode_exact(objects, ascii_only=True) + FENCE_END


def parse_answer(answer: str) -> list[Answer] | None:
    """Return the objects of a fenced answer, or None if it has another shape; raises RecordError if its JSON is broken."""
    if not (answer.startswith(FENCE_START) and answer.endswith(FENCE_END)):
        return None
    objects = decode_value(answer[len(FENCE_START) : -len(FENCE_END)])
    if not isinstance(objects, list):
        return None
    answers = []
    for item in objects:
        if not isinstance(item, dict) or not _is_box(item.get("bbox_2d")):
            raise RecordError("an answer needs a bbox_2d of four numbers", code="bad-answer", found=item)
        label = item.get("label")
        answers.append(Answer(item["bbox_2d"], label if isinstance(label, str) else None, item))
    return answers


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(type(number) in (int, float) for number in value)
