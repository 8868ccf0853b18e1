"""Columns that a trainer overwrites."""

from __future__ import annotations

import pickle
from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.columns import ColumnWatch, reserves_columns
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile

ROW = {"problem": "x", "answer": "y", "images": []}


def found(
    rows: list[dict[str, Any]], profile: str = "easyr1", *, path: str = "é.parquet", native: bool = True
) -> list[Any]:
    watch = ColumnWatch()
    for number, row in enumerate(rows, start=1):
        record = Record(Source(path, number))
        note = watch.note([Subject(record, profile=get_profile(profile), row=row, is_native=native)])
        assert list(watch.see(pickle.loads(pickle.dumps(note)))) == []
    return [(finding.code, finding.found, finding.source) for finding in watch.findings()]


def test_a_reserved_column_is_reported_once_with_its_first_row() -> None:
    rows = [ROW, ROW | {"uid": 7}, ROW | {"uid": 8, "ground_truth": "z"}]
    assert found(rows) == [
        ("column-reserved", "uid", "é.parquet:2"),
        ("column-reserved", "ground_truth", "é.parquet:3"),
    ]
    assert found(rows, "rexthinker") == found(rows)


def test_other_columns_ride_along() -> None:
    assert found([ROW | {"id": 7, "prompt": "x", "source": "coco"}]) == []


def test_each_trainer_has_names_of_its_own() -> None:
    row = {"prompt": [], "solution": "", "images": [], "completions": 1, "uid": 2}
    assert found([row], "trl") == [("column-reserved", "completions", "é.parquet:1")]


def test_what_a_conversion_writes_has_no_further_columns() -> None:
    assert found([ROW | {"uid": 7}], native=False) == []


def test_profiles_without_reserved_names_are_not_watched() -> None:
    assert [reserves_columns(get_profile(name)) for name in ("easyr1", "rexthinker", "trl", "qwen2.5-vl")] == [
        True, True, True, False,
    ]  # fmt: skip
