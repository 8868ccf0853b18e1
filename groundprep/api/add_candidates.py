"""`groundprep add-candidates`: let a detector propose boxes, and make the answer one of them.

Two passes over the source. The first finds the distinct (image, prompt) pairs and detects each once, into the ledger;
the second writes every row from the ledger, with the answer policy applied. Bad rows are told by the second pass: by
then all work that could be done is done, and kept.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import groundprep
from groundprep.api.add_candidates_config import AddCandidatesConfig, AddCandidatesResult, require_sound
from groundprep.api.conversion import BYTE_PACKAGES, Places, crowds_of, records_of, run_config, warn_of_crowds
from groundprep.api.conversion import Job as ConversionJob
from groundprep.api.convert_config import ConvertConfig
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.listener import Listener, Silent
from groundprep.api.sources import Sources, open_sources
from groundprep.api.tables import table_of
from groundprep.api.target import Target, resolve_profile, resolve_target
from groundprep.containers import container_of_name
from groundprep.detect import Detections, Detector, open_detector
from groundprep.detect.base import prompt_of
from groundprep.detect.batches import DetectionCounts, DetectionRun, Pair
from groundprep.detect.ledger import Ledger, PairKey
from groundprep.dialects import DIALECTS
from groundprep.engine.local import default_workers
from groundprep.errors import FormatError, GroundprepError, PayloadError, UsageError
from groundprep.geometry.frames import Space
from groundprep.image_loader import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import ROW_ERRORS, Pipeline, require_rows
from groundprep.profile import Profile, RowFrame
from groundprep.record import Dropped, Record
from groundprep.run_result import RunResult
from groundprep.stages.candidates import AddCandidates, CandidateCounts, CandidateSettings, require_one_image
from groundprep.stages.crowds import Crowds
from groundprep.stages.name_images import NameImages

__all__ = ["AddCandidatesConfig", "AddCandidatesResult", "add_candidates"]

LEDGER_NAME = "detections.jsonl"
FAILED_NAME = "failed.jsonl"
PACKAGES = (*BYTE_PACKAGES, "scipy", "torch", "torchvision", "transformers")
"""Packages whose version may change what is detected or written."""


@dataclass(slots=True)
class _Job:
    """One run: what is read, what is written, who detects."""

    config: AddCandidatesConfig
    writing: ConvertConfig
    sources: Sources
    target: Target
    settings: CandidateSettings
    detector: Detector
    loader: ImageLoader
    listener: Listener


def add_candidates(
    config: AddCandidatesConfig, *, detector: Detector | None = None, listener: Listener | None = None
) -> AddCandidatesResult:
    """Detect, settle the answers and write; raises UsageError, FormatError, DetectError, MissingDependencyError.

    Args:
        config: what to do.
        detector: who detects; None: the one that `config.detector` names.
        listener: who is told of progress and bad rows.
    """
    require_sound(config)
    job = _prepare(config, detector or open_detector(config.detector), listener or Silent())
    output = Output(config.dst, job.target.writer_type.suffixes, _run_config(job))
    done = _completed(output, config)
    if done is not None:
        return _unchanged(done, output, job)
    started = time.time()
    output.begin()
    try:
        with writing(config.dst):
            ledger_path = output.sidecar / LEDGER_NAME
            with Ledger(ledger_path, job.detector.fingerprint, fresh=config.fresh) as ledger:
                if ledger.replaced:
                    job.listener.note("the ledger of another detector, threshold or precision is replaced")
                run = _detect(job, ledger)
                result, answers = _write(job, output, ledger, run)
        seconds = time.time() - started
        facts = {"detections": run.counts.of_output(), "answers": asdict(answers)}
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(PACKAGES),
            result.counts.as_data(),
            result.losses.as_data(),
            (),
            facts,
        )
        timing = {"started": started, "seconds": seconds, "workers": config.workers}
        output.commit(manifest, timing | {"detections": asdict(run.counts)})
        (output.sidecar / FAILED_NAME).unlink(missing_ok=True)
    except BaseException as error:
        output.abort(keep_state=not isinstance(error, GroundprepError))
        raise
    return _result(job, output, result, run.counts, answers, seconds)


def _prepare(config: AddCandidatesConfig, detector: Detector, listener: Listener) -> _Job:
    loader = ImageLoader()
    writing_config = ConvertConfig(
        config.sources,
        config.dst,
        profile=config.profile,
        to=config.to,
        min_pixels=config.min_pixels,
        max_pixels=config.max_pixels,
        on_error=config.on_error,
        limit=config.limit,
        overwrite=config.overwrite,
        fresh=config.fresh,
        workers=config.workers,
    )
    profile = resolve_profile(writing_config)
    hint_frame = None if profile is None else RowFrame.of_profile(profile)
    sources = open_sources(replace(config.sources, assumed_frame=hint_frame), loader)
    target = _target(writing_config, sources, profile)
    if hint_frame is None and target.row_frame.frame.space is Space.SEEN:
        hint_frame = target.row_frame
    settings = replace(config.candidates, hint_frame=hint_frame)
    return _Job(config, writing_config, sources, target, settings, detector, loader, listener)


def _target(config: ConvertConfig, sources: Sources, profile: Profile | None) -> Target:
    """Return where rows go; a dialect of stored pixels keeps them, whatever trainer the rows are meant for.

    That is the one that is named; for json and jsonl else the source's, or `rexthinker` for a trainer that reads hints.
    """
    source = sources.dialects[0]
    container = container_of_name(config.dst) if config.to is None else config.to
    if config.to in DIALECTS:
        keeps = DIALECTS[config.to].frame.space is not Space.SEEN
    else:
        keeps = container in ("json", "jsonl") and source.frame.space is not Space.SEEN
        if keeps and "candidates" not in source.holds and profile is not None and _reads_hints(profile):
            config = replace(config, dialect="rexthinker")
    target = resolve_target(config, sources, None if keeps else profile)
    if "candidates" not in target.dialect.holds:
        raise UsageError(
            f"rows of {target.dialect.name} hold no candidates",
            code="no-candidates-in-dialect",
            found=config.dst,
            expected="a .jsonl, .json or .parquet destination",
            fix="pass --to rexthinker, or --for a trainer that reads hints",
        )
    return target


def _reads_hints(profile: Profile) -> bool:
    return "candidates" in DIALECTS[profile.dialect].holds


def _run_config(job: _Job) -> RunConfig:
    base = run_config("add-candidates", job.writing, job.sources, job.target)
    config, settings = job.config, job.settings
    hints = None
    if settings.hint_frame is not None:
        chain = settings.hint_frame.chain
        hints = {"frame": settings.hint_frame.frame.name, "chain": None if chain is None else chain.as_data()}
    flags = base.flags | {
        "detector": job.detector.fingerprint,
        "device": config.detector.device,
        "batch_size": config.batch_size,
        "answer_policy": settings.policy,
        "match_iou": settings.match_iou,
        "order": settings.order,
        "seed": settings.seed,
        "keep_existing": settings.keep_existing,
        "hints": hints,
    }
    return RunConfig(base.command, base.inputs, flags, base.profile)


def _completed(output: Output, config: AddCandidatesConfig) -> Manifest | None:
    try:
        return output.completed(overwrite=config.overwrite, fresh=config.fresh)
    except UsageError as error:
        if error.code == "output-unfinished":
            error.fix = "pass --overwrite to go on with its finished detections, or --fresh to forget them"
        raise


def _conversion(job: _Job) -> ConversionJob:
    """Return the job as a conversion: what reads the rows, and looks for crowds."""
    return ConversionJob(job.writing, job.sources, job.target, job.loader)


def _records(job: _Job, pipeline: Pipeline, crowds: Crowds | None = None) -> Iterator[Record]:
    """Yield the source's records, one per expression."""
    namer = None if job.target.writer_type.embeds_images else NameImages(job.loader, None)
    try:
        yield from records_of(_conversion(job), pipeline, namer, Places(), crowds=crowds)
    except UsageError as error:
        if error.code == "image-out-needed":
            error.fix = "write parquet, or convert the source first with --image-out DIR"
        raise


