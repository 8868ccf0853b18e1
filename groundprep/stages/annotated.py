"""The boxes that a human drew, where answers were moved onto candidates: a key of the row, in pixels of the stored image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ANNOTATED_KEY = "answer_annotated"


def annotated_boxes(extra: Mapping[str, Any]) -> list[list[float]] | None:
    """Return the boxes that a row's further keys state, as they stand; None if they state none that can be read."""
    boxes = extra.get(ANNOTATED_KEY)
    return boxes if isinstance(boxes, list) and all(map(_is_box, boxes)) else None


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 4 and all(type(n) in (int, float) for n in value)
    return numbers and all(math.isfinite(number) for number in value)
