"""Rewards: how good a completion is, as pure functions of (completion, ground truth). Adding one is a module and a line here.

A reward never raises on what a model wrote, and returns its parts by name; `overall` is what a trainer maximises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from groundprep.errors import UsageError
from groundprep.rewards.iou import iou_reward
from groundprep.rewards.rexthinker import rexthinker_reward

__all__ = ["DEFAULT_REWARD", "REWARDS", "Reward", "get_rewards"]

Reward: TypeAlias = Callable[[str, str], dict[str, float]]
"""(completion, ground truth) → its parts, each in [0, 1]; the key `overall` is always there."""

REWARDS: dict[str, Reward] = {"rexthinker": rexthinker_reward, "iou": iou_reward}
DEFAULT_REWARD = "rexthinker"


def get_rewards(names: Sequence[str]) -> dict[str, Reward]:
    """Return rewards by name, in order; raises UsageError for an unknown or repeated name."""
    for position, name in enumerate(names):
        if name not in REWARDS:
            raise UsageError("no such reward", found=name, expected=", ".join(REWARDS))
        if name in names[:position]:
            raise UsageError("a reward was named twice", found=name, fix="name each reward once")
    return {name: REWARDS[name] for name in names}
