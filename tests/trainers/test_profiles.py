"""The profiles that come with groundprep."""

from __future__ import annotations

import pytest

from groundprep.errors import UsageError
from groundprep.geometry.resize import SizeRefusedError
from groundprep.profile import Profile
from groundprep.trainers import PROFILES, get_profile
from tests.contracts.profiles import SIZES, ProfileContract


class TestRexThinker(ProfileContract):
    name = "rexthinker@5038b47"


class TestEasyR1(ProfileContract):
    name = "easyr1@b44b311"


class TestRexOmniSftFirst(ProfileContract):
    name = "rexomni-sft@478e44f"


class TestRexOmniSft(ProfileContract):
    name = "rexomni-sft@8c474a3"


class TestRexOmniGrpo(ProfileContract):
    name = "rexomni-grpo@478e44f"


class TestVlmR1(ProfileContract):
    name = "vlmr1@90052f4"


class TestVlmR1Ovd(ProfileContract):
    name = "vlmr1-ovd@90052f4"


class TestVlmR1InternVL(ProfileContract):
    """InternVL cuts an image into tiles; its numbers are 0-1000 of the whole image, so the chain leaves the size alone."""

    name = "vlmr1-internvl@90052f4"

    def test_its_seen_size_is_that_of_its_chain_and_within_two_factors_of_the_shape(self, profile: Profile) -> None:
        assert all(profile.seen_wh(size_wh) == size_wh for size_wh in SIZES)

    def test_an_impossible_size_is_refused_not_rounded(self, profile: Profile) -> None:
        assert profile.seen_wh((28 * 300, 28)) == (28 * 300, 28)


class TestVlmR1Seg(ProfileContract):
    name = "vlmr1-seg@dd9f79b"


class TestEasyDistill(ProfileContract):
    name = "easydistill@acbe49b"


class TestEasyDistillSingle(ProfileContract):
    name = "easydistill-single@acbe49b"


class TestTrl(ProfileContract):
    name = "trl@1.16"


class TestTrlSft(ProfileContract):
    name = "trl-sft@1.16"


class TestQwen2VL(ProfileContract):
    name = "qwen2-vl@23d3cce"


class TestQwen25VL(ProfileContract):
    name = "qwen2.5-vl@23d3cce"


class TestQwen3VL(ProfileContract):
    name = "qwen3-vl@23d3cce"
    factor = 32


def test_every_profile_is_tested_against_the_contract() -> None:
    assert set(PROFILES) == {cls.name for cls in ProfileContract.__subclasses__()}


def test_a_bare_name_means_the_newest_revision() -> None:
    assert get_profile("rexomni-sft").revision == "8c474a3"
    assert get_profile("rexomni-sft@478e44f").revision == "478e44f"


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError) as caught:
        get_profile("easyr1@0000000")
    assert "easyr1@b44b311" in str(caught.value)


def test_the_limits_are_those_of_the_trainers_configurations() -> None:
    """Source: specs/rexthinker.md §3.1 and §4.1, specs/rexomni.md §3.7."""
    assert get_profile("rexthinker").chain.limits == (12_544, 1_003_520)
    assert get_profile("rexthinker").as_converter().chain.limits == (12_544, 1_003_520)
    assert get_profile("easyr1").chain.limits == (262_144, 4_194_304)
    assert get_profile("rexomni-sft").chain.limits == (12_544, 2_007_040)
    assert get_profile("rexomni-grpo").chain.limits == (12_544, 2_007_040)


def test_rexomnis_stages_treat_a_short_side_differently() -> None:
    """SFT skips it; GRPO enlarges by area first and stops only at what is still short. Source: specs/rexomni.md §2.3, §2.4."""
    with pytest.raises(SizeRefusedError):
        get_profile("rexomni-sft").seen_wh((100, 25))
    assert get_profile("rexomni-grpo").seen_wh((100, 25)) == (224, 56)
    with pytest.raises(SizeRefusedError):
        get_profile("rexomni-grpo").seen_wh((600, 20))
