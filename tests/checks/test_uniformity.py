"""Rows that become one table: the same types in every column, and a first row that has every key."""

from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks import uniformity
from groundprep.checks.base import Subject
from groundprep.checks.uniformity import UniformityWatch
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile
from tests.checks.watching import watched

TALK = [{"from": "human", "value": "<image>Où est le chien ?"}, {"from": "gpt", "value": "[7.5, 3, 40, 21]"}]


def subject(
    row: dict[str, Any], number: int, *, dialect: str = "vlmr1", profile: str | None = "vlmr1", path: str = "é.jsonl"
) -> Subject:
    record = Record(Source(path, number)).with_origin(dialect, row, RowFrame(PIXELS))
    return Subject(record, profile=None if profile is None else get_profile(profile))


def found(*rows: dict[str, Any], **more: Any) -> list[tuple[str, str, str, str | None]]:
    subjects = [subject(row, number, **more) for number, row in enumerate(rows, start=1)]
    findings = watched(UniformityWatch(), subjects)
    return [(finding.code, str(finding.severity), finding.source, finding.found) for finding in findings]


def vlmr1(**keys: Any) -> dict[str, Any]:
    return {"image": "é.jpg", "conversations": TALK} | keys


def test_ids_of_two_types_are_found_at_the_first_row_of_the_rarer_one() -> None:
    rows = [vlmr1(id=1), vlmr1(id=2), vlmr1(id="17_0"), vlmr1(id=3), vlmr1(id="17_1")]
    assert found(*rows) == [("column-types", "error", "é.jsonl:3", "text in 2 of 5 rows, here first")]
    assert found(*rows, profile=None) == [("column-types", "warning", "é.jsonl:3", "text in 2 of 5 rows, here first")]


def test_types_are_compared_across_files() -> None:
    subjects = [subject(vlmr1(id=1), 1), subject(vlmr1(id=2), 2), subject(vlmr1(id="3"), 1, path="ü.jsonl")]
    assert [finding.source for finding in watched(UniformityWatch(), subjects)] == ["ü.jsonl:1"]


@pytest.mark.parametrize(
    "rows",
    [
        (vlmr1(area=3), vlmr1(area=2.5)),
        (vlmr1(box=[1, 2]), vlmr1(box=[0.5]), vlmr1(box=[])),
        (vlmr1(note=None), vlmr1(note="é")),
        (vlmr1(more={"a": 1}), vlmr1(more={"a": 2, "b": "é"})),
        (vlmr1(image="é.jpg"), vlmr1(image=["é.jpg", "ü.jpg"])),
        (vlmr1(), vlmr1(conversations=[TALK[0], {"from": "gpt", "value": [1, 2, 3, 4]}])),
        (vlmr1(), vlmr1(accu_reward_method="od_ap")),
    ],
    ids=["int and float", "numbers and none", "null", "more keys inside", "images", "answers", "reward method"],
)
def test_what_the_loader_makes_one_type_of_is_none_of_our_business(rows: tuple[dict[str, Any], ...]) -> None:
    assert found(*rows) == []


@pytest.mark.parametrize(
    ("one", "other", "column"),
    [(1, "1", "x"), (True, 1, "x"), ([1], 1, "x"), ([1], ["a"], "x[]"), ({"a": 1}, {"a": "1"}, "x.a"), ({}, [], "x")],
)
def test_each_pair_of_types_that_no_table_holds_is_found(one: Any, other: Any, column: str) -> None:
    (finding,) = watched(
        UniformityWatch(), [subject(vlmr1(x=value), n) for n, value in enumerate((one, one, other), 1)]
    )
    assert (finding.code, finding.source) == ("column-types", "é.jsonl:3")
    assert finding.message.startswith(f"the column {column} ")


def test_a_list_of_two_types_is_found_within_its_row() -> None:
    assert [code for code, *_ in found(vlmr1(x=[1, "a"]))] == ["column-types"]


def test_a_first_row_without_image_makes_the_run_one_on_text() -> None:
    text = {"conversations": TALK, "id": 1}
    assert found(text, vlmr1(id=2), vlmr1(id=3)) == [
        ("first-row-lacks", "error", "é.jsonl:2", "image in 2 later rows, here first")
    ]
    assert found(vlmr1(id=1), text) == []


def test_another_key_that_the_first_row_lacks_is_a_warning() -> None:
    assert found(vlmr1(), vlmr1(quelle="é")) == [
        ("first-row-lacks", "warning", "é.jsonl:2", "quelle in 1 later rows, here first")
    ]
    assert found(vlmr1(quelle="é"), vlmr1()) == []


def test_only_rows_that_a_loader_makes_a_table_of_as_they_are_are_looked_at() -> None:
    rows = vlmr1(id=1), vlmr1(id="a")
    assert found(*rows, dialect="rexthinker", profile=None) == []
    assert found(*rows, dialect="vlmr1", profile="easyr1") == []
    trl = {"prompt": [{"role": "user", "content": "é"}]}, {"prompt": [{"role": "user", "content": [{"type": "text"}]}]}
    assert [code for code, *_ in found(*trl, dialect="trl", profile="trl")] == ["column-types"]
    assert found({"images": [{"bytes": b"1", "path": None}]}, {"images": []}, dialect="easyr1", profile="easyr1") == []


def test_memory_is_bounded_in_the_number_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniformity, "MAX_COLUMNS", 3)
    watch = UniformityWatch()
    rows = [vlmr1(**{f"k{n}": n, "id": n if n < 6 else "z"}) for n in range(9)]
    assert "column-types" in {f.code for f in watched(watch, [subject(row, n) for n, row in enumerate(rows)])}
    assert (len(watch._columns), len(watch._lacking)) == (3, 3)
