"""Parquet: the schema that each trainer's loader accepts, small row groups, and the frame in the metadata."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from groundprep.containers import OutRow, Row, TableSpec, open_reader
from groundprep.containers.parquet import ParquetReader
from groundprep.dialects import get_dialect
from groundprep.errors import SchemaError
from groundprep.record import Dropped
from groundprep.trainers import get_profile
from tests.contracts.containers import ContainerContract
from tests.contracts.samples import make_images, read_jsonl, rexthinker_row, run, write_jsonl


class TestParquet(ContainerContract):
    name = "parquet"
    is_text = False
    table: ClassVar = TableSpec(get_dialect("easyr1").columns, {"frame": "seen-truncated"})

    def row(self, folder: Path, number: int, phrase: str = "chien") -> OutRow:
        ref = self.image(folder, number)
        return OutRow({"images": [{"bytes": ref, "path": ref.name}], "problem": phrase, "answer": f"{number}"})

    def expected(self, row: OutRow) -> dict[str, Any]:
        images = [
            {"bytes": Path(i["bytes"].location.path).read_bytes(), "path": i["path"]} for i in row.value["images"]
        ]
        return row.value | {"images": images}


def loaded(path: Path, cache: Path) -> datasets.Dataset:
    return datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(cache))


@pytest.fixture
def rows(data: Path) -> list[dict[str, Any]]:
    return read_jsonl(data / "expressions.jsonl")


def test_rex_thinkers_schema_is_that_of_its_own_file(data: Path) -> None:
    """Source: specs/rexthinker.md §2.5."""
    run(data / "expressions.jsonl", data / "out.parquet", profile="rexthinker")
    schema = pq.read_schema(data / "out.parquet")
    assert [(field.name, str(field.type)) for field in schema] == [
        ("images", "binary"), ("problem", "string"), ("answer", "string"),
    ]  # fmt: skip
    assert all(field.nullable for field in schema)


def test_easyr1s_schema_is_a_list_of_structs_without_features(data: Path) -> None:
    """Source: specs/rexthinker.md §4.3."""
    run(data / "expressions.jsonl", data / "out.parquet", profile="easyr1")
    schema = pq.read_schema(data / "out.parquet")
    assert [field.name for field in schema] == ["images", "problem", "answer"]
    assert schema.field("images").type == pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    assert set(schema.metadata) == {b"groundprep"}


@pytest.mark.parametrize("profile", ["rexthinker", "easyr1"])
def test_the_metadata_says_in_which_frame_the_numbers_are(data: Path, profile: str) -> None:
    run(data / "expressions.jsonl", data / "out.parquet", profile=profile, max_pixels=800_000)
    metadata = pq.read_schema(data / "out.parquet").metadata
    assert b"huggingface" not in metadata
    assert json.loads(metadata[b"groundprep"]) == get_profile(profile).with_limits(None, 800_000).as_metadata()
    moved = (data / "out.parquet").rename(data / "elsewhere.parquet")
    assert ParquetReader(str(moved)).header.profile["profile"] == profile
    assert (
        run(moved, data / "back.jsonl", dialect="rexthinker", image_out=str(data / "bilder 2")).counts["written"] == 7
    )


def test_rex_thinkers_loader_accepts_every_row(data: Path, rows: list[dict[str, Any]]) -> None:
    """Source: specs/rexthinker.md §3.3: an image is bytes or a dict with bytes, exactly one; prompt and answer are str."""
    run(data / "expressions.jsonl", data / "out.parquet", profile="rexthinker")
    table = loaded(data / "out.parquet", data / "cache")
    assert len(table) == len(rows)
    for item, row in zip(table, rows, strict=True):
        value = item["images"]
        assert isinstance(value, bytes) or (isinstance(value, dict) and "bytes" in value)
        with Image.open(data / row["image_name"]) as stored:
            assert Image.open(io.BytesIO(value)).convert("RGB").size == stored.size
        assert value == (data / row["image_name"]).read_bytes()
        assert isinstance(item["problem"], str)
        assert isinstance(item["answer"], str)
        assert item["problem"].count("<image>") == 1


def test_easyr1s_loader_accepts_every_row(data: Path, rows: list[dict[str, Any]]) -> None:
    """Source: specs/rexthinker.md §4.2: a list, each a str, bytes, PIL image or dict with bytes; as many as `<image>` marks."""
    run(data / "expressions.jsonl", data / "out.parquet", profile="easyr1")
    table = loaded(data / "out.parquet", data / "cache")
    assert len(table) == len(rows)
    for item, row in zip(table, rows, strict=True):
        assert len(item["images"]) == item["problem"].count("<image>") == 1
        for image in item["images"]:
            assert isinstance(image, dict)
            assert image["bytes"] == (data / row["image_name"]).read_bytes()
            assert image["path"] == row["image_name"]
            Image.open(io.BytesIO(image["bytes"])).load()
        assert isinstance(item["problem"], str)
        assert isinstance(item["answer"], str)


def test_a_row_group_has_at_most_100_rows_and_every_row_is_there(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "rows.jsonl", map(rexthinker_row, range(250)))
    run(tmp_path / "rows.jsonl", tmp_path / "out.parquet", profile="rexthinker")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [100, 100, 50]
    problems = [row["problem"] for row in file.read(["problem"]).to_pylist()]
    assert [f"n°{n} " in problem for n, problem in enumerate(problems)] == [True] * 250


def test_a_row_group_is_closed_before_it_is_too_heavy(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundprep.containers.parquet.PARQUET_ROW_GROUP_BYTES", 100_000)
    run(data / "expressions.jsonl", data / "out.parquet", profile="rexthinker")
    file = pq.ParquetFile(data / "out.parquet")
    assert file.num_row_groups > 1
    assert sum(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)) == 7


def test_images_are_stored_as_they_are_and_text_is_compressed(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.parquet", profile="rexthinker")
    group = pq.ParquetFile(data / "out.parquet").metadata.row_group(0)
    compression = {group.column(i).path_in_schema: group.column(i).compression for i in range(group.num_columns)}
    assert compression == {"images": "UNCOMPRESSED", "problem": "SNAPPY", "answer": "SNAPPY"}


def test_a_row_with_nan_or_broken_text_is_dropped_and_its_neighbours_are_read(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 5, 6, 7], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 4, [None, offsets, pa.py_buffer(b"acaf\xffbc")])
    table = pa.table({"problem": text, "w": [1.0, 2.0, float("nan"), 4.0], "v": [[1.0], [], [2.0], [float("inf")]]})
    pq.write_table(table, tmp_path / "é.parquet")
    items = list(open_reader(str(tmp_path / "é.parquet")))
    assert [item.code if isinstance(item, Dropped) else item.value["problem"] for item in items] == [
        "a", "bad-utf8", "not-finite", "not-finite",
    ]  # fmt: skip
    assert [item.source.row for item in items] == [1, 2, 3, 4]
    assert isinstance(items[0], Row)


def test_broken_metadata_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([("problem", pa.string())], metadata={"groundprep": "{"})
    pq.write_table(pa.table({"problem": ["é"]}, schema=schema), tmp_path / "é.parquet")
    with pytest.raises(SchemaError):
        open_reader(str(tmp_path / "é.parquet"))
