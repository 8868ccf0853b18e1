"""HumanRef-CoT: xywh boxes, indices from 0, cited numbers from 1, and both follow candidates that move."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.api.add_candidates import AddCandidatesConfig, add_candidates
from groundprep.api.sources import SourceConfig
from groundprep.detect.base import Detections
from groundprep.dialects.citations import renumber, require_no_citations
from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES
from groundprep.images import FileImage, Location
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from groundprep.record import Box, Candidate, Record, Turn
from groundprep.source import Source
from groundprep.stages.candidates import CandidateSettings
from tests.contracts.dialects import EXAMPLES, IMAGE_NAME, DialectContract, box, extras, phrases, shuffled, words
from tests.contracts.samples import lost_and_rounded, make_image, read_jsonl, run

THINK = "Person 1 is small. Person 2 holds a 狗, unlike Person 1; 3 trees. Person 3 is tall. # Summarize\nPerson 2 ✅"


def humanref_row(**changes: Any) -> dict[str, Any]:
    return {
        "gt_boxes": [[1, 2, 9, 8.5], [7.5, 3, 32.5, 18], [30, 5, 20, 30]],
        "region_map": {"der Mann mit dem 狗": [1], "die Großen": [1, 2], "an astronaut": []},
        "think": THINK,
    } | changes


def write_triple(folder: Path, rows: list[dict[str, Any]], *, wrapped: bool) -> Path:
    """Write the layout of specs/rexthinker.md §5.1 by hand: the images' first column is an id, the payload may be b'…'."""
    make_image(folder / "é.png")
    payload = base64.b64encode((folder / "é.png").read_bytes()).decode()
    image_line = f"bild-7\t{repr(payload.encode()) if wrapped else payload}\n"
    images, annotations, index = "", "", ""
    for row in rows:
        index += f"{len(annotations.encode())}\n"
        annotations += f"{len(images.encode())}\t{json.dumps(row, ensure_ascii=False)}\n"
        images += image_line
    for suffix, text in (
        (".images.tsv", images),
        (".annotations.tsv", annotations),
        (".annotations.tsv.lineidx", index),
    ):
        (folder / f"in{suffix}").write_text(text, encoding="utf-8", newline="\n")
    return folder / "in"


def annotations(path: Path) -> list[Any]:
    """Read annotations by their line index, as the visualiser does."""
    data = Path(f"{path}.annotations.tsv").read_bytes()
    offsets = Path(f"{path}.annotations.tsv.lineidx").read_text().split()
    lines = [data[int(offset) : data.index(b"\n", int(offset))] for offset in offsets]
    return [json.loads(line.split(b"\t")[1]) for line in lines]


region_maps = st.dictionaries(phrases, st.lists(st.integers(0, 2), max_size=3, unique=True), max_size=3)


