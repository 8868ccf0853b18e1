"""Columns of a table that its layout does not know: they stay in the same layout, and are counted as lost in another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from tests.contracts.samples import lost_and_rounded, run

FURTHER = {
    "größe": pa.array([7, None, 3, 4, 5, 6, 2**40], pa.int64()),
    "tags": pa.array([["狗"], [], None, ["a", "b"], ["é"], ["f"], ["g"]], pa.list_(pa.string())),
    "meta": pa.array([{"k": n / 4, "ok": n % 2 == 0} for n in range(7)]),
}


def with_further(path: Path, further: dict[str, Any]) -> Path:
    """Add columns to a table, its metadata kept."""
    table = pq.read_table(path)
    for name, values in further.items():
        table = table.append_column(name, values)
    pq.write_table(table, path.with_name("more.parquet"))
    return path.with_name("more.parquet")


@pytest.mark.parametrize("profile", ["easyr1", "rexthinker", "trl", "trl-sft"])
def test_a_table_of_the_same_layout_keeps_its_further_columns_and_their_types(data: Path, profile: str) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile=profile, to="parquet")
    more = with_further(data / "a.parquet", FURTHER)
    result = run(more, data / "b.parquet", profile=profile, to="parquet", strict_lossless=True)
    before, after = pq.read_table(more), pq.read_table(data / "b.parquet")
    assert after.select(before.column_names).equals(before)
    assert after.column_names == before.column_names
    assert not lost_and_rounded(result)


def test_other_limits_write_the_boxes_anew_and_keep_the_further_columns(data: Path) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile="easyr1")
    more = with_further(data / "a.parquet", FURTHER)
    run(more, data / "b.parquet", profile="easyr1", min_pixels=3136, max_pixels=12_544)
    before, after = pq.read_table(more), pq.read_table(data / "b.parquet")
    assert after.select(list(FURTHER)).equals(before.select(list(FURTHER)))
    assert after.column("problem") != before.column("problem")


def test_a_sample_keeps_them_too(data: Path) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile="easyr1")
    more = with_further(data / "a.parquet", FURTHER)
    sample(SampleConfig(SourceConfig((str(more),)), str(data / "s.parquet"), "end:2"))
    assert pq.read_table(data / "s.parquet").select(list(FURTHER)).equals(pq.read_table(more).select(list(FURTHER))[5:])


def test_another_layout_has_no_place_for_them_and_says_so(data: Path) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile="easyr1")
    more = with_further(data / "a.parquet", FURTHER)
    result = run(more, data / "b.parquet", profile="rexthinker")
    assert {name: result.losses[f"extra.{name}"]["lost"] for name in FURTHER} == dict.fromkeys(FURTHER, 7)


def test_columns_of_two_types_under_one_name_are_lost_and_counted(data: Path) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile="easyr1")
    one = with_further(data / "a.parquet", {"n": pa.array(range(7))}).rename(data / "one.parquet")
    two = with_further(data / "a.parquet", {"n": pa.array(list("abcdéfg")), "m": pa.array(range(7))})
    result = run([one, two], data / "b.parquet", profile="easyr1")
    assert result.losses["extra.n"]["lost"] == 14
    assert result.losses["extra.m"]["kept"] == 7
    assert pq.read_table(data / "b.parquet").column("m").to_pylist() == [None] * 7 + list(range(7))
