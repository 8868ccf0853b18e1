"""`read` and `write`: the same pipeline as `convert`, with Python in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import groundprep
from groundprep.errors import RecordError, UsageError
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Dropped, Header, Record, Region
from groundprep.source import Source
from tests.contracts.samples import BOX_XYXY, read_jsonl, rexthinker_row, run, write_jsonl

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_read_gives_a_header_and_records_in_order(data: Path) -> None:
    header, records = groundprep.read(data / "expressions.jsonl")
    assert isinstance(header, Header)
    assert (header.container, header.dialect) == ("jsonl", "rexthinker")
    rows = list(records)
    assert [record.referring for record in rows] == [rexthinker_row(n)["referring"] for n in range(7)]
    assert rows[0].answers[0].box is not None
    assert rows[0].answers[0].box.xyxy == tuple(BOX_XYXY)


def test_read_takes_several_sources_and_a_limit(data: Path) -> None:
    source = data / "expressions.jsonl"
    assert len(list(groundprep.read(source, str(source)).records)) == 14
    assert len(list(groundprep.read(source, source, limit=9).records)) == 9


def test_a_bad_row_raises_unless_somebody_takes_it(data: Path) -> None:
    write_jsonl(data / "bad.jsonl", [rexthinker_row(0), rexthinker_row(1, ans=[1, 2]), rexthinker_row(2)])
    with pytest.raises(RecordError, match=r"bad\.jsonl:2"):
        list(groundprep.read(data / "bad.jsonl").records)
    dropped: list[Dropped] = []
    assert len(list(groundprep.read(data / "bad.jsonl", on_drop=dropped.append).records)) == 2
    assert [(item.code, item.source.row) for item in dropped] == [("box-shape", 2)]


@pytest.mark.parametrize("name", ["expressions.jsonl", "regions.jsonl"])
def test_what_is_read_and_written_unchanged_is_the_same_file(data: Path, name: str) -> None:
    header, records = groundprep.read(data / name)
    result = groundprep.write(records, data / "again" / name, header=header)
    assert read_jsonl(data / "again" / name) == read_jsonl(data / name)
    assert result.counts["read"] == result.counts["written"] == len(read_jsonl(data / name))


def test_write_equals_convert_for_a_trainer(data: Path) -> None:
    run(data / "expressions.jsonl", data / "convert.parquet", profile="rexthinker")
    header, records = groundprep.read(data / "expressions.jsonl")
    groundprep.write(records, data / "write.parquet", header=header, for_="rexthinker", workers=2)
    assert (data / "write.parquet").read_bytes() == (data / "convert.parquet").read_bytes()


def test_a_seen_frame_is_inherited_through_the_header(data: Path) -> None:
    run(data / "expressions.jsonl", data / "a.parquet", profile="easyr1")
    header, records = groundprep.read(data / "a.parquet")
    groundprep.write(records, data / "b.parquet", header=header, dialect="easyr1")
    assert pq.read_table(data / "a.parquet").to_pylist() == pq.read_table(data / "b.parquet").to_pylist()
    assert (
        pq.read_schema(data / "b.parquet").metadata[b"groundprep"]
        == pq.read_schema(data / "a.parquet").metadata[b"groundprep"]
    )


def test_a_changed_record_is_written_as_it_is_now(data: Path) -> None:
    _, records = groundprep.read(data / "expressions.jsonl")
    renamed = (
        replace(record, referring=f"{record.referring}!", extra={**record.extra, "größe": 1}) for record in records
    )
    groundprep.write(renamed, data / "new.jsonl")
    for old, new in zip(read_jsonl(data / "expressions.jsonl"), read_jsonl(data / "new.jsonl"), strict=True):
        assert new == old | {"referring": old["referring"] + "!", "größe": 1}


@pytest.mark.parametrize(
    ("suffix", "options"), [(".jsonl", {}), (".parquet", {"for_": "rexthinker"}), ("", {"to": "tsv"})]
)
def test_records_made_by_hand_can_be_written(data: Path, suffix: str, options: dict[str, str]) -> None:
    image = ImageRef("bilder/straße 0.png", FileImage(str(data / "bilder/straße 0.png")))
    records = [
        Record(
            Source("by hand", n),
            images=(image,),
            referring=f"狗 {n}",
            answers=(Region(box=Box((7.5, 3.0, 40.0, 21.0))),),
        )
        for n in range(3)
    ]
    result = groundprep.write(iter(records), data / f"hand{suffix}", **options)  # type: ignore[arg-type]
    assert result.counts["written"] == 3


def test_the_output_is_atomic_and_never_replaced_unasked(data: Path) -> None:
    header, records = groundprep.read(data / "expressions.jsonl")

    def failing() -> object:
        yield next(records)
        raise RecordError("mine", code="mine")

    with pytest.raises(RecordError, match="mine"):
        groundprep.write(failing(), data / "out.jsonl", header=header)  # type: ignore[arg-type]
    assert not list(data.glob("out.jsonl*"))
    groundprep.write(groundprep.read(data / "expressions.jsonl").records, data / "out.jsonl")
    with pytest.raises(UsageError, match="overwrite=True"):
        groundprep.write(groundprep.read(data / "expressions.jsonl").records, data / "out.jsonl")
    result = groundprep.write(
        groundprep.read(data / "expressions.jsonl", limit=2).records, data / "out.jsonl", overwrite=True
    )
    assert result.counts["written"] == len(read_jsonl(data / "out.jsonl")) == 2
    manifest = json.loads((data / "out.jsonl.groundprep/manifest.json").read_text())
    assert manifest["config"]["command"] == "write"


def test_an_error_of_the_caller_leaves_nothing_and_no_lock(data: Path) -> None:
    def failing() -> Iterator[Record]:
        yield from groundprep.read(data / "expressions.jsonl").records
        raise KeyError("the caller's own")

    with pytest.raises(KeyError) as caught:
        groundprep.write(failing(), data / "out.jsonl")
    assert not list(data.glob("out.jsonl*"))
    assert caught.value.__traceback__ is not None, "kept, as a notebook keeps it"
    assert groundprep.write(groundprep.read(data / "expressions.jsonl").records, data / "out.jsonl").counts["written"]


def test_ids_that_were_replaced_are_the_ids_of_the_document(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "coco/instances.json", tmp_path / "x.json")
    header, records = groundprep.read(tmp_path / "x.json", on_drop=list[Dropped]().append)
    first, second, *_ = records
    changed = [replace(first, id=5000), replace(second, id="fünf")]
    result = groundprep.write(changed, tmp_path / "y.json", header=header)
    value = json.loads((tmp_path / "y.json").read_text(encoding="utf-8"))
    assert [image["id"] for image in value["images"]] == [5000, 5001]
    assert {a["image_id"] for a in value["annotations"]} <= {5000, 5001}
    assert (result.losses["id"]["kept"], result.losses["id"]["lost"], result.losses["id"]["added"]) == (1, 1, 1)


def test_nothing_to_write_is_said(data: Path) -> None:
    with pytest.raises(UsageError, match="no records"):
        groundprep.write([], data / "out.jsonl")


@pytest.mark.parametrize(
    ("corpus", "dst", "options", "dialect"),
    [
        ("coco", "rows.jsonl", {}, "rexomni"),
        ("coco", "rows.jsonl", {"dialect": "rexthinker"}, "rexthinker"),
        ("coco", "copy.json", {}, "coco"),
        ("coco", "lvis.json", {"to": "lvis"}, "lvis"),
        ("lvis", "rows.jsonl", {}, "rexomni"),
        ("lvis", "coco.json", {"to": "coco"}, "coco"),
    ],
)
def test_records_of_a_corpus_are_written_as_convert_writes_them(
    tmp_path: Path, corpus: str, dst: str, options: dict[str, Any], dialect: str
) -> None:
    source = tmp_path / "x.json"
    shutil.copy(next((FIXTURES / corpus).glob("*.json")), source)
    common = {**options, "on_error": "drop"}
    run(source, tmp_path / "a" / dst, **common)
    header, records = groundprep.read(source, on_drop=list[Dropped]().append)
    result = groundprep.write(records, tmp_path / "b" / dst, header=header, **common)
    assert result.dialect == dialect
    assert (tmp_path / "b" / dst).read_bytes() == (tmp_path / "a" / dst).read_bytes()
