"""Where in a row a value lies, as a person writes it: `candidate_boxes[2].bbox`. Only for rows that are refused already."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def first_place(value: Any, is_it: Callable[[Any], bool]) -> str | None:
    """Return the path of the first value, or key, that is meant, in the order of the text; None if there is none.

    The row itself has the empty path. Goes without recursion, so that no nesting is too deep.
    """
    waiting = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if is_it(item):
            return path
        inside: list[tuple[str, Any]] = []
        if isinstance(item, dict):
            inside = [(f"{path}.{key}" if path else str(key), child) for key, child in item.items()]
            named = [place for (place, _), key in zip(inside, item, strict=True) if is_it(key)]
            if named:
                return named[0]
        elif isinstance(item, list):
            inside = [(f"{path}[{index}]", child) for index, child in enumerate(item)]
        waiting.extend(reversed(inside))
    return None


def placed(path: str | None, found: str) -> str:
    """Return what was found with its path in front, if one is known."""
    return f"{path}: {found}" if path else found


def is_non_finite(value: Any) -> bool:
    """Say whether a value is NaN or infinite."""
    return isinstance(value, float) and not math.isfinite(value)


def has_lone_surrogate(value: Any) -> bool:
    """Say whether a value is text that holds half of a surrogate pair."""
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)