def _pair_key(job: _Job, record: Record) -> PairKey:
    """Return what is to be detected for a record; raises RecordError, PayloadError."""
    image, prompt = require_one_image(record), prompt_of(record.category)
    return PairKey(hashlib.sha256(job.loader.read(image)).hexdigest(), prompt)


def _detect(job: _Job, ledger: Ledger) -> DetectionRun:
    """Detect what the ledger does not know."""
    run = DetectionRun(job.detector, ledger, job.config.batch_size)

    def pairs() -> Iterator[Pair]:
        pipeline, told = Pipeline(on_error="drop"), 0
        for record in _records(job, pipeline):
            job.listener.advance(pipeline.result.counts.read - told)
            told = pipeline.result.counts.read
            if not job.settings.needs_detection(record):
                continue
            try:
                key = _pair_key(job, record)
                yield Pair(key, record.images[0], job.loader.size_wh(record.images[0]))
            except ROW_ERRORS:
                continue  # the second pass meets the same error and tells it

    rows = sum(1 for reader in job.sources.readers for _ in islice(reader, job.config.limit))
    job.listener.begin("detecting", rows)
    run(pairs())
    return run


def _write(job: _Job, output: Output, ledger: Ledger, run: DetectionRun) -> tuple[RunResult, CandidateCounts]:
    """Write every row from the ledger; raises FormatError (`rows-failed`) if rows are bad and none may be dropped."""

    def detections_of(record: Record) -> Detections:
        key = _pair_key(job, record)
        found = ledger.get(key)
        if found is not None:
            return found
        if key in run.failures:
            raise copy.copy(run.failures[key])
        raise PayloadError(
            "the image changed while the run was under way",
            code="image-changed",
            found=record.images[0].name,
            fix="run again",
        )

    stage = AddCandidates(job.settings, detections_of, job.loader)
    crowds = crowds_of(_conversion(job))
    if crowds is not None:
        crowds.fix = "take them out first: groundprep convert SRC OUT.json --crowds drop"
    with dropped_file(output.partial / "dropped.jsonl") as dropped:

        def keep(item: Dropped) -> None:
            dropped(item)
            job.listener.bad_row(item)

        pipeline = Pipeline(on_error="drop", keep_dropped=keep)
        target = job.target
        writer = target.writer_type(
            output.partial_paths, table_of(job.sources, target.dialect, target.writer_type, target.metadata), job.loader
        )
        try:
            result = pipeline.write(
                pipeline.through(stage, _records(job, pipeline, crowds)),
                target.dialect,
                writer,
                row_frame=target.row_frame,
                loader=job.loader,
                workers=job.config.workers or default_workers(),
                style=target.style,
            )
            require_rows(result, job.config.sources.paths)
            writer.close()
        except BaseException:
            writer.abort()
            raise
    if result.counts.dropped and job.config.on_error == "fail":
        _fail(output, result)
    warn_of_crowds(result, crowds)
    return result, stage.done


