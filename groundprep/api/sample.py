"""`groundprep sample`: part of a data set, in the layout and the frame that it has.

A sample of a TSV is a line index alone, `DST.lineidx`: it points into the annotations and images that are there, and is
found together with them again through its manifest. `convert` makes a complete TSV of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import groundprep
from groundprep.api.conversion import BYTE_PACKAGES
from groundprep.api.destination_name import has_foreign_extension
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.negatives import require_negatives, with_negatives
from groundprep.api.sources import SourceConfig, accept_declared_sizes, open_sources
from groundprep.api.subset import Subset, require_two_passes, subset_of
from groundprep.containers import STDIN
from groundprep.containers import container_of_name as container_of
from groundprep.containers.tsv import LINE_INDEX
from groundprep.corpora import CORPORA
from groundprep.errors import ExitCode, UsageError
from groundprep.image_loader import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import OnError, Pipeline, require_rows
from groundprep.record import Dropped
from groundprep.run_result import RunResult
from groundprep.stages.sample import Sample, Strategy, parse_strategy


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What `sample` shall do.

    Args:
        sources: the one source; a mixture counts as one if all its files have one layout.
        dst: destination, in the source's container; `X` or `X.lineidx` for tsv; `-` writes jsonl to standard output.
        strategy: `all`, `first:N`, `end:N` or `random:N`; N is a number or a share such as `10%`.
        count: N, if the strategy does not say it.
        seed: decides a random choice.
        negatives: how many phrases to add to every image that say what is not in it.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`; workers never change the bytes.
    """

    sources: SourceConfig
    dst: str
    strategy: str
    count: int | str | None = None
    seed: int = 0
    negatives: int = 0
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
    subset: Subset


def sample(config: SampleConfig) -> SampleResult:
    """Write the sample; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    strategy = parse_strategy(config.strategy, config.count)
    if len(config.sources.paths) != 1:
        raise UsageError("one source is sampled at a time", found=" ".join(config.sources.paths), expected="SRC DST")
    if strategy.needs_total:
        require_two_passes(config.sources, str(strategy))
    if config.negatives:
        require_two_passes(config.sources, f"--negatives {config.negatives}")
    if config.dst == STDIN and config.on_error == "drop":
        raise UsageError("dropped rows need a file", found="DST - with --on-error drop", fix="name a destination")
    loader = ImageLoader()
    sources = open_sources(config.sources, loader)
    accept_declared_sizes(loader, sources)
    job = _Job(config, strategy, subset_of(config.sources, sources, loader))
    subset = job.subset
    require_negatives(config.negatives, dialect=subset.dialect, is_line_index=subset.is_line_index)
    dst = _destination(job)
    if dst == STDIN:
        return _result(job, _run(job, Path(STDIN), dropped=None), ())
    flags = {
        "container": subset.container,
        "dialect": subset.dialect.name,
        "strategy": str(strategy),
        "seed": config.seed if strategy.name == "random" or config.negatives else None,
        "negatives": config.negatives,
        "image_root": config.sources.image_root,
        "source_frame": config.sources.source_frame,
        "on_error": config.on_error,
        "limit": config.limit,
    }
    output = Output(dst, ("",), RunConfig("sample", sources.hash(), flags | sources.flags, subset.metadata))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is not None:
        return _unchanged(job, done, output)
    return _write(job, output)


def _destination(job: _Job) -> str:
    """Return the name of the output; raises UsageError (`sample-container`) if it says another container."""
    dst, container = job.config.dst, job.subset.container
    _ = job.subset.writer_type  # no name is one of a layout that is only read
    named = container_of(dst) or ("jsonl" if dst == STDIN else None)
    if named == "json" and container in CORPORA:
        return dst  # a document
    if job.subset.is_line_index and (named is None or dst.endswith(LINE_INDEX)):
        return dst.removesuffix(LINE_INDEX) + LINE_INDEX
    if has_foreign_extension(dst) or (named is not None and (named != container or container == "tsv")):
        expected = f"a name that ends in {LINE_INDEX}" if container == "tsv" else f"a name for {container}"
        raise UsageError(
            "a sample has the container of its source",
            code="sample-container",
            found=dst,
            expected=expected,
            fix="choose another destination, or convert the sample afterwards",
        )
    return dst


def _run(job: _Job, path: Path, *, dropped: Callable[[Dropped], None] | None) -> RunResult:
    config, subset = job.config, job.subset
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=dropped)
    stage = Sample(job.strategy, total=_total(job), seed=config.seed)
    records = pipeline.through(stage, subset.records(pipeline, config.limit))
    if config.negatives:
        again = subset.records(Pipeline(on_error=config.on_error), config.limit)
        records = with_negatives(records, pipeline, again, subset.loader, count=config.negatives, seed=config.seed)
    result = subset.write(pipeline, records, path, workers=config.workers)
    require_rows(result, config.sources.paths)
    return result


def _total(job: _Job) -> int | None:
    """Return how many records the source holds, by reading it once; None where that need not be known."""
    if not job.strategy.needs_total:
        return None
    return sum(1 for _ in job.subset.records(Pipeline(on_error=job.config.on_error), job.config.limit))


def _write(job: _Job, output: Output) -> SampleResult:
    started = time.time()
    output.begin()
    try:
        with writing(output.dst), dropped_file(output.partial / "dropped.jsonl") as dropped:
            result = _run(job, output.partial_paths[0], dropped=dropped)
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(BYTE_PACKAGES),
            result.counts.as_data(),
            result.losses.as_data(),
            (),
            job.subset.facts(output.finals[0]),
        )
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "workers": job.config.workers})
    except BaseException:
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
        job.subset.container,
        job.subset.dialect.name,
    )


def _unchanged(job: _Job, done: Manifest, output: Output) -> SampleResult:
    dropped = output.sidecar / "dropped.jsonl"
    return SampleResult(
        tuple(map(str, output.finals)),
        str(job.strategy),
        done.counts,
        [],
        str(dropped) if dropped.exists() else None,
        job.subset.container,
        job.subset.dialect.name,
        unchanged=True,
    )
