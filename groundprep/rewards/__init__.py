"""Rewards: how good a completion is, as pure functions of (completion, ground truth). Adding one is a module and a line here.

A reward never raises on what a model wrote, and returns its parts by name. `REWARDS` are those that training takes: their
ground truth is the row's answer text, and `overall` is what a trainer maximises. `SCORERS` are those of `groundprep score`:
the trainers' own, each exactly as it scores, and all of ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from groundprep.errors import UsageError
from groundprep.rewards.base import Score, Scorer, require_text
from groundprep.rewards.box_f1 import box_f1_reward, rejection_aware_reward
from groundprep.rewards.form import length_reward, repetition_reward, strict_format_reward
from groundprep.rewards.iou import iou_reward
from groundprep.rewards.rexthinker import rexthinker_reward

__all__ = ["DEFAULT_REWARD", "REWARDS", "SCORERS", "Reward", "Score", "Scorer", "get_rewards", "get_scorer"]

Reward: TypeAlias = Callable[[str, str], dict[str, float]]
"""(completion, ground truth) → its parts, each in [0, 1] (penalties: [-1, 0]); the key `overall` is always there."""

REWARDS: dict[str, Reward] = {
    "rexthinker": rexthinker_reward,
    "iou": iou_reward,
    "box-f1": box_f1_reward,
    "rejection-aware": rejection_aware_reward,
    "strict-format": strict_format_reward,
    "length": length_reward,
    "repetition": repetition_reward,
}
DEFAULT_REWARD = "rexthinker"

SCORERS: dict[str, str] = {
    "rexomni:box_iou": "rexomni:box_iou_score",
    "rexomni:point_in_box": "rexomni:point_in_box_score",
    "rexomni:point_in_mask": "rexomni:point_in_mask_score",
    "easydistill:format": "easydistill:format_score",
    "easydistill:gaussian_point": "easydistill:gaussian_point_score",
    "easydistill:gaussian_plane": "easydistill:gaussian_plane_score",
    "easydistill:multi_box_format_reward": "easydistill:multi_box_format_score",
    "easydistill:multi_gaussian_point": "easydistill:multi_gaussian_point_score",
    "easydistill:multi_gaussian_plane_reward": "easydistill:multi_gaussian_plane_score",
    "vlmr1:rec": "vlmr1_rec:vlmr1_rec_score",
    "vlmr1:od": "vlmr1_od:vlmr1_od_score",
    "vlmr1-seg": "vlmr1_seg:vlmr1_seg_score",
    "choice-exact": "choice:choice_exact_score",
    "choice-soft": "choice:choice_soft_score",
    "point-in-region": "regions:point_in_region_score",
    "mask-iou": "regions:mask_iou_score",
}
"""Name → module of this package and function; loaded when asked for."""

SCORER_NAMES: tuple[str, ...] = ("rexthinker", *SCORERS, *(name for name in REWARDS if name != "rexthinker"))


def get_rewards(names: Sequence[str]) -> dict[str, Reward]:
    """Return rewards by name, in order; raises UsageError for an unknown or repeated name."""
    for position, name in enumerate(names):
        if name not in REWARDS:
            raise UsageError("no such reward", found=name, expected=", ".join(REWARDS))
        if name in names[:position]:
            raise UsageError("a reward was named twice", found=name, fix="name each reward once")
    return {name: REWARDS[name] for name in names}


def get_scorer(name: str) -> Scorer:
    """Return what scores lines for `groundprep score`; raises UsageError for an unknown name."""
    if name in REWARDS:
        return _on_text(REWARDS[name])
    if name not in SCORERS:
        raise UsageError("no such reward", found=name, expected=", ".join(SCORER_NAMES))
    module, function = SCORERS[name].split(":")
    scorer: Scorer = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return scorer


def _on_text(reward: Reward) -> Scorer:
    def scorer(completion: str, ground_truth: Any) -> Score:
        return Score(dict(reward(completion, require_text(ground_truth, "the answer, as text"))))

    return scorer
