"""`groundprep train`: start a trainer on data whose frame is known. Now: GRPO with TRL.

The data is read as every command reads it; rows go to a store on disk, so memory does not grow with their number.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import groundprep
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.sources import SourceConfig, Sources, open_sources
from groundprep.dialects.easyr1 import TRAINING_ROWS
from groundprep.errors import TrainError, UsageError
from groundprep.geometry.resize import ResizeChain
from groundprep.image_loader import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import ROW_ERRORS, OnError, Pipeline, require_rows
from groundprep.record import Dropped
from groundprep.rewards import DEFAULT_REWARD, get_rewards
from groundprep.training.plan import GrpoSettings, RowSurvey, plan_of
from groundprep.training.progress import StepReport, summary_of
from groundprep.training.rows import RowStore, TrainRow, row_of

TRAINERS: dict[tuple[str, str], str] = {("trl", "grpo"): "TRL's GRPOTrainer, one process"}
"""What can be started: (trainer, stage)."""

PACKAGES = ("torch", "transformers", "trl", "datasets", "pillow")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What `train` shall do.

    Args:
        data: training rows with their profile in the metadata.
        model: a directory or an id.
        trainer, stage: see TRAINERS.
        rewards: names, summed with equal weight.
        output: the checkpoint's directory.
        settings: how the trainer runs.
        dry_run: only make the plan; loads no torch.
        on_error, limit, overwrite, fresh: see `groundprep --help`.
    """

    data: str
    model: str
    trainer: str = "trl"
    stage: str = "grpo"
    rewards: tuple[str, ...] = (DEFAULT_REWARD,)
    output: str = "checkpoint"
    settings: GrpoSettings = field(default_factory=GrpoSettings)
    dry_run: bool = False
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What `train` did.

    Args:
        plan: see plan_of.
        checkpoint: the directory that `from_pretrained` loads; None after a dry run.
        steps: one report per step.
        summary: first, last and best reward, groups with signal, seconds per step.
        weights_changed: largest absolute difference of a parameter.
        dropped: rows that could not be used.
        unchanged: the very same checkpoint was there already.
    """

    plan: dict[str, Any]
    checkpoint: str | None = None
    steps: tuple[StepReport, ...] = ()
    summary: dict[str, Any] | None = None
    weights_changed: float | None = None
    parameters: int | None = None
    device: str | None = None
    dropped: int = 0
    unchanged: bool = False


def train(
    config: TrainConfig,
    *,
    on_plan: Callable[[dict[str, Any]], None] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainResult:
    """Train, or plan; raises UsageError, FormatError, RecordError, TrainError, DeviceError, MissingDependencyError.

    Args:
        config: what to do.
        on_plan: called once with the plan, before the model is loaded.
        on_step: called after every step.
    """
    require_trainer(config.trainer, config.stage)
    config.settings.require_valid()
    get_rewards(config.rewards)
    loader = ImageLoader()
    sources = open_training_data(config.data, loader)
    profile = profile_of(sources, config.data)
    if config.dry_run:
        survey, dropped = _survey(config, sources, loader, lambda _: None, None)
        plan = _plan(config, survey, profile)
        return TrainResult(plan, dropped=dropped)
    output = Output(config.output, ("",), _run_config(config, sources, profile))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is not None:
        return TrainResult({}, checkpoint=config.output, dropped=done.counts["dropped"], unchanged=True)
    from groundprep.training.grpo import require_extra

    require_extra()
    return _train(config, sources, loader, profile, output, on_plan or (lambda _: None), on_step or (lambda _: None))


def require_trainer(trainer: str, stage: str) -> None:
    """Raise UsageError (`no-trainer`) unless this trainer and stage can be started."""
    if (trainer, stage) not in TRAINERS:
        raise UsageError(
            "no such trainer and stage",
            code="no-trainer",
            found=f"--trainer {trainer} --stage {stage}",
            expected="; ".join(f"--trainer {t} --stage {s} ({title})" for (t, s), title in TRAINERS.items()),
        )


def open_training_data(path: str, loader: ImageLoader) -> Sources:
    """Open the data; raises TrainError (`no-profile`) if it does not say which frame its boxes are in."""
    try:
        return open_sources(SourceConfig((path,)), loader)
    except UsageError as error:
        if error.code != "frame-unknown":
            raise
        raise _no_profile(path) from error


def profile_of(sources: Sources, path: str) -> dict[str, Any]:
    """Return the profile that the data was written for, from its metadata; raises TrainError (`no-profile`)."""
    profile = sources.readers[0].header.profile
    if profile is None:
        raise _no_profile(path)
    return dict(profile)


def chain_of(sources: Sources, path: str) -> ResizeChain:
    """Return the resize chain of the data's profile; raises TrainError (`not-training-rows`) for rows of another kind."""
    chain = sources.contexts[0].row_frame.chain
    if sources.dialects[0].name not in TRAINING_ROWS or chain is None:
        raise TrainError(
            "these are not rows with a problem, an answer and an image in a trainer's frame",
            code="not-training-rows",
            source=path,
            found=f"rows of {sources.dialects[0].name}",
            expected="rows of " + " or ".join(TRAINING_ROWS),
            fix="write the data with `groundprep convert SRC DATA.parquet --for easyr1`",
        )
    return chain


