"""What each training step said: reward, spread, signal, loss; and the summary of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step.

    Args:
        step: 1-based.
        reward_mean: over all completions of the step.
        reward_std: their spread (standard deviation).
        groups_with_signal: groups whose completions did not all earn the same: only these teach anything.
        groups: prompts of the step.
        loss, grad_norm: as the trainer logged them.
        completion_tokens: mean length.
        cut_share: share of completions that did not end by themselves.
        seconds: of the step.
    """

    step: int
    reward_mean: float
    reward_std: float
    groups_with_signal: int
    groups: int
    loss: float
    grad_norm: float
    completion_tokens: float
    cut_share: float
    seconds: float

    @classmethod
    def from_trl(cls, step: int, logs: Mapping[str, Any], *, groups: int, seconds: float) -> StepReport:
        """Return the report of one TRL log entry (`logging_steps=1`).

        Source: TRL 1.16 trl/trainer/grpo_trainer.py (the names of the metrics).
        """
        return cls(
            step=step,
            reward_mean=float(logs["reward"]),
            reward_std=float(logs["reward_std"]),
            groups_with_signal=round(groups * (1.0 - float(logs["frac_reward_zero_std"]))),
            groups=groups,
            loss=float(logs["loss"]),
            grad_norm=float(logs["grad_norm"]),
            completion_tokens=float(logs["completions/mean_length"]),
            cut_share=float(logs["completions/clipped_ratio"]),
            seconds=seconds,
        )


def summary_of(steps: Sequence[StepReport], *, steps_per_pass: int) -> dict[str, Any]:
    """Return first, last, best and early/late mean reward, groups with signal and seconds per step; steps is not empty.

    Early and late are means over the first and the last pass over the data (at most half of the steps): single steps see
    different rows, easy and hard ones, and cannot be compared.
    """
    rewards = [step.reward_mean for step in steps]
    count = max(1, min(steps_per_pass, len(rewards) // 2))
    return {
        "first_reward": rewards[0],
        "last_reward": rewards[-1],
        "best_reward": max(rewards),
        "compared_steps": count,
        "early_reward": sum(rewards[:count]) / count,
        "late_reward": sum(rewards[-count:]) / count,
        "groups_with_signal": sum(step.groups_with_signal for step in steps),
        "groups": sum(step.groups for step in steps),
        "seconds_per_step": sum(step.seconds for step in steps) / len(steps),
    }
