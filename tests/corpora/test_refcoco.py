"""RefCOCO: a row for every sentence, every splitBy, and no pickle that is more than plain values is ever opened."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from groundprep.corpora import detect_corpus
from groundprep.corpora.pickles import read_plain_pickle
from groundprep.errors import FormatError, GroundprepError, UsageError
from tests.contracts.samples import lost_and_rounded, make_images, read_jsonl, run

FIXTURE = Path(__file__).parents[1] / "fixtures/refcoco"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path)
    for path in FIXTURE.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def refs(name: str = "unc") -> Any:
    return pickle.loads((FIXTURE / f"refs({name}).p").read_bytes())


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("unc", ["der mann links", "le café à gauche", "狗"]),
        ("google", ["der große hund", "the man"]),
        ("umd", ["der große hund, der liegt", "the man on the left"]),
    ],
)
def test_every_split_by_is_read_a_row_for_each_sentence(folder: Path, name: str, sentences: list[str]) -> None:
    result = run(folder / f"refs({name}).p", folder / "out.jsonl")
    rows = read_jsonl(folder / "out.jsonl")
    assert (result.dialect, result.counts["read"]) == ("rexthinker", len(sentences))
    assert [row["referring"] for row in rows] == sentences
    by_image = {"bilder/straße 0.png": [7.5, 3, 40, 21.25], "bilder/straße 1.png": [10.5, 20, 310.5, 220]}
    assert all(row["ans"] == by_image[row["image_name"]] for row in rows)
    assert [row["split"] for row in rows] == [ref["split"] for ref in refs(name) for _ in ref["sentences"]]


def test_a_row_says_all_that_the_sentence_and_its_reference_say(folder: Path) -> None:
    result = run(folder / "refs(unc).p", folder / "out.jsonl")
    first = read_jsonl(folder / "out.jsonl")[0]
    assert first == {
        "image_name": "bilder/straße 0.png",
        "id": 1,
        "ans": [7.5, 3.0, 40.0, 21.25],
        "category": "person",
        "referring": "der mann links",
        "ref_id": 1,
        "ann_id": 1719310,
        "image_id": 581857,
        "split": "train",
        "raw": "Der mann links!",
        "tokens": ["der", "mann", "links"],
    }
    assert lost_and_rounded(result) == {
        "answers.polygon",
        "header.categories",
        *(f"answers.extra.{key}" for key in ("id", "area", "iscrowd")),
    }


def test_one_split_is_read_by_its_name(folder: Path) -> None:
    result = run(f"{folder}/refs(unc).p@testA", folder / "out.jsonl")
    assert [row["referring"] for row in read_jsonl(folder / "out.jsonl")] == ["狗"]
    assert result.counts["read"] == 1
    with pytest.raises(UsageError) as caught:
        run(f"{folder}/refs(unc).p@testB", folder / "other.jsonl")
    assert (caught.value.code, caught.value.expected) == ("no-such-split", "train, testA")


def test_a_folder_will_do_if_it_holds_one_file_of_references(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"refs\(google\)\.p, refs\(umd\)\.p, refs\(unc\)\.p"):
        run(folder, folder / "out.jsonl")
    for name in ("google", "umd"):
        (folder / f"refs({name}).p").unlink()
    assert run(folder, folder / "out.jsonl", image_root=str(folder)).counts["read"] == 3


def test_expressions_become_a_coco_document_with_the_ids_of_the_corpus(folder: Path) -> None:
    result = run(folder / "refs(unc).p", folder / "out.json", to="coco")
    value = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert [image["id"] for image in value["images"]] == [581857, 38850]
    assert value["categories"] == [{"id": 1, "name": "person"}, {"id": 18, "name": "狗"}]
    assert [(a["phrase"], a["category_id"], a["bbox"]) for a in value["annotations"][:2]] == [
        ("der mann links", 1, [7.5, 3, 32.5, 18.25]),
        ("le café à gauche", 1, [7.5, 3, 32.5, 18.25]),
    ]
    assert value["annotations"][0]["segmentation"] == [[7.5, 3, 40, 3, 40, 21.25]]
    assert [a["id"] for a in value["annotations"]] == [1719310, 1719312, 1719311], (
        "the second sentence's object is a new one"
    )
    assert result.counts["merged"] == 1


def test_the_corpus_is_only_read(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(folder / "refs(unc).p", folder / "out", to="refcoco")
    assert caught.value.code == "read-only"
    with pytest.raises(UsageError) as sampled:
        sample(SampleConfig(SourceConfig((str(folder / "refs(unc).p"),)), str(folder / "part.jsonl"), "first:1"))
    assert sampled.value.code == "read-only"
    assert "groundprep convert" in str(sampled.value.fix)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ann_id": 4711}, "missing-reference"),
        ({"split": None}, "wrong-type"),
        ({"sentences": "é"}, "wrong-type"),
        ({"sentences": [{"sent_id": 1}]}, "missing-key"),
    ],
)
def test_a_bad_reference_is_dropped_and_the_others_stay(folder: Path, change: dict[str, Any], code: str) -> None:
    value = refs()
    value[0] |= change
    (folder / "refs(unc).p").write_bytes(pickle.dumps(value, 2))
    with pytest.raises(GroundprepError) as caught:
        run(folder / "refs(unc).p", folder / "out.jsonl")
    assert caught.value.code == code
    counts = run(folder / "refs(unc).p", folder / "out.jsonl", on_error="drop").counts
    assert (counts["read"], counts["dropped"], counts["written"]) == (2, 1, 1)


def nested_in_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def held_in_many_places() -> list[Any]:
    value: list[Any] = ["é"]
    for _ in range(50):  # a few hundred bytes of pickle, 2**50 values of JSON
        value = [value, value]
    return value


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("further", "code"),
    [
        (nested_in_itself(), "too-deep"),
        (nested(250), "too-deep"),
        ([nested(150), {"tief": nested(199)}], "too-deep"),
        (held_in_many_places(), "row-too-long"),
        (["é" * (1 << 20)] * 80, "row-too-long"),
        ([1.5, float("nan")], "not-finite"),
        ({"flaeche": float("-inf")}, "not-finite"),
        ("halb \ud800", "lone-surrogate"),
        ({"\udfff": 1}, "lone-surrogate"),
    ],
)
def test_a_reference_is_bound_by_the_rules_for_rows_of_json(folder: Path, further: Any, code: str) -> None:
    value = refs()
    value[0]["note"] = further
    (folder / "refs(unc).p").write_bytes(pickle.dumps(value, 2))
    result = run(folder / "refs(unc).p", folder / "out.jsonl", on_error="drop")
    assert (result.counts["read"], result.counts["dropped"], result.counts["written"]) == (2, 1, 1)
    (dropped,) = read_jsonl(Path(result.dropped_file or ""))
    assert (dropped["code"], dropped["row"]) == (code, None)


def test_a_list_that_is_in_several_places_is_no_fault(folder: Path) -> None:
    value = refs()
    value[0]["note"] = [nested(150)] * 3
    (folder / "refs(unc).p").write_bytes(pickle.dumps(value, 2))
    run(folder / "refs(unc).p", folder / "out.jsonl")
    assert read_jsonl(folder / "out.jsonl")[0]["note"] == [nested(150)] * 3


def test_an_annotation_without_image_is_told(folder: Path) -> None:
    whole = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    whole["images"] = whole["images"][:1]
    (folder / "instances.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(GroundprepError) as caught:
        run(folder / "refs(unc).p", folder / "out.jsonl")
    assert caught.value.code == "missing-reference"
    (folder / "instances.json").unlink()
    with pytest.raises(FormatError) as missing:
        run(folder / "refs(unc).p", folder / "out.jsonl")
    assert missing.value.code == "file-missing"


class _Runs:
    """What a hostile pickle would do on loading."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch HACKED",)


