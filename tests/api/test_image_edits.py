"""`convert --resize fixed-point` and `--exif bake`: stored equals seen, boxes follow, bytes never depend on the workers."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO

from groundprep.errors import PayloadError, RecordError, UsageError
from groundprep.images import EXIF_ORIENTATION_TAG, TsvImage, decode, exif_orientation
from groundprep.trainers import get_profile
from tests.contracts.samples import make_image, read_jsonl, rexomni_row, rexthinker_row, run, write_jsonl

CHAIN = get_profile("rexthinker").chain
GROUNDPREP = [sys.executable, "-c", "from groundprep.cli import main; main()"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images, one already at a fixed size, one with EXIF orientation 6; nine rows that share them."""
    make_image(tmp_path / "bilder/straße 0.png", (161, 97))
    make_image(tmp_path / "bilder/straße 1.png", (616, 448))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = 6
    make_image(tmp_path / "x.jpg", (640, 426))
    Image.open(tmp_path / "x.jpg").save(tmp_path / "bilder/straße 2.jpg", exif=exif)
    names = ["bilder/straße 0.png", "bilder/straße 1.png", "bilder/straße 2.jpg"]
    rows = [rexthinker_row(n, image_name=names[n % 3]) for n in range(9)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    return tmp_path


def tsv_rows(prefix: Path) -> list[tuple[dict[str, Any], bytes]]:
    images = str(prefix) + ".images.tsv"
    lines = Path(f"{prefix}.annotations.tsv").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return [(json.loads(text), TsvImage(images, int(offset)).read()) for offset, text in pairs]


def output_of(prefix: Path) -> list[bytes]:
    names = [f"{prefix}{suffix}" for suffix in (".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx")]
    return [Path(name).read_bytes() for name in (*names, f"{prefix}.groundprep/manifest.json")]


def test_stored_images_have_fixed_sizes_and_boxes_lie_where_they_lay(photos: Path) -> None:
    rows = read_jsonl(photos / "rows.jsonl")
    write_jsonl(photos / "regions.jsonl", [rexomni_row(n, image_name=row["image_name"]) for n, row in enumerate(rows)])
    result = run(photos / "regions.jsonl", photos / "out/toy", profile="rexomni-sft", resize="fixed-point")
    assert result.counts["written"] == 9
    chain = get_profile("rexomni-sft").chain
    sizes = {"bilder/straße 0.png": (161, 97), "bilder/straße 1.png": (616, 448), "bilder/straße 2.jpg": (640, 426)}
    for row, (annotation, data) in zip(read_jsonl(photos / "regions.jsonl"), tsv_rows(photos / "out/toy"), strict=True):
        w, h = decode(data).size
        assert chain.seen_wh((w, h)) == (w, h)
        old_w, old_h = sizes[row["image_name"]]
        x0, y0, x1, y1 = row["annotation"]["boxes"][0]["bbox"]
        assert annotation["boxes"][0]["bbox"] == pytest.approx(
            [x0 / old_w * w, y0 / old_h * h, x1 / old_w * w, y1 / old_h * h]
        )
    stored = (photos / "out/toy.images.tsv").read_text().splitlines()
    assert len(stored) == 3, "an image that rows share is stored once"
    assert tsv_rows(photos / "out/toy")[1][1] == (photos / "bilder/straße 1.png").read_bytes()
    assert not (photos / "out/toy.groundprep/transcoded").exists()


def test_training_rows_say_the_same_with_and_without_the_resize(photos: Path) -> None:
    run(photos / "rows.jsonl", photos / "plain.parquet", profile="rexthinker")
    run(photos / "rows.jsonl", photos / "fixed.parquet", profile="rexthinker", resize="fixed-point")
    plain, fixed = (pq.read_table(photos / f"{name}.parquet").to_pylist() for name in ("plain", "fixed"))
    for one, other in zip(plain, fixed, strict=True):
        assert (one["problem"], one["answer"]) == (other["problem"], other["answer"])
        stored_wh = decode(other["images"]).size
        assert CHAIN.seen_wh(decode(one["images"]).size) == stored_wh == CHAIN.seen_wh(stored_wh)


def test_bytes_do_not_depend_on_the_workers(photos: Path) -> None:
    for workers in (1, 2, 5):
        run(
            photos / "rows.jsonl",
            photos / f"w{workers}/toy",
            profile="rexomni-sft",
            resize="fixed-point",
            exif="bake",
            workers=workers,
        )
    assert output_of(photos / "w1/toy") == output_of(photos / "w2/toy") == output_of(photos / "w5/toy")


def test_bake_turns_boxes_with_their_pixels_and_keep_touches_nothing(photos: Path) -> None:
    run(photos / "rows.jsonl", photos / "keep/toy", to="tsv")
    run(photos / "rows.jsonl", photos / "bake/toy", to="tsv", exif="bake")
    kept, baked = tsv_rows(photos / "keep/toy"), tsv_rows(photos / "bake/toy")
    assert kept[2][1] == (photos / "bilder/straße 2.jpg").read_bytes()
    assert kept[:2] == baked[:2]
    x0, y0, x1, y1 = kept[2][0]["boxes"][0]["bbox"]
    assert baked[2][0]["boxes"][0]["bbox"] == [426 - y1, x0, 426 - y0, x1]
    assert (exif_orientation(baked[2][1]), decode(baked[2][1]).size) == (1, (426, 640))


@pytest.fixture
def masks(photos: Path) -> Path:
    """A COCO document of the three images, with a mask each: compressed run lengths, plain ones, a polygon."""
    images, annotations = [], []
    for place, (name, (w, h)) in enumerate(
        (("straße 0.png", (161, 97)), ("straße 1.png", (616, 448)), ("straße 2.jpg", (640, 426)))
    ):
        rows, columns = np.mgrid[:h, :w]
        inside = np.asfortranarray(((columns - w / 3) / w) ** 2 + ((rows - h / 2) / h) ** 2 < 0.06, dtype=np.uint8)
        counts: Any = mask.encode(inside)["counts"].decode()
        if place == 1:
            edges = np.flatnonzero(np.diff(inside.ravel(order="F"))) + 1
            counts = np.diff([0, *edges, w * h]).tolist()
        shape: Any = {"size": [h, w], "counts": counts}
        if place == 2:
            shape = [[10.0, 10.0, 200.5, 14.25, 90.0, 300.0]]
        images.append({"id": place, "file_name": f"bilder/{name}", "width": w, "height": h})
        annotations.append(
            {"id": place + 7, "image_id": place, "category_id": 1, "bbox": [9, 9, 30, 20], "iscrowd": 0}
            | {"segmentation": shape, "area": int(inside.sum())}
        )
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "狗"}]}
    (photos / "coco.json").write_text(json.dumps(document), encoding="utf-8")
    return photos


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_masks_are_turned_with_their_images(masks: Path) -> None:
    result = run(masks / "coco.json", masks / "turned.json", to="coco", exif="bake", image_out=str(masks / "aus"))
    assert not any(loss["rounded"] or loss["lost"] for loss in result.losses.values())
    before, after = (json.loads((masks / name).read_text()) for name in ("coco.json", "turned.json"))
    assert after["annotations"][:2] == before["annotations"][:2], "images without the tag stay"
    shape = after["annotations"][2]["segmentation"]
    assert shape == [[416.0, 10.0, 411.75, 200.5, 126.0, 90.0]]
    rle = {
        "size": [426, 640],
        "counts": mask.encode(np.asfortranarray(np.eye(426, 640, 9, np.uint8)))["counts"].decode(),
    }
    before["annotations"][2]["segmentation"] = rle
    (masks / "rle.json").write_text(json.dumps(before), encoding="utf-8")
    run(masks / "rle.json", masks / "rle.turned.json", to="coco", exif="bake", image_out=str(masks / "aus2"))
    last = COCO(str(masks / "rle.turned.json")).loadAnns([9])[0]
    assert np.array_equal(mask.decode(last["segmentation"]), np.rot90(np.eye(426, 640, 9, np.uint8), 3))