def _no_profile(path: str) -> TrainError:
    return TrainError(
        "the data does not say for which trainer, and so in which pixels, its boxes are",
        code="no-profile",
        source=path,
        expected="groundprep metadata with a profile",
        fix="write the data with `groundprep convert SRC DATA.parquet --for easyr1`",
    )


def _survey(
    config: TrainConfig,
    sources: Sources,
    loader: ImageLoader,
    keep: Callable[[TrainRow], None],
    keep_dropped: Callable[[Dropped], None] | None,
) -> tuple[RowSurvey, int]:
    """Read every row once, hand it to `keep`, and return what the rows are like and how many were dropped."""
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=keep_dropped)
    chain = chain_of(sources, config.data)
    survey = RowSurvey()
    for record in pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=config.limit):
        try:
            row = row_of(record, chain, loader)
        except ROW_ERRORS as error:
            error.at(record.source)
            value = record.origin.value if record.origin else None
            pipeline.settle(Dropped(record.source, error.code, error.message, value, error))
            continue
        survey.add(row)
        keep(row)
        pipeline.result.counts.written += 1
    pipeline.result.counts.require_balanced()
    require_rows(pipeline.result, (config.data,))
    return survey, pipeline.result.counts.dropped


def _plan(config: TrainConfig, survey: RowSurvey, profile: dict[str, Any]) -> dict[str, Any]:
    return plan_of(
        survey, config.settings, model=config.model, rewards=config.rewards, profile=profile, output=config.output
    )


def _run_config(config: TrainConfig, sources: Sources, profile: dict[str, Any]) -> RunConfig:
    flags = {
        "trainer": config.trainer,
        "stage": config.stage,
        "model": config.model,
        "rewards": list(config.rewards),
        "on_error": config.on_error,
        "limit": config.limit,
        **asdict(config.settings),
    }
    return RunConfig("train", sources.hash(), flags, profile)


def _train(
    config: TrainConfig,
    sources: Sources,
    loader: ImageLoader,
    profile: dict[str, Any],
    output: Output,
    on_plan: Callable[[dict[str, Any]], None],
    on_step: Callable[[StepReport], None],
) -> TrainResult:
    started = time.time()
    output.begin()
    try:
        with writing(config.output), dropped_file(output.partial / "dropped.jsonl") as dropped, _scratch() as scratch:
            store = RowStore(scratch / "rows.arrow")
            try:
                survey, dropped_rows = _survey(config, sources, loader, store.add, dropped)
            finally:
                store.close()
            plan = _plan(config, survey, profile)
            on_plan(plan)
            result = _run(config, plan, survey, store.path, output.partial_paths[0], on_step, dropped_rows)
        _make_room(output, overwrite=config.overwrite)
        counts = {"read": survey.rows + dropped_rows, "dropped": dropped_rows, "written": survey.rows}
        manifest = Manifest(FORMAT, groundprep.__version__, output.config, versions_of(PACKAGES), counts, {}, ())
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "result": asdict(result)})
    except BaseException:  # a trainer's own errors too: nothing half-written stays, and every error goes on
        output.abort()
        raise
    return result


def _run(
    config: TrainConfig,
    plan: dict[str, Any],
    survey: RowSurvey,
    store: Path,
    checkpoint: Path,
    on_step: Callable[[StepReport], None],
    dropped_rows: int,
) -> TrainResult:
    from groundprep.training.grpo import GrpoRun

    with warnings.catch_warnings():
        # What torch, transformers and TRL announce to each other's authors says nothing about the user's data.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        run = GrpoRun(config.model, config.settings)
        run.require_grid(survey)
        rewards = get_rewards(config.rewards)
        outcome = run.train(store, rewards, steps=plan["steps"], scratch=store.parent, on_step=on_step)
        run.save(checkpoint)
    return TrainResult(
        plan,
        config.output,
        outcome.steps,
        summary_of(outcome.steps, steps_per_pass=survey.rows // config.settings.batch_size),
        outcome.weights_changed,
        outcome.parameters,
        outcome.device,
        dropped_rows,
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a directory for the store and the trainer's own files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="groundprep-train-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _make_room(output: Output, *, overwrite: bool) -> None:
    """Move a checkpoint that is to be replaced aside, into the directory that the commit removes."""
    final = output.finals[0]
    if overwrite and final.exists():
        aside = output.partial / "replaced"
        shutil.rmtree(aside, ignore_errors=True)
        final.replace(aside)
