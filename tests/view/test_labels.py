"""Labels: inside the picture, beside their boxes, never over one another."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from groundprep.view.labels import Placer, Rect, is_far

AREA = Rect(5, 10, 305, 160)


def overlap(a: Rect, b: Rect) -> Any:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def test_a_label_sits_on_its_box() -> None:
    assert Placer(AREA).place((40, 15), Rect(60, 80, 200, 140)) == Rect(60, 65, 100, 80)


def test_a_label_at_the_top_edge_goes_inside_a_large_box_and_below_a_small_one() -> None:
    assert Placer(AREA).place((40, 15), Rect(60, 10, 200, 140)) == Rect(60, 10, 100, 25)
    placer = Placer(AREA)
    placer.reserve(Rect(60, 10, 100, 20))
    assert placer.place((40, 15), Rect(60, 10, 90, 30)) == Rect(60, 30, 100, 45)


def test_equal_boxes_get_labels_side_by_side() -> None:
    placer = Placer(AREA)
    box = Rect(60, 80, 200, 140)
    places = [placer.place((40, 15), box) for _ in range(20)]
    assert None not in places
    assert not any(overlap(a, b) for i, a in enumerate(places) for b in places[:i])


boxes = st.tuples(st.integers(-50, 350), st.integers(-50, 250), st.integers(0, 200), st.integers(0, 150)).map(
    lambda n: Rect(n[0], n[1], n[0] + n[2], n[1] + n[3])
)


@given(st.lists(boxes, max_size=60), st.integers(1, 90), st.integers(1, 40))
def test_labels_never_leave_the_area_nor_cover_each_other(targets: list[Rect], w: int, h: int) -> None:
    placer = Placer(AREA)
    placed = [rect for rect in (placer.place((w, h), target) for target in targets) if rect is not None]
    assert all((rect.x1 - rect.x0, rect.y1 - rect.y0) == (w, h) for rect in placed)
    assert all(AREA.x0 <= r.x0 and r.x1 <= AREA.x1 and AREA.y0 <= r.y0 and r.y1 <= AREA.y1 for r in placed)
    assert not any(overlap(a, b) for i, a in enumerate(placed) for b in placed[:i])


def test_a_label_without_room_is_told_and_not_squeezed_in() -> None:
    placer = Placer(AREA)
    placer.reserve(AREA)
    assert placer.place((40, 15), Rect(60, 80, 200, 140)) is None
    assert Placer(AREA).place((400, 15), Rect(60, 80, 200, 140)) is None


def test_a_label_that_does_not_touch_its_box_is_far() -> None:
    assert is_far(Rect(0, 0, 10, 10), Rect(50, 50, 60, 60))
    assert not is_far(Rect(0, 40, 10, 50), Rect(0, 50, 60, 60))
