"""COCO documents: every image kept, every annotation kept or dropped by name, and pycocotools agrees."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from groundprep.corpora import CORPORA, detect_corpus
from groundprep.corpora.base import NO_KEY, RangeIndex
from groundprep.corpora.coco_reader import CocoReader
from groundprep.corpora.coco_writer import settled_ids
from groundprep.dialects.base import ReadContext
from groundprep.errors import FormatError, GroundprepError, RecordError, UsageError
from groundprep.profile import RowFrame
from groundprep.record import Dropped, Record
from tests.contracts.samples import (
    image_root,
    loader,
    lost_and_rounded,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)

FIXTURE = Path(__file__).parents[1] / "fixtures/coco/instances.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path)
    shutil.copy(FIXTURE, tmp_path / "instances.json")
    return tmp_path


def document() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return value


def write(folder: Path, value: Any, name: str = "instances.json", **style: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(value, ensure_ascii=False, **style), encoding="utf-8")
    return path


def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def read(path: Path, name: str = "coco") -> list[Record | Dropped]:
    corpus = CORPORA[name]
    reader = corpus.reader(str(path))
    context = ReadContext(image_root(path.parent), loader(), RowFrame(corpus.dialect.frame))
    return [item if isinstance(item, Dropped) else corpus.dialect.parse(item, context) for item in reader]


def pycoco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def by_id(entries: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in entries}


def test_every_image_is_a_record_with_its_annotations_in_the_order_of_the_file(folder: Path) -> None:
    records = [item for item in read(folder / "instances.json") if isinstance(item, Record)]
    assert [(r.id, r.images[0].name, r.images[0].declared_size_wh, len(r.regions)) for r in records] == [
        (42, "bilder/straße 0.png", (61, 37), 2),
        (7, "bilder/straße 1.png", (640, 426), 2),
        (9, "bilder/straße 2.png", (90, 333), 0),
    ]
    tram, dog = records[0].regions
    assert tram.box is not None
    assert tram.box.xyxy == (7.5, 3.0, 40.0, 21.25)
    assert tram.box.native is not None
    assert tram.box.native.numbers == [7.5, 3, 32.5, 18.25]
    assert tram.polygon is not None
    assert tram.polygon.rings == ((7.5, 3, 40, 3, 40, 21.25), (10, 10, 12, 10, 12, 12, 10, 12))
    assert dict(tram.extra) == {"area": 300.5, "iscrowd": 0, "id": 5}
    assert (tram.phrase, tram.category, tram.category_id) == ("Straßenbahn", None, 3)
    assert (dog.phrase, dog.category, dog.category_id) == ('le chien à gauche, "le petit" ]}', "狗", 18)
    crowd, points = records[1].regions
    assert crowd.mask is not None
    assert (crowd.mask.size_hw, crowd.mask.counts) == ((426, 640), (100, 50, 272490))
    assert crowd.extra["iscrowd"] == 1
    assert points.keypoints is not None
    assert points.keypoints.names == ("né", "queue")
    assert points.keypoints.points == ((2.0, 3.0, 2), (0.0, 0.0, 0))


def test_the_header_says_what_the_document_says_once(folder: Path) -> None:
    header = CocoReader(str(folder / "instances.json")).header
    assert header.categories == {3: "Straßenbahn", 18: "狗"}
    assert header.category_entries[3]["skeleton"] == [[1, 2]]
    assert (header.info["year"], header.licences, header.extra) == (2026, [], {"type": "instances"})


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_document_written_again_is_equal(tmp_path: Path, indent: int | None, bom: bytes) -> None:
    value = document() | {"licenses": [{"id": 3, "name": "frei"}]}
    (tmp_path / "a.json").write_bytes(bom + json.dumps(value, ensure_ascii=False, indent=indent).encode())
    result = run(tmp_path / "a.json", tmp_path / "b.json")
    again = load(tmp_path / "b.json")
    for key in value.keys() - {"annotations"}:
        assert again[key] == value[key], key
    assert again.keys() == value.keys()
    assert by_id(again["annotations"]) == by_id(value["annotations"])
    assert (result.container, result.units, lost_and_rounded(result)) == ("coco", (), set())
    assert [list(a) for a in again["annotations"][:1]] == [list(value["annotations"][1])], "the order of keys changed"
    assert isinstance(again["annotations"][0]["bbox"][1], int), "an integer became a float"


def test_ids_that_are_there_twice_are_numbered_on_and_told(tmp_path: Path) -> None:
    value = document()
    first, second, *_ = value["annotations"]
    second["id"] = first["id"]
    (tmp_path / "a.json").write_text(json.dumps(value), encoding="utf-8")
    result = run(tmp_path / "a.json", tmp_path / "b.json")
    assert result.losses["regions.extra.id"]["lost"] == 1
    ids = [annotation["id"] for annotation in load(tmp_path / "b.json")["annotations"]]
    assert len(set(ids)) == len(ids) == len(value["annotations"])


def test_written_again_and_again_the_bytes_stay(tmp_path: Path) -> None:
    shutil.copy(FIXTURE, tmp_path / "a.json")
    run(tmp_path / "a.json", tmp_path / "b.json")
    run(tmp_path / "b.json", tmp_path / "c.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "c.json").read_bytes()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_pycocotools_reads_what_was_written_with_equal_counts_boxes_and_masks(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", map(rexthinker_row, range(7)))
    run(folder / "instances.json", folder / "copy.json")
    before, after = pycoco(folder / "instances.json"), pycoco(folder / "copy.json")
    assert (before.getImgIds(), sorted(before.getAnnIds())) == (after.getImgIds(), sorted(after.getAnnIds()))
    for identity in before.getAnnIds():
        old, new = before.anns[identity], after.anns[identity]
        assert old["bbox"] == new["bbox"]
        if identity in (5, 900100000042):
            assert np.array_equal(before.annToMask(old), after.annToMask(new))
    run(folder / "rows.jsonl", folder / "from_rows.json", to="coco")
    coco = pycoco(folder / "from_rows.json")
    assert (len(coco.imgs), len(coco.anns)) == (3, 7)
    assert {tuple(a["bbox"]) for a in coco.anns.values()} == {(7.5, 3, 32.5, 18.25)}


def test_rows_that_share_an_image_become_one_image_and_the_counts_add_up(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", (rexthinker_row(n, id=f"é{n}", split="train") for n in range(7)))
    result = run(folder / "rows.jsonl", folder / "out.json", to="coco")
    counts = result.counts
    assert (counts["read"], counts["merged"], counts["written"]) == (7, 4, 3)
    value = load(folder / "out.json")
    assert [image["id"] for image in value["images"]] == [1, 2, 3]
    assert [(a["image_id"], a["phrase"]) for a in value["annotations"]][:2] == [
        (value["images"][0]["id"], "le chien n°0 à gauche 狗"),
        (value["images"][0]["id"], "le chien n°3 à gauche 狗"),
    ]
    assert value["categories"] == [{"id": 1, "name": "chien"}]
    assert [a["id"] for a in value["annotations"]] == list(range(1, 8))
    assert all(image["split"] == "train" for image in value["images"]), (
        "a key that all rows agree on belongs to the image"
    )
    assert [(i["width"], i["height"]) for i in value["images"]] == [(61, 37), (640, 426), (90, 333)]
    assert {"candidates", "id"} <= lost_and_rounded(result)
    assert result.losses["regions.phrase"]["renamed"] == 7
    back = run(folder / "out.json", folder / "back.jsonl", to="rexthinker")
    assert back.counts["written"] == 7
    rows = read_jsonl(folder / "back.jsonl")
    assert {(r["referring"], r["category"], tuple(r["ans"])) for r in rows} == {
        (f"le chien n°{n} à gauche 狗", "chien", (7.5, 3, 40, 21.25)) for n in range(7)
    }


def test_what_coco_cannot_say_is_reported(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", [rexomni_row()])
    result = run(folder / "rows.jsonl", folder / "out.json", to="coco")
    assert result.losses["regions.absent"]["lost"] == 1
    assert len(load(folder / "out.json")["annotations"]) == 3


def test_a_region_of_a_point_alone_is_refused(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", [rexomni_row(annotation={"points": [{"point": [3, 4], "phrase": "é"}]})])
    with pytest.raises(RecordError) as caught:
        run(folder / "rows.jsonl", folder / "out.json", to="coco")
    assert (caught.value.code, caught.value.found) == ("no-box", "a point")


def test_an_outline_without_box_gets_the_box_around_it(folder: Path) -> None:
    entry = {"polygon": [7, 3, 40, 3, 40, 21], "phrase": "é"}
    write_jsonl(folder / "rows.jsonl", [rexomni_row(annotation={"polygons": [entry]})])
    run(folder / "rows.jsonl", folder / "out.json", to="coco")
    (annotation,) = load(folder / "out.json")["annotations"]
    assert (annotation["bbox"], annotation["area"]) == ([7, 3, 33, 18], 297)
    assert annotation["segmentation"] == [[7, 3, 40, 3, 40, 21]]


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return what sets one value of a document: `annotations 1 bbox`."""

    def apply(whole: dict[str, Any]) -> None:
        *keys, last = (int(key) if key.isdigit() else key for key in path.split())
        part: Any = whole
        for key in keys:
            part = part[key]
        if value is None:
            del part[last]
        else:
            part[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("annotations 1 image_id", 4711, "orphan-annotation"),
        ("annotations 1 image_id", None, "missing-key"),
        ("annotations 1 image_id", "42", "wrong-type"),
        ("annotations 1 image_id", 1 << 70, "wrong-type"),
        ("annotations 1 category_id", 4711, "unknown-category"),
        ("annotations 1 bbox", [1, 2, 3], "box-shape"),
        ("annotations 1 bbox", [1, 2, 3, "é"], "wrong-type"),
        ("annotations 1 bbox", [1, 2, 3, 1e12], "number-range"),
        ("annotations 1 bbox", [1, 2, 3, float("nan")], "not-finite"),
        ("annotations 1 segmentation", [[1, 2, 3, 4]], "polygon-shape"),
        ("annotations 1 segmentation", [[1, 2, 3, 4, 5, 6, 7]], "polygon-shape"),
        ("annotations 1 segmentation", {"counts": "é"}, "missing-key"),
        ("annotations 1 keypoints", [1, 2], "keypoint-shape"),
        ("annotations 1", "kein Objekt", "row-not-object"),
        ("annotations 1", {"id": 1, "image_id": 42, "category_id": 3}, "no-box"),
    ],
)
def test_a_bad_annotation_is_dropped_by_name_and_its_image_stays(
    folder: Path, path: str, value: Any, code: str
) -> None:
    whole = document()
    change(path, value)(whole)
    write(folder, whole)
    with pytest.raises(GroundprepError) as caught:
        run(folder / "instances.json", folder / "out.json")
    assert caught.value.code == code
    assert "instances.json[annotations]:2" in str(caught.value)
    assert not (folder / "out.json").exists()
    counts = run(folder / "instances.json", folder / "out.json", on_error="drop").counts
    assert (counts["read"], counts["dropped"], counts["written"]) == (4, 1, 3)
    again = load(folder / "out.json")
    assert [image["id"] for image in again["images"]] == [42, 7, 9]
    assert sorted(a["id"] for a in again["annotations"]) == [6, 8, 900100000042]
    (dropped,) = read_jsonl(folder / "out.json.groundprep/dropped.jsonl")
    assert dropped["code"] == code


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("images 1 id", None, "missing-key"),
        ("images 1 id", 42, "repeated-image"),
        ("images 1 file_name", None, "missing-key"),
        ("images 1 file_name", "../fort.png", "image-name"),
        ("images 1", 7, "row-not-object"),
    ],
)
def test_a_bad_image_is_dropped_and_none_of_its_annotations_vanishes(
    folder: Path, path: str, value: Any, code: str
) -> None:
    whole = document()
    change(path, value)(whole)
    write(folder, whole)
    result = run(folder / "instances.json", folder / "out.json", on_error="drop", image_root=str(folder))
    counts = result.counts
    assert counts["read"] == counts["dropped"] + counts["written"]
    dropped = read_jsonl(folder / "out.json.groundprep/dropped.jsonl")
    assert dropped[0]["code"] == code
    assert dropped[0]["source"].split("/")[-1] == "instances.json:2"
    orphans = [row for row in dropped if row["code"] == "orphan-annotation"]
    kept = len(load(folder / "out.json")["annotations"])
    in_row = len(dropped[0]["row"].get("annotations", [])) if isinstance(dropped[0]["row"], dict) else 0
    assert kept + len(orphans) + in_row == 4


