"""Chebyshev masks: the fork's numbers to the last decimal, better ones on request, and a warning where neither helps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from groundprep.errors import MissingDependencyError, UsageError
from groundprep.geometry.chebyshev import (
    MAX_DRAWINGS,
    ChebyshevMask,
    Fit,
    _climb_by_drawing,
    _distance_peak,
    _fork_radii,
    decode,
    doubts,
    encode,
    rasterise,
    round_trip_iou,
)

Mask = NDArray[np.uint8]
Inside = Callable[[NDArray[np.int_], NDArray[np.int_]], NDArray[np.bool_]]


def draw(h: int, w: int, inside: Inside) -> Mask:
    y, x = np.mgrid[:h, :w]
    return inside(x, y).astype(np.uint8)


# Source: the fork's own encoder and decoder, run on these masks; specs/vlmr1_easydistill.md §2.6.
GOLDEN = {
    "rectangle": (
        draw(48, 64, lambda x, y: (y >= 10) & (y < 30) & (x >= 8) & (x < 48)),
        '{"centre":[17.0,19.0],"coeffs":[14.3025,6.9726,5.1588,4.2442,1.1694,1.1416,0.4077,-0.3971],"size":[48,64]}',
        (791, 0.8718),
    ),
    "disc": (
        draw(100, 120, lambda x, y: (x - 50) ** 2 + (y - 40) ** 2 <= 400),
        '{"centre":[50.0,40.0],"coeffs":[19.9959,0.4964,0.0,0.0011,-0.1369,0.0051,-0.0,-0.0192],"size":[100,120]}',
        (1251, 0.9655),
    ),
    "triangle": (
        draw(100, 100, lambda x, y: (y >= 20) & (y <= 80) & (2 * abs(x - 50) <= y - 20)),
        '{"centre":[50.0,62.0],"coeffs":[23.7474,0.4984,-1.169,0.0238,0.1336,0.1651,-2.4207,-0.1486],"size":[100,100]}',
        (1778, 0.706),
    ),
    "L": (
        draw(60, 80, lambda x, y: (y >= 8) & (y < 56) & (x >= 8) & (x < 70) & ((y >= 40) | (x < 20))),
        '{"centre":[16.0,47.0],"coeffs":[16.767,8.3411,2.6361,8.4285,7.9987,2.7636,0.902,2.9184],"size":[60,80]}',
        (1139, 0.6623),
    ),
    "two components": (
        draw(
            50,
            90,
            lambda x, y: ((y >= 5) & (y < 25) & (x >= 5) & (x < 25)) | ((y >= 10) & (y < 20) & (x >= 60) & (x < 80)),
        ),
        '{"centre":[14.0,14.0],"coeffs":[11.1646,1.0036,-0.0,0.2716,-1.4898,-0.2614,0.0,-0.1386],"size":[50,90]}',
        (394, 0.6058),
    ),
    "empty": (
        draw(10, 10, lambda x, _: x < 0),
        '{"centre":[0.0,0.0],"coeffs":[0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"size":[10,10]}',
        (0, 0.0),
    ),
    "full": (
        draw(40, 60, lambda x, _: x >= 0),
        '{"centre":[0.0,0.0],"coeffs":[15.2323,18.8249,3.039,-2.0162,1.2699,2.3861,-0.0819,-0.3414],"size":[40,60]}',
        (644, 0.2683),
    ),
    "border strip": (
        draw(40, 60, lambda x, _: x < 10),
        '{"centre":[0.0,0.0],"coeffs":[6.6838,4.8102,-3.9718,-2.7896,2.8655,3.0241,-1.0583,-1.7388],"size":[40,60]}',
        (108, 0.27),
    ),
}

masks = st.tuples(st.integers(1, 19), st.integers(1, 26)).flatmap(
    lambda hw: arrays(np.uint8, hw, elements=st.integers(0, 1))
)
fits = st.sampled_from(["fork", "best"])


@st.composite
def blobs(draw_from: st.DrawFn) -> Mask:
    """A union of ellipses, off-centre, some cut by the border: more like objects than noise is."""
    h, w = draw_from(st.integers(12, 40)), draw_from(st.integers(12, 50))
    mask = np.zeros((h, w), dtype=np.uint8)
    for _ in range(draw_from(st.integers(1, 3))):
        cx, cy = draw_from(st.integers(0, w - 1)), draw_from(st.integers(0, h - 1))
        a, b = draw_from(st.integers(2, 20)), draw_from(st.integers(2, 14))
        mask |= draw(h, w, lambda x, y, cx=cx, cy=cy, a=a, b=b: ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1)  # type: ignore[misc]
    return mask


@pytest.mark.parametrize("name", GOLDEN)
def test_the_payload_is_the_forks_to_the_last_character(name: str) -> None:
    mask, payload, _ = GOLDEN[name]
    assert encode(mask).payload() == payload


@pytest.mark.parametrize("name", GOLDEN)
def test_the_drawn_pixels_and_their_iou_are_the_forks(name: str) -> None:
    mask, payload, (pixels, iou) = GOLDEN[name]
    row = json.loads(payload)
    drawn = rasterise(decode(row["centre"], row["coeffs"]), tuple(row["size"]))
    assert drawn.sum() == pixels
    assert round(round_trip_iou(mask, row["centre"], row["coeffs"]), 4) == iou
    assert encode(mask).iou == round_trip_iou(mask, row["centre"], row["coeffs"])


def test_the_fork_reaches_the_iou_that_was_measured_for_plain_shapes() -> None:
    """The rows of specs/vlmr1_easydistill.md §2.4 that name a shape completely, on the same canvas."""
    measured = {
        0.993: lambda x, y: (x - 320) ** 2 + (y - 240) ** 2 <= 100**2,
        0.935: lambda x, y: (x - 320) ** 2 + (y - 240) ** 2 <= 10**2,
        0.824: lambda x, y: (x - 320) ** 2 + (y - 240) ** 2 <= 4**2,
        0.974: lambda x, y: ((x - 320) / 150) ** 2 + ((y - 240) / 60) ** 2 <= 1,
        0.941: lambda x, y: (x >= 220) & (x < 420) & (y >= 140) & (y < 340),
    }
    for iou, inside in measured.items():
        assert encode(draw(480, 640, inside)).iou == pytest.approx(iou, abs=0.002)


@settings(deadline=None)
@given(masks)
def test_the_bisection_is_that_of_one_ray_at_a_time(mask: Mask) -> None:
    """§2.2 step 3 spelled out: 11 halvings, float32, cut toward zero, the lower end kept."""
    h, w = mask.shape
    cx, cy = _distance_peak(mask)
    for i, radius in enumerate(_fork_radii(mask, (cx, cy))):
        angle = np.float32(2 * np.pi * i / 72)
        low, high = 0.0, float(max(h, w))
        for _ in range(11):
            middle = (low + high) / 2
            x = int(np.float32(cx) + np.float32(middle) * np.cos(angle))
            y = int(np.float32(cy) + np.float32(middle) * np.sin(angle))
            if 0 <= x < w and 0 <= y < h and mask[y, x]:
                low = middle
            else:
                high = middle
        assert radius == low


def test_a_probe_left_of_the_image_by_less_than_a_pixel_counts_as_column_0() -> None:
    mask = draw(40, 60, lambda x, _: x < 10)
    leftwards = _fork_radii(mask, (0.0, 0.0))[36]
    assert 0.9 < leftwards < 1


@settings(deadline=None, max_examples=30)
@given(blobs())
def test_the_coefficients_are_cosine_means_of_the_radii(mask: Mask) -> None:
    shape = encode(mask)
    angles = 2 * np.pi * np.arange(72) / 72
    radii = _fork_radii(mask, (shape.centre_xy[0], shape.centre_xy[1]))
    means = [np.mean(radii), *(2 * np.mean(radii * np.cos(n * angles)) for n in range(1, 8))]
    assert shape.coeffs == pytest.approx(means, abs=2e-4)


@given(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500)),
    st.lists(st.floats(-300, 300), min_size=1, max_size=20),
)
def test_every_shape_mirrors_about_the_horizontal_line_through_its_centre(
    centre: tuple[float, float], coeffs: list[float]
) -> None:
    """§2.4, the flaw of the basis: whoever repairs it has left the fork's format."""
    points = decode(centre, coeffs) - centre
    assert points.shape == (72, 2)
    assert points[1:] == pytest.approx((points[1:] * [1, -1])[::-1], abs=1e-2)


