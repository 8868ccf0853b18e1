"""Frames: what was read can be written again; the order of operations is part of a format."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from groundprep.geometry.frames import FRAMES, SEEN_TRUNCATED, Frame, Rounding, Space

side = st.integers(1, 40_000)
INTEGER_FRAMES = [frame for frame in FRAMES.values() if frame.rounding is not Rounding.NONE]
FLOAT_FRAMES = [frame for frame in FRAMES.values() if frame.rounding is Rounding.NONE]


def full_length(frame: Frame, seen: int) -> int:
    """The largest number that an integer frame holds along a side."""
    largest = {Space.SEEN: seen, Space.REL1000: 1000, Space.BIN999: 999}[frame.space]
    return largest - 1 if frame.clamp else largest


def again(frame: Frame, n: int, side_px: int, seen: int) -> float:
    """Read the number along x and write it; y is given another size, so that mixed-up axes show."""
    size_wh, seen_wh = (side_px, 2 * side_px + 1), (seen, 3 * seen + 1)
    point = frame.point_to_stored(
        [n, 0] if not frame.name.endswith("yxyx") else [0, n], size_wh=size_wh, seen_wh=seen_wh
    )
    numbers = frame.point_from_stored(point, size_wh=size_wh, seen_wh=seen_wh)
    return numbers[1] if frame.name.endswith("yxyx") else numbers[0]


@pytest.mark.parametrize("frame", INTEGER_FRAMES, ids=lambda frame: frame.name)
def test_every_integer_of_a_small_image_comes_back(frame: Frame) -> None:
    sides = (
        (*range(1, 40), 61, 100, 333, 426, 640) if frame.space is Space.SEEN else (1, 2, 3, 7, 37, 61, 333, 640, 1003)
    )
    lengths = range(1, 45) if frame.space is Space.SEEN else (28,)
    for side_px in sides:
        for seen in lengths:
            numbers = range(full_length(frame, seen) + 1)
            assert [again(frame, n, side_px, seen) for n in numbers] == list(numbers), (side_px, seen)


@pytest.mark.parametrize("frame", INTEGER_FRAMES, ids=lambda frame: frame.name)
@given(data=st.data(), side_px=side, seen=side)
def test_every_integer_of_a_large_image_comes_back(frame: Frame, data: st.DataObject, side_px: int, seen: int) -> None:
    n = data.draw(st.integers(0, full_length(frame, seen)))
    assert again(frame, n, side_px, seen) == n


@pytest.mark.parametrize("frame", INTEGER_FRAMES, ids=lambda frame: frame.name)
@given(data=st.data(), width=side, height=side, seen_w=side, seen_h=side)
def test_all_four_integers_of_a_box_come_back(
    frame: Frame, data: st.DataObject, width: int, height: int, seen_w: int, seen_h: int
) -> None:
    x = st.integers(0, full_length(frame, seen_w))
    y = st.integers(0, full_length(frame, seen_h))
    yx = frame.name.endswith("yxyx")
    numbers = list(data.draw(st.tuples(y, x, y, x) if yx else st.tuples(x, y, x, y)))
    sizes = {"size_wh": (width, height), "seen_wh": (seen_w, seen_h)}
    back = frame.box_from_stored(frame.box_to_stored(numbers, **sizes), **sizes)
    assert back == numbers
    assert all(type(number) is int for number in back)


@pytest.mark.parametrize("frame", FLOAT_FRAMES, ids=lambda frame: frame.name)
@given(
    numbers=st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4), width=side, height=side, seen_w=side, seen_h=side
)
def test_real_numbers_come_back_to_a_billionth(
    frame: Frame, numbers: list[float], width: int, height: int, seen_w: int, seen_h: int
) -> None:
    length = {Space.UNIT: 1, Space.STORED: max(width, height), Space.SEEN: max(seen_w, seen_h)}[frame.space]
    numbers = [number * length for number in numbers]
    sizes = {"size_wh": (width, height), "seen_wh": (seen_w, seen_h)}
    back = frame.box_from_stored(frame.box_to_stored(numbers, **sizes), **sizes)
    assert back == pytest.approx(numbers, rel=1e-9, abs=1e-9 * length)


@given(x=st.floats(0, 1), width=side, seen=side)
def test_seen_pixels_are_divided_first_then_multiplied_then_truncated_then_clamped(
    x: float, width: int, seen: int
) -> None:
    """Source: specs/rexthinker.md §2.2: x = int(x / W * Wr), clamped to [0, Wr - 1]."""
    x *= width
    box = SEEN_TRUNCATED.box_from_stored((x, 0.0, x, 0.0), size_wh=(width, 9), seen_wh=(seen, 28))
    assert box[0] == min(max(int(x / width * seen), 0), seen - 1)


def test_another_order_of_operations_would_give_other_integers() -> None:
    traps = [
        (x, width, seen)
        for width in (98, 196, 300, 490, 640)
        for seen in (84, 140, 420, 644)
        for x in range(width)
        if int(x / width * seen) != int(x * seen / width)
    ]
    assert traps, "no trap found: this test would prove nothing"
    for x, width, seen in traps:
        number = SEEN_TRUNCATED.point_from_stored((x, 0), size_wh=(width, 5), seen_wh=(seen, 28))[0]
        assert number == int(x / width * seen)


@pytest.mark.parametrize(
    ("box_xyxy", "expected"),
    [
        ((0, 0, 640, 426), [0, 0, 643, 419]),  # the far border is the last pixel
        ((-8, -0.4, 700, 500), [0, 0, 643, 419]),
        ((320, 213, 320, 213), [322, 210, 322, 210]),  # degenerate boxes are kept
        ((500, 300, 100, 60), [503, 295, 100, 59]),  # and so are inverted ones
    ],
)
def test_boxes_are_clamped_into_the_seen_image_and_never_dropped(box_xyxy: list[float], expected: list[int]) -> None:
    assert SEEN_TRUNCATED.box_from_stored(box_xyxy, size_wh=(640, 426), seen_wh=(644, 420)) == expected


def test_rex_omni_bins_are_floors_of_the_share_times_999() -> None:
    """Source: specs/rexomni.md §11, golden case 8."""
    bins = FRAMES["bin999"].box_from_stored((100, 100, 300, 400), size_wh=(1000, 500))
    assert bins == [99, 199, 299, 799]
    assert FRAMES["bin999"].box_from_stored((-5, 0, 1000, 600), size_wh=(1000, 500)) == [0, 0, 999, 999]


def test_the_border_of_an_image_is_1000_and_is_read_as_the_border() -> None:
    """Source: specs/vlmr1_easydistill.md §1.3: floor(1000 · x / width), "max value 1000"."""
    frame = FRAMES["rel1000-truncated"]
    numbers = frame.box_from_stored((3000, 2000, 4000, 3000), size_wh=(4000, 3000))
    assert numbers == [750, 666, 1000, 1000]
    assert frame.box_to_stored(numbers, size_wh=(4000, 3000)) == (3002.0, 1999.5, 4000.0, 3000.0)


def test_numbers_left_of_an_image_are_floored_and_come_back() -> None:
    """Source: specs/vlmr1_easydistill.md §1.3: floor, which int() is not below 0."""
    frame = FRAMES["rel1000-truncated"]
    numbers = frame.box_from_stored((-5, -3, 650, 430), size_wh=(640, 427))
    assert numbers == [-8, -8, 1015, 1007]
    assert frame.box_from_stored(frame.box_to_stored(numbers, size_wh=(640, 427)), size_wh=(640, 427)) == numbers


@given(st.floats(-3, 4), side)
@example(1.0, 7)
def test_bins_stay_inside_0_and_999(share: float, width: int) -> None:
    number = FRAMES["bin999"].point_from_stored((share * width, 0), size_wh=(width, 5))[0]
    assert 0 <= number <= 999
    assume(0 <= share <= 1)
    assert number == int(min(1, max(0, share * width / width)) * 999)


def test_layouts_mean_what_they_say() -> None:
    size = {"size_wh": (200, 100)}
    box = (20.0, 10.0, 60.0, 90.0)
    assert FRAMES["pixels-xywh"].box_from_stored(box, **size) == [20, 10, 40, 80]
    assert FRAMES["pixels-cxcywh"].box_from_stored(box, **size) == [40, 50, 40, 80]
    assert FRAMES["pixels-yxyx"].box_from_stored(box, **size) == [10, 20, 90, 60]
    assert FRAMES["unit"].box_from_stored(box, **size) == [0.1, 0.1, 0.3, 0.9]
    assert FRAMES["unit-xywh"].box_from_stored(box, **size) == pytest.approx([0.1, 0.1, 0.2, 0.8])
    assert FRAMES["unit-cxcywh"].box_from_stored(box, **size) == pytest.approx([0.2, 0.5, 0.2, 0.8])
    assert FRAMES["rel1000"].box_from_stored(box, **size) == [100, 100, 300, 900]
    assert FRAMES["rel1000-yxyx"].box_from_stored(box, **size) == [100, 100, 900, 300]
    assert FRAMES["seen"].box_from_stored(box, size_wh=(200, 100), seen_wh=(100, 200)) == [10, 20, 30, 180]


def test_a_seen_frame_without_a_seen_size_is_refused() -> None:
    with pytest.raises(ValueError, match="seen-truncated"):
        SEEN_TRUNCATED.box_from_stored((1, 2, 3, 4), size_wh=(61, 37))


def test_only_frames_of_stored_pixels_do_without_the_size() -> None:
    assert {name for name, frame in FRAMES.items() if not frame.needs_size} == {
        "pixels", "pixels-xywh", "pixels-cxcywh", "pixels-yxyx",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name, frame in FRAMES.items() if not frame.needs_size])
def test_pixels_of_a_plain_box_stay_the_numbers_that_they_are(name: str) -> None:
    frame = FRAMES[name]
    assert frame.box_from_stored(frame.box_to_stored([7, 3, 40, 22], size_wh=(0, 0)), size_wh=(0, 0)) == [7, 3, 40, 22]
    assert not any(map(math.isnan, frame.box_to_stored([7, 3, 40, 22], size_wh=(0, 0))))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=lambda frame: frame.name)
@given(
    boxes=st.lists(st.tuples(*[st.floats(-300, 900)] * 4), max_size=4),
    size_wh=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    seen_wh=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
)
@example(boxes=[(-1.0, 0.0, 640.0, 426.0), (0.5, 700.0, 639.999, -3.0)], size_wh=(640, 426), seen_wh=(644, 420))
def test_boxes_of_one_image_at_once_are_what_each_is_alone(
    frame: Frame, boxes: list[tuple[float, ...]], size_wh: tuple[int, int], seen_wh: tuple[int, int]
) -> None:
    rows, errors = frame.boxes_from_stored(boxes, size_wh=size_wh, seen_wh=seen_wh)  # type: ignore[arg-type]
    assert rows == [frame.box_from_stored(box, size_wh=size_wh, seen_wh=seen_wh) for box in boxes]
    for box, row, error in zip(boxes, rows, errors, strict=True):
        back = frame.box_to_stored(row, size_wh=size_wh, seen_wh=seen_wh)
        assert error == max(abs(a - b) for a, b in zip(box, back, strict=True))
