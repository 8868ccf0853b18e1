"""`validate --fix`: the source in its own layout, with every safe fix, every change listed, and nothing else changed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.fix import FixConfig, fix, fix_and_validate
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig
from groundprep.errors import FormatError, RecordError, UsageError
from tests.contracts.samples import make_image, rexthinker_row, write_jsonl


def row(index: int, **changes: Any) -> dict[str, Any]:
    return rexthinker_row(index, id=index, image_name="é.png", **changes)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_image(tmp_path / "é.png")
    hints = [{"bbox": [7.5, 3.0, 40.0, 21.0], "category": "x"}, {"bbox": [44.0, 5.0, 58.0, 30.0], "category": "x"}]
    rows = [
        row(0, ans=[7.5, 3.0, 40.0, 21.0], candidate_boxes=hints),
        row(1, ans=[40.0, 3.0, 7.5, 21.0], candidate_boxes=hints),
        row(2, ans=[7.5, 3.0, 40.0, 21.0], candidate_boxes=[*hints, hints[0]], referring=" the  café"),
        row(3, ans=[8.9, 3.0, 40.0, 22.9], candidate_boxes=hints),
        row(4, ans=[44.0, 5.0, 70.0, 30.0], candidate_boxes=[*hints, {"bbox": [44.0, 5.0, 70.0, 30.0]}]),
    ]
    return write_jsonl(tmp_path / "rows.jsonl", rows)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def validation(source: Path, profile: str | None = "rexthinker") -> ValidateConfig:
    return ValidateConfig(SourceConfig((str(source),)), profile)


def test_every_safe_fix_is_made_and_listed(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    dst = tmp_path / "out" / "fixed.jsonl"
    fixed, left = fix_and_validate(validation(source), str(dst))
    rows = rows_of(dst)
    assert rows[0] == rows_of(source)[0]
    assert rows[1]["ans"] == [7.5, 3.0, 40.0, 21.0]
    assert (len(rows[2]["candidate_boxes"]), rows[2]["referring"]) == (2, "the café")
    assert rows[3]["ans"] == [7.5, 3.0, 40.0, 21.0]
    assert rows[3]["answer_annotated"] == [[8.9, 3.0, 40.0, 22.9]]
    assert rows[4]["ans"] == [44.0, 5.0, 61.0, 30.0]
    assert fixed.changes == {
        "corners-reordered": 1,
        "hint-merged": 1,
        "words-normalised": 1,
        "answer-snapped": 1,
        "box-clipped": 2,
    }
    assert (fixed.rows, fixed.rows_changed, fixed.refused) == (5, 4, 0)
    assert fixed.changes_file is not None
    listed = [json.loads(line) for line in Path(fixed.changes_file).read_text(encoding="utf-8").splitlines()]
    assert Counter(change["kind"] for change in listed) == fixed.changes
    assert [change["record"] for change in listed] == sorted(change["record"] for change in listed)
    assert source.read_bytes() == before
    assert left.errors == 0


def test_the_same_fix_again_does_nothing(source: Path, tmp_path: Path) -> None:
    config = FixConfig(SourceConfig((str(source),)), str(tmp_path / "fixed.jsonl"))
    first, second = fix(config), fix(config)
    assert (first.unchanged, second.unchanged) == (False, True)
    assert first.changes == second.changes


def test_without_a_trainer_answers_are_not_moved(source: Path, tmp_path: Path) -> None:
    fixed = fix(FixConfig(SourceConfig((str(source),)), str(tmp_path / "fixed.jsonl")))
    assert "answer-snapped" not in fixed.changes


@pytest.mark.parametrize("workers", [1, 3])
def test_a_tsv_comes_back_as_a_whole_tsv(source: Path, tmp_path: Path, workers: int) -> None:
    convert(ConvertConfig(SourceConfig((str(source),)), str(tmp_path / "toy"), to="tsv"))
    dst = tmp_path / f"fixed{workers}"
    fixed = fix(FixConfig(SourceConfig((str(tmp_path / "toy"),)), str(dst), workers=workers))
    assert [Path(name).suffixes[-1] for name in fixed.outputs] == [".tsv", ".tsv", ".lineidx"]
    assert fixed.changes["corners-reordered"] == 1
    images = Path(f"{dst}.images.tsv").read_bytes()
    assert images == (tmp_path / "toy.images.tsv").read_bytes()


def test_training_rows_in_parquet_keep_their_metadata_and_get_their_fix(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "train.parquet"
    convert(ConvertConfig(SourceConfig((str(source),)), str(made), "easyr1"))
    fixed = fix(FixConfig(SourceConfig((str(made),)), str(tmp_path / "fixed.parquet")))
    assert fixed.rows == 5
    before, after = pq.read_schema(made), pq.read_schema(tmp_path / "fixed.parquet")
    assert before.metadata == after.metadata
    assert before == after


def test_a_file_in_another_frame_is_not_fixed(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    rows = [row(i, ans=[30.0 + i % 7, 20.0, 20.0, 9.0 + i % 3], candidate_boxes=[]) for i in range(40)]  # xywh
    with pytest.raises(FormatError) as caught:
        fix_and_validate(validation(write_jsonl(tmp_path / "xywh.jsonl", rows), None), str(tmp_path / "out.jsonl"))
    assert caught.value.code == "fix-hides"
    assert not (tmp_path / "out.jsonl").exists()


def test_a_row_that_cannot_be_read_stops_the_fix_or_is_dropped(source: Path, tmp_path: Path) -> None:
    with source.open("a") as file:
        file.write("{broken\n")
    config = FixConfig(SourceConfig((str(source),)), str(tmp_path / "fixed.jsonl"))
    with pytest.raises(RecordError, match=r"rows\.jsonl:6.*--on-error drop"):
        fix(config)
    assert not (tmp_path / "fixed.jsonl").exists()
    fixed = fix(FixConfig(config.sources, config.dst, on_error="drop"))
    assert (fixed.rows, fixed.dropped, fixed.exit_code) == (5, 1, 5)


@pytest.mark.parametrize("dst", ["rows.jsonl", "fixed.parquet", "-"])
def test_a_destination_that_is_the_source_or_of_another_container_is_refused(
    source: Path, dst: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    with pytest.raises(UsageError) as caught:
        fix(FixConfig(SourceConfig((str(source),)), dst))
    assert caught.value.code == "fix-container"


def test_rows_that_several_layouts_fit_are_fixed_as_those_of_the_trainer(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    answer = '```json\n[{"bbox_2d": [40, 3, 7, 21], "label": "狗"}]\n```'
    turns = [{"from": "human", "value": "<image>\nOù ?"}, {"from": "gpt", "value": answer}]
    source = write_jsonl(tmp_path / "qwen.jsonl", [{"image": "é.png", "conversations": turns}])
    sources = SourceConfig((str(source),), source_frame="qwen2.5-vl")
    fixed, left = fix_and_validate(ValidateConfig(sources, "qwen2.5-vl"), str(tmp_path / "fixed.jsonl"))
    assert (fixed.changes, left.by_code) == ({"corners-reordered": 1}, {})
