"""What can be read, and what a file is and why."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from groundprep.api.formats import deciding_keys, identify, list_formats
from groundprep.api.sources import SourceConfig
from groundprep.containers import CONTAINERS
from groundprep.dialects import DIALECTS, get_dialect
from groundprep.errors import FormatError, RecordError, UsageError
from groundprep.trainers import PROFILES, get_profile

ROW = {"id": 7, "image_name": "é.jpg", "ans": [7.5, 3, 40, 21], "category": "Hund", "referring": "der Hund"}


def write(path: Path, *rows: Any) -> Any:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def identify_one(path: Path, **options: Any) -> Any:
    (info,) = identify(SourceConfig((str(path),), **options))
    return info


def test_everything_that_is_registered_is_listed() -> None:
    formats = list_formats()
    assert [c.name for c in formats.containers] == list(CONTAINERS)
    assert [d.name for d in formats.dialects] == list(DIALECTS)
    assert [f"{p.name}@{p.revision}" for p in formats.profiles] == list(PROFILES)


def test_the_newest_revision_is_the_one_that_a_bare_name_means() -> None:
    for profile in list_formats().profiles:
        assert profile.newest == (get_profile(profile.name).revision == profile.revision)


def test_the_limits_are_those_that_the_trainer_starts_with() -> None:
    (profile,) = [p for p in list_formats().profiles if p.name == "easyr1"]
    assert profile.limits == {"min_pixels": 262_144, "max_pixels": 4_194_304}


def test_json_lines_of_rexthinker_are_recognised_by_the_keys_that_decide(tmp_path: Path) -> None:
    info = identify_one(write(tmp_path / "boxes.jsonl", ROW, ROW))
    assert (info.container, info.dialect, info.frame, info.unit) == ("jsonl", "rexthinker", "pixels", "expression")
    assert info.dialect_reason == "rows have the keys image_name, ans, referring"
    assert (info.rows_examined, info.rows_matching, info.rows_damaged) == (2, 2, 0)
    assert info.keys == ("id", "image_name", "ans", "category", "referring")


def test_a_misnamed_file_is_recognised_by_its_content_and_the_reason_says_so(tmp_path: Path) -> None:
    info = identify_one(write(tmp_path / "boxes.json", ROW))
    assert info.container == "jsonl"
    assert "although its extension is .json" in info.container_reason
    assert [warning["code"] for warning in info.warnings] == ["misnamed"]


def test_damaged_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "boxes.jsonl"
    path.write_text(json.dumps(ROW) + "\n{broken\n" + json.dumps(ROW) + "\n", encoding="utf-8")
    info = identify_one(path)
    assert (info.rows_examined, info.rows_matching, info.rows_damaged) == (3, 2, 1)


def test_a_file_in_which_no_row_can_be_read_is_an_error_and_not_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "boxes.jsonl"
    path.write_text("{broken\n{broken\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"boxes\.jsonl:1"):
        identify_one(path)


def test_a_parquet_without_metadata_has_no_known_frame(tmp_path: Path) -> None:
    row = {"images": [{"bytes": b"x", "path": "é.jpg"}], "problem": "<image>?", "answer": "[]"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    info = identify_one(tmp_path / "train.parquet")
    assert (info.container, info.dialect, info.frame, info.profile) == ("parquet", "easyr1", None, None)
    assert "--source-frame" in info.frame_reason
    assert "PAR1" in info.container_reason


def test_a_parquet_with_metadata_says_for_which_trainer_it_was_written(tmp_path: Path) -> None:
    metadata = get_profile("easyr1").as_metadata()
    table = pa.Table.from_pylist([{"images": [{"bytes": b"x", "path": None}], "problem": "?", "answer": "[]"}])
    table = table.replace_schema_metadata({"groundprep": json.dumps(metadata)})
    pq.write_table(table, tmp_path / "train.parquet")
    info = identify_one(tmp_path / "train.parquet")
    assert (info.frame, info.profile) == ("seen-truncated", metadata)
    assert "easyr1@b44b311" in info.frame_reason


def test_the_users_word_is_the_reason_where_it_decided(tmp_path: Path) -> None:
    path = write(tmp_path / "boxes.jsonl", ROW)
    info = identify_one(path, from_name="rexthinker", source_frame="unit")
    assert (info.dialect_reason, info.frame, info.frame_reason) == ("--from rexthinker", "unit", "--source-frame unit")


def test_rows_that_fit_two_dialects_are_an_error_that_names_both(tmp_path: Path) -> None:
    both = ROW | {"annotation": {"boxes": []}}
    with pytest.raises(FormatError, match="rexomni and rexthinker") as error:
        identify_one(write(tmp_path / "boxes.jsonl", both))
    assert error.value.code == "ambiguous-dialect"


def test_rows_of_no_known_shape_and_unknown_names_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        identify_one(write(tmp_path / "boxes.jsonl", {"a": 1}))
    assert error.value.code == "unknown-dialect"
    with pytest.raises(UsageError, match="no such container, dialect or corpus"):
        identify_one(write(tmp_path / "boxes.jsonl", ROW), from_name="nope")


def test_the_deciding_keys_are_a_smallest_set_by_which_the_dialect_still_matches() -> None:
    dialect = get_dialect("rexthinker")
    keys = deciding_keys(ROW, dialect, "jsonl")
    assert dialect.matches({key: ROW[key] for key in keys}, "jsonl")
    for left_out in keys:
        assert not dialect.matches({key: ROW[key] for key in keys if key != left_out}, "jsonl")
