"""What a Rex-Omni configuration must say of a TSV: read by Python, its files by a reader made from the trainer's steps."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.rexomni_config import TrainerEntry
from groundprep.stages.hold_regions import HoldRegions
from groundprep.trainers import get_profile
from tests.contracts.samples import make_images, read_jsonl, rexomni_row, run, write_jsonl

NAMES = (
    "GroundingTSVDataset",
    "PointingTSVDataset",
    "TSVRLHFDataset",
    "GroundingTaskFn",
    "PointingTaskFn",
    "GROUNDING_SINGLE_REGION_STAGE_XYXY",
    "POINTING_POINT",
)
KEYS = {
    "GroundingTSVDataset": ("img_tsv_file", "ann_tsv_file", "ann_lineidx_file"),
    "PointingTSVDataset": ("img_tsv_file", "ann_tsv_file", "ann_lineidx_file"),
    "TSVRLHFDataset": ("image_tsv_file", "anno_tsv_file", "anno_idx_file"),
}
"""SFT and GRPO name their files differently. Source: specs/rexomni.md §2.2, §2.4, §11.6."""


def entries_of(text: str) -> list[dict[str, Any]]:
    """Return the data sets of a configuration, as Python reads them: the trainer's names stand for themselves."""
    return list(eval(f"[{text}]", {"__builtins__": {"dict": dict}} | {name: name for name in NAMES}))


def trained_on(entry: dict[str, Any]) -> list[tuple[tuple[int, int], dict[str, Any]]]:
    """Return (image size, annotation) of every row, read as the trainer reads them. Source: specs/rexomni.md §2.1."""
    images, annotations, lineidx = (entry[key] for key in KEYS[entry["type"]])
    rows = []
    for line in Path(lineidx).read_text().splitlines():
        with Path(annotations).open(encoding="utf-8") as file:
            file.seek(int(line))
            offset, text = file.readline().strip().split("\t")
        with Path(images).open() as file:
            file.seek(int(offset))
            payload = file.readline().strip().split("\t")[1]
        rows.append((Image.open(io.BytesIO(base64.b64decode(payload))).size, json.loads(text)))
    return rows


def absent_rows(folder: Path) -> Path:
    """Two images with absent phrases, a point, and further keys beside the boxes."""
    make_images(folder)
    first, second = rexomni_row(0), rexomni_row(1)
    first["annotation"] = {
        "boxes": [*first["annotation"]["boxes"], {"bbox": None, "phrase": "traffic_light, red"}],
        "points": [{"point": [5, 6.5], "phrase": "nez"}],
        "note": "é",
    }
    second["annotation"]["boxes"] += [{"bbox": None, "phrase": "cat <1>"}, {"bbox": None, "phrase": "oie"}]
    return write_jsonl(folder / "absent.jsonl", [first, second])


@pytest.mark.parametrize("profile", ["rexomni-grpo", "rexomni-sft@478e44f"])
def test_phrases_that_no_row_may_hold_become_extra_categories(tmp_path: Path, profile: str) -> None:
    result = run(absent_rows(tmp_path), tmp_path / "é/train", profile=profile)
    config = (tmp_path / "é/train.groundprep/rexomni_config.py").read_text(encoding="utf-8")
    (entry,) = entries_of(config)
    categories = ["Straßenbahn", "traffic light red", "oie"]
    assert entry["task_fn"]["extra_categories"] == categories
    assert json.loads((tmp_path / "é/train.groundprep/extra_categories.json").read_text(encoding="utf-8")) == categories
    assert result.losses["regions.absent"]["lost"] == 5
    assert result.losses["regions.point"]["lost"] == 1
    rows = trained_on(entry)
    assert [size for size, _ in rows] == [(61, 37), (640, 426)]
    boxes = [box for _, annotation in rows for box in annotation["boxes"]]
    assert len(boxes) == 6
    assert all(box["bbox"] is not None for box in boxes)
    assert [warning["code"] for warning in result.warnings] == ["phrase-not-normal"]
    assert entries_of(result.paste or "") == [entry]
    assert result.side_files == tuple(
        str(tmp_path / f"é/train.groundprep/{name}") for name in ("extra_categories.json", "rexomni_config.py")
    )


