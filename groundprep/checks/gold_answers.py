"""Which reward can score which trainer's rows, and how its examples are made. Adding one is a line here and a maker."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from groundprep.checks.gold import Maker
from groundprep.checks.gold_easydistill import multi_box_example, single_box_example
from groundprep.checks.gold_hints import hint_example
from groundprep.checks.gold_rexomni import rexomni_example
from groundprep.checks.gold_vlmr1 import od_example, rec_example, seg_example
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.errors import UsageError
from groundprep.profile import Profile


class RowReward(NamedTuple):
    """How a reward is tried on rows.

    Args:
        dialects: the layouts of the rows that it can score.
        example: makes an example from such a row.
        part: the part of its score that is the ceiling.
        content: the part that says whether the answer itself is right, where `part` also pays for its form.
    """

    dialects: tuple[str, ...]
    example: Maker
    part: str = "overall"
    content: str = "overall"


_SCORE = ("score", "score")

ROW_REWARDS: dict[str, RowReward] = {
    "rexthinker": RowReward(SCORED_ROWS, hint_example, content="accuracy"),
    "iou": RowReward(SCORED_ROWS, hint_example),
    "box-f1": RowReward(SCORED_ROWS, hint_example),
    "rejection-aware": RowReward(SCORED_ROWS, hint_example),
    "rexomni:box_iou": RowReward(("rexomni",), rexomni_example),
    "rexomni:point_in_box": RowReward(("rexomni",), rexomni_example),
    "rexomni:point_in_mask": RowReward(("rexomni",), rexomni_example),
    "vlmr1:rec": RowReward(("vlmr1",), rec_example, "accuracy", "accuracy"),
    # The launch line's --reward_method is odLength; a row's accu_reward_method comes before it.
    "vlmr1:od": RowReward(("vlmr1-ovd",), od_example, "odLength", "odLength"),
    "vlmr1-seg": RowReward(("vlmr1-seg",), seg_example, "mask_iou", "mask_iou"),
    "easydistill:gaussian_plane": RowReward(("easydistill-single",), single_box_example, *_SCORE),
    "easydistill:gaussian_point": RowReward(("easydistill-single",), single_box_example, *_SCORE),
    "easydistill:multi_gaussian_plane_reward": RowReward(("easydistill",), multi_box_example, *_SCORE),
    "easydistill:multi_gaussian_point": RowReward(("easydistill",), multi_box_example, *_SCORE),
}
"""Reward → how it is tried. Penalties and rewards of the form alone have no ceiling that data could lower."""


def fitting_rewards(profile: Profile) -> tuple[str, ...]:
    """Return the rewards that can score a profile's rows; none for a trainer that imitates answers (SFT)."""
    if not profile.reward:
        return ()
    return tuple(name for name, reward in ROW_REWARDS.items() if profile.dialect in reward.dialects)


def with_reward(profile: Profile, name: str | None, min_ceiling: float | None) -> Profile:
    """Return the profile with another reward or least ceiling, where given; raises UsageError (`reward-unfit`)."""
    if name is None and min_ceiling is None:
        return profile
    chosen = profile.reward if name is None else name
    _require_fitting(chosen, profile)
    return replace(profile, reward=chosen, min_ceiling=profile.min_ceiling if min_ceiling is None else min_ceiling)


def _require_fitting(name: str, profile: Profile) -> None:
    fitting = fitting_rewards(profile)
    if not fitting:
        raise UsageError(
            "this trainer imitates the rows' answers and has no reward",
            code="reward-unfit",
            found=profile.name,
            expected="a profile with a reward, such as rexthinker or rexomni-grpo",
            fix="leave --reward and --min-ceiling out",
        )
    if name not in fitting:
        raise UsageError(
            f"this reward cannot score the rows of {profile.name}",
            code="reward-unfit",
            found=name,
            expected=", ".join(fitting),
        )
