"""Keys that no field holds: a key of one layout may be a key of another, and is then lost and said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import groundprep
from groundprep.dialects.further_keys import fitting_keys, unwritten
from groundprep.dialects.rexomni_eval import RexOmniEvalRow
from tests.contracts.samples import make_images, read_jsonl, rexthinker_row, run, write_jsonl

ONE_BOX = {"ans": [7.5, 3, 40, 21.25]}


@pytest.mark.parametrize(("key", "value", "target", "flags"), [
    ("accu_reward_method", 5, "c.jsonl", {"profile": "vlmr1"}),
    ("conversations", "é", "c.jsonl", {"profile": "vlmr1"}),
    ("normalized_solution", True, "c.json", {"dialect": "vlmr1-refcoco"}),
    ("dataset_name", ["é"], "c.jsonl", {"dialect": "rexomni-eval"}),
    ("images", "é.png", "c.parquet", {"profile": "easyr1"}),
    ("images", "é.png", "c.parquet", {"profile": "trl"}),
    ("height", 7, "c.jsonl", {"profile": "easydistill-single"}),
    ("phrases", None, "c.jsonl", {"dialect": "rexomni-engine"}),
    ("neg_category_ids", [5], "c.json", {"to": "lvis"}),
    ("coco_url", 5, "c.json", {"to": "coco"}),
])  # fmt: skip
def test_a_key_that_means_something_else_in_the_target_is_lost_and_the_row_stays_readable(
    tmp_path: Path, key: str, value: Any, target: str, flags: dict[str, Any]
) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(0, **ONE_BOX, **{key: value})])
    result = run(tmp_path / "a.jsonl", tmp_path / target, **flags)
    assert result.losses[f"extra.{key}"]["lost"] == 1
    name = flags.get("dialect", result.dialect)
    assert len(list(groundprep.read(tmp_path / target, from_name=name, image_root=str(tmp_path)).records)) == 1


def test_a_foreign_value_of_a_typed_key_of_a_region_is_lost(tmp_path: Path) -> None:
    make_images(tmp_path)
    phrase = {"phrase": "é", "start_char": 0, "end_char": 1, "boxes": [{"bbox": [7.5, 3, 40, 21.25]}], "caption": [1]}
    row = {"image": "bilder/straße 0.png", "caption": "é", "phrases": [phrase]}
    write_jsonl(tmp_path / "a.jsonl", [row])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni")
    assert result.losses["regions.extra.caption"]["lost"] == 1
    assert len(list(groundprep.read(tmp_path / "b.jsonl").records)) == 1


def test_a_key_that_rexthinker_reads_is_not_taken_from_another_layout(tmp_path: Path) -> None:
    make_images(tmp_path)
    turns = [
        {
            "from": "human",
            "value": "<image>Please provide the bounding box coordinate of the region this sentence describes: é.",
        },
        {"from": "gpt", "value": [7.5, 3, 40, 21.25]},
    ]
    write_jsonl(
        tmp_path / "a.jsonl", [{"image": "bilder/straße 0.png", "conversations": turns, "ans": [[1, 2]], "é": 1}]
    )
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexthinker")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert (row["ans"], row["é"]) == ([7.5, 3, 40, 21.25], 1)
    assert result.losses["extra.ans"]["lost"] == 1
    assert result.losses["extra.é"]["kept"] == 1


def test_a_list_of_categories_that_is_none_does_not_end_the_run(tmp_path: Path) -> None:
    """`not_exhaustive` is our own word for LVIS's list; a COCO file may use it for something else."""
    make_images(tmp_path)
    image = {"id": 1, "file_name": "bilder/straße 0.png", "width": 61, "height": 37, "not_exhaustive": 5}
    document = {"images": [image], "annotations": [], "categories": []}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")
    result = run(tmp_path / "a.json", tmp_path / "b.json", to="lvis", from_name="coco")
    assert result.counts["written"] == 1


def test_keys_of_the_target_pass_if_their_values_fit() -> None:
    extra = {"dataset_name": "COCO", "task_name": 5, "gt": {}, "é": [1]}
    assert fitting_keys(extra, RexOmniEvalRow, ("gt",)) == {"dataset_name": "COCO", "é": [1]}


def test_a_key_counts_as_written_only_with_its_value() -> None:
    assert unwritten({"a": 1, "b": [2], "c": 3}, {"a": 1, "b": [3]}, {"c": 3}) == {"b"}