def test_rows_of_grpo_have_one_key_and_those_of_sft_keep_theirs(tmp_path: Path) -> None:
    """Other keys than the first row's stop the GRPO loader's collation. Source: specs/rexomni.md §2.4."""
    result = run(absent_rows(tmp_path), tmp_path / "grpo", profile="rexomni-grpo")
    (entry,) = entries_of(result.paste or "")
    assert [list(annotation) for _, annotation in trained_on(entry)] == [["boxes"], ["boxes"]]
    assert result.losses["extra.note"]["lost"] == 1
    again = run(tmp_path / "grpo", tmp_path / "again", profile="rexomni-grpo")
    assert (tmp_path / "again.annotations.tsv").read_bytes() == (tmp_path / "grpo.annotations.tsv").read_bytes()
    assert not any(loss["lost"] or loss["rounded"] for loss in again.losses.values())
    (entry,) = entries_of(run(tmp_path / "absent.jsonl", tmp_path / "sft", profile="rexomni-sft@478e44f").paste or "")
    assert trained_on(entry)[0][1]["note"] == "é"


def test_the_second_sft_release_is_told_of_absence_and_points_in_its_rows(tmp_path: Path) -> None:
    result = run(absent_rows(tmp_path), tmp_path / "out", profile="rexomni-sft", min_pixels=3136)
    grounding, pointing = entries_of(result.paste or "")
    assert "extra_categories" not in grounding["task_fn"]
    assert (grounding["ori_box_format"], "ori_box_format" in pointing) == ("xyxy", False)
    assert [entry["task_fn"]["type"] for entry in (grounding, pointing)] == ["GroundingTaskFn", "PointingTaskFn"]
    limits = {entry[key] for entry in (grounding, pointing) for key in ("image_min_pixels", "image_max_pixels")}
    assert limits == {3136, 2_007_040}  # the last data set's limits apply to all: they must be equal
    assert sum(box["bbox"] is None for _, row in trained_on(grounding) for box in row["boxes"]) == 5
    assert not (tmp_path / "out.groundprep/extra_categories.json").exists()


def test_a_side_file_of_an_earlier_run_does_not_outlive_it(tmp_path: Path) -> None:
    run(absent_rows(tmp_path), tmp_path / "out", profile="rexomni-grpo")
    assert run(tmp_path / "absent.jsonl", tmp_path / "out", profile="rexomni-grpo").side_files
    result = run(tmp_path / "absent.jsonl", tmp_path / "out", to="tsv", overwrite=True)
    assert result.side_files == ()
    assert sorted(path.name for path in (tmp_path / "out.groundprep").iterdir()) == ["manifest.json", "run.json"]


def test_rows_in_another_container_get_their_categories_and_no_entry(tmp_path: Path) -> None:
    result = run(absent_rows(tmp_path), tmp_path / "out.jsonl", profile="rexomni-grpo", to="jsonl")
    assert result.paste is None
    assert [Path(name).name for name in result.side_files] == ["extra_categories.json"]
    assert all(box["bbox"] for row in read_jsonl(tmp_path / "out.jsonl") for box in row["annotation"]["boxes"])


def test_many_categories_are_a_warning_and_are_not_all_printed() -> None:
    held = HoldRegions(boxes_only=True)
    held.absent = {f'thing "{number}"': 1 for number in range(130)}
    entry = TrainerEntry(get_profile("rexomni-grpo"), "é/out", held)
    assert [finding.code for finding in entry.findings()] == ["extra-categories-many"]
    (whole,) = entries_of(entry.text())
    assert whole["task_fn"]["extra_categories"] == list(held.absent)
    shown = entry.text(20)
    assert '"thing \\"19\\""' in shown
    assert "130 in all" in shown
    assert '"thing \\"20\\""' not in shown
