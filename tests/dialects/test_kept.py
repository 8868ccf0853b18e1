"""Regions that stay word for word are counted as what they are: a point or an absent phrase is no box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep import ConvertConfig, SourceConfig, convert

REXOMNI = {
    "image_name": "é.png",
    "annotation": {
        "boxes": [{"bbox": [7.5, 3, 40, 21.25], "phrase": "dog"}, {"bbox": None, "phrase": "tram"}],
        "points": [{"point": [10, 20], "phrase": "nose"}],
        "polygons": [{"polygon": [1, 2, 30, 2, 30, 20], "phrase": "roof"}],
    },
}
EVAL = {
    "image_path": "é.png", "categories": ["dog", "tram"], "gt": {"dog": [[7.5, 3, 40, 21.25], [5, 6]]},
    "dataset_name": "COCO", "task_name": "detection",
}  # fmt: skip
ENGINE = {
    "image": "é.png", "caption": "a dog and a tram", "width": 61, "height": 37,
    "phrases": [
        {"phrase": "a dog", "start_char": 0, "end_char": 5, "boxes": [{"bbox": [7.5, 3.0, 40.0, 21.25]}]},
        {"phrase": "a tram", "start_char": 10, "end_char": 16, "boxes": []},
    ],
}  # fmt: skip
SFT = {
    "messages": [
        {"role": "user", "content": "<image>Draw boxes"},
        {"role": "assistant", "content": "{0: [], 1: [], 2: [[7, 3, 40, 21]], 3: []}"},
    ],
    "images": "é.png",
}
QWEN = {
    "image": "é.png",
    "conversations": [
        {"from": "human", "value": "<image>\nPlease detect the dog in this image."},
        {"from": "gpt", "value": '[{"bbox_2d": [7, 3, 40, 21], "label": "the dog"}, {"point_2d": [5, 6], "label": "the dog"}]'},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "frame", "kept"),
    [
        (REXOMNI, None, {"regions.box": 1, "regions.point": 1, "regions.polygon": 1}),
        (EVAL, None, {"regions.box": 1, "regions.point": 1}),
        (ENGINE, None, {"regions.box": 1}),
        (SFT, None, {"regions.box": 1}),
        (QWEN, "qwen2.5-vl", {"answers.box": 1, "answers.point": 1}),
    ],
)
def test_what_stays_is_counted_by_its_geometry(
    tmp_path: Path, row: dict[str, Any], frame: str | None, kept: dict[str, int]
) -> None:
    Image.new("RGB", (61, 37)).save(tmp_path / "é.png")
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    source = SourceConfig((str(tmp_path / "rows.jsonl"),), source_frame=frame)
    result = convert(ConvertConfig(source, str(tmp_path / "out.jsonl")))
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == row
    geometry = {name: loss for name, loss in result.losses.items() if name.startswith(("regions.", "answers."))}
    assert {name: loss["kept"] for name, loss in geometry.items()} == kept


def test_a_field_that_nothing_has_is_not_listed(tmp_path: Path) -> None:
    row = {"image_name": "é.png", "ans": [7.5, 3, 40, 21.25], "category": "dog", "referring": "the dog"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    result = convert(ConvertConfig(SourceConfig((str(tmp_path / "rows.jsonl"),)), str(tmp_path / "out.jsonl")))
    assert "candidates.box" not in result.losses
    assert all(any(loss.values()) for loss in result.losses.values())
