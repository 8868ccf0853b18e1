from __future__ import annotations

from typing import Any

import pytest

from groundprep.training.progress import StepReport, summary_of

LOGS: dict[str, Any] = {
    "reward": 0.25, "reward_std": 0.4, "frac_reward_zero_std": 0.25, "loss": 0.01, "grad_norm": 1.5,
    "completions/mean_length": 9.5, "completions/clipped_ratio": 0.125,
}  # fmt: skip


def report(step: int, reward: float, signal: int = 1) -> StepReport:
    return StepReport.from_trl(
        step, LOGS | {"reward": reward, "frac_reward_zero_std": 1 - signal / 4}, groups=4, seconds=0.5
    )


def test_a_step_tells_how_many_groups_carried_a_signal() -> None:
    step = StepReport.from_trl(7, LOGS, groups=8, seconds=0.5)
    assert (step.groups_with_signal, step.groups, step.cut_share) == (6, 8, 0.125)


def test_a_step_without_any_spread_carries_no_signal() -> None:
    assert report(1, 0.0, signal=0).groups_with_signal == 0


def test_the_summary_compares_the_first_and_the_last_pass_over_the_data() -> None:
    summary = summary_of([report(i + 1, i / 20) for i in range(20)], steps_per_pass=2)
    assert summary["first_reward"] == 0.0
    assert summary["last_reward"] == summary["best_reward"] == pytest.approx(0.95)
    assert summary["early_reward"] == pytest.approx(0.025)
    assert summary["late_reward"] == pytest.approx(0.925)
    assert (summary["groups_with_signal"], summary["groups"]) == (20, 80)
    assert summary["seconds_per_step"] == 0.5


def test_less_than_two_passes_are_compared_in_halves() -> None:
    summary = summary_of([report(i + 1, reward) for i, reward in enumerate((0.2, 0.4, 0.9, 0.5))], steps_per_pass=9)
    assert summary["compared_steps"] == 2
    assert summary["early_reward"] == pytest.approx(0.3)
    assert summary["late_reward"] == pytest.approx(0.7)


def test_one_step_is_its_own_summary() -> None:
    assert summary_of([report(1, 0.5)], steps_per_pass=5)["late_reward"] == 0.5
