"""`groundprep run`: the steps of a pipeline file, one after another, each the library function of a verb."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from groundprep.api.recipe import Recipe, Step, read_recipe
from groundprep.errors import ExitCode

PASSING = (ExitCode.OK, ExitCode.DROPPED)
"""Codes after which the next step runs: rows that a step was told to drop do not stop a pipeline."""


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """What `run` shall do.

    Args:
        path: the pipeline file.
        overrides: `vars.NAME=VALUE` or `STEP.ARGUMENT=VALUE`.
        shared: arguments for every step whose verb has them and that does not say otherwise.
    """

    path: str
    overrides: tuple[str, ...] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of a step.

    Args:
        exit_code: what the verb's command would have exited with.
        unchanged: its output was there already.
        result: what the library function returned.
    """

    name: str
    verb: str
    exit_code: int
    unchanged: bool
    seconds: float
    result: Any


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What `run` did: every step that ran, in order, and the exit code of the whole."""

    steps: tuple[StepOutcome, ...]
    exit_code: int


def load_pipeline(config: PipelineConfig) -> Recipe:
    """Return the pipeline with every variable and override filled in, all of it checked; raises UsageError."""
    return read_recipe(config.path, config.overrides, config.shared)


def run_pipeline(
    config: PipelineConfig,
    *,
    on_start: Callable[[int, int, Step], None] | None = None,
    on_end: Callable[[StepOutcome], None] | None = None,
    callbacks: Mapping[str, Mapping[str, Callable[..., None]]] | None = None,
) -> PipelineResult:
    """Run the steps in order and stop after the first that fails; raises UsageError, and what a step raises.

    A step whose output is complete reports it unchanged, so a pipeline that was interrupted goes on where it stopped.

    Args:
        config: what to run.
        on_start: called before each step with its number from 1, the number of steps, and the step.
        on_end: called after each step.
        callbacks: verb → further arguments of its library function: what it calls while it works.
    """
    steps = load_pipeline(config).steps
    outcomes: list[StepOutcome] = []
    worst = ExitCode.OK
    for number, step in enumerate(steps, start=1):
        if on_start is not None:
            on_start(number, len(steps), step)
        started = time.monotonic()
        result = step.run(**(callbacks or {}).get(step.verb, {}))
        code = exit_code_of(step, result)
        outcome = StepOutcome(
            step.name,
            step.verb,
            int(code),
            getattr(result, "unchanged", False) is True,
            time.monotonic() - started,
            result,
        )
        outcomes.append(outcome)
        if on_end is not None:
            on_end(outcome)
        if code != ExitCode.OK:
            worst = code
        if code not in PASSING:
            break
    return PipelineResult(tuple(outcomes), int(worst))


def exit_code_of(step: Step, result: Any) -> ExitCode:
    """Return what the step's command would exit with after this result."""
    if step.fail_on is not None:
        return ExitCode.FINDINGS if result.fails(step.fail_on) else ExitCode.OK
    counts = getattr(result, "counts", None)
    dropped = counts["dropped"] if counts is not None else getattr(result, "dropped", 0)
    return ExitCode.DROPPED if dropped else ExitCode.OK