@pytest.mark.parametrize(
    "value", [_Runs(), Decimal("1.5"), OrderedDict(a=1), np.float64(1.5), np.arange(3), {1, 2}, b"bytes", complex(1, 2)]
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_anything_but_plain_values_is_never_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: Any, protocol: int
) -> None:
    monkeypatch.chdir(folder)
    (folder / "refs(unc).p").write_bytes(pickle.dumps([{"ref_id": value}], protocol))
    with pytest.raises(FormatError) as caught:
        run(folder / "refs(unc).p", folder / "out.jsonl")
    assert caught.value.code == "unsafe-pickle"
    assert not (folder / "HACKED").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2, 3])[:-1],
        pickle.dumps(["é" * 300])[:100],
        b"\x80\x02]r\xff\xff\xff\x7f.",  # one value, put at memo index 2**31 - 1: 17 GB for the unpickler
        b"\x80\x02\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0fx.",
        b"h\x05.",
        b"a.",
        b"\x80\x02K\x01K\x02a.",  # 2 is appended to the number 1
        b"\xff\xfe",
    ],
)
def test_a_broken_pickle_is_told_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "refs(é).p").write_bytes(data)
    shutil.copy(FIXTURE / "instances.json", tmp_path)
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "refs(é).p", tmp_path / "out.jsonl")
    assert caught.value.code in ("bad-pickle", "file-empty", "schema", "unsafe-pickle")
    assert "refs(é).p" in str(caught.value)


@pytest.mark.parametrize(("text", "encoding"), [(b"caf\xc3\xa9", "utf-8"), (b"caf\xe9", "latin-1")])
def test_strings_of_python_2_are_read_in_their_encoding(tmp_path: Path, text: bytes, encoding: str) -> None:
    (tmp_path / "a.p").write_bytes(b"\x80\x02U" + bytes([len(text)]) + text + b".")
    assert read_plain_pickle(str(tmp_path / "a.p")) == ("café", encoding)


def test_a_pickle_is_recognised_by_its_name(folder: Path) -> None:
    found = detect_corpus(str(folder / "refs(umd).p"))
    assert found is not None
    assert found.name == "refcoco"
