"""`groundprep train`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from groundprep.cli.options import Globals

NAME = "train"
HELP = "Train a vision-language model on data whose frame is known. Now: GRPO with TRL, one process."
EPILOG = "Example: groundprep train train.parquet --trainer trl --stage grpo --model MODEL_DIR --output checkpoint"


SIZES_SHOWN = 12


class DeviceChoice(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def run(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Training rows: what convert --for easyr1 wrote.")],
    trainer: Annotated[str, typer.Option(metavar="NAME", help="Who trains: trl.")],
    stage: Annotated[str, typer.Option(metavar="NAME", help="What is trained: grpo.")],
    model: Annotated[str, typer.Option(metavar="DIR|ID", help="The model to start from.")],
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="What is rewarded (docs/rewards.md); repeated: summed.", show_default="rexthinker"
        ),
    ] = None,
    output: Annotated[str, typer.Option(metavar="DIR", help="Where the checkpoint goes.")] = "checkpoint",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", show_default="one pass")] = None,
    num_generations: Annotated[int, typer.Option(min=2, help="Completions per prompt.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Learning rate, constant after a warm-up.")] = 1e-6,
    seed: Annotated[int, typer.Option(help="Seed of sampling and shuffling.")] = 0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Tokens before a completion is cut off.")] = 512,
    device: Annotated[DeviceChoice, typer.Option(help="Where to train.")] = DeviceChoice.AUTO,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; load no model.")] = False,
    *,
    options: Globals,
) -> int:
    """Train and report, or print the plan."""
    from groundprep.api.train import TrainConfig, train
    from groundprep.cli.out import Out
    from groundprep.errors import ExitCode
    from groundprep.rewards import DEFAULT_REWARD
    from groundprep.training.plan import GrpoSettings

    settings = GrpoSettings(
        steps, num_generations, batch_size, learning_rate, seed, max_completion_length, device.value
    )
    config = TrainConfig(
        data,
        model,
        trainer,
        stage,
        tuple(reward or (DEFAULT_REWARD,)),
        output,
        settings,
        dry_run,
        on_error=options.on_error.value,
        limit=options.limit,
        overwrite=options.overwrite,
        fresh=options.fresh,
    )
    out = Out(options)
    result = train(config, on_plan=lambda plan: announce(out, plan), on_step=lambda step: show_step(out, step))
    report(out, result, dry_run=dry_run)
    return int(ExitCode.DROPPED if result.dropped else ExitCode.OK)


def announce(out: Any, plan: dict[str, Any]) -> None:
    """Say on stderr what begins, and the columns of the steps."""
    out.hint(
        f"{plan['rows']} rows of {plan['profile']}, {plan['steps']} steps of {plan['completions'] // plan['steps']} completions"
    )
    out.hint(
        f"{'step':>6} {'reward':>8} {'spread':>8} {'signal':>8} {'loss':>9} {'gradient':>9} {'tokens':>7} {'cut':>5} {'s':>6}"
    )


def show_step(out: Any, step: Any) -> None:
    """Print one step on stderr: reward mean and spread, groups with signal, loss, gradient norm, length, seconds."""
    signal = f"{step.groups_with_signal}/{step.groups}"
    out.hint(
        f"{step.step:>6} {step.reward_mean:>8.4f} {step.reward_std:>8.4f} {signal:>8} {step.loss:>9.5f} "
        f"{step.grad_norm:>9.4f} {step.completion_tokens:>7.1f} {step.cut_share:>5.2f} {step.seconds:>6.2f}"
    )


def report(out: Any, result: Any, *, dry_run: bool) -> None:
    """Print the plan after a dry run, else what training did."""
    import dataclasses

    out.json(dataclasses.asdict(result))
    if result.unchanged:
        out.line(f"unchanged: {result.checkpoint}")
    elif dry_run:
        show_plan(out, result.plan)
    else:
        show_result(out, result)


def show_plan(out: Any, plan: dict[str, Any]) -> None:
    """Print the plan for people."""
    limits = plan["limits"]
    out.line(f"would train {plan['model']} with {plan['trainer']} {plan['stage']} on {plan['rows']} rows")
    out.line(
        f"profile {plan['profile']}, {limits['min_pixels']} to {limits['max_pixels']} pixels, frame {plan['frame']}"
    )
    sizes = [f"{size} ({count} rows)" for size, count in plan["seen_sizes"].items()]
    more = f" and {len(sizes) - SIZES_SHOWN} further sizes (all with --format json)" if len(sizes) > SIZES_SHOWN else ""
    out.line("the model sees " + ", ".join(sizes[:SIZES_SHOWN]) + more)
    out.line(
        f"{plan['steps']} steps of {plan['prompts_per_step']} prompts with {plan['num_generations']} completions each: "
        f"{plan['completions']} completions, {plan['passes_over_data']} passes over the data"
    )
    out.line(f"rewards {', '.join(plan['rewards'])}; learning rate {plan['learning_rate']}; seed {plan['seed']}")
    for example in plan["examples"]:
        out.line(f"{example['source']}: {example['prompt']}")
        out.line(f"  → {example['ground_truth']}")
    out.line(f"the checkpoint would go to {plan['checkpoint']}; the model's processor is checked when training starts")


def show_result(out: Any, result: Any) -> None:
    """Print what training did, for people."""
    summary = result.summary
    out.line(
        f"reward {summary['first_reward']:.4f} at the first step, {summary['last_reward']:.4f} at the last, "
        f"{summary['best_reward']:.4f} at best"
    )
    out.line(
        f"mean reward of the first {summary['compared_steps']} steps {summary['early_reward']:.4f}, "
        f"of the last {summary['late_reward']:.4f}"
    )
    out.line(f"{summary['groups_with_signal']} of {summary['groups']} groups carried a signal")
    out.line(f"weights changed by up to {result.weights_changed:.3g} ({result.parameters} parameters)")
    out.line(f"{len(result.steps)} steps on {result.device}, {summary['seconds_per_step']:.2f} s per step")
    out.line(f"checkpoint: {result.checkpoint}")
