"""Checking many records at once finds what checking them one by one finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.box_batch import check_boxes
from groundprep.checks.boxes import box_findings
from groundprep.checks.frames import FrameTally
from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Candidate, Native, Record, Region
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


@given(st.lists(st.tuples(records(), st.lists(size, max_size=2), st.lists(size, max_size=2)), max_size=6))
def test_the_findings_and_the_counts_are_those_of_the_single_checks(batch: list[tuple[Record, list, list]]) -> None:  # type: ignore[type-arg]
    many, known, stated = ([item[place] for item in batch] for place in range(3))
    frames, expected_frames = FrameTally(), FrameTally()
    found = check_boxes(many, known, stated, frames)
    expected = [finding for record, known_wh, _ in batch for finding in box_findings(record, *known_wh)]
    for record, _, stated_wh in batch:
        expected_frames.see(record, stated_wh)
    assert found == expected
    counted = {key: (c.boxes, c.against, c.explained) for key, c in frames.files.items() if c.boxes}
    assert counted == {key: (c.boxes, c.against, c.explained) for key, c in expected_frames.files.items() if c.boxes}
    assert {key for key, c in frames.files.items() if c.example} == {
        key for key, c in expected_frames.files.items() if c.example
    }
