"""One record per phrase, in order, every change of number counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.record import Box, Dropped, Origin, Record, Region
from groundprep.source import Source
from groundprep.stages.explode import ExplodePhrases
from tests.contracts.samples import PIXEL_FRAME

region = st.builds(
    lambda phrase, box: Region(phrase, box=None if box is None else Box((box, 3.0, box + 9, 21.0))),
    st.sampled_from(["狗", "chien", "Straße", ""]),
    st.none() | st.floats(0, 40),
)
SOURCE = Source("é.jsonl", 7)


def record(*regions: Region, **fields: object) -> Record:
    bare = Record(source=SOURCE, regions=regions, **fields)  # type: ignore[arg-type]
    return bare.with_origin("rexomni", {"row": "é"}, PIXEL_FRAME)


@given(st.lists(st.lists(region, max_size=6), max_size=4))
def test_phrases_come_in_order_of_first_appearance_and_no_region_is_lost(data: list[list[Region]]) -> None:
    stage = ExplodePhrases()
    items = list(stage([record(*regions) for regions in data]))
    out = [item for item in items if isinstance(item, Record)]
    assert len(items) == len(data) + stage.counts.exploded
    phrases = [list(dict.fromkeys(r.phrase for r in regions)) for regions in data]
    assert [item.referring for item in out] == [phrase for some in phrases for phrase in some]
    boxes = [r.box for regions in data for phrase in dict.fromkeys(r.phrase for r in regions)
             for r in regions if r.phrase == phrase and r.box]  # fmt: skip
    assert [answer.box for item in out for answer in item.answers] == boxes
    assert sum(isinstance(item, Dropped) for item in items) == sum(not regions for regions in data)


def test_parts_are_numbered_only_where_a_row_holds_several() -> None:
    stage = ExplodePhrases()
    box = Box((1.0, 2.0, 3.0, 4.0))
    items = list(stage([record(Region("a", box=box), Region("b")), record(Region("c", box=box))]))
    assert [str(item.source) for item in items] == ["é.jsonl:7#1", "é.jsonl:7#2", "é.jsonl:7"]
    assert [len(item.answers) for item in items if isinstance(item, Record)] == [1, 0, 1]
    assert all(item.category == item.referring and not item.regions for item in items if isinstance(item, Record))


def test_the_id_of_an_image_with_several_phrases_is_not_that_of_each_of_them() -> None:
    box = Box((1.0, 2.0, 3.0, 4.0))
    several, one = record(Region("狗", box=box), Region("é"), id=7), record(Region("狗"), id=8)
    known = record(Region("狗", box=box), Region("é"), id=9, extra={"image_id": "b"})
    items = [item for item in ExplodePhrases()([several, one, known]) if isinstance(item, Record)]
    assert [(item.id, dict(item.extra)) for item in items] == [
        (None, {"image_id": 7}),
        (None, {"image_id": 7}),
        (8, {}),
        (9, {"image_id": "b"}),
        (9, {"image_id": "b"}),
    ]


def test_the_object_word_of_a_region_becomes_the_category() -> None:
    regions = (Region("le chien à gauche", category="chien"), Region("le chien noir", category="chien"), Region("狗"))
    items = [item for item in ExplodePhrases()([record(*regions)]) if isinstance(item, Record)]
    assert [(item.referring, item.category) for item in items] == [
        ("le chien à gauche", "chien"),
        ("le chien noir", "chien"),
        ("狗", "狗"),
    ]


def test_by_category_all_phrases_of_a_category_answer_together() -> None:
    box = Box((1.0, 2.0, 3.0, 4.0))
    regions = (
        Region("à gauche", category="chien", box=box),
        Region("狗", box=box),
        Region("noir", category="chien", box=box),
    )
    stage = ExplodePhrases("category")
    items = [item for item in stage([record(*regions)]) if isinstance(item, Record)]
    assert [(item.referring, len(item.answers)) for item in items] == [("chien", 2), ("狗", 1)]
    assert stage.counts.exploded == 1


def test_expressions_and_instructions_pass_through_untouched() -> None:
    given_records = [record(referring="狗"), record(instruction="Quoi?"), Record(source=SOURCE)]
    assert [a is b for a, b in zip(ExplodePhrases()(given_records), given_records, strict=True)] == [True] * 3


def test_an_image_without_any_phrase_is_dropped_with_its_row() -> None:
    (dropped,) = ExplodePhrases()([record()])
    assert isinstance(dropped, Dropped)
    assert (dropped.code, dropped.row, str(dropped.source)) == ("no-phrase", {"row": "é"}, "é.jsonl:7")


def test_the_origin_stays_so_that_a_drop_can_show_the_row() -> None:
    (item,) = ExplodePhrases()([record(Region("a"))])
    assert isinstance(item, Record)
    assert isinstance(item.origin, Origin)
    assert item.origin.value == {"row": "é"}