@pytest.mark.parametrize(
    "sections",
    [
        {"info": [1, {"year": 2026}, {"year": 2027}]},
        {"info": "gemessen im März"},
        {"licenses": {"id": 3, "name": "frei"}},
        {"licenses": "frei"},
        {"licenses": None},
    ],
)
def test_info_and_licences_of_another_shape_stay_as_they_are(folder: Path, sections: dict[str, Any]) -> None:
    write(folder, document() | sections)
    run(folder / "instances.json", folder / "out.json")
    again = load(folder / "out.json")
    assert {key: again[key] for key in sections} == sections


@pytest.mark.parametrize("section", ["info", "type", "annotations", "categories"])
def test_optional_sections_may_be_missing(folder: Path, section: str) -> None:
    whole = document()
    del whole[section]
    write(folder, whole)
    items = read(folder / "instances.json")
    assert sum(isinstance(item, Record) for item in items) == 3
    dropped = [item.code for item in items if isinstance(item, Dropped)]
    assert dropped == (["unknown-category"] * 4 if section == "categories" else [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"annotations": []}', "schema"),
        (b'{"images": {}}', "schema"),
        (b'{"images": [], "images": []}', "schema"),
        (b'{"images": [{"id": 1, "file_name": "a.png"}', "truncated"),
        (b'{"images": [{"id": 1, "file_name": "a.pn', "truncated"),
        (b'{"images": [{"id": 1, "file_name": "a.png"}]', "truncated"),
        (b'{"images": [{"id": 1, "file_name": "a.png"}]} {}', "truncated"),
        (b'{"images": [{"id": 1} {"id": 2}]}', "bad-json"),
        (b'{"images" [{"id": 1}]}', "bad-json"),
        (b'{"images": [{"id": 1}], "categories": [{"id": 1}]}', "schema"),
        (
            b'{"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "repeated-category",
        ),
        (b'[{"images": []}]', "not-an-object"),
    ],
)
def test_a_broken_document_ends_the_run(tmp_path: Path, text: bytes, code: str) -> None:
    (tmp_path / "é.json").write_bytes(text)
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "é.json", tmp_path / "out.json", from_name="coco")
    assert caught.value.code == code
    assert "é.json" in str(caught.value)


