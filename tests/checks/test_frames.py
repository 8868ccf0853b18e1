"""The verdict on a file's frame: never against the right frame, and against each wrong one on realistic boxes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.frames import FRAME_CONTRADICTED, FUNCTIONS, NAMES, FrameCounts, FrameTally
from groundprep.errors import FormatError
from groundprep.geometry.frames import FRAMES, PIXELS, SizeWH, Space
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Box, Native, Record, Region
from groundprep.source import Source

WRITABLE = [name for name, frame in FRAMES.items() if frame.space is not Space.SEEN]
IMAGE = ImageRef("é.png", BytesImage(b""))


def scene(rng: random.Random) -> tuple[SizeWH, list[float]]:
    """An image of a size that COCO has, and a box in it: many are small, some fill it, some touch the border."""
    size_wh = rng.choice([(640, 480), (640, 427), (480, 640), (500, 375), (427, 640), (333, 500)])
    sides = [min(side, max(3.0, side * rng.betavariate(0.8, 2.5))) for side in size_wh]
    corner = [rng.choice([0.0, rng.uniform(0, side - length), side - length]) if rng.random() < 0.2
              else rng.uniform(0, side - length) for side, length in zip(size_wh, sides, strict=True)]  # fmt: skip
    box = [round(value, 2) for value in (*corner, corner[0] + sides[0], corner[1] + sides[1])]
    return size_wh, box


def watched(written: str, declared: str, *, boxes: int, seed: int, sized: bool = True) -> FrameTally:
    """What is seen of boxes that were written in one frame and are read in another."""
    rng = random.Random(seed)
    watch = FrameTally()
    for number in range(boxes):
        size_wh, box_xyxy = scene(rng)
        numbers = FRAMES[written].box_from_stored(box_xyxy, size_wh=size_wh)
        read = Box(FRAMES[declared].box_to_stored(numbers, size_wh=size_wh), Native(FRAMES[declared], numbers))
        record = Record(Source("x.jsonl", number), images=(IMAGE,), answers=(Region(box=read),))
        watch.see(record, [size_wh if sized else None])
    return watch


@pytest.mark.parametrize("frame", WRITABLE)
@pytest.mark.parametrize("sized", [True, False])
def test_boxes_in_the_right_frame_are_never_refused(frame: str, sized: bool) -> None:
    for seed in range(150):
        watch = watched(frame, frame, boxes=20 + seed, seed=seed, sized=sized)
        assert watch.findings() == []
        (counts,) = watch.files.values()
        assert counts.against == 0


@pytest.mark.parametrize(
    ("written", "declared", "sized"),
    [
        ("pixels-xywh", "pixels", True),
        ("pixels-xywh", "pixels", False),
        ("pixels-cxcywh", "pixels", True),
        ("pixels-cxcywh", "pixels", False),
        ("unit", "pixels", True),
        ("unit", "pixels", False),
        ("unit-cxcywh", "pixels", True),
        ("unit-xywh", "pixels", True),
        ("rel1000", "pixels", True),
        ("rel1000-xywh", "pixels-xywh", True),
        ("pixels", "pixels-xywh", True),
        ("pixels", "unit", True),
        ("pixels", "pixels-cxcywh", True),
        ("pixels", "pixels-cxcywh", False),
        ("pixels-xywh", "rel1000", True),
        ("rel1000", "unit", True),
    ],
)
def test_a_wrong_frame_is_caught_and_the_right_one_is_named_first(written: str, declared: str, sized: bool) -> None:
    for seed in range(20):
        (finding,) = watched(written, declared, boxes=400, seed=seed, sized=sized).findings()
        assert finding.code == FRAME_CONTRADICTED.code
        assert f"--source-frame {written}" in (finding.fix or "")
        assert f"looks like {written}" in finding.message or f"look like {written}" in finding.message


def test_boxes_of_an_image_that_was_turned_are_told_as_such() -> None:
    rng = random.Random(4)
    watch = FrameTally()
    for number in range(100):
        size_wh, (x0, y0, x1, y1) = scene(rng)
        box = Box((x0, y0, x1, y1), Native(PIXELS, [x0, y0, x1, y1]))
        record = Record(Source("x.jsonl", number), images=(IMAGE,), answers=(Region(box=box),))
        watch.see(record, [(size_wh[1], size_wh[0])])
    (finding,) = watch.findings()
    assert "turned by a quarter" in finding.message


@pytest.mark.parametrize("layout", ["pixels-xywh", "pixels-cxcywh"])
def test_boxes_of_another_layout_are_told_as_turned_too_and_no_frame_is_made_up(layout: str) -> None:
    rng = random.Random(4)
    watch = FrameTally()
    for number in range(100):
        size_wh, box_xyxy = scene(rng)
        numbers = FRAMES[layout].box_from_stored(box_xyxy, size_wh=size_wh)
        box = Box(FRAMES[layout].box_to_stored(numbers, size_wh=size_wh), Native(FRAMES[layout], numbers))
        record = Record(Source("coco.json", number), images=(IMAGE,), regions=(Region("é", box=box),))
        watch.see(record, [(size_wh[1], size_wh[0])])
    (finding,) = watch.findings()
    assert "turned by a quarter" in finding.message
    assert "--source-frame turned" not in str(finding.fix)
    assert f"--source-frame {layout}" in str(finding.fix)


def test_few_boxes_and_few_contradictions_are_no_verdict() -> None:
    assert watched("pixels-xywh", "pixels", boxes=19, seed=0).findings() == []
    mixed = watched("pixels", "pixels", boxes=81, seed=0)
    mixed.add(watched("pixels-xywh", "pixels", boxes=19, seed=1))
    assert mixed.findings() == []


def test_boxes_that_no_other_frame_explains_are_not_refused_but_left_to_the_checks_of_rows() -> None:
    watch = FrameTally()
    for number in range(100):
        numbers = [700.0, 600.0, 20.0, 10.0]
        box = Box((700.0, 600.0, 20.0, 10.0), Native(PIXELS, numbers))
        watch.see(Record(Source("x.jsonl", number), answers=(Region(box=box),)), [(640, 480)])
    assert watch.findings() == []
    (counts,) = watch.files.values()
    assert counts.against == 100


def test_of_small_images_xywh_is_not_told_as_thousandths_too() -> None:
    (finding,) = watched("pixels-xywh", "pixels", boxes=100, seed=0).findings()
    assert "rel1000-xywh" not in finding.message + str(finding.fix)


def test_each_file_is_judged_alone_and_a_named_frame_is_believed() -> None:
    watch = watched("pixels-xywh", "pixels", boxes=50, seed=0)
    with pytest.raises(FormatError) as caught:
        watch.require_consistent()
    assert (caught.value.code, caught.value.source) == ("frame-contradicted", "x.jsonl")
    watch.require_consistent(named={"x.jsonl"})
    with pytest.raises(FormatError):
        watch.require_consistent(named={"y.jsonl"})


numbers = st.one_of(st.integers(-3, 1400), st.floats(-2, 1300, allow_nan=False), st.floats(-0.01, 1.2, allow_nan=False))


@given(
    box=st.tuples(numbers, numbers, numbers, numbers),
    sized=st.booleans(),
    width=st.integers(1, 900),
    height=st.integers(1, 900),
)
def test_the_short_way_for_sound_pixels_counts_what_the_tests_say(
    box: tuple[float, float, float, float], sized: bool, width: int, height: int
) -> None:
    size_wh = (width, height) if sized else (0, 0)
    counts = FrameCounts(PIXELS)
    counts.see(Box(box, Native(PIXELS, list(box))), size_wh if sized else None, "x")
    assert counts.explained == [int(test(*box, *size_wh)) for test in FUNCTIONS]
    assert counts.against == int(not FUNCTIONS[NAMES.index("pixels")](*box, *size_wh))