def test_a_negative_radius_is_drawn_as_the_centre() -> None:
    assert decode((30.0, 20.0), [-5.0]).tolist() == [[30.0, 20.0]] * 72
    assert decode((30.0, 20.0), [5.0])[18] == pytest.approx([30.0, 25.0], abs=1e-5)


def test_points_outside_are_moved_to_the_border_before_drawing() -> None:
    drawn = rasterise(decode((0.0, 0.0), [1000.0]), (40, 60))
    assert drawn[:39, :59].all()
    assert drawn.sum() == 39 * 59


@settings(deadline=None, max_examples=30)
@given(st.one_of(masks, blobs()), fits)
def test_encoding_is_repeatable_and_its_iou_is_what_a_reader_measures(mask: Mask, fit: Fit) -> None:
    shape = encode(mask, fit=fit)
    assert shape == encode(mask.copy(), fit=fit)
    row = json.loads(shape.payload())
    assert list(row) == ["centre", "coeffs", "size"]
    assert row["size"] == list(mask.shape)
    assert 0 <= shape.iou <= 1
    assert shape.iou == round_trip_iou(mask, row["centre"], row["coeffs"])


@settings(deadline=None, max_examples=30)
@given(st.one_of(masks, blobs()), st.integers(1, 12))
def test_best_is_never_worse_than_the_fork_and_has_its_form(mask: Mask, order: int) -> None:
    fork, best = encode(mask, order), encode(mask, order, fit="best")
    assert best.iou >= fork.iou
    assert len(best.coeffs) == len(fork.coeffs) == order
    assert best.size_hw == fork.size_hw == mask.shape
    h, w = mask.shape
    assert 0 <= best.centre_xy[0] <= w - 1
    assert 0 <= best.centre_xy[1] <= h - 1


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("rectangle", 0.93),
        ("disc", 0.98),
        ("triangle", 0.72),
        ("L", 0.74),
        ("two components", 0.64),
        ("full", 0.93),
        ("border strip", 0.9),
    ],
)
def test_best_gains_what_its_search_is_for(name: str, at_least: float) -> None:
    assert encode(GOLDEN[name][0], fit="best").iou >= at_least