def test_a_document_without_images_has_no_rows(tmp_path: Path) -> None:
    write(tmp_path, {"images": [], "annotations": [], "categories": [{"id": 1, "name": "é"}]})
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "instances.json", tmp_path / "out.json")
    assert caught.value.code == "no-rows"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"info": {}, "images": [{"id": 1, "file_name": "a"}]}', "coco"),
        ('{"annotations": [{"image_id": 1}], "images": [{"id": 1, "neg_category_ids": []}]}', "lvis"),
        ('{"annotations": [{"image_id": 1}], "categories": [{"id": 1, "name": "a", "synset": "a"}]}', "lvis"),
        ('{"annotations": [{"image_id": 1}], "images": [{"id": 1, "file_name": "a"}]}', "coco"),
        ('{"images": ["a.png"], "problem": "…", "answer": "…"}\n{"images": ["b.png"]}', None),
        ('{"images": [{"bytes": null, "path": "a.png"}], "problem": "…"}', None),
        ('{"image_name": "a", "annotation": {"boxes": []}}\n', None),
        ("[]", None),
        ("\0{}", None),
    ],
)
def test_a_document_is_told_from_rows_by_its_sections(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "é.json").write_text(text, encoding="utf-8")
    found = detect_corpus(str(tmp_path / "é.json"))
    assert (found.name if found else None) == name


