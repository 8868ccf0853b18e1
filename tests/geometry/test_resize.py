"""Resize chains, against the tables that were made from the trainers' own code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.geometry.resize import ResizeChain, SizeRefusedError, SmartResize, SqrtLimit
from groundprep.trainers import PROFILES, get_profile

QWEN = (3_136, 12_845_056)
NOTEBOOK = ResizeChain((SmartResize(28, 3_136, 1_003_520, "raise", "notebook"),))
PROCESSOR = ResizeChain((SmartResize(28, *QWEN, "raise", "processor"),))
QWEN3 = ResizeChain((SmartResize(32, 65_536, 16_777_216, "min-pixels-branch", "qwen3"),))
REX_CONVERTER = get_profile("rexthinker").as_converter().chain
REX_TRAINER = get_profile("rexthinker").chain
EASYR1 = get_profile("easyr1").chain
# LLaMA-Factory's sqrt step has its own ratio rules; for these sizes it is the plain sqrt step.
LLAMA_FACTORY = ResizeChain((SqrtLimit(1_024, 589_824), SmartResize(28, *QWEN, "raise", "processor")))


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (NOTEBOOK, [(504, 364), (1316, 728), (1148, 840)]),
        (PROCESSOR, [(504, 364), (1932, 1092), (4032, 3024)]),
        (LLAMA_FACTORY, [(504, 364), (1036, 588), (896, 672)]),
        (EASYR1, [(588, 448), (1932, 1092), (2352, 1764)]),
        (REX_CONVERTER, [(504, 364), (1316, 728), (1148, 840)]),
        (REX_TRAINER, [(504, 364), (1344, 756), (1148, 868)]),
        (QWEN3, [(512, 384), (1920, 1088), (4032, 3008)]),
    ],
    ids=["notebook", "processor", "llama-factory", "easyr1", "rex-converter", "rex-trainer", "qwen3"],
)
def test_the_seen_size_is_that_of_the_table(chain: ResizeChain, expected: list[tuple[int, int]]) -> None:
    """Source: specs/targets.md §3.0."""
    assert [chain.seen_wh(size_wh) for size_wh in ((500, 375), (1920, 1080), (4032, 3024))] == expected


@pytest.mark.parametrize(
    ("size_wh", "converter", "trainer", "easyr1"),
    [
        ((640, 480), (644, 476), (644, 476), (644, 476)),
        ((500, 375), (504, 364), (504, 364), (588, 448)),
        ((1000, 1003), (980, 980), (1008, 1008), (1008, 1008)),
        ((1920, 1080), (1316, 728), (1344, 756), (1932, 1092)),
        ((4000, 3000), (1148, 840), (1148, 868), (2352, 1764)),
    ],
)
def test_converter_and_trainer_disagree_exactly_as_measured(
    size_wh: tuple[int, int], converter: tuple[int, int], trainer: tuple[int, int], easyr1: tuple[int, int]
) -> None:
    """Source: specs/rexthinker.md P2."""
    chains = (REX_CONVERTER, REX_TRAINER, EASYR1)
    assert [chain.seen_wh(size_wh) for chain in chains] == [converter, trainer, easyr1]


@pytest.mark.parametrize(("size_wh", "seen"), [((640, 426), (644, 420)), ((612, 612), (616, 616))])
def test_the_toy_images_of_rex_thinker_are_seen_at_these_sizes(size_wh: tuple[int, int], seen: tuple[int, int]) -> None:
    """Source: specs/rexthinker.md §2.7."""
    assert REX_CONVERTER.seen_wh(size_wh) == REX_TRAINER.seen_wh(size_wh) == seen


def test_the_trace_names_every_step_and_the_size_after_it() -> None:
    assert EASYR1.trace((500, 375)) == [("sqrt-limit", (591, 443)), ("smart-resize", (588, 448))]


def test_versions_differ_for_small_sides() -> None:
    """Source: specs/targets.md §3.0: 4.51.3 raises; 4.57.6 takes the min-pixels branch; qwen_vl_utils keeps one factor."""
    branch = SmartResize(28, *QWEN, "min-pixels-branch", "new")
    assert branch((13, 2000)) == (28, 700)
    assert branch((15, 2000)) == (28, 1988)
    one_factor = SmartResize(28, 12_544, 1_003_520, "one-factor", "utils")
    assert one_factor((13, 2000)) == (28, 1988)
    with pytest.raises(SizeRefusedError) as caught:
        SmartResize(28, *QWEN, "raise", "transformers 4.51.3")((27, 2000))
    assert caught.value.code == "size-refused"
    assert caught.value.found == "27x2000"


@pytest.mark.parametrize("small_side", ["raise", "min-pixels-branch", "one-factor"])
def test_a_ratio_of_200_passes_and_above_it_is_refused(small_side: Any) -> None:
    step = SmartResize(28, *QWEN, small_side, "any")
    assert step((30 * 200, 30))[1] >= 28
    with pytest.raises(SizeRefusedError, match="200"):
        step((30 * 200 + 1, 30))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_seen_sides_are_multiples_of_the_factor_and_the_area_is_within_the_limits(w: int, h: int) -> None:
    step = SmartResize(28, 12_544, 1_003_520, "one-factor", "utils")
    try:
        seen_w, seen_h = step((w, h))
    except SizeRefusedError:
        assert max(w, h) / min(w, h) > 200
        return
    assert seen_w % 28 == seen_h % 28 == 0
    assert seen_w * seen_h <= 1_003_520 or min(seen_w, seen_h) == 28
    assert seen_w * seen_h >= 12_544


@given(st.integers(28, 4000), st.integers(28, 4000))
def test_the_converters_size_is_a_fixed_point_of_the_trainers_chain(w: int, h: int) -> None:
    """Source: specs/rexthinker.md P2: resizing to the converter's size makes the trainer do nothing."""
    if max(w, h) / min(w, h) > 35:  # beyond, the floor of one factor exceeds the limits
        return
    fixed = REX_CONVERTER.seen_wh((w, h))
    assert REX_TRAINER.seen_wh(fixed) == fixed


