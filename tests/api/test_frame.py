"""What trainers see: every number of the measured tables (specs/targets.md §3.0, specs/rexthinker.md P2)."""

import io
from typing import Any

import pytest

from groundprep.api.frame import FrameConfig, iter_sizes, parse_size, seen_sizes
from groundprep.errors import UsageError
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.images import SizeWH

HF = SmartResize(28, 3_136, 12_845_056, "min-pixels-branch", "transformers 4.57.6")


def seen(profile: str, *sizes_wh: SizeWH, **options: Any) -> Any:
    return [result.seen_wh for result in seen_sizes(FrameConfig(profile, **options), sizes_wh)]


@pytest.mark.parametrize(
    ("profile", "frame", "stored_wh", "seen_wh"),
    [
        ("rexthinker", "converter", (640, 480), (644, 476)),
        ("rexthinker", "trainer", (640, 480), (644, 476)),
        ("easyr1", "trainer", (640, 480), (644, 476)),
        ("rexthinker", "converter", (500, 375), (504, 364)),
        ("rexthinker", "trainer", (500, 375), (504, 364)),
        ("easyr1", "trainer", (500, 375), (588, 448)),
        ("rexthinker", "converter", (1000, 1003), (980, 980)),
        ("rexthinker", "trainer", (1000, 1003), (1008, 1008)),
        ("easyr1", "trainer", (1000, 1003), (1008, 1008)),
        ("rexthinker", "converter", (1920, 1080), (1316, 728)),
        ("rexthinker", "trainer", (1920, 1080), (1344, 756)),
        ("easyr1", "trainer", (1920, 1080), (1932, 1092)),
        ("rexthinker", "converter", (4000, 3000), (1148, 840)),
        ("rexthinker", "trainer", (4000, 3000), (1148, 868)),
        ("easyr1", "trainer", (4000, 3000), (2352, 1764)),
        ("rexthinker", "converter", (4032, 3024), (1148, 840)),
        ("rexthinker", "trainer", (4032, 3024), (1148, 868)),
        ("easyr1", "trainer", (4032, 3024), (2352, 1764)),
    ],
)
def test_a_profile_sees_what_was_measured(profile: str, frame: str, stored_wh: SizeWH, seen_wh: SizeWH) -> None:
    assert seen(profile, stored_wh, frame=frame) == [seen_wh]


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (
            (SmartResize(28, 3_136, 1_003_520, "raise", "Qwen2.5-VL notebook"),),
            [[(504, 364)], [(1316, 728)], [(1148, 840)]],
        ),
        ((HF,), [[(504, 364)], [(1932, 1092)], [(4032, 3024)]]),
        (
            (SqrtLimit(1_024, 589_824), HF),
            [[(500, 375), (504, 364)], [(1024, 576), (1036, 588)], [(886, 665), (896, 672)]],
        ),
        (
            (SqrtLimit(262_144, 4_194_304), HF),
            [[(591, 443), (588, 448)], [(1920, 1080), (1932, 1092)], [(2364, 1773), (2352, 1764)]],
        ),
        (
            (SmartResize(32, 65_536, 16_777_216, "min-pixels-branch", "Qwen3-VL"),),
            [[(512, 384)], [(1920, 1088)], [(4032, 3008)]],
        ),
    ],
    ids=["qwen-notebook", "hf-default", "llama-factory", "easyr1", "qwen3-vl"],
)
def test_a_chain_passes_through_the_measured_sizes(chain: Any, expected: Any) -> None:
    stored = [(500, 375), (1920, 1080), (4032, 3024)]
    assert [[size_wh for _, size_wh in ResizeChain(chain).trace(wh)] for wh in stored] == expected


def test_a_side_that_rounds_to_zero_takes_the_min_pixels_branch() -> None:
    assert HF((13, 2000)) == (28, 700)
    assert HF((15, 2000)) == (28, 1988)


def test_the_steps_of_easyr1_are_told_apart() -> None:
    (result,) = seen_sizes(FrameConfig("easyr1"), [(500, 375)])
    assert result.as_data() == {
        "profile": "easyr1",
        "revision": "b44b311",
        "stored_wh": [500, 375],
        "steps": [{"op": "sqrt-limit", "wh": [591, 443]}, {"op": "smart-resize", "wh": [588, 448]}],
        "seen_wh": [588, 448],
    }


def test_a_refused_size_is_a_result_with_the_steps_before_it_and_does_not_end_the_others() -> None:
    first, second = seen_sizes(FrameConfig("rexthinker"), [(10, 30_000), (640, 480)])
    assert first.as_data() == {"error": "size-refused"}
    assert first.stored_wh == (10, 30_000)
    assert first.steps == (("sqrt-limit", (10, 30_000)),)
    assert first.error is not None
    assert "28" in first.error.message
    assert second.seen_wh == (644, 476)


def test_limits_given_by_the_user_replace_those_of_the_profile() -> None:
    assert seen("easyr1", (500, 375), min_pixels=12_544, max_pixels=1_003_520) == [(504, 364)]


def test_a_lower_limit_above_the_upper_one_is_refused() -> None:
    with pytest.raises(UsageError, match="lower pixel limit") as error:
        seen("easyr1", (500, 375), min_pixels=5_000_000)
    assert error.value.code == "pixel-limits"


@pytest.mark.parametrize("text", ["61x37", " 61X37\n", "61 x 37", "61×37"])
def test_a_size_is_read_with_either_sign(text: str) -> None:
    assert parse_size(text) == (61, 37)


@pytest.mark.parametrize(
    "text", ["", "61", "61x", "0x37", "-1x37", "6.5x3", "61x37x2", "٣x٤", "9999999999x1", "61\nx37y"]
)
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_size(text)
    assert error.value.code == "bad-size"


def test_a_bad_line_is_named_and_blank_lines_are_skipped() -> None:
    sizes = iter_sizes(io.StringIO("61x37\n\n  \nnope\n"))
    assert next(sizes) == (61, 37)
    with pytest.raises(UsageError, match=r"^-:4: .*found nope"):
        next(sizes)


def test_a_byte_order_mark_and_carriage_returns_do_not_matter() -> None:
    assert list(iter_sizes(io.StringIO("\ufeff61x37\r\n90x333\r\n"))) == [(61, 37), (90, 333)]