def test_two_documents_with_the_same_ids_become_one(folder: Path) -> None:
    other = document()
    other["categories"] = [{"id": 3, "name": "狗"}, {"id": 18, "name": "café"}]
    for image in other["images"]:
        image["file_name"] = f"../{folder.name}/other/" + image["file_name"]
    make_images(folder / "other")
    write(folder, other, "other.json")
    result = run([folder / "instances.json", folder / "other.json"], folder / "out.json", image_root=str(folder))
    value = load(folder / "out.json")
    assert (len(value["images"]), len(value["annotations"])) == (6, 8)
    coco = pycoco(folder / "out.json")
    assert (len(coco.imgs), len(coco.anns)) == (6, 8), "an id is there twice"
    names = {entry["id"]: entry["name"] for entry in value["categories"]}
    tram = [names[a["category_id"]] for a in value["annotations"] if a["bbox"] == [7.5, 3, 32.5, 18.25]]
    assert tram == ["Straßenbahn", "狗"]
    assert result.counts["merged"] == 0


def test_the_same_image_in_two_documents_is_listed_once(folder: Path) -> None:
    shutil.copy(folder / "instances.json", folder / "again.json")
    result = run([folder / "instances.json", folder / "again.json"], folder / "out.json")
    value = load(folder / "out.json")
    assert (len(value["images"]), len(value["annotations"])) == (3, 4)
    assert (result.counts["read"], result.counts["merged"], result.counts["written"]) == (6, 3, 3)
    assert [image["id"] for image in value["images"]] == [42, 7, 9]


