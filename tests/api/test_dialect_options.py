"""Choices of one layout: the fit of Chebyshev masks, the names behind EasyDistill's labels."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundprep.api.dialect_options import parse_label_map
from groundprep.errors import RecordError, UsageError
from tests.contracts.samples import make_image, make_images, read_jsonl, rexomni_row, run, write_jsonl

GROUNDPREP = [sys.executable, "-c", "from groundprep.cli import main; main()"]
RINGS = {"disc": [[20, 10, 40, 10, 50, 20, 40, 30, 20, 30, 10, 20]], "sliver": [[5, 5, 55, 30, 54, 33, 4, 8]]}


def coco(folder: Path, names: tuple[str, ...] = ("狗", "feu rouge")) -> Path:
    """Two images, a box with an outline of each category in the first, one of the last in the second."""
    make_image(folder / "bilder/é1.png", (61, 37))
    make_image(folder / "bilder/é2.png", (90, 33), seed=1)
    rings = list(RINGS.values())
    boxes = [[10.5, 10, 39.5, 20], [4, 5, 51, 28]]
    annotations = [
        {
            "id": n,
            "image_id": 1,
            "category_id": 10 - n,
            "bbox": boxes[n % 2],
            "segmentation": rings[n % 2],
            "iscrowd": 0,
        }
        for n in range(len(names))
    ]
    annotations.append({"id": 99, "image_id": 2, "category_id": 11 - len(names), "bbox": [3, 4, 50.25, 20]})
    images = [
        {"id": 1, "file_name": "bilder/é1.png", "width": 61, "height": 37},
        {"id": 2, "file_name": "bilder/é2.png", "width": 90, "height": 33},
    ]
    categories = [{"id": 10 - n, "name": name} for n, name in enumerate(names)]
    path = folder / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def boxes_of(row: dict[str, Any]) -> dict[str, int]:
    return {label: len(boxes) for label, boxes in row["abs_box"].items()}


def test_up_to_four_categories_of_a_source_get_the_labels_in_the_order_of_their_table(tmp_path: Path) -> None:
    result = run(coco(tmp_path), tmp_path / "out.jsonl", profile="easydistill")
    assert [boxes_of(row) for row in read_jsonl(tmp_path / "out.jsonl")] == [
        {"0": 1, "1": 1, "2": 0, "3": 0},
        {"0": 0, "1": 1, "2": 0, "3": 0},
    ]
    (side_file,) = result.side_files
    assert Path(side_file) == tmp_path / "out.jsonl.groundprep/labels.json"
    assert json.loads(Path(side_file).read_text(encoding="utf-8")) == {"狗": 0, "feu rouge": 1}
    assert result.losses["regions.phrase"] | {"renamed": 3, "lost": 0} == result.losses["regions.phrase"]
    with pytest.raises(UsageError, match="label_map"):
        run(tmp_path / "coco.json", tmp_path / "out.jsonl", profile="easydistill", label_map="狗=1,feu rouge=0")


def test_a_map_names_the_labels_and_its_side_file_is_such_a_map(tmp_path: Path) -> None:
    run(coco(tmp_path), tmp_path / "a.jsonl", profile="easydistill", label_map="feu rouge=0,狗=3")
    assert boxes_of(read_jsonl(tmp_path / "a.jsonl")[0]) == {"0": 1, "1": 0, "2": 0, "3": 1}
    labels = str(tmp_path / "a.jsonl.groundprep/labels.json")
    run(tmp_path / "coco.json", tmp_path / "b.jsonl", profile="easydistill", label_map=labels)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    run(tmp_path / "coco.json", tmp_path / "s.json", dialect="easydistill-sft", label_map=labels)
    answers = [row["messages"][1]["content"] for row in json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))]
    written = [{str(label): len(boxes) for label, boxes in ast.literal_eval(answer).items()} for answer in answers]
    assert written == [boxes_of(row) for row in read_jsonl(tmp_path / "a.jsonl")]


def test_several_phrases_under_one_label_lose_their_difference_and_are_counted(tmp_path: Path) -> None:
    result = run(coco(tmp_path), tmp_path / "out.jsonl", profile="easydistill", label_map="狗=0,feu rouge=0")
    assert [boxes_of(row)["0"] for row in read_jsonl(tmp_path / "out.jsonl")] == [2, 1]
    assert result.losses["regions.phrase"]["lost"] == 3


def test_a_phrase_without_a_label_is_a_bad_row(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        run(coco(tmp_path), tmp_path / "out.jsonl", profile="easydistill", label_map="狗=0")
    assert (caught.value.code, caught.value.found) == ("label-needed", "feu rouge")
    assert "狗" in (caught.value.expected or "")
    result = run(tmp_path / "coco.json", tmp_path / "o.jsonl", profile="easydistill", label_map="x=0", on_error="drop")
    assert result.counts["dropped"] == 2
    five = coco(tmp_path / "five", tuple("abcdé"))
    with pytest.raises(RecordError, match="--label-map"):
        run(five, tmp_path / "five.jsonl", profile="easydistill")


def test_labels_that_were_read_are_exchanged_where_a_map_says_so_and_stay_elsewhere(tmp_path: Path) -> None:
    make_images(tmp_path)
    boxes = {"0": [[1, 2, 30, 20]], "1": [], "2": [[3, 4, 9, 9]], "3": []}
    row = {"image_path": "bilder/straße 0.png", "instruction": "où?", "height": 37, "width": 61, "abs_box": boxes}
    write_jsonl(tmp_path / "a.jsonl", [row])
    flags = {"source_frame": "easydistill", "profile": "easydistill"}
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", label_map="x=1", **flags)
    assert read_jsonl(tmp_path / "b.jsonl")[0]["abs_box"] == boxes
    run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", label_map="0=2,2=0", **flags)
    assert read_jsonl(tmp_path / "c.jsonl")[0]["abs_box"] == boxes | {"0": boxes["2"], "2": boxes["0"]}


@pytest.mark.parametrize(
    "text",
    ["a", "a=4", "a=x", "=0", "a=0,a=1", "", "missing.json", "list.json", "bad.json", "float.json", "empty.json"],
)
def test_what_is_no_map_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text('["a", "b"]')
    Path("bad.json").write_text('{"a": 0')
    Path("float.json").write_text('{"a": 1.0}')
    Path("empty.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        parse_label_map(text)
    assert caught.value.code == "bad-label-map"
    assert "\n" not in str(caught.value)


def test_a_map_may_hold_any_phrase_in_a_file_and_phrases_with_equals_signs(tmp_path: Path) -> None:
    path = tmp_path / "é.json"
    path.write_text('{"rot, grün": 0, "a=b": "1"}', encoding="utf-8")
    assert parse_label_map(str(path)) == {"rot, grün": "0", "a=b": "1"}
    assert parse_label_map("a=b=1, 狗 =0") == {"a=b": "1", "狗": "0"}


@pytest.mark.parametrize(
    ("profile", "flags"),
    [
        ("vlmr1", {"label_map": "a=0"}),
        ("easydistill-single", {"label_map": "a=0"}),
        ("easydistill", {"fit": "best"}),
        ("vlmr1-ovd", {"min_mask_iou": 0.5}),
        ("vlmr1-seg", {"label_map": "a=0"}),
        ("vlmr1-seg", {"min_mask_iou": 1.5}),
    ],
)
def test_an_option_of_another_layout_is_a_usage_error(tmp_path: Path, profile: str, flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run(coco(tmp_path), tmp_path / "out.jsonl", profile=profile, **flags)
    assert not list(tmp_path.glob("out*"))


def test_masks_below_the_bound_are_bad_rows_and_the_rest_says_what_it_reached(tmp_path: Path) -> None:
    ious = {}
    for fit in ("fork", "best"):
        run(coco(tmp_path), tmp_path / f"{fit}.jsonl", profile="vlmr1-seg", fit=fit, on_error="drop")
        ious[fit] = [row["mask_iou"] for row in read_jsonl(tmp_path / f"{fit}.jsonl")]
    assert all(best >= fork for best, fork in zip(ious["best"], ious["fork"], strict=True))
    assert ious["best"] != ious["fork"]
    bound = max(ious["fork"])
    result = run(
        tmp_path / "coco.json", tmp_path / "out.jsonl", profile="vlmr1-seg", min_mask_iou=bound, on_error="drop"
    )
    assert [row["mask_iou"] for row in read_jsonl(tmp_path / "out.jsonl")] == [bound]
    codes = [row["code"] for row in read_jsonl(tmp_path / "out.jsonl.groundprep/dropped.jsonl")]
    assert codes == ["mask-iou-low", "no-mask"]
    assert result.counts["dropped"] == 2
    with pytest.raises(UsageError, match="fit"):
        run(tmp_path / "coco.json", tmp_path / "best.jsonl", profile="vlmr1-seg", on_error="drop")


def test_numbers_that_were_read_are_worth_what_is_written_beside_them(tmp_path: Path) -> None:
    run(coco(tmp_path), tmp_path / "a.jsonl", profile="vlmr1-seg", on_error="drop")
    rows = read_jsonl(tmp_path / "a.jsonl")
    bound = min(row["mask_iou"] for row in rows)
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg", min_mask_iou=bound)
    assert read_jsonl(tmp_path / "b.jsonl") == rows
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", profile="vlmr1-seg", min_mask_iou=bound + 0.001)
    assert caught.value.code == "mask-iou-low"
    del rows[0]["mask_iou"]
    write_jsonl(tmp_path / "d.jsonl", rows)
    flags = {"profile": "vlmr1-seg", "source_frame": "vlmr1-seg"}
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "d.jsonl", tmp_path / "e.jsonl", min_mask_iou=0.1, **flags)
    assert (caught.value.code, caught.value.source.row) == ("mask-iou-unknown", 1)  # type: ignore[union-attr]


def test_the_command_line_has_these_flags(tmp_path: Path) -> None:
    coco(tmp_path)
    flags = ["--for", "vlmr1-seg", "--fit", "best", "--min-mask-iou", "0.99", "--on-error", "drop"]
    done = subprocess.run(
        [*GROUNDPREP, "convert", "coco.json", "o.jsonl", *flags], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 5
    assert b"mask-iou-low" in (tmp_path / "o.jsonl.groundprep/dropped.jsonl").read_bytes()
    flags = ["--for", "easydistill", "--label-map", "feu rouge=2,狗=1"]
    done = subprocess.run(
        [*GROUNDPREP, "convert", "coco.json", "e.jsonl", *flags], cwd=tmp_path, capture_output=True, check=True
    )
    assert b"labels.json" in done.stdout


def test_phrases_that_are_labels_need_no_map(tmp_path: Path) -> None:
    make_images(tmp_path)
    boxes = [{"bbox": [7, 3, 40, 21], "phrase": "2"}]
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(0, annotation={"boxes": boxes})])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill")
    assert boxes_of(read_jsonl(tmp_path / "b.jsonl")[0]) == {"0": 0, "1": 0, "2": 1, "3": 0}
    assert result.side_files == ()