def _fail(output: Output, result: RunResult) -> None:
    failed = output.sidecar / FAILED_NAME
    (output.partial / "dropped.jsonl").replace(failed)
    rows = result.counts.read + result.counts.exploded
    raise FormatError(
        f"{result.counts.dropped} of {rows} rows cannot be carried, and no output was written",
        code="rows-failed",
        source=output.dst,
        fix=f"correct the rows listed in {failed} and run again (finished detections are kept), or pass --on-error drop",
    )


def _result(
    job: _Job, output: Output, result: RunResult, counts: DetectionCounts, answers: CandidateCounts, seconds: float
) -> AddCandidatesResult:
    return AddCandidatesResult(
        counts=result.counts.as_data(),
        detections=asdict(counts),
        answers=asdict(answers),
        losses=result.losses.as_data(),
        warnings=result.warnings.as_data(),
        seconds=seconds,
        **_written(job, output, dropped=result.counts.dropped),
    )


def _unchanged(done: Manifest, output: Output, job: _Job) -> AddCandidatesResult:
    detections = done.facts.get("detections", {})
    return AddCandidatesResult(
        counts=done.counts,
        detections=detections | {"forwards": 0, "reused": detections.get("pairs", 0), "failed": 0},
        answers=done.facts.get("answers", {}),
        losses=done.losses,
        warnings=[],
        seconds=0.0,
        unchanged=True,
        **_written(job, output, dropped=done.counts.get("dropped", 0)),
    )


def _written(job: _Job, output: Output, *, dropped: int) -> dict[str, Any]:
    return {
        "outputs": tuple(map(str, output.finals)),
        "dropped_file": str(output.sidecar / "dropped.jsonl") if dropped else None,
        "container": job.target.container,
        "dialect": job.target.dialect.name,
        "profile": job.target.metadata,
        "detector": job.detector.name,
    }
