"""Sizes that the data declares: enough where no image is there and none is written, never instead of an image that is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import groundprep
from groundprep.api.convert import ConvertResult
from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from groundprep.errors import FormatError, PayloadError
from tests.contracts.samples import make_image, read_jsonl, rexthinker_row, run, write_jsonl

SIZES_WH = {"é1.png": (640, 426), "straße/2.png": (90, 333)}
RING = [10, 10, 60, 15, 50, 40, 20, 35]


def coco(folder: Path, *, images: bool, size_wh: tuple[int, int] | None = None) -> Path:
    """Two images with a box and an outline each; files only if asked for; `size_wh`: what is declared, if not the truth."""
    entries = []
    for number, (name, true_wh) in enumerate(SIZES_WH.items(), start=1):
        width, height = size_wh or true_wh
        entries.append({"id": number, "file_name": name, "width": width, "height": height})
        if images:
            make_image(folder / name, true_wh)
    annotations = [
        {"id": n, "image_id": n, "category_id": 3, "bbox": [7.5 + n, 3, 40, 21.25], "segmentation": [RING]}
        for n in (1, 2)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    document = {"images": entries, "annotations": annotations, "categories": [{"id": 3, "name": "狗"}]}
    (folder / "coco.json").write_text(json.dumps(document))
    return folder / "coco.json"


def declared(result: ConvertResult) -> int:
    return sum(warning["count"] for warning in result.warnings if warning["code"] == "sizes-declared")


@pytest.mark.parametrize("profile", ["vlmr1-ovd", "easydistill", "vlmr1-internvl", "vlmr1-seg", "qwen2.5-vl", "vlmr1"])
def test_rows_without_images_are_those_with_images(tmp_path: Path, profile: str) -> None:
    with_images = run(coco(tmp_path / "mit", images=True), tmp_path / "mit.jsonl", profile=profile, on_error="drop")
    without = run(coco(tmp_path / "ohne", images=False), tmp_path / "ohne.jsonl", profile=profile, on_error="drop")
    text = (tmp_path / "mit.jsonl").read_text(encoding="utf-8")
    assert (tmp_path / "ohne.jsonl").read_text(encoding="utf-8") == text.replace(
        f"{tmp_path}/mit/", f"{tmp_path}/ohne/"
    )
    assert without.counts["written"] == with_images.counts["written"] > 0
    assert without.losses == with_images.losses
    assert (declared(with_images), declared(without)) == (0, 0 if profile == "vlmr1" else 2)


def test_an_image_that_is_there_is_proven_whatever_is_declared(tmp_path: Path) -> None:
    run(coco(tmp_path / "wahr", images=True), tmp_path / "wahr.jsonl", profile="vlmr1-ovd")
    result = run(coco(tmp_path / "falsch", images=True, size_wh=(100, 50)), tmp_path / "o.jsonl", profile="vlmr1-ovd")
    assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "wahr.jsonl").read_bytes()
    assert declared(result) == 0
    (tmp_path / "falsch/é1.png").write_bytes(b"no image")
    with pytest.raises(PayloadError) as caught:
        run(tmp_path / "falsch/coco.json", tmp_path / "p.jsonl", profile="vlmr1-ovd")
    assert caught.value.code == "image-broken"
    (tmp_path / "falsch/é1.png").unlink()
    assert declared(run(tmp_path / "falsch/coco.json", tmp_path / "q.jsonl", profile="vlmr1-ovd")) == 1


@pytest.mark.parametrize("flags", [{"image_root": "."}, {"verify": "decode"}])
def test_who_names_a_root_or_wants_images_decoded_is_told_of_those_that_are_missing(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    if "image_root" in flags:
        flags = {"image_root": str(tmp_path)}
    with pytest.raises(PayloadError) as caught:
        run(coco(tmp_path, images=False), tmp_path / "out.jsonl", profile="vlmr1-ovd", **flags)
    assert caught.value.code == "image-missing"


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("out", {"profile": "rexomni-sft"}),
        ("out.parquet", {"profile": "easyr1"}),
        ("out.jsonl", {"profile": "vlmr1-ovd", "image_out": "aus"}),
        ("out.jsonl", {"profile": "vlmr1-ovd", "resize": "fixed-point", "image_out": "aus"}),
        ("out.jsonl", {"profile": "vlmr1-ovd", "negatives": 1}),
    ],
)
def test_what_needs_bytes_needs_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, flags: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PayloadError) as caught:
        run(coco(tmp_path, images=False), tmp_path / name, **flags)
    assert caught.value.code == "image-missing"
    assert not (tmp_path / "aus").exists()


@pytest.mark.parametrize("size_wh", [(0, 37), (-61, 37), (10**6, 10**6)])
def test_a_size_that_no_image_has_is_no_size(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    with pytest.raises(PayloadError) as caught:
        run(coco(tmp_path, images=False, size_wh=size_wh), tmp_path / "out.jsonl", profile="vlmr1-internvl")
    assert caught.value.code == "image-missing"


def test_a_folder_in_the_images_place_is_no_missing_image(tmp_path: Path) -> None:
    coco(tmp_path, images=False)
    (tmp_path / "é1.png").mkdir()
    with pytest.raises(PayloadError, match="directory"):
        run(tmp_path / "coco.json", tmp_path / "out.jsonl", profile="vlmr1-ovd")


def test_width_and_height_of_a_row_with_one_image_are_declared_as_well(tmp_path: Path) -> None:
    rows = [rexthinker_row(number, width=61, height=37) for number in (0, 3, 6)]
    write_jsonl(tmp_path / "in.jsonl", rows)
    result = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-internvl")
    assert declared(result) == 1
    answers = [row["conversations"][1]["value"] for row in read_jsonl(tmp_path / "out.jsonl")]
    assert answers == [[122, 81, 655, 574]] * 3
    write_jsonl(tmp_path / "ohne.jsonl", [rexthinker_row(0)])
    with pytest.raises(PayloadError):
        run(tmp_path / "ohne.jsonl", tmp_path / "x.jsonl", profile="vlmr1-internvl")


def test_rows_that_declare_their_size_are_sampled_read_and_written_without_images(tmp_path: Path) -> None:
    run(coco(tmp_path, images=False), tmp_path / "out.jsonl", profile="easydistill")
    sample(SampleConfig(SourceConfig((str(tmp_path / "out.jsonl"),)), str(tmp_path / "part.jsonl"), "first:1"))
    assert read_jsonl(tmp_path / "part.jsonl") == read_jsonl(tmp_path / "out.jsonl")[:1]
    header, records = groundprep.read(tmp_path / "out.jsonl")
    result = groundprep.write(records, tmp_path / "w.jsonl", header=header, for_="qwen2.5-vl")
    assert (result.counts["written"], declared(result)) == (2, 2)


@pytest.mark.parametrize(
    ("size_wh", "outside"), [((640, 426), 0), ((40, 426), 2), ((640, 20), 2), ((0, 0), 0), ((-90, 333), 0)]
)
def test_a_box_outside_the_declared_size_is_told_where_no_image_is_opened(
    tmp_path: Path, size_wh: tuple[int, int], outside: int
) -> None:
    result = run(coco(tmp_path, images=False, size_wh=size_wh), tmp_path / "o.jsonl")
    assert sum(warning["count"] for warning in result.warnings if warning["code"] == "box-outside") == outside
    assert result.counts["written"] == 2


def test_thousandths_in_a_coco_document_are_not_taken_for_pixels(tmp_path: Path) -> None:
    """0-1000 of the image's sides as x, y, width, height, in images of 640x426."""
    images = [{"id": n, "file_name": f"é{n}.png", "width": 640, "height": 426} for n in range(30)]
    annotations = [{"id": n, "image_id": n, "category_id": 3, "bbox": [600 + n, 500, 300, 450 - n]} for n in range(30)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "狗"}]}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "coco.json", tmp_path / "o.jsonl")
    assert caught.value.code == "frame-contradicted"
    assert "--source-frame rel1000-xywh" in str(caught.value.fix)
    run(tmp_path / "coco.json", tmp_path / "o.jsonl", source_frame="rel1000-xywh")
    (box,) = read_jsonl(tmp_path / "o.jsonl")[0]["annotation"]["boxes"]
    assert box["bbox"] == pytest.approx([384, 213, 576, 404.7])
