"""Checking many records at once finds what checking them one by one finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.base import Batch, Subject
from groundprep.checks.box_batch import (
    FrameWatch,
    absence_screen,
    box_table_of,
    boxes_of,
    check_boxes,
    geometry_screen,
    shape_screen,
)
from groundprep.checks.boxes import box_findings, geometry_findings
from groundprep.checks.frames import FrameTally
from groundprep.checks.verdicts import Verdict
from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Candidate, Keypoints, Mask, Native, Point, Polygon, Record, Region
from groundprep.source import Source

IMAGES = (ImageRef("straße.png", FileImage("straße.png")),) * 2
number = st.sampled_from([-3.0, -1.0, 0.0, 0.25, 0.5, 1.0, 1.004, 7.5, 36.0, 38.0, 61.0, 62.5, 500.0, 1001.0, 4000.0])
numbers = st.lists(number, min_size=4, max_size=4)
size = st.sampled_from([None, (61, 37), (1000, 500)])


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    values = draw(numbers)
    kind = draw(st.sampled_from(["pixels", "pixels", "pixels", "rel1000", "none"]))
    native = None if kind == "none" else Native(PIXELS if kind == "pixels" else FRAMES[kind], values)
    return Box((values[0], values[1], values[2], values[3]), native)


@st.composite
def records(draw: st.DrawFn) -> Record:
    image = st.sampled_from([0, 0, 0, 1])
    region = st.builds(Region, st.just("狗"), st.none() | boxes(), image=image)
    return Record(
        Source(draw(st.sampled_from(["a.jsonl", "a.jsonl", "b.jsonl"])), draw(st.integers(1, 9))),
        images=IMAGES,
        answers=tuple(draw(st.lists(region, max_size=2))),
        regions=tuple(draw(st.lists(region, max_size=2))),
        candidates=draw(st.none() | st.builds(tuple, st.lists(st.builds(Candidate, boxes(), image=image), max_size=3))),
    )


@given(st.lists(st.tuples(records(), st.lists(size, max_size=2)), max_size=6))
def test_the_findings_and_the_counts_are_those_of_the_single_checks(batch: list[tuple[Record, list]]) -> None:  # type: ignore[type-arg]
    many, sizes_wh = ([item[place] for item in batch] for place in range(2))
    frames, expected_frames = FrameTally(), FrameTally()
    found = check_boxes(many, list(map(boxes_of, many)), sizes_wh, frames)
    expected = [finding for record, of_record in batch for finding in box_findings(record, *of_record)]
    for record, of_record in batch:
        expected_frames.see(record, of_record)
    assert found == expected
    counted = {key: (c.boxes, c.against, c.explained) for key, c in frames.files.items() if c.boxes}
    assert counted == {key: (c.boxes, c.against, c.explained) for key, c in expected_frames.files.items() if c.boxes}
    assert {key for key, c in frames.files.items() if c.example} == {
        key for key, c in expected_frames.files.items() if c.example
    }


def test_boxes_whose_frame_a_person_named_are_not_judged_and_the_others_are_whatever_the_batches() -> None:
    def subject(number: int, *, named: bool) -> Subject:
        numbers = [100.0 + number, 50.0, 20.0, 30.0]  # xywh, read as xyxy
        box = Box((numbers[0], numbers[1], numbers[2], numbers[3]), Native(PIXELS, numbers))
        record = Record(Source("é.jsonl", number), images=IMAGES[:1], answers=(Region("狗", box),))
        return Subject(record, (Verdict((640, 480)),), is_frame_named=named)

    for named, size in ((False, 30), (False, 7), (True, 30)):
        subjects = [subject(number, named=named) for number in range(30)]
        watch = FrameWatch()
        for start in range(0, 30, size):
            note = FrameWatch().note(Batch(subjects[start : start + size]))
            assert (note is None) == named
            if note is not None:
                watch.see(note)
        assert [finding.code for finding in watch.findings()] == ([] if named else ["frame-contradicted"])
    mixed = FrameWatch().note(Batch([subject(1, named=True), subject(2, named=False)]))
    assert mixed is not None
    assert [counts.boxes for counts in mixed.files.values()] == [1]


@given(st.lists(records(), max_size=8))
def test_the_screen_names_every_record_with_a_finding(batch: list[Record]) -> None:
    subjects = [Subject(record, (Verdict((61, 37)), Verdict(None))) for record in batch]
    found = {place for place, subject in enumerate(subjects) if list(geometry_findings(subject))}
    assert found <= set(geometry_screen(Batch(subjects)))
    table = box_table_of(Batch(subjects))
    assert table.boxless == [i for i, r in enumerate(batch) if any(a.box is None for a in (*r.answers, *r.regions))]


def test_points_outlines_and_masks_are_named_even_where_no_box_is_wrong() -> None:
    shapes = [
        Region("狗", point=Point((1.0, 2.0))),
        Region("狗", polygon=Polygon(((1.0, 2.0, 3.0, 4.0, 5.0, 1.0),))),
        Region("狗", mask=Mask((37, 61), "x")),
        Region("狗", keypoints=Keypoints(((1.0, 2.0, 2),))),
        Region("狗", Box((7.5, 3.0, 40.0, 21.0), Native(PIXELS, [7.5, 3.0, 40.0, 21.0]))),
    ]
    batch = Batch(Subject(Record(Source("é.jsonl", 1), images=IMAGES, regions=(shape,))) for shape in shapes)
    assert shape_screen(batch) == [0, 1, 2, 3]
    assert geometry_screen(batch) == [0, 1, 2, 3]
    assert absence_screen(batch) == [0, 1, 2, 3]
