from __future__ import annotations

import pytest

from groundprep.checks.gold_answers import ROW_REWARDS, fitting_rewards, with_reward
from groundprep.dialects import DIALECTS
from groundprep.errors import UsageError
from groundprep.rewards import SCORER_NAMES
from groundprep.trainers import PROFILES, get_profile


def test_every_reward_that_is_tried_exists_and_reads_rows_that_exist() -> None:
    assert set(ROW_REWARDS) <= set(SCORER_NAMES)
    for reward in ROW_REWARDS.values():
        assert set(reward.dialects) <= set(DIALECTS)


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_profiles_default_reward_fits_its_rows_and_sft_has_none(name: str) -> None:
    profile = PROFILES[name]
    assert (profile.reward in fitting_rewards(profile)) == bool(profile.reward)
    assert bool(profile.reward) == ("sft" not in profile.name and not profile.name.startswith("qwen"))


def test_a_reward_that_cannot_score_the_rows_is_refused_with_those_that_can() -> None:
    assert with_reward(get_profile("easyr1"), "box-f1", None).reward == "box-f1"
    for name, profile in (("vlmr1:rec", "easyr1"), ("nobody", "easyr1"), ("length", "trl")):
        with pytest.raises(UsageError) as caught:
            with_reward(get_profile(profile), name, None)
        assert caught.value.expected == "rexthinker, iou, box-f1, rejection-aware"
    with pytest.raises(UsageError) as caught:
        with_reward(get_profile("trl-sft"), "rexthinker", None)
    assert "imitates" in str(caught.value)


def test_the_least_ceiling_can_be_moved_where_there_is_a_reward() -> None:
    profile = get_profile("rexomni-grpo")
    assert with_reward(profile, None, None) is profile
    moved = with_reward(profile, None, 0.5)
    assert (moved.reward, moved.min_ceiling) == ("rexomni:box_iou", 0.5)
    with pytest.raises(UsageError) as caught:
        with_reward(get_profile("qwen3-vl"), None, 0.5)
    assert caught.value.code == "reward-unfit"