def test_the_numbers_of_another_frame_are_understood(folder: Path) -> None:
    whole = document()
    whole["annotations"] = [{"id": 1, "image_id": 42, "category_id": 3, "bbox": [0.25, 0.5, 0.5, 0.25]}]
    write(folder, whole)
    run(folder / "instances.json", folder / "out.jsonl", source_frame="unit-xywh", dialect="rexomni")
    assert read_jsonl(folder / "out.jsonl")[0]["annotation"]["boxes"][0]["bbox"] == [15.25, 18.5, 45.75, 27.75]


def test_standard_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run("-", tmp_path / "out.json", from_name="coco")


def test_memory_does_not_grow_with_the_document(tmp_path: Path) -> None:
    def peak(images: int) -> int:
        path = tmp_path / f"{images}.json"
        with path.open("w") as file:
            file.write('{"images": [')
            file.write(
                ",".join(json.dumps({"id": n, "file_name": f"{n}.png", "width": 9, "height": 7}) for n in range(images))
            )
            file.write('], "categories": [{"id": 1, "name": "é"}], "annotations": [')
            annotation = {
                "category_id": 1,
                "bbox": [1, 2, 3, 4],
                "segmentation": [[1.5] * 200],
                "area": 1,
                "iscrowd": 0,
            }
            file.write(
                ",".join(json.dumps({"id": n, "image_id": (n * 7) % images} | annotation) for n in range(3 * images))
            )
            file.write("]}")
        tracemalloc.start()
        run(path, tmp_path / f"out{images}.json")
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(50)
    small, large = peak(500), peak(4000)
    assert large - small < 3500 * (64 + 3 * 48) + 1_500_000, "far less than the 14 MB by which the file grew"


@given(st.lists(st.integers(-5, 5), max_size=40), st.integers(-6, 6))
def test_the_index_finds_what_a_scan_finds(keys: list[int], wanted: int) -> None:
    index = RangeIndex()
    for place, key in enumerate(keys):
        index.add(key, 10 * place, place)
    index.finish()
    expected = [(n + 1, 10 * n, n) for n, key in enumerate(keys) if key == wanted]
    assert [tuple(found) for found in index.of(wanted)] == expected
    known = RangeIndex()
    for key in (1, 2):
        known.add(key, 0, 0)
    known.finish()
    assert [found.number - 1 for found in index.strangers(known)] == [
        n for n, key in enumerate(keys) if key not in (1, 2)
    ]


@settings(suppress_health_check=[HealthCheck.differing_executors])
@given(st.lists(st.none() | st.integers(-3, 9)))
def test_ids_are_kept_where_they_are_known_and_unique(wished: list[int | None]) -> None:
    from array import array

    settled = settled_ids(array("q", [NO_KEY if w is None else w for w in wished])).tolist()
    assert len(set(settled)) == len(settled) == len(wished)
    seen: set[int] = set()
    for wish, got in zip(wished, settled, strict=True):
        if wish is not None and wish not in seen:
            assert got == wish
            seen.add(wish)
    if all(w is None for w in wished):
        assert settled == list(range(1, len(wished) + 1))


@pytest.mark.parametrize("corpus", ["coco", "lvis"])
def test_negatives_are_refused_where_they_would_be_lost(folder: Path, corpus: str) -> None:
    arguments: dict[str, Any] = {"to": corpus, "negatives": 1, "image_root": str(folder)}
    if corpus == "lvis":
        run(folder / "instances.json", folder / "out.json", **arguments)
        assert any(image["neg_category_ids"] for image in load(folder / "out.json")["images"])
        return
    with pytest.raises(UsageError) as caught:
        run(folder / "instances.json", folder / "out.json", **arguments)
    assert caught.value.code == "negatives-not-held"
    with pytest.raises(UsageError) as sampled:
        sample(
            SampleConfig(SourceConfig((str(folder / "instances.json"),)), str(folder / "s.json"), "all", negatives=1)
        )
    assert sampled.value.code == "negatives-not-held"
    assert not (folder / "out.json").exists()
