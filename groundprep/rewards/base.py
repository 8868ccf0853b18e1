"""What a score is, and what a ground truth must be; every reward of this package is built from these.

A trainer's own reward may raise: then the training step dies. Here the part that would have raised is None and the reason
says what would have been raised, so that a file of completions can be scored to its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeAlias

from groundprep.config import MAX_COORDINATE
from groundprep.errors import RecordError

NEEDS_EVAL = "needs-eval"
"""The original evaluates the completion as code, and this one is no literal: what it gives depends on running it."""

ORIGINAL_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading hostile text and computing with its values can raise in Python."""


class Score(NamedTuple):
    """What a completion earns.

    Attributes:
        parts: name → value; None where the original raises or cannot be known.
        reason: why parts are None; None if none is.
    """

    parts: dict[str, float | None]
    reason: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return JSON values; what is not finite as the strings `inf`, `-inf` and `nan`."""
        data: dict[str, Any] = {
            name: value if value is None or math.isfinite(value) else repr(float(value))
            for name, value in self.parts.items()
        }
        return data if self.reason is None else data | {"reason": self.reason}


Scorer: TypeAlias = Callable[[str, Any], Score]
"""(completion, ground truth) → score. Raises RecordError (`ground-truth`) for a ground truth of another form, never else."""

Part: TypeAlias = Callable[[], float]


def score_parts(parts: Mapping[str, Part]) -> Score:
    """Compute each part; a part that raises what the original would raise is None, with the reason."""
    values: dict[str, float | None] = {}
    reasons: list[str] = []
    for name, part in parts.items():
        try:
            values[name] = part()
        except ORIGINAL_ERRORS as error:
            values[name] = None
            if (reason := raises(error)) not in reasons:
                reasons.append(reason)
    return Score(values, "; ".join(reasons) or None)


def raises(error: Exception) -> str:
    """Return the reason of a part whose original raises."""
    return f"raises {type(error).__name__}"


def refuse(found: object, expected: str) -> NoReturn:
    """Raise RecordError for a ground truth that is not what this reward reads."""
    raise RecordError(
        "the ground truth is not what this reward reads",
        code="ground-truth",
        found=found,
        expected=expected,
        fix="see docs/rewards.md for what each reward reads",
    )


def require_text(value: object, expected: str) -> str:
    """Return value if it is a string; raises RecordError (`ground-truth`)."""
    return value if isinstance(value, str) else refuse(value, expected)


def require_size_wh(value: object, name: str) -> tuple[float, float]:
    """Return (width, height), both above 0; raises RecordError (`ground-truth`)."""
    if isinstance(value, list) and len(value) == 2 and all(is_number(side) and side > 0 for side in value):
        return value[0], value[1]
    refuse(value, f"{name}: [width, height], both above 0")


def is_number(value: object) -> bool:
    """Say whether value is an int or float that may be a coordinate or a side; NaN, huge numbers and truth values are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_COORDINATE