def test_the_refinement_stops_at_its_budget() -> None:
    """An objective that always improves would be climbed for ever."""
    calls = 0

    def always_better(_: NDArray[np.float64]) -> float:
        nonlocal calls
        calls += 1
        return float(calls)

    _climb_by_drawing(always_better, np.ones(10), 100.0)
    one_sweep = 2 * (2 + 2 * 8)
    assert MAX_DRAWINGS <= calls <= MAX_DRAWINGS + one_sweep


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("order", [1, 8, 36, 37])
def test_every_order_that_the_angles_can_tell_apart_is_fitted(order: int) -> None:
    mask = GOLDEN["rectangle"][0]
    assert len(encode(mask, order).coeffs) == order


@pytest.mark.parametrize("order", [0, -1, 38])
def test_an_order_that_they_cannot_is_a_usage_error(order: int) -> None:
    with pytest.raises(UsageError, match="1 to 37") as error:
        encode(GOLDEN["disc"][0], order)
    assert error.value.code == "chebyshev-order"


def codes(mask: Mask, shape: ChebyshevMask, min_iou: float = 0.8) -> list[str]:
    return [doubt.code for doubt in doubts(mask, shape, min_iou)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rectangle", []),
        ("disc", []),
        ("triangle", ["mask-iou-low"]),
        ("empty", ["mask-empty"]),
        ("full", ["mask-border-centre", "mask-iou-low"]),
        ("border strip", ["mask-border-centre", "mask-iou-low"]),
    ],
)
def test_doubtful_masks_say_why(name: str, expected: list[str]) -> None:
    mask = GOLDEN[name][0]
    assert codes(mask, encode(mask)) == expected


def test_the_threshold_of_doubt_is_the_callers() -> None:
    mask = GOLDEN["triangle"][0]
    shape = encode(mask)
    assert codes(mask, shape, min_iou=0.7) == []
    assert "0.706, less than 0.75" in doubts(mask, shape, min_iou=0.75)[0].message


def test_one_pixel_is_a_dot_that_nobody_can_draw() -> None:
    mask = draw(21, 33, lambda x, y: (x == 12) & (y == 7))
    shape = encode(mask)
    assert shape.centre_xy == (12.0, 7.0)
    assert 0 < shape.coeffs[0] < 0.6
    assert codes(mask, shape) == ["mask-iou-low"]


def test_an_unknown_value_of_a_pixel_is_inside_and_the_type_does_not_matter() -> None:
    mask = GOLDEN["L"][0]
    assert encode(mask * 255) == encode(mask.astype(bool)) == encode(mask.astype(np.float32)) == encode(mask)


def test_without_opencv_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"groundprep\[masks\]"):
        encode(GOLDEN["disc"][0])
