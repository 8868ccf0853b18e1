"""`groundprep run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundprep.cli.options import Globals

if TYPE_CHECKING:
    from groundprep.api.recipe import Step
    from groundprep.api.run import StepOutcome

NAME = "run"
HELP = "Run the steps of a pipeline file in order; steps that are done already are left alone."
EPILOG = "Example: groundprep run pipelines/rexthinker_toy.yaml --set vars.out=elsewhere --print-config"


def run(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE.yaml", help="The pipeline file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Override vars.NAME or STEP.ARGUMENT; repeatable."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print what would run, and run nothing.")
    ] = False,
    *,
    options: Globals,
) -> int:
    """Run the pipeline, or print it."""
    from groundprep.api.run import PipelineConfig, load_pipeline, run_pipeline
    from groundprep.cli import train
    from groundprep.cli.out import Out
    from groundprep.cli.progress import Progress
    from groundprep.errors import ExitCode

    config = PipelineConfig(pipeline, tuple(overrides or ()), shared_arguments(options))
    out = Out(options)
    if print_config:
        _print_config(out, load_pipeline(config).as_data())
        return int(ExitCode.OK)

    def on_start(number: int, total: int, step: Step) -> None:
        out.hint(f"[{number}/{total}] {step.name}")

    bad_word = "error" if options.on_error.value == "fail" else "dropped"
    with Progress(options, bad_word=bad_word) as progress:
        callbacks: dict[str, dict[str, Any]] = {
            "add-candidates": {"listener": progress},
            "train": {
                "on_plan": lambda plan: train.announce(out, plan),
                "on_step": lambda step: train.show_step(out, step),
            },
        }
        result = run_pipeline(
            config, on_start=on_start, on_end=lambda outcome: _report(out, outcome), callbacks=callbacks
        )
    _summary(out, result.steps)
    out.json({"steps": [_as_data(outcome) for outcome in result.steps], "exit_code": result.exit_code})
    return result.exit_code


def shared_arguments(options: Globals) -> dict[str, Any]:
    """Return the global options that were given, for steps that do not say otherwise."""
    values = {
        "workers": options.workers,
        "on_error": options.on_error.value,
        "limit": options.limit,
        "overwrite": options.overwrite,
        "fresh": options.fresh,
    }
    defaults = Globals()
    return {name: value for name, value in values.items() if value != getattr(defaults, name)}


def _print_config(out: Any, data: dict[str, Any]) -> None:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes a value in full wherever it stands: pipeline files have no aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            del data
            return True

    out.json(data)
    for line in yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True).splitlines():
        out.line(line)


def _report(out: Any, outcome: StepOutcome) -> None:
    """Print a step's warnings and one line on stderr; and every finding, if they made it fail."""
    result = outcome.result
    if outcome.verb == "validate":
        if outcome.exit_code:
            for finding in result.findings:
                out.line(f"{finding.source}: {finding.severity}[{finding.code}] {finding.message}")
    elif outcome.verb not in ("train", "vis"):
        out.warnings(result.warnings)
    out.hint(f"      {_outcome_text(outcome)}")


def _outcome_text(outcome: StepOutcome) -> str:
    if outcome.exit_code:
        return f"exit code {outcome.exit_code}: {_what(outcome)}"
    return _what(outcome) + (" (unchanged)" if outcome.unchanged else "")


def _what(outcome: StepOutcome) -> str:
    result = outcome.result
    if outcome.verb == "validate":
        return f"{result.errors} errors, {result.warnings} warnings"
    if outcome.verb == "train":
        return str(result.checkpoint or "planned only")
    if outcome.verb == "vis":
        return f"{result.records} pictures in {Path(result.written[0]).parent}" if result.written else "no pictures"
    return ", ".join(result.outputs)


def _rows(outcome: StepOutcome) -> tuple[object, object]:
    """Return how many rows a step wrote or looked at, and how many it dropped."""
    result = outcome.result
    if outcome.verb in ("validate", "vis"):
        return result.records, 0
    if outcome.verb == "train":
        return result.plan.get("rows", "-"), result.dropped
    return result.counts["written"], result.counts["dropped"]


def _summary(out: Any, outcomes: tuple[StepOutcome, ...]) -> None:
    """Print the table of all steps, and what training did."""
    from groundprep.cli import train

    rows = [
        (
            outcome.name,
            *_rows(outcome),
            f"{outcome.seconds:.1f}",
            _outcome_text(outcome),
        )
        for outcome in outcomes
    ]
    out.table(("step", "rows", "dropped", "seconds", "result"), rows)
    for outcome in outcomes:
        if outcome.verb == "train" and outcome.result.summary is not None and not outcome.unchanged:
            train.show_result(out, outcome.result)


def _as_data(outcome: StepOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "verb": outcome.verb,
        "exit_code": outcome.exit_code,
        "unchanged": outcome.unchanged,
        "seconds": round(outcome.seconds, 3),
    }