class TestHumanRefCot(DialectContract):
    name = "humanref-cot"
    container = "tsv"
    frame: ClassVar = RowFrame(FRAMES["pixels-xywh"])
    rows: ClassVar = st.builds(
        lambda boxes, regions, think, extra: {"gt_boxes": boxes, "region_map": regions} | think | extra,
        st.lists(box, min_size=3, max_size=4),
        region_maps,
        st.fixed_dictionaries({}, optional={"think": words | st.just(THINK)}),
        extras("gt_boxes", "region_map", "think", "boxes", "points", "polygons"),
    ).flatmap(shuffled)

    def location(self, folder: Path) -> Location:
        return FileImage(str(folder / IMAGE_NAME))

    @EXAMPLES
    @given(order=st.permutations(range(3)))
    def test_indices_and_cited_numbers_follow_candidates_that_move(self, folder: Path, order: list[int]) -> None:
        record = self.parsed(humanref_row(), folder)
        moved = replace(record, candidates=tuple(record.candidates[old] for old in order))
        written = self.formatted(moved)
        assert written["gt_boxes"] == [humanref_row()["gt_boxes"][old] for old in order]
        new = {old: place for place, old in enumerate(order)}
        assert {k: set(v) for k, v in written["region_map"].items()} == {
            "der Mann mit dem 狗": {new[1]},
            "die Großen": {new[1], new[2]},
            "an astronaut": set(),
        }
        p1, p2, p3 = (f"Person {new[old] + 1}" for old in range(3))
        assert (
            written["think"]
            == f"{p1} is small. {p2} holds a 狗, unlike {p1}; 3 trees. {p3} is tall. # Summarize\n{p2} ✅"
        )

    def test_candidates_that_are_equal_are_told_apart(self, folder: Path) -> None:
        row = humanref_row(
            gt_boxes=[[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]], region_map={"é": [1]}, think="Person 2, not Person 1."
        )
        record = self.parsed(row, folder)
        first, second, third = record.candidates or ()
        written = self.formatted(replace(record, candidates=(second, third, first)))
        assert written["region_map"] == {"é": [0]}
        assert written["think"] == "Person 1, not Person 3."

    def test_a_cited_candidate_that_is_gone_is_an_error(self, folder: Path) -> None:
        record = self.parsed(humanref_row(region_map={"é": [2]}), folder)
        with pytest.raises(RecordError) as caught:
            self.formatted(replace(record, candidates=(record.candidates or ())[1:]))
        assert (caught.value.code, caught.value.found) == ("citation-lost", "Person 1")

    def test_an_answer_that_is_no_candidate_is_an_error(self, folder: Path) -> None:
        record = self.parsed(humanref_row(think="keine"), folder)
        with pytest.raises(RecordError) as caught:
            self.formatted(replace(record, candidates=(record.candidates or ())[:1]))
        assert caught.value.code == "answer-not-candidate"

    @pytest.mark.parametrize("index", [3, -1])
    def test_an_index_of_no_box_is_an_error(self, folder: Path, index: int) -> None:
        with pytest.raises(RecordError) as caught:
            self.parsed(humanref_row(region_map={"é": [index]}), folder)
        assert caught.value.code == "region-index"

    def test_boxes_are_xywh(self, folder: Path) -> None:
        record = self.parsed(humanref_row(), folder)
        assert record.candidate_boxes_xyxy == [(1, 2, 10, 10.5), (7.5, 3, 40, 21), (30, 5, 50, 35)]
        assert [(r.phrase, r.candidate, r.is_absent) for r in record.regions] == [
            ("der Mann mit dem 狗", 1, False),
            ("die Großen", 1, False),
            ("die Großen", 2, False),
            ("an astronaut", None, True),
        ]

    def test_numbers_of_another_frame_are_moved_and_the_rest_stays(self, folder: Path) -> None:
        self.frame = RowFrame(FRAMES["pixels"])
        record = self.parsed(humanref_row(gt_boxes=[[1, 2, 10, 10.5]], region_map={"é": [0]}, note=1), folder)
        losses = Losses()
        written = self.formatted(record, losses, RowFrame(FRAMES["pixels-xywh"]))
        assert written == {"gt_boxes": [[1, 2, 9, 8.5]], "region_map": {"é": [0]}, "think": THINK, "note": 1}
        assert losses.is_lossless


@pytest.mark.parametrize(
    "text",
    [
        "Persons 1 and 2",
        "person 1",
        "Person 1 and 3 stand",
        "Person 1, 2",
        "candidate 2",
        "Person #2",
        "Person2",
        "Person 1-3",
    ],
)
def test_text_that_cites_in_another_way_is_refused_when_candidates_move(text: str) -> None:
    with pytest.raises(RecordError) as caught:
        renumber(f"Person 1. {text}.", "person", [2, 1, 0])
    assert caught.value.code == "citation-unclear"


def test_numbers_that_are_no_citations_stay() -> None:
    text = "A Personal 1, 2 dogs, Person 10 of 12. Person 2."
    places: list[int | None] = [*range(1, 12), 0]
    assert renumber(text, "person", places) == "A Personal 1, 2 dogs, Person 11 of 12. Person 3."


