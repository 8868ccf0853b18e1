"""Rex-Omni's annotations: in a TSV, and beside the image's name in json and jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from PIL import Image

from groundprep.errors import RecordError
from groundprep.images import FileImage, Location
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, number, phrases, point, shuffled
from tests.contracts.samples import lost_and_rounded, make_image, make_images, read_jsonl, run, write_jsonl

polygon = st.integers(3, 5).flatmap(lambda n: st.lists(number, min_size=2 * n, max_size=2 * n))


def entries(key: str, shape: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    named = st.fixed_dictionaries({"phrase": phrases}) | st.fixed_dictionaries({"caption": phrases})
    both = st.fixed_dictionaries({"phrase": phrases, "caption": phrases})
    entry = st.builds(
        lambda value, name, extra: {key: value} | name | extra,
        shape | st.none(),
        named | both,
        extras(key, "phrase", "caption"),
    )
    return st.lists(entry.flatmap(shuffled), max_size=3)


kinds = {"boxes": entries("bbox", box), "points": entries("point", point), "polygons": entries("polygon", polygon)}
annotations = st.builds(
    lambda regions, extra: regions | extra,
    st.fixed_dictionaries({}, optional=kinds).filter(bool),
    extras(*kinds, "image_name", "annotation"),
).flatmap(shuffled)


class TestRexOmniJsonl(DialectContract):
    name = "rexomni"
    container = "jsonl"
    rows: ClassVar = st.builds(
        lambda annotation, identity, extra: {"image_name": IMAGE_NAME, "annotation": annotation} | identity | extra,
        annotations,
        st.fixed_dictionaries({}, optional={"id": st.integers() | st.none() | phrases}),
        extras("image_name", "annotation", "id", "referring", "ans", "problem"),
    ).flatmap(shuffled)


class TestRexOmniTsv(DialectContract):
    name = "rexomni"
    container = "tsv"
    rows: ClassVar = annotations

    def location(self, folder: Path) -> Location:
        return FileImage(str(folder / IMAGE_NAME))


def one(folder: Path, annotation: dict[str, Any], **flags: Any) -> tuple[dict[str, Any], set[str]]:
    make_images(folder)
    write_jsonl(
        folder / "in.jsonl", [{"annotation": annotation, "split": "train", "image_name": "bilder/straße 0.png"}]
    )
    result = run(folder / "in.jsonl", folder / "out.jsonl", **flags)
    return read_jsonl(folder / "out.jsonl")[0], lost_and_rounded(result)


def test_boxes_points_and_polygons_of_another_frame_are_all_moved(tmp_path: Path) -> None:
    """A 61 x 37 image; unit numbers become pixels, whatever the shape."""
    regions = {
        "note": "é",
        "polygons": [{"polygon": [0, 0, 0.5, 0, 0.5, 1], "phrase": "狗"}],
        "boxes": [{"bbox": [0, 0.5, 1, 1], "phrase": "a", "iscrowd": 0}, {"bbox": None, "phrase": "b"}],
        "points": [{"point": [0.5, 0.5], "caption": "c"}],
    }
    row, lost = one(tmp_path, regions, source_frame="unit")
    assert list(row) == ["annotation", "split", "image_name"]
    assert list(row["annotation"]) == ["note", "polygons", "boxes", "points"]
    assert row["annotation"] == {
        "note": "é",
        "polygons": [{"polygon": [0, 0, 30.5, 0, 30.5, 37], "phrase": "狗"}],
        "boxes": [{"bbox": [0, 18.5, 61, 37], "phrase": "a", "iscrowd": 0}, {"bbox": None, "phrase": "b"}],
        "points": [{"point": [30.5, 18.5], "phrase": "c"}],
    }
    assert lost == set()


def test_a_caption_beside_a_phrase_is_not_lost_when_the_row_is_rebuilt(tmp_path: Path) -> None:
    row, _ = one(tmp_path, {"boxes": [{"bbox": [0, 0, 1, 1], "phrase": "a", "caption": "b"}]}, source_frame="unit")
    assert row["annotation"]["boxes"][0] == {"bbox": [0, 0, 61, 37], "phrase": "a", "caption": "b"}


def test_the_keys_beside_the_annotation_are_reported_lost_in_a_tsv(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    row = {"image_name": "é.png", "id": 3, "split": "train", "annotation": {"boxes": [], "note": 1}}
    write_jsonl(tmp_path / "in.jsonl", [row])
    result = run(tmp_path / "in.jsonl", tmp_path / "out", to="tsv")
    assert lost_and_rounded(result) == {"id", "extra.split", "images.name"}
    assert result.losses["extra.note"]["kept"] == 1


def test_integers_stay_integers_for_a_trainer_that_reads_pixels(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    write_jsonl(
        tmp_path / "in.jsonl",
        [{"image_name": "é.png", "annotation": {"boxes": [{"bbox": [1, 2, 30, 4.0], "phrase": "狗"}]}}],
    )
    run(tmp_path / "in.jsonl", tmp_path / "out", profile="rexomni-sft")
    annotation = (tmp_path / "out.annotations.tsv").read_text(encoding="utf-8")
    assert annotation == '0\t{"boxes": [{"bbox": [1, 2, 30, 4.0], "phrase": "狗"}]}\n'


@pytest.mark.parametrize(
    "entry",
    [
        {"bbox": [1, 2, 3], "phrase": "a"},
        {"bbox": [1, 2, 3, 4]},
        {"bbox": [1, 2, 3, 4], "phrase": None},
        {"phrase": "a"},
        {"bbox": [[1, 2, 3, 4]], "phrase": "a"},
        "box",
    ],
)
def test_a_region_of_another_shape_is_an_error_of_its_row(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(RecordError):
        one(tmp_path, {"boxes": [entry]})


def turned_png(path: Path) -> Path:
    """Write a 61 x 37 image whose EXIF orientation says that it stands on its side."""
    orientation = Image.Exif()
    orientation[0x112] = 6
    with Image.open(make_image(path)) as image:
        image.save(path, exif=orientation)
    return path


@pytest.mark.parametrize("flags", [{"exif": "bake"}, {"resize": "fixed-point"}])
def test_an_absent_phrase_among_points_stays_there_when_its_image_moves(tmp_path: Path, flags: dict[str, Any]) -> None:
    """PointingTSVDataset reads `points` alone, and a row without them ends the training (specs/rexomni.md §1.5, §2.2)."""
    turned_png(tmp_path / "é.png")
    entries = [{"point": [7.5, 3], "phrase": "chien"}, {"point": None, "phrase": "狗"}]
    annotations = [{"points": entries}, {"points": entries[1:]}]
    write_jsonl(tmp_path / "in.jsonl", [{"image_name": "é.png", "annotation": one} for one in annotations])
    run(tmp_path / "in.jsonl", tmp_path / "out", profile="rexomni-sft", **flags)
    lines = (tmp_path / "out.annotations.tsv").read_text(encoding="utf-8").splitlines()
    (first, second) = (json.loads(line.split("\t")[1]) for line in lines)
    assert [list(first), list(second)] == [["points"], ["points"]]
    assert first["points"][1] == second["points"][0] == entries[1]
    assert first["points"][0]["point"] != entries[0]["point"]


def test_an_absent_phrase_between_boxes_and_points_stays_where_it_was(tmp_path: Path) -> None:
    regions = {
        "boxes": [{"bbox": [0, 0, 1, 1], "phrase": "a"}, {"bbox": None, "phrase": "b"}],
        "points": [{"point": None, "phrase": "b"}, {"point": [0.5, 0.5], "phrase": "c"}],
    }
    row, _ = one(tmp_path, regions, source_frame="unit")
    assert [entry.get("bbox", 0) is None for entry in row["annotation"]["boxes"]] == [False, True]
    assert [entry.get("point", 0) is None for entry in row["annotation"]["points"]] == [True, False]


def test_negatives_of_a_data_set_of_points_are_absent_points(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    make_image(tmp_path / "ß.png", (90, 33))
    rows = [
        {"image_name": "é.png", "annotation": {"points": [{"point": [7.5, 3], "phrase": "chien"}]}},
        {"image_name": "ß.png", "annotation": {"points": [{"point": [8, 20], "phrase": "狗"}]}},
    ]
    write_jsonl(tmp_path / "in.jsonl", rows)
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", negatives=1)
    written = [row["annotation"] for row in read_jsonl(tmp_path / "out.jsonl")]
    assert written == [
        {"points": [{"point": [7.5, 3], "phrase": "chien"}, {"point": None, "phrase": "狗"}]},
        {"points": [{"point": [8, 20], "phrase": "狗"}, {"point": None, "phrase": "chien"}]},
    ]
