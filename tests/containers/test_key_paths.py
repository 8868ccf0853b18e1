"""Key paths: where in a row a value lies."""

from __future__ import annotations

import math
from typing import Any

import pytest

from groundprep.containers.key_paths import first_place, has_lone_surrogate, is_non_finite, placed


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": 1, "é": [{"bbox": [1, math.nan]}, math.inf]}, "é[0].bbox[1]"),
        ([[1.0], [2.0, -math.inf]], "[1][1]"),
        (math.inf, ""),
        ({"a": [1.5, "NaN", None, True]}, None),
    ],
)
def test_the_first_value_in_the_order_of_the_text_is_named(value: Any, path: str | None) -> None:
    assert first_place(value, is_non_finite) == path


def test_a_key_is_named_as_its_value_would_be() -> None:
    assert first_place({"a": {"狗": 1, "x\ud800": 2}}, has_lone_surrogate) == "a.x\ud800"


def test_no_nesting_is_too_deep() -> None:
    value: Any = math.nan
    for _ in range(5000):
        value = [value]
    assert first_place(value, is_non_finite) == "[0]" * 5000


def test_what_has_no_place_is_told_without_one() -> None:
    assert (placed("a[1]", "NaN"), placed("", "NaN"), placed(None, "NaN")) == ("a[1]: NaN", "NaN", "NaN")