def test_a_conversation_of_no_known_grammar_that_cites_numbers_is_refused() -> None:
    candidate = Candidate(Box((1, 2, 3, 4)), "Hund")
    record = Record(Source("é", 1), candidates=(candidate,), turns=(Turn("gpt", "it is Hund 2"),))
    with pytest.raises(RecordError) as caught:
        require_no_citations(record)
    assert caught.value.code == "citation-unclear"
    require_no_citations(replace(record, turns=(Turn("gpt", "one Hund at 2 o'clock"), Turn("think", "Hund 2"))))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_by_hand_goes_through_unchanged(tmp_path: Path, wrapped: bool) -> None:
    src = write_triple(tmp_path, [humanref_row(), humanref_row(think="Person 1")], wrapped=wrapped)
    result = run(src, tmp_path / "out", to="humanref-cot")
    assert annotations(tmp_path / "out") == annotations(src)
    assert lost_and_rounded(result) == set()
    payload = (tmp_path / "out.images.tsv").read_text().splitlines()[0].split("\t")[1]
    assert base64.b64decode(payload) == (tmp_path / "é.png").read_bytes()


def test_each_expression_becomes_a_row_of_rex_thinker_and_comes_back(tmp_path: Path) -> None:
    src = write_triple(tmp_path, [humanref_row()], wrapped=True)
    first = run(src, tmp_path / "b.jsonl", dialect="rexthinker", image_out=str(tmp_path / "aus"))
    rows = read_jsonl(tmp_path / "b.jsonl")
    assert [(r["referring"], r["category"], r["ans"]) for r in rows] == [
        ("der Mann mit dem 狗", "person", [7.5, 3, 40, 21]),
        ("die Großen", "person", [[7.5, 3, 40, 21], [30, 5, 50, 35]]),
        ("an astronaut", "person", []),
    ]
    assert all(
        [c["bbox"] for c in r["candidate_boxes"]] == [[1, 2, 10, 10.5], [7.5, 3, 40, 21], [30, 5, 50, 35]] for r in rows
    )
    assert "turns" in lost_and_rounded(first)
    run(tmp_path / "b.jsonl", tmp_path / "c", to="humanref-cot", image_root=str(tmp_path / "aus"))
    back = annotations(tmp_path / "c")
    assert [row["region_map"] for row in back] == [{k: v} for k, v in humanref_row()["region_map"].items()]
    assert all(row["gt_boxes"] == humanref_row()["gt_boxes"] for row in back)


class OtherDetector:
    """A detector that must not be asked."""

    name = "other"
    fingerprint: ClassVar[dict[str, Any]] = {"name": "other"}

    def check_prompt(self, prompt: str) -> None:
        """Accept every prompt."""

    def detect(self, images: list[Any], prompts: list[str]) -> list[Detections]:
        raise AssertionError("rows that keep their candidates are not detected")


def shuffle(src: Path, dst: Path, seed: int) -> None:
    settings = CandidateSettings(seed=seed, keep_existing=True)
    add_candidates(
        AddCandidatesConfig(SourceConfig((str(src),)), str(dst), candidates=settings, to="humanref-cot"),
        detector=OtherDetector(),
    )


def test_add_candidates_shuffles_and_the_text_follows(tmp_path: Path) -> None:
    """Read by hand: whatever the order, the box that Person N names is the one that it named before."""
    rows = [
        humanref_row(region_map={"der Mann mit dem 狗": [1]}, think="Person 2, not Person 1. Person 3?")
        for _ in range(6)
    ]
    src = write_triple(tmp_path, rows, wrapped=False)
    shuffle(src, tmp_path / "out", seed=5)
    orders = set()
    for before, after in zip(rows, annotations(tmp_path / "out"), strict=True):
        assert [after["gt_boxes"][i] for i in after["region_map"]["der Mann mit dem 狗"]] == [before["gt_boxes"][1]]
        assert len(after["think"]) == len(before["think"])
        for place, character in enumerate(before["think"]):
            if character.isdigit():
                cited = before["gt_boxes"][int(character) - 1]
                assert after["gt_boxes"][int(after["think"][place]) - 1] == cited
        orders.add(json.dumps(after["gt_boxes"]))
    assert len(orders) > 1


def test_boxes_that_are_written_as_indices_are_counted_as_kept(tmp_path: Path) -> None:
    source = write_triple(tmp_path, [humanref_row()], wrapped=False)
    result = run(source, tmp_path / "out", dialect="humanref-cot", to="tsv", resize="fixed-point", profile="easyr1")
    counts = {name: loss["kept"] for name, loss in result.losses.items()}
    assert (counts["answers.box"], counts["candidates.box"]) == (3, 9)
    assert lost_and_rounded(result) == set()