def test_the_sqrt_step_skips_a_limit_that_is_not_set_and_refuses_a_side_of_0() -> None:
    assert SqrtLimit(None, None)((7, 9000)) == (7, 9000)
    assert SqrtLimit(None, 100)((20, 20)) == (10, 10)
    assert SqrtLimit(100, None)((5, 5)) == (10, 10)
    with pytest.raises(SizeRefusedError, match="0 pixels"):
        SqrtLimit(None, 100)((1, 40_000))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.full_name)
def test_a_chain_survives_json(profile: Any) -> None:
    for chain in filter(None, (profile.chain, profile.converter_chain)):
        assert ResizeChain.from_data(json.loads(json.dumps(chain.as_data()))) == chain


@pytest.mark.parametrize(
    "broken", [[{"op": "crop"}], [{}], [{"op": "sqrt-limit", "speed": 3}], [{"op": "smart-resize"}]]
)
def test_data_that_is_no_chain_is_refused(broken: list[dict[str, Any]]) -> None:
    with pytest.raises((KeyError, TypeError)):
        ResizeChain.from_data(broken)


def test_limits_replace_those_of_the_step_that_users_configure() -> None:
    changed = EASYR1.with_limits(12_544, 1_003_520)
    assert changed.limits == (12_544, 1_003_520)
    assert changed.steps[1] == EASYR1.steps[1]
    assert changed.seen_wh((1920, 1080)) == REX_TRAINER.seen_wh((1920, 1080))
    assert EASYR1.with_limits(None, 1_003_520).limits == (262_144, 1_003_520)
    assert EASYR1.with_limits(None, None) == EASYR1


@pytest.mark.model
def test_the_new_versions_rule_is_that_of_the_installed_transformers() -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    limits = [QWEN, (12_544, 1_003_520), (262_144, 4_194_304)]
    sizes = [(w, h) for w in (*range(1, 60, 3), 375, 640, 1003, 4032) for h in (*range(1, 60, 4), 426, 1080, 2999)]
    for low, high in limits:
        step = SmartResize(28, low, high, "min-pixels-branch", "transformers 5.23")
        for w, h in sizes:
            if max(w, h) / min(w, h) > 200:
                with pytest.raises(ValueError, match="aspect ratio"):
                    smart_resize(h, w, 28, low, high)
                with pytest.raises(SizeRefusedError):
                    step((w, h))
            else:
                assert step((w, h)) == smart_resize(h, w, 28, low, high)[::-1], (w, h)
