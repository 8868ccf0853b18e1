"""Records: never changed in place, and aware of what has changed since they were read."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Candidate, Mask, Point, Record, Region, Turn
from groundprep.source import Source
from tests.contracts.samples import PIXEL_FRAME

BOX = Box((7.5, 3.0, 40.0, 21.25))
FULL = Record(
    source=Source("é.jsonl", 3),
    id="狗",
    images=(ImageRef("é.png", FileImage("é.png")),),
    referring="r",
    instruction="i",
    category="c",
    answers=(Region("a", box=BOX),),
    regions=(Region("b"),),
    candidates=(Candidate(BOX),),
    turns=(Turn("user", "t"),),
    extra={"x": 1},
)


def test_remembering_its_origin_changes_no_other_field() -> None:
    record = FULL.with_origin("rexthinker", {"row": 1}, PIXEL_FRAME)
    assert record.origin is not None
    assert record.origin.record is FULL
    assert replace(record, origin=None) == FULL
    for field in fields(Record):
        if field.name != "origin":
            assert getattr(record, field.name) is getattr(FULL, field.name)
            assert record.unchanged(field.name)


def test_a_replaced_field_is_changed_even_by_an_equal_value() -> None:
    record = FULL.with_origin("rexthinker", {}, PIXEL_FRAME)
    changed = replace(record, answers=(Region("a", box=Box((7.5, 3.0, 40.0, 21.25))),))
    assert changed.answers == record.answers
    assert not changed.unchanged("answers")
    assert changed.unchanged("candidates")
    assert not FULL.unchanged("answers")


def test_a_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        FULL.referring = "other"  # type: ignore[misc]


@pytest.mark.parametrize("shape", [{"box": BOX}, {"point": Point((1.0, 2.0))}, {"mask": Mask((37, 61), "x")}])
def test_a_region_with_any_shape_is_present(shape: dict[str, object]) -> None:
    assert not Region("a", **shape).is_absent  # type: ignore[arg-type]
    assert Region("a").is_absent


def test_messages_name_a_record_by_its_id_or_else_by_its_row() -> None:
    assert FULL.label == "狗"
    assert replace(FULL, id=None).label == 3
    assert replace(FULL, id=0).label == 0
    assert FULL.candidate_boxes_xyxy == [(7.5, 3.0, 40.0, 21.25)]
    assert replace(FULL, candidates=None).candidate_boxes_xyxy == []
