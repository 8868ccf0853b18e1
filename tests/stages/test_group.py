"""One record per image: nothing is merged silently, wherever in the stream the rows of an image lie."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from groundprep.geometry.frames import FRAMES
from groundprep.images import BytesImage, FileImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Box, Candidate, Dropped, Native, Record, Region, Turn
from groundprep.source import Source
from groundprep.stages.explode import ExplodePhrases
from groundprep.stages.group import ORIGIN, GroupByImage
from tests.contracts.samples import PIXEL_FRAME


def image(name: str) -> ImageRef:
    return ImageRef(name, FileImage(f"/bilder/{name}"))


def box(x: float) -> Box:
    return Box((x, 3.0, x + 9, 21.0), Native(PIXEL_FRAME.frame, [x, 3, x + 9, 21]))


def row(number: int, name: str, phrase: str, *xs: float, **fields: Any) -> Record:
    record = Record(
        source=Source("é.jsonl", number),
        images=(image(name),),
        referring=phrase,
        answers=tuple(Region(phrase, box=box(x)) for x in xs),
        **fields,
    )
    return record.with_origin("rexthinker", {"referring": phrase, "row": number}, PIXEL_FRAME)


def grouped(*records: Record) -> tuple[list[Record], GroupByImage]:
    stage = GroupByImage()
    items = list(stage(records))
    assert not any(isinstance(item, Dropped) for item in items)
    return [item for item in items if isinstance(item, Record)], stage


def said(record: Record) -> list[tuple[str | None, float | None]]:
    return [(region.phrase, region.box.xyxy[0] if region.box else None) for region in record.regions]


def test_rows_of_an_image_become_one_in_the_order_of_the_images_wherever_they_lie() -> None:
    records, stage = grouped(
        row(1, "狗.png", "狗", 7.5),
        row(2, "é.png", "café", 1),
        row(3, "狗.png", "chien à gauche", 2, 4),
        row(4, "é.png", "Tür"),
    )
    assert [(r.images[0].name, said(r)) for r in records] == [
        ("狗.png", [("狗", 7.5), ("chien à gauche", 2), ("chien à gauche", 4)]),
        ("é.png", [("café", 1), ("Tür", None)]),
    ]
    assert (stage.counts.merged, stage.findings) == (2, [])
    assert [r.source.row for r in records] == [1, 2]
    assert all(r.referring is None and r.answers == () and r.candidates is None for r in records)


def test_the_rows_stay_so_that_a_drop_can_show_them() -> None:
    (record,), _ = grouped(row(1, "é.png", "狗", 1), row(2, "é.png", "café", 2))
    assert record.origin is not None
    assert (record.origin.dialect, [r["row"] for r in record.origin.value["rows"]]) == (ORIGIN, [1, 2])


def test_a_phrase_that_is_there_in_one_row_and_absent_in_another_is_a_finding_and_a_loss() -> None:
    (record,), stage = grouped(row(1, "é.png", "狗"), row(2, "é.png", "狗", 1), row(3, "é.png", "café"))
    assert said(record) == [("狗", 1), ("café", None)]
    (finding,) = stage.findings
    assert (finding.code, finding.source) == ("group-contradiction", "é.jsonl:2")
    assert finding.found == "狗, also é.jsonl:1"
    assert stage.losses.fields["regions.absent"].lost == 1


def test_a_phrase_with_two_different_answers_is_a_finding_and_both_stay() -> None:
    (record,), stage = grouped(row(1, "é.png", "狗", 1), row(2, "é.png", "狗", 2))
    assert said(record) == [("狗", 1), ("狗", 2)]
    assert [finding.code for finding in stage.findings] == ["group-ambiguous"]


def test_a_row_that_is_there_twice_is_written_once() -> None:
    (record,), stage = grouped(row(1, "é.png", "狗", 1, 2), row(2, "é.png", "狗", 2, 1))
    assert said(record) == [("狗", 1), ("狗", 2)]
    assert (stage.findings, stage.counts.merged, stage.losses.fields["regions.repeated"].renamed) == ([], 1, 2)


def test_what_an_image_has_no_place_for_is_reported() -> None:
    candidates = (Candidate(box(1)), Candidate(box(2)))
    (record,), stage = grouped(
        row(1, "é.png", "狗", 1, id="a", candidates=candidates, extra={"image_id": 7, "split": "train", "raw": "x"}),
        row(2, "é.png", "café", 1, id="b", category="boisson", extra={"image_id": 7, "split": "train", "raw": "y"}),
    )
    assert (record.id, dict(record.extra)) == (7, {"split": "train"})
    assert [region.category for region in record.regions] == [None, "boisson"]
    lost = {name: loss.lost for name, loss in stage.losses.fields.items() if loss.lost}
    assert lost == {"id": 2, "candidates": 2, "extra.raw": 2}


def test_turns_of_several_rows_are_lost_and_told() -> None:
    turns = (Turn("user", "wo?"), Turn("assistant", "da"))
    (record,), stage = grouped(row(1, "é.png", "狗", 1, turns=turns), row(2, "é.png", "café", 1))
    assert record.turns == ()
    assert stage.losses.fields["turns"].lost == 2


def test_an_image_record_alone_is_untouched_and_embedded_images_are_told_apart_by_their_bytes() -> None:
    alone = replace(
        row(1, "é.png", "狗"), referring=None, regions=(Region("狗"),), images=(ImageRef(None, BytesImage(b"a")),)
    )
    other = replace(alone, images=(ImageRef(None, BytesImage(b"b")),))
    records, stage = grouped(alone, other, alone)
    assert len(records) == 2
    assert stage.counts.merged == 1
    (single,), _ = grouped(alone)
    assert (single.source, single.regions, single.origin) == (alone.source, alone.regions, alone.origin)
    assert single.images[0].location.read() == b"a"


def test_records_without_an_image_are_never_merged() -> None:
    records, stage = grouped(*(replace(row(n, "é.png", "狗"), images=()) for n in (1, 2)))
    assert (len(records), stage.counts.merged) == (2, 0)


def test_numbers_read_in_another_frame_than_the_first_rows_are_not_passed_off_as_its_own() -> None:
    other = RowFrame(FRAMES["rel1000"])
    answer = Region("café", box=Box((1.0, 2.0, 3.0, 4.0), Native(other.frame, [10, 20, 30, 40])))
    second = replace(row(2, "é.png", "café"), answers=(answer,), origin=None).with_origin("trl", {"row": 2}, other)
    (record,), _ = grouped(row(1, "é.png", "狗", 1), second)
    assert [region.box and region.box.native for region in record.regions] == [
        Native(PIXEL_FRAME.frame, [1, 3, 10, 21]),
        None,
    ]
    assert record.regions[1].box is not None
    assert record.regions[1].box.xyxy == (1.0, 2.0, 3.0, 4.0)


phrases = st.lists(st.sampled_from(["狗", "café", "Tür", "é"]), unique=True, max_size=4)


@given(st.lists(phrases, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_group_undoes_explode(data: list[list[str]], lots: Any) -> None:
    whole = [
        Record(
            source=Source("é.jsonl", n),
            id=n,
            images=(image(f"{n}.png"),),
            regions=tuple(Region(p, box=box(n + i) if i % 3 else None, category=p * 2) for i, p in enumerate(some)),
            extra={"split": "é"},
        ).with_origin("rexomni", {}, PIXEL_FRAME)
        for n, some in enumerate(data)
    ]
    parts = [item for item in ExplodePhrases()(whole) if isinstance(item, Record)]
    lots.shuffle(parts)
    records, stage = grouped(*parts)
    assert len(parts) - stage.counts.merged == len(records) == sum(map(bool, data))
    found = {r.id: (sorted((g.phrase or "", g.box) for g in r.regions if g.box), dict(r.extra)) for r in records}
    for record in whole:
        if record.regions:
            expected = sorted((g.phrase or "", g.box) for g in record.regions if g.box)
            assert found[record.id] == (expected, {"split": "é"})


def test_memory_grows_with_the_images_and_not_with_the_rows() -> None:
    def peak(rows: int) -> int:
        stage = GroupByImage()
        tracemalloc.start()
        count = sum(1 for _ in stage(row(n, f"{n * 7 % (rows // 4)}.png", f"phrase {n} " * 20, 1) for n in range(rows)))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == rows // 4
        return top

    peak(4000)  # the interpreter's own reserves of tuples are full now
    assert peak(10_000) - peak(4000) < 1500 * 64 + 100_000
