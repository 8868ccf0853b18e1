"""LVIS: what is proven absent stays an absent phrase, and comes back as a negative category."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from groundprep.corpora import CORPORA
from groundprep.dialects.base import ReadContext
from groundprep.profile import RowFrame
from groundprep.record import Dropped, Record
from tests.contracts.samples import (
    image_root,
    loader,
    lost_and_rounded,
    make_images,
    read_jsonl,
    rexomni_row,
    run,
    write_jsonl,
)

FIXTURE = Path(__file__).parents[1] / "fixtures/lvis/lvis.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path)
    shutil.copy(FIXTURE, tmp_path / "lvis.json")
    return tmp_path


def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def records(path: Path) -> list[Record]:
    corpus = CORPORA["lvis"]
    context = ReadContext(image_root(path.parent), loader(), RowFrame(corpus.dialect.frame))
    rows = [item for item in corpus.reader(str(path)) if not isinstance(item, Dropped)]
    return [corpus.dialect.parse(row, context) for row in rows]


def test_negative_categories_are_absent_phrases(folder: Path) -> None:
    first, second = records(folder / "lvis.json")
    assert [(r.phrase, r.is_absent, r.category_id) for r in first.regions] == [
        ("Straßenbahn", False, 2),
        ("狗", True, 5),
        ("café", True, 9),
    ]
    assert [r.phrase for r in second.regions] == ["狗"]
    assert first.images[0].extra["not_exhaustive"] == ["Straßenbahn"]
    assert first.images[0].name == "bilder/straße 0.png", "the URL's last two parts"


def test_a_document_written_again_is_equal(folder: Path) -> None:
    result = run(folder / "lvis.json", folder / "copy.json")
    before, after = load(folder / "lvis.json"), load(folder / "copy.json")
    assert result.container == "lvis"
    assert lost_and_rounded(result) == set()
    before.pop("licenses")  # an empty list says nothing
    assert after == before


@pytest.mark.parametrize(
    "said", [{}, {"neg_category_ids": None}, {"not_exhaustive_category_ids": "?"}, {"neg_category_ids": []}]
)
def test_an_image_that_says_nothing_of_absence_says_nothing_when_it_is_written_again(
    folder: Path, said: dict[str, Any]
) -> None:
    before = load(folder / "lvis.json")
    before["images"][1] = {"id": 12, "coco_url": "http://a.example/val2017/é.jpg", "width": 61, "height": 37} | said
    (folder / "lvis.json").write_text(json.dumps(before), encoding="utf-8")
    result = run(folder / "lvis.json", folder / "copy.json")
    assert load(folder / "copy.json")["images"] == before["images"]
    assert lost_and_rounded(result) == set()


def test_ids_that_are_in_no_table_are_told_as_lost(folder: Path) -> None:
    before = load(folder / "lvis.json")
    before["images"][0]["neg_category_ids"] += [998, 999]
    (folder / "lvis.json").write_text(json.dumps(before), encoding="utf-8")
    result = run(folder / "lvis.json", folder / "copy.json")
    assert result.losses["images.extra.neg_category_ids"]["lost"] == 2
    assert load(folder / "copy.json")["images"][0]["neg_category_ids"] == before["images"][0]["neg_category_ids"][:-2]


def test_negatives_of_other_layouts_become_negative_categories(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", [rexomni_row(0), rexomni_row(1)])
    result = run(folder / "rows.jsonl", folder / "out.json", to="lvis")
    value = load(folder / "out.json")
    names = {entry["name"]: entry for entry in value["categories"]}
    assert [image["neg_category_ids"] for image in value["images"]] == [[names["Straßenbahn"]["id"]]] * 2
    assert [image["not_exhaustive_category_ids"] for image in value["images"]] == [[], []]
    dog = names["狗"]
    assert (dog["image_count"], dog["instance_count"], dog["frequency"], dog["synonyms"]) == (2, 4, "r", ["狗"])
    assert "regions.absent" not in lost_and_rounded(result)
    back = run(folder / "out.json", folder / "back.jsonl")
    assert back.dialect == "rexomni"
    phrases = [
        (entry["phrase"], entry["bbox"]) for entry in read_jsonl(folder / "back.jsonl")[0]["annotation"]["boxes"]
    ]
    assert phrases == [(entry["phrase"], entry["bbox"]) for entry in rexomni_row()["annotation"]["boxes"]]


def test_run_lengths_have_no_place_in_lvis_and_negatives_none_in_coco(folder: Path) -> None:
    shutil.copy(FIXTURE.parents[1] / "coco/instances.json", folder / "coco.json")
    result = run(folder / "coco.json", folder / "out.json", to="lvis")
    assert result.losses["regions.mask"]["lost"] == 2
    value = load(folder / "out.json")
    assert sorted(a["id"] for a in value["annotations"]) == [5, 6, 8, 900100000042]
    assert [a["segmentation"] for a in value["annotations"] if a["id"] == 900100000042] == [[]]
    assert run(folder / "lvis.json", folder / "as_coco.json", to="coco").losses["regions.absent"]["lost"] == 2


def test_a_trainer_of_expressions_gets_the_negatives_as_questions_without_answer(folder: Path) -> None:
    result = run(folder / "lvis.json", folder / "out.jsonl", to="rexthinker")
    rows = read_jsonl(folder / "out.jsonl")
    assert [(row["referring"], row["ans"]) for row in rows] == [
        ("Straßenbahn", [7.5, 3, 40, 21.25]),
        ("狗", []),
        ("café", []),
        ("狗", [1, 2, 4, 6]),
    ]
    assert (result.counts["read"], result.counts["exploded"], result.counts["written"]) == (2, 2, 4)
