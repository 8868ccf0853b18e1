"""What our own rewards read in a completion: the text after the last `<answer>`, and in it boxes with labels, or points.

JSON in any spelling (fenced or bare, any spacing, floats) is read as JSON; where it is none, brackets of numbers still count,
without labels. Nothing raises, everything is linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from groundprep.rewards.base import is_number
from groundprep.rewards.iou import BoxXYXY, boxes_of
from groundprep.rewards.tags import FENCE, last_between

MAX_BOXES = 1_000
"""Boxes beyond this count as wrong without being compared: matching takes the square of their number."""

_NUMBER = r"\s*+([-+]?+[0-9]{1,9}+(?:\.[0-9]*+)?+)\s*+"
_POINT = re.compile(rf"[\[(]{_NUMBER},{_NUMBER}[\])]")


class LabelledBox(NamedTuple):
    """A box and what it is said to be; None if nothing is said."""

    box_xyxy: BoxXYXY
    label: str | None


def answer_of(text: str) -> str:
    """Return the text after the last `<answer>`, up to its end; all of it if there is no such tag."""
    return text.rsplit("<answer>", 1)[-1].split("</answer>", 1)[0]


def labelled_boxes_of(text: str) -> list[LabelledBox]:
    """Return the boxes of an answer, in order."""
    items = json_of(text)
    if isinstance(items, dict):
        items = [items]
    if isinstance(items, list) and any(isinstance(item, dict) for item in items):
        return [box for item in items if (box := _labelled(item)) is not None]
    return [LabelledBox(box, None) for box in boxes_of(text)]


def points_of(text: str) -> list[tuple[float, float]]:
    """Return every bracket of exactly two numbers, (x, y), in order."""
    return [(float(x), float(y)) for x, y in _POINT.findall(text)]


def json_of(text: str) -> Any:
    """Return the JSON of the last fence, else of the whole text; None if it is none."""
    fenced = last_between(text, FENCE)
    try:
        return json.loads((text if fenced is None else fenced).strip())
    except (ValueError, RecursionError):
        return None


def _labelled(item: Any) -> LabelledBox | None:
    box = item.get("bbox_2d") if isinstance(item, dict) else None
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        return None
    numbers = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    label = item.get("label")
    return LabelledBox(numbers, label if isinstance(label, str) else None)