def test_a_shape_is_the_same_with_and_without_the_resize(masks: Path) -> None:
    run(masks / "coco.json", masks / "plain.jsonl", profile="vlmr1-seg")
    result = run(
        masks / "coco.json",
        masks / "fixed.jsonl",
        profile="vlmr1-seg",
        resize="fixed-point",
        image_out=str(masks / "aus"),
    )
    assert result.losses["answers.mask"]["rounded"] == 2
    plain, fixed = read_jsonl(masks / "plain.jsonl"), read_jsonl(masks / "fixed.jsonl")
    assert [row["solution"]["size"] for row in fixed] == [[84, 168], [448, 616], [420, 644]]
    for one, other in zip(plain[:2], fixed[:2], strict=True):
        assert one["conversations"] == other["conversations"]
        w, h = decode((masks / "aus" / other["image"]).read_bytes()).size
        assert [h, w] == other["solution"]["size"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_resized_masks_say_how_far_their_edges_moved_and_areas_follow(masks: Path) -> None:
    flags: dict[str, Any] = {"resize": "fixed-point", "image_out": str(masks / "aus")}
    result = run(masks / "coco.json", masks / "fixed.json", to="coco", profile="rexomni-sft", **flags)
    loss = result.losses["regions.mask"]
    assert (loss["rounded"], loss["lost"]) == (1, 0), "the second image had such a size already"
    assert 0 < loss["largest_error_px"] < 2
    coco = COCO(str(masks / "fixed.json"))
    for one in coco.loadAnns([7, 8, 9]):
        (image,) = coco.loadImgs([one["image_id"]])
        assert coco.annToMask(one).shape == (image["height"], image["width"])
        if one["id"] != 9:
            assert int(coco.annToMask(one).sum()) == pytest.approx(one["area"], rel=0.01)


def test_flags_stand_in_the_manifest_and_another_resize_is_another_output(photos: Path) -> None:
    run(photos / "rows.jsonl", photos / "toy", profile="rexomni-sft", resize="fixed-point", exif="bake")
    flags = json.loads((photos / "toy.groundprep/manifest.json").read_text())["config"]["flags"]
    assert (flags["resize"], flags["exif"]) == ("fixed-point", "bake")
    with pytest.raises(UsageError, match="resize was 'fixed-point', now 'none'"):
        run(photos / "rows.jsonl", photos / "toy", profile="rexomni-sft", exif="bake")


def test_rows_that_name_files_get_new_files_and_the_originals_stay(photos: Path) -> None:
    before = {path.name: path.read_bytes() for path in (photos / "bilder").iterdir()}
    with pytest.raises(UsageError, match="--image-out DIR"):
        run(
            photos / "rows.jsonl",
            photos / "out.jsonl",
            profile="rexthinker",
            dialect="rexthinker",
            resize="fixed-point",
        )
    flags: dict[str, Any] = {"profile": "rexthinker", "dialect": "rexthinker", "resize": "fixed-point"}
    with pytest.raises(UsageError, match="replace the originals"):
        run(photos / "rows.jsonl", photos / "out.jsonl", image_out=str(photos), **flags)
    run(photos / "rows.jsonl", photos / "new/out.jsonl", image_out=str(photos / "new"), **flags)
    assert before == {path.name: path.read_bytes() for path in (photos / "bilder").iterdir()}
    for row in read_jsonl(photos / "new/out.jsonl"):
        size_wh = decode((photos / "new" / row["image_name"]).read_bytes()).size
        assert CHAIN.seen_wh(size_wh) == size_wh
        assert row["image_id"] is not None


def test_another_format_than_jpeg_and_png_is_named_for_what_it_becomes(photos: Path) -> None:
    Image.open(photos / "bilder/straße 0.png").save(photos / "bilder/große.bmp")
    write_jsonl(photos / "rows.jsonl", [rexthinker_row(0, image_name="bilder/große.bmp")])
    flags: dict[str, Any] = {"profile": "rexthinker", "dialect": "rexthinker", "resize": "fixed-point"}
    run(photos / "rows.jsonl", photos / "new/out.jsonl", image_out=str(photos / "new"), **flags)
    (row,) = read_jsonl(photos / "new/out.jsonl")
    assert row["image_name"] == "bilder/große.png"
    assert decode((photos / "new/bilder/große.png").read_bytes()).format == "PNG"


def test_resizing_needs_a_trainer_and_its_own_chain(photos: Path) -> None:
    with pytest.raises(UsageError, match="--for PROFILE"):
        run(photos / "rows.jsonl", photos / "toy", to="tsv", resize="fixed-point")
    with pytest.raises(UsageError, match="drop one of the two"):
        run(photos / "rows.jsonl", photos / "a.parquet", profile="rexthinker", frame="converter", resize="fixed-point")


@pytest.mark.parametrize("workers", [1, 4])
def test_bad_rows_are_dropped_in_input_order_whichever_step_finds_them(photos: Path, workers: int) -> None:
    rows = read_jsonl(photos / "rows.jsonl")
    rows[1]["ans"] = [1, 2, 3]  # found when the row is read
    (photos / "bilder/kaputt.png").write_bytes((photos / "bilder/straße 0.png").read_bytes()[:900])
    rows[0]["image_name"] = rows[4]["image_name"] = "bilder/kaputt.png"  # found when the image is resized
    rows[6]["ans"] = [1, 2, 3]
    write_jsonl(photos / "bad.jsonl", rows)
    flags: dict[str, Any] = {"profile": "rexthinker", "resize": "fixed-point", "workers": workers}
    with pytest.raises(PayloadError):
        run(photos / "bad.jsonl", photos / "fail.parquet", **flags)
    assert not list(photos.glob("fail*"))
    result = run(photos / "bad.jsonl", photos / "toy.parquet", on_error="drop", **flags)
    assert (result.counts["written"], result.counts["dropped"]) == (5, 4)
    dropped = [json.loads(line) for line in (photos / "toy.parquet.groundprep/dropped.jsonl").read_text().splitlines()]
    assert [row["source"].rpartition(":")[2] for row in dropped] == ["1", "2", "5", "7"]


def test_text_that_holds_coordinates_is_refused_where_the_image_changes(photos: Path) -> None:
    conversation = [{"from": "human", "value": "<image>what is at [7, 3]?"}, {"from": "gpt", "value": "a dog"}]
    write_jsonl(photos / "talk.jsonl", [{"image": "bilder/straße 0.png", "conversations": conversation}])
    with pytest.raises(RecordError) as caught:
        run(
            photos / "talk.jsonl",
            photos / "o.jsonl",
            from_name="vlmr1",
            resize="fixed-point",
            profile="vlmr1",
            image_out=str(photos / "n"),
        )
    assert caught.value.code == "text-fixed"


def test_a_killed_run_resumes_from_the_images_it_had_made_and_ends_with_the_same_bytes(photos: Path) -> None:
    for number in range(60):
        make_image(photos / f"many/{number}.png", (640 + number, 426), seed=number)
    write_jsonl(photos / "many.jsonl", [rexthinker_row(n, image_name=f"many/{n}.png") for n in range(60)])
    flags = ["--for", "rexomni-sft", "--resize", "fixed-point", "--workers", "1"]
    command = [*GROUNDPREP, "convert", str(photos / "many.jsonl"), str(photos / "killed/toy"), *flags]
    store = photos / "killed/toy.groundprep/transcoded"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(store.rglob("*.png"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_ino for path in store.rglob("*.png")}
    assert 10 <= len(made) < 60
    link = photos / "first.png"
    link.hardlink_to(next(iter(made)))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    stored = {data for _, data in tsv_rows(photos / "killed/toy")}
    assert link.read_bytes() in stored
    run(photos / "many.jsonl", photos / "whole/toy", profile="rexomni-sft", resize="fixed-point")
    assert output_of(photos / "killed/toy") == output_of(photos / "whole/toy")
    assert not store.exists()


def test_a_decodable_image_is_all_that_is_needed_of_an_unusual_source(photos: Path) -> None:
    buffer = io.BytesIO()
    Image.open(photos / "bilder/straße 0.png").convert("P").save(buffer, "GIF")
    (photos / "bilder/straße 0.png").write_bytes(buffer.getvalue())  # a GIF under a PNG's name
    run(photos / "rows.jsonl", photos / "toy", profile="rexomni-sft", resize="fixed-point", limit=1)
    assert decode(tsv_rows(photos / "toy")[0][1]).format == "PNG"
