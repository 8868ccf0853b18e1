"""`groundprep sample`: part of a data set, in the layout and the frame that it has.

A sample of a TSV is a complete TSV of its own: images that no selected row uses are left behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import groundprep
from groundprep.api.convert import BYTE_PACKAGES, dropped_file
from groundprep.api.sources import CONVERTER_SUFFIX, SourceConfig, Sources, open_sources
from groundprep.containers import CONTAINERS, STDIN, TableSpec, Writer
from groundprep.containers import container_of_name as container_of
from groundprep.engine.local import default_workers
from groundprep.errors import ExitCode, GroundprepError, UsageError
from groundprep.images import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import OnError, Pipeline, RunResult, require_rows
from groundprep.record import Dropped, Record
from groundprep.stages.sample import Sample, Strategy, parse_strategy
from groundprep.trainers import PROFILES, get_profile


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What `sample` shall do.

    Args:
        sources: the one source.
        dst: destination, in the source's container; a prefix for tsv; `-` writes jsonl to standard output.
        strategy: `all`, `first:N`, `end:N` or `random:N`; N is a number or a share such as `10%`.
        count: N, if the strategy does not say it.
        seed: decides a random choice.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`; workers never change the bytes.
    """

    sources: SourceConfig
    dst: str
    strategy: str
    count: int | str | None = None
    seed: int = 0
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What `sample` did.

    Args:
        outputs: the files under their final names.
        strategy: in its shortest form.
        counts: rows read, not selected, dropped, written.
        unchanged: the very same output was there already.
    """

    outputs: tuple[str, ...]
    strategy: str
    counts: dict[str, int]
    warnings: list[dict[str, Any]]
    dropped_file: str | None
    container: str
    dialect: str
    unchanged: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """5 if rows were dropped."""
        return ExitCode.DROPPED if self.counts["dropped"] else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Job:
    """One sample to be written: the configuration with everything looked up."""

    config: SampleConfig
    strategy: Strategy
    sources: Sources
    loader: ImageLoader
    metadata: dict[str, Any] | None

    @property
    def container(self) -> str:
        return self.sources.readers[0].container

    @property
    def writer_type(self) -> type[Writer]:
        return CONTAINERS[self.container].writer


def sample(config: SampleConfig) -> SampleResult:
    """Write the sample; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    strategy = parse_strategy(config.strategy, config.count)
    _require_two_passes(config, strategy)
    loader = ImageLoader()
    sources = open_sources(config.sources, loader)
    job = _Job(config, strategy, sources, loader, _metadata(config.sources, sources))
    _require_same_container(job)
    if config.dst == STDIN:
        return _result(job, _run(job, [Path(STDIN)], dropped=None), ())
    flags = {
        "container": job.container,
        "dialect": sources.dialects[0].name,
        "strategy": str(strategy),
        "seed": config.seed if strategy.name == "random" else None,
        "image_root": config.sources.image_root,
        "source_frame": config.sources.source_frame,
        "on_error": config.on_error,
        "limit": config.limit,
    }
    output = Output(config.dst, job.writer_type.suffixes, RunConfig("sample", sources.hash(), flags, job.metadata))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is not None:
        return _unchanged(job, done, output)
    return _write(job, output)


def _require_two_passes(config: SampleConfig, strategy: Strategy) -> None:
    if len(config.sources.paths) != 1:
        raise UsageError("one source is sampled at a time", found=" ".join(config.sources.paths), expected="SRC DST")
    if strategy.needs_total and config.sources.paths[0] == STDIN:
        raise UsageError(
            "this strategy reads its source twice, and standard input can be read once",
            code="stdin-twice",
            found=str(strategy),
            expected="a file, or the strategy all or first:N",
        )
    if config.dst == STDIN and config.on_error == "drop":
        raise UsageError("dropped rows need a file", found="DST - with --on-error drop", fix="name a destination")


def _require_same_container(job: _Job) -> None:
    dst = job.config.dst
    named = container_of(dst) or ("jsonl" if dst == STDIN else None)
    if named is not None and (named != job.container or job.container == "tsv"):
        expected = "a prefix without extension" if job.container == "tsv" else f"a name for {job.container}"
        raise UsageError(
            "a sample has the container of its source",
            code="sample-container",
            found=dst,
            expected=expected,
            fix="choose another destination, or convert the sample afterwards",
        )


def _metadata(config: SourceConfig, sources: Sources) -> dict[str, Any] | None:
    """Return what the sample must say about its frame: what the source says, or what `--source-frame` says of it."""
    if config.source_frame is not None:
        name = config.source_frame.removesuffix(CONVERTER_SUFFIX)
        if any(name in (profile.name, profile.full_name) for profile in PROFILES.values()):
            profile = get_profile(name)
            return (profile.as_converter() if name != config.source_frame else profile).as_metadata()
        return None
    stated = sources.readers[0].header.profile
    return None if stated is None else dict(stated)


def _run(job: _Job, paths: list[Path], *, dropped: Callable[[Dropped], None] | None) -> RunResult:
    pipeline = Pipeline(on_error=job.config.on_error, keep_dropped=dropped)
    stage = Sample(job.strategy, total=_total(job), seed=job.config.seed)
    dialect = job.sources.dialects[0]
    writer = job.writer_type(paths, TableSpec(dialect.columns, job.metadata or {}), job.loader)
    try:
        result = pipeline.write(
            pipeline.through(stage, _records(pipeline, job)),
            dialect,
            writer,
            row_frame=job.sources.contexts[0].row_frame,
            loader=job.loader,
            workers=job.config.workers or default_workers(),
        )
        require_rows(result, job.config.sources.paths)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    return result


def _records(pipeline: Pipeline, job: _Job) -> Iterator[Record]:
    sources = job.sources
    return pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=job.config.limit)


def _total(job: _Job) -> int | None:
    """Return how many records the source holds, by reading it once; None where that need not be known."""
    if not job.strategy.needs_total:
        return None
    return sum(1 for _ in _records(Pipeline(on_error=job.config.on_error), job))


def _write(job: _Job, output: Output) -> SampleResult:
    started = time.time()
    output.begin()
    try:
        with writing(job.config.dst), dropped_file(output.partial / "dropped.jsonl") as dropped:
            result = _run(job, output.partial_paths, dropped=dropped)
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(BYTE_PACKAGES),
            result.counts.as_data(),
            result.losses.as_data(),
            (),
        )
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "workers": job.config.workers})
    except (GroundprepError, OSError, KeyboardInterrupt):
        output.abort()
        raise
    kept = str(output.sidecar / "dropped.jsonl") if result.counts.dropped else None
    return _result(job, result, tuple(map(str, output.finals)), dropped=kept)


def _result(job: _Job, result: RunResult, outputs: tuple[str, ...], *, dropped: str | None = None) -> SampleResult:
    return SampleResult(
        outputs,
        str(job.strategy),
        result.counts.as_data(),
        result.warnings.as_data(),
        dropped,
        job.container,
        job.sources.dialects[0].name,
    )


def _unchanged(job: _Job, done: Manifest, output: Output) -> SampleResult:
    dropped = output.sidecar / "dropped.jsonl"
    return SampleResult(
        tuple(map(str, output.finals)),
        str(job.strategy),
        done.counts,
        [],
        str(dropped) if dropped.exists() else None,
        job.container,
        job.sources.dialects[0].name,
        unchanged=True,
    )
