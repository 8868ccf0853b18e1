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


def test_keys_of_a_grpo_annotation_are_reserved_and_its_sft_ignores_them() -> None:
    row = {"boxes": [], "prompt": "Detect.", "attention_mask": []}
    names = [("column-reserved", name, "x.tsv:1") for name in ("attention_mask", "prompt")]
    assert found([row], "rexomni-grpo", path="x.tsv") == names
    assert found([row], "rexomni-grpo", path="x.tsv", native=False) == names
    assert found([row], "rexomni-sft", path="x.tsv") == []


def test_what_vlmr1_replaces_is_a_warning_and_the_forks_solution_is_none() -> None:
    watch = ColumnWatch()
    row = {"conversations": [], "problem": "x", "solution": "y"}
    for profile in ("vlmr1", "vlmr1-seg"):
        record = Record(Source(f"{profile}.jsonl", 1))
        assert list(watch.see(watch.note([Subject(record, profile=get_profile(profile), row=row)]))) == []
    assert [(finding.severity, finding.found, finding.source) for finding in watch.findings()] == [
        ("warning", "problem", "vlmr1.jsonl:1"),
        ("warning", "solution", "vlmr1.jsonl:1"),
        ("warning", "problem", "vlmr1-seg.jsonl:1"),
    ]


def test_profiles_without_reserved_names_are_not_watched() -> None:
    assert [reserves_columns(get_profile(name)) for name in ("easyr1", "rexthinker", "trl", "qwen2.5-vl")] == [
        True, True, True, False,
    ]  # fmt: skip
