"""What counts as boxes that a human drew."""

from __future__ import annotations

from typing import Any

import pytest

from groundprep.stages.annotated import annotated_boxes


def test_boxes_are_returned_as_they_stand() -> None:
    drawn = [[7.5, 3, 40, 21], [1, 2, 30, 36]]
    assert annotated_boxes({"note": "é", "answer_annotated": drawn}) is drawn
    assert annotated_boxes({"answer_annotated": []}) == []


@pytest.mark.parametrize(
    "value",
    [None, "é", {}, [7.5, 3, 40, 21], [[7.5, 3, 40]], [["1", 2, 3, 4]], [[True, 2, 3, 4]], [[float("inf"), 2, 3, 4]]],
)
def test_what_is_no_list_of_boxes_is_none(value: Any) -> None:
    assert annotated_boxes({"answer_annotated": value}) is None
    assert annotated_boxes({}) is None
