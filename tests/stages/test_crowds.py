"""Crowds of a corpus: told where they become one object, left out if asked, never silently either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.samples import make_image, read_jsonl, run

SIZE_WH = (64, 48)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two images: one with an object and a crowd of the same category, one with nothing but a crowd, in run lengths."""
    for name in ("é.png", "b.png"):
        make_image(tmp_path / name, SIZE_WH)
    crowd: dict[str, Any] = {"category_id": 3, "iscrowd": 1, "bbox": [20, 5, 30, 20], "area": 600}
    runs = {"size": [48, 64], "counts": [48 * 20 + 5, *([20, 28] * 29), 20, 48 * 64 - 48 * 49 - 25]}
    document = {
        "images": [
            {"id": 42, "file_name": "é.png", "width": 64, "height": 48},
            {"id": 7, "file_name": "b.png", "width": 64, "height": 48},
        ],
        "annotations": [
            {"id": 5, "image_id": 42, "category_id": 3, "bbox": [7.5, 3, 32.5, 18.25], "area": 300.5, "iscrowd": 0},
            {"id": 6, "image_id": 42, "segmentation": runs} | crowd,
            {"id": 9, "image_id": 7, "segmentation": runs} | crowd,
        ],
        "categories": [{"id": 3, "name": "tram"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path / "coco.json"


@pytest.mark.parametrize(
    ("name", "profile"),
    [("out", "rexomni-sft"), ("out.jsonl", "vlmr1-ovd"), ("out.parquet", "easyr1"), ("o.jsonl", None)],
)
def test_crowds_that_become_objects_are_counted(coco: Path, name: str, profile: str | None) -> None:
    flags = {"dialect": "rexthinker"} if profile is None else {"profile": profile}
    result = run(coco, coco.parent / name, **flags)
    (warning,) = [warning for warning in result.warnings if warning["code"] == "crowd-as-object"]
    assert (warning["count"], warning["record"]) == (2, 42)
    assert warning["source"].endswith("coco.json:1")
    assert "--crowds drop" in warning["fix"]


def test_crowds_stay_crowds_in_a_corpus_and_nothing_is_said(coco: Path) -> None:
    result = run(coco, coco.parent / "out.json", to="lvis")
    assert [warning for warning in result.warnings if warning["code"] == "crowd-as-object"] == []
    same = run(coco, coco.parent / "same.json")
    assert same.warnings == []
    assert json.loads((coco.parent / "same.json").read_text(encoding="utf-8")) == json.loads(
        coco.read_text(encoding="utf-8")
    )


def test_crowds_are_left_out_counted_and_their_images_stay(coco: Path) -> None:
    result = run(coco, coco.parent / "out", profile="rexomni-sft", crowds="drop")
    assert result.warnings == []
    assert result.losses["regions.crowd"]["lost"] == 2
    assert result.counts["written"] == 2
    lines = (coco.parent / "out.annotations.tsv").read_text(encoding="utf-8").splitlines()
    boxes = [json.loads(line.split("\t")[1])["boxes"] for line in lines]
    assert [[entry["bbox"] for entry in entries] for entries in boxes] == [[[7.5, 3.0, 40.0, 21.25]], []]


def test_a_document_without_crowds_keeps_everything_else(coco: Path) -> None:
    run(coco, coco.parent / "single.json", crowds="drop")
    before, after = (
        json.loads((coco.parent / name).read_text(encoding="utf-8")) for name in ("coco.json", "single.json")
    )
    assert after["images"] == before["images"]
    (kept,) = after["annotations"]
    assert {key: kept[key] for key in before["annotations"][0]} == before["annotations"][0]


def test_a_crowd_that_is_left_out_is_still_there_for_negatives(coco: Path) -> None:
    result = run(coco, coco.parent / "out.jsonl", dialect="rexomni", negatives=3, crowds="drop")
    regions = [entry for row in read_jsonl(coco.parent / "out.jsonl") for entry in row["annotation"]["boxes"]]
    assert [entry["phrase"] for entry in regions] == ["tram"]
    assert [warning["code"] for warning in result.warnings] == ["negatives-few"]


def test_other_flags_are_another_run(coco: Path) -> None:
    run(coco, coco.parent / "out.jsonl", profile="vlmr1-ovd")
    from groundprep.errors import UsageError

    with pytest.raises(UsageError) as caught:
        run(coco, coco.parent / "out.jsonl", profile="vlmr1-ovd", crowds="drop", on_error="drop")
    assert caught.value.code == "output-differs"
