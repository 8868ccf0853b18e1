"""The safe fixes, and the near misses that are left for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from groundprep.geometry.frames import FRAMES, PIXELS, SEEN_TRUNCATED, Frame
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.images import FileImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Box, BoxXYXY, Candidate, Native, Record, Region
from groundprep.source import Source
from groundprep.stages.repair import Change, RepairSettings, repair

SIZE_WH = (613, 371)
IMAGE = ImageRef("é.jpg", FileImage("é.jpg"))
FRAME = RowFrame(SEEN_TRUNCATED, ResizeChain((SmartResize(28, 3_136, 100_000, "raise", "test"),)))


def record(*answers: BoxXYXY, hints: tuple[BoxXYXY, ...] | None = None, words: str = "the café") -> Record:
    candidates = None if hints is None else tuple(Candidate(Box(hint)) for hint in hints)
    regions = tuple(Region(box=Box(answer)) for answer in answers)
    return Record(Source("a.jsonl", 3), images=(IMAGE,), referring=words, answers=regions, candidates=candidates)


def fixed(item: Record, **settings: object) -> tuple[Record, list[Change]]:
    return repair(item, (SIZE_WH,), RepairSettings(**settings))  # type: ignore[arg-type]


def boxes(item: Record) -> list[BoxXYXY]:
    return [answer.box.xyxy for answer in item.answers if answer.box is not None]


def test_a_sound_record_comes_back_as_the_very_same_object() -> None:
    sound = record((7.5, 3.0, 40.0, 21.0), hints=((7.5, 3.0, 40.0, 21.0), (50.0, 3.0, 61.0, 21.0)))
    assert fixed(sound, snap=True, hint_frame=FRAME) == (sound, [])
    assert fixed(sound)[0] is sound


def test_inverted_corners_are_put_in_order() -> None:
    item, changes = fixed(record((40.0, 3.0, 7.5, 21.0)))
    assert boxes(item) == [(7.5, 3.0, 40.0, 21.0)]
    assert changes == [Change("corners-reordered", "answer 0", [40.0, 3.0, 7.5, 21.0], [7.5, 3.0, 40.0, 21.0])]


def test_a_box_that_ends_outside_is_cut_and_one_that_lies_outside_is_left() -> None:
    item, changes = fixed(record((600.0, 300.0, 620.0, 380.0), (600.0, 10.0, 900.0, 50.0), (700.0, 10.0, 800.0, 50.0)))
    assert boxes(item) == [(600.0, 300.0, 613.0, 371.0), (600.0, 10.0, 900.0, 50.0), (700.0, 10.0, 800.0, 50.0)]
    assert [(change.kind, change.where) for change in changes] == [("box-clipped", "answer 0")]


def test_an_excess_that_the_checks_tolerate_is_left() -> None:
    near = record((600.0, 300.0, 613.9, 371.0))
    assert fixed(near) == (near, [])


def test_nothing_is_cut_where_the_size_is_unknown() -> None:
    outside = record((600.0, 300.0, 640.0, 380.0))
    assert repair(outside, (None,), RepairSettings()) == (outside, [])


def test_a_box_without_area_is_left_for_a_person() -> None:
    flat = record((10.0, 10.0, 10.0, 30.0))
    assert fixed(flat) == (flat, [])


def test_hints_that_are_equal_in_the_trainers_pixels_become_one_and_answers_follow() -> None:
    hints = ((7.2, 3.1, 40.1, 21.0), (7.3, 3.1, 40.1, 21.0), (100.0, 50.0, 150.0, 90.0))
    row = record((100.0, 50.0, 150.0, 90.0), hints=hints)
    row = Record(
        row.source, images=row.images, answers=(Region(box=Box(hints[2]), candidate=2),), candidates=row.candidates
    )
    assert fixed(row)[1] == []
    item, changes = fixed(row, hint_frame=FRAME)
    assert item.candidate_boxes_xyxy == [hints[0], hints[2]]
    assert item.answers[0].candidate == 1
    assert changes == [Change("hint-merged", "candidate 1", list(hints[1]), "candidate 0")]


def test_an_answer_moves_onto_the_one_hint_that_it_must_mean() -> None:
    hints = ((10.0, 10.0, 60.0, 50.0), (300.0, 100.0, 350.0, 190.0))
    item, changes = fixed(record((12.0, 9.0, 61.0, 52.0), hints=hints), snap=True, hint_frame=FRAME)
    assert boxes(item) == [hints[0]]
    assert item.answers[0].candidate == 0
    assert item.extra == {"answer_annotated": [[12.0, 9.0, 61.0, 52.0]]}
    assert [change.kind for change in changes] == ["answer-snapped"]


def test_an_answer_stays_where_two_hints_could_be_meant_or_none_or_one_that_is_taken() -> None:
    two = record((12.0, 9.0, 61.0, 52.0), hints=((10.0, 10.0, 60.0, 50.0), (14.0, 10.0, 60.0, 54.0)))
    none = record((12.0, 9.0, 61.0, 52.0), hints=((300.0, 100.0, 350.0, 190.0),))
    taken = record((10.0, 10.0, 60.0, 50.0), (12.0, 9.0, 61.0, 52.0), hints=((10.0, 10.0, 60.0, 50.0),))
    for row in (two, none, taken):
        assert fixed(row, snap=True, hint_frame=FRAME) == (row, [])


def test_words_lose_control_characters_and_needless_blanks_but_never_all_of_them() -> None:
    item, changes = fixed(record((7.5, 3.0, 40.0, 21.0), words=" the\t ca\x07fé "))
    assert item.referring == "the café"
    assert [change.kind for change in changes] == ["words-normalised"]
    blank = record((7.5, 3.0, 40.0, 21.0), words="  ")
    assert fixed(blank) == (blank, [])


def test_a_text_that_a_row_says_many_times_is_one_change() -> None:
    row = record((7.5, 3.0, 40.0, 21.0), words="a  lamp")
    row = Record(row.source, images=row.images, referring="a  lamp", answers=(Region("a  lamp", row.answers[0].box),))
    item, changes = fixed(row)
    assert (item.referring, item.answers[0].phrase, len(changes)) == ("a lamp", "a lamp", 1)


def test_one_box_object_shared_by_answer_and_hint_stays_shared() -> None:
    shared = Box((40.0, 3.0, 7.5, 21.0))
    row = Record(Source("a", 1), images=(IMAGE,), answers=(Region(box=shared),), candidates=(Candidate(shared),))
    item, changes = fixed(row)
    assert item.candidates is not None
    assert item.answers[0].box is item.candidates[0].box
    assert len(changes) == 2


@pytest.mark.parametrize(
    ("frame", "numbers", "kept"),
    [
        (PIXELS, [40, 3, 7, 21], [7, 3, 40, 21]),
        (FRAMES["pixels-xywh"], [590, 300, 40, 80], [590, 300, 23, 71]),
        (PIXELS, [40.5, 3, 7, 21], None),
        (FRAMES["unit"], [1, 0, 0, 1], None),
    ],
)
def test_whole_numbers_of_stored_pixels_stay_whole(frame: Frame, numbers: list[float], kept: list[int] | None) -> None:
    box = Box(frame.box_to_stored(numbers, size_wh=SIZE_WH), Native(frame, numbers))
    item, changes = fixed(replace(record(), answers=(Region(box=box),)))
    native = item.answers[0].box.native  # type: ignore[union-attr]
    assert len(changes) == 1
    assert (None if native is None else native.numbers) == kept
    assert kept is None or all(type(number) is int for number in native.numbers)  # type: ignore[union-attr]
