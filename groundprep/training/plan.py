"""The plan of a training run: what will be trained on what, worked out before anything heavy is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundprep.errors import UsageError
from groundprep.geometry.frames import SizeWH
from groundprep.source import Source
from groundprep.training.rows import TrainRow

EXAMPLES_SHOWN = 2


@dataclass(frozen=True, slots=True)
class GrpoSettings:
    """How GRPO runs.

    Args:
        steps: optimiser steps; None: one pass over the data.
        num_generations: completions per prompt: the group that a reward is compared within.
        batch_size: prompts per step.
        learning_rate: constant, after a warm-up of a tenth of the steps.
        seed: of sampling, shuffling and initialisation.
        max_completion_length: tokens after which a completion is cut off.
        device: auto, cpu or cuda.
    """

    steps: int | None = None
    num_generations: int = 8
    batch_size: int = 8
    learning_rate: float = 1e-6
    seed: int = 0
    max_completion_length: int = 512
    device: str = "auto"

    def require_valid(self) -> None:
        """Raise UsageError where TRL would fail later, or learn nothing."""
        if self.num_generations < 2:
            raise UsageError(
                "a group needs at least two completions to be compared",
                found=f"--num-generations {self.num_generations}",
            )
        if not self.learning_rate > 0:
            raise UsageError("the learning rate must be above 0", found=f"--learning-rate {self.learning_rate}")

    def steps_for(self, rows: int) -> int:
        """Return the number of steps on so many rows; raises UsageError if they do not fill one step."""
        if rows < self.batch_size:
            raise UsageError(
                "the data has fewer rows than one step takes",
                code="too-few-rows",
                found=f"{rows} rows, {self.batch_size} prompts per step",
                fix="lower --batch-size, or add data",
            )
        return self.steps if self.steps is not None else rows // self.batch_size


@dataclass(slots=True)
class RowSurvey:
    """What the rows are like, gathered in one pass.

    Attributes:
        seen_wh: how many rows the model sees at each size.
        first_of_size: the first row of each seen size, for messages.
    """

    rows: int = 0
    seen_wh: Counter[SizeWH] = field(default_factory=Counter)
    first_of_size: dict[SizeWH, Source] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, row: TrainRow) -> None:
        """Count one row."""
        self.rows += 1
        self.seen_wh[row.seen_wh] += 1
        self.first_of_size.setdefault(row.seen_wh, row.source)
        if len(self.examples) < EXAMPLES_SHOWN:
            self.examples.append({"source": str(row.source), "prompt": row.prompt, "ground_truth": row.ground_truth})

    def seen_sizes(self) -> dict[str, int]:
        """Return `WxH` → rows, most frequent first."""
        return {
            f"{w}x{h}": count for (w, h), count in sorted(self.seen_wh.items(), key=lambda item: (-item[1], item[0]))
        }


def plan_of(
    survey: RowSurvey, settings: GrpoSettings, *, model: str, rewards: Sequence[str], profile: Mapping[str, Any], output: str
) -> dict[str, Any]:  # fmt: skip
    """Return the plan as JSON values; raises UsageError where the settings do not fit the data."""
    steps = settings.steps_for(survey.rows)
    return {
        "trainer": "trl",
        "stage": "grpo",
        "model": model,
        "profile": f"{profile['profile']}@{profile['revision']}",
        "limits": dict(profile["limits"]),
        "frame": profile["frame"],
        "rows": survey.rows,
        "seen_sizes": survey.seen_sizes(),
        "examples": survey.examples,
        "steps": steps,
        "prompts_per_step": settings.batch_size,
        "num_generations": settings.num_generations,
        "completions": steps * settings.batch_size * settings.num_generations,
        "passes_over_data": round(steps * settings.batch_size / survey.rows, 3),
        "learning_rate": settings.learning_rate,
        "max_completion_length": settings.max_completion_length,
        "seed": settings.seed,
        "device": settings.device,
        "rewards": list(rewards),
        "checkpoint": output,
    }
