"""Rex-Omni's data engine: a caption, its phrases with spans and boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from PIL import Image

from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES
from groundprep.profile import RowFrame
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, shuffled, words
from tests.contracts.samples import (
    lost_and_rounded,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)

CAPTION = "Ein Hund and a Straßenbahn near a Hund"


def engine_row(**changes: Any) -> dict[str, Any]:
    """A row as the engine writes it (specs/rexomni.md §8.2): phrases in lower case, spans of the caption's own case."""
    return {
        "image": "bilder/straße 0.png",
        "caption": CAPTION,
        "width": 61,
        "height": 37,
        "phrases": [
            {
                "phrase": "ein hund",
                "start_char": 0,
                "end_char": 8,
                "boxes": [{"bbox": [1.5, 2, 30, 36]}, {"bbox": [7.5, 3, 40, 21.25]}],
            },
            {"phrase": "a straßenbahn", "start_char": 13, "end_char": 26, "boxes": [{"bbox": [2, 2, 31, 36]}]},
        ],
    } | changes


entries = st.builds(
    lambda phrase, boxes, span, extra: {"phrase": phrase, "boxes": boxes} | span | extra,
    phrases,
    st.lists(st.builds(lambda bbox, extra: {"bbox": bbox} | extra, box, extras("bbox")), max_size=3),
    st.fixed_dictionaries({}, optional={"start_char": st.integers(0, 40), "end_char": st.integers(0, 40)}),
    extras("phrase", "boxes", "start_char", "end_char"),
).flatmap(shuffled)


class TestRexOmniEngine(DialectContract):
    name = "rexomni-engine"
    container = "jsonl"
    rows: ClassVar = st.builds(
        lambda caption, size, found, extra: {"image": IMAGE_NAME, "caption": caption, "phrases": found} | size | extra,
        words,
        st.fixed_dictionaries({}, optional={"width": st.integers(1, 999), "height": st.integers(1, 999)}),
        st.lists(entries, max_size=3),
        extras("image", "caption", "phrases", "width", "height", "conversations"),
    ).flatmap(shuffled)

    def test_a_row_of_another_frame_keeps_all_but_its_boxes(self, folder: Path) -> None:
        row = engine_row(image=IMAGE_NAME, note="é")
        row["phrases"][0]["boxes"][0]["score"] = 0.5
        row["phrases"].insert(1, {"phrase": "nichts", "boxes": []})
        self.frame = RowFrame(FRAMES["pixels-xywh"])
        written = self.formatted(self.parsed(row, folder), frame=RowFrame(FRAMES["pixels"]))
        assert list(written) == list(row)
        assert written["phrases"][0]["boxes"] == [
            {"bbox": [1.5, 2, 31.5, 38], "score": 0.5},
            {"bbox": [7.5, 3, 47.5, 24.25]},
        ]
        assert written["phrases"][1] == row["phrases"][1]

    def test_the_declared_size_is_kept_apart_from_the_images_own(self, folder: Path) -> None:
        record = self.parsed(engine_row(image=IMAGE_NAME, width=1, height=2), folder)
        assert record.images[0].declared_size_wh == (1, 2)


def test_phrases_become_rex_omnis_boxes_and_come_back_with_their_spans(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [engine_row()])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert [(b["phrase"], b["bbox"]) for b in row["annotation"]["boxes"]] == [
        ("ein hund", [1.5, 2, 30, 36]),
        ("ein hund", [7.5, 3, 40, 21.25]),
        ("a straßenbahn", [2, 2, 31, 36]),
    ]
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexomni-engine")
    (back,) = read_jsonl(tmp_path / "c.jsonl")
    assert (back["width"], back["height"]) == (61, 37)
    for entry in back["phrases"]:
        assert back["caption"][entry["start_char"] : entry["end_char"]].lower() == entry["phrase"]
    assert [e["boxes"] for e in back["phrases"]] == [e["boxes"] for e in engine_row()["phrases"]]


def test_each_phrase_becomes_a_row_of_rex_thinker_that_keeps_the_caption(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [engine_row()])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexthinker")
    rows = read_jsonl(tmp_path / "b.jsonl")
    assert [(r["referring"], r["caption"]) for r in rows] == [("ein hund", CAPTION), ("a straßenbahn", CAPTION)]
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexomni-engine")
    back = read_jsonl(tmp_path / "c.jsonl")
    assert [row["phrases"] for row in back] == [[{**entry}] for entry in engine_row()["phrases"]]


def test_rows_without_a_caption_get_their_phrases_as_one(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(0)])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-engine")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert row["caption"] == "chien à gauche, 狗, Straßenbahn"
    assert [(e["phrase"], len(e["boxes"])) for e in row["phrases"]] == [
        ("chien à gauche", 1),
        ("狗", 2),
        ("Straßenbahn", 0),
    ]
    assert lost_and_rounded(result) == set()


def test_a_phrase_that_the_caption_does_not_hold_is_an_error(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(0, caption="ein Bild")])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-engine")
    assert caught.value.code == "phrase-not-in-caption"


def test_the_size_is_that_of_the_image_which_is_written(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [engine_row()])
    flags = {"profile": "vlmr1-ovd", "resize": "fixed-point", "image_out": str(tmp_path / "aus")}
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-engine", **flags)
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    with Image.open(tmp_path / "aus" / row["image"]) as image:
        assert image.size == (row["width"], row["height"]) == (84, 56)
