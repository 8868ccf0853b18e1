"""`groundprep split`: a data set in two or three parts that share no image, in the layout and the frame that it has.

Of a TSV each part is a line index alone. The sidecar lies beside the directory: in it are data files only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import groundprep
from groundprep.api.conversion import BYTE_PACKAGES
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.sources import SourceConfig, open_sources
from groundprep.api.subset import Subset, require_two_passes, subset_of
from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.counts import Counts
from groundprep.errors import ExitCode, UsageError
from groundprep.image_loader import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, read_manifest, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import ROW_ERRORS, OnError, Pipeline, dropped_of, require_rows
from groundprep.record import Dropped
from groundprep.run_result import RunResult
from groundprep.stages.split import ImageGroups, SplitPart

TRAIN, VAL, TEST = "train", "val", "test"


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """What `split` shall do.

    Args:
        sources: the one source; a mixture counts as one if all its files have one layout.
        dst_dir: the directory of the parts: `train`, `val` and, if it has a share, `test`, with the source's extension.
        val: share of the images in `val`, above 0 and below 1.
        test: share of the images in `test`, from 0.
        by: what no two parts share: images, told apart by their bytes.
        seed: decides which images fall where.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`; workers never change the bytes.
    """

    sources: SourceConfig
    dst_dir: str
    val: float = 0.1
    test: float = 0.0
    by: Literal["image"] = "image"
    seed: int = 0
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class PartResult:
    """One part: its file, its rows, and its images (images that rows tie together count as one)."""

    name: str
    output: str
    rows: int
    images: int


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What `split` did.

    Args:
        parts: train, val and test.
        counts: rows read, dropped, written, over all parts.
        unchanged: the very same output was there already.
    """

    parts: tuple[PartResult, ...]
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
    """A split to be written: the configuration with everything looked up."""

    config: SplitConfig
    subset: Subset
    shares: dict[str, Fraction]

    @property
    def names(self) -> list[str]:
        return [TRAIN, *self.shares]


def split(config: SplitConfig) -> SplitResult:
    """Write the parts; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    shares = _shares(config)
    if len(config.sources.paths) != 1:
        raise UsageError("one source is split at a time", found=" ".join(config.sources.paths), expected="SRC DST_DIR")
    require_two_passes(config.sources, "split")
    loader = ImageLoader()
    sources = open_sources(config.sources, loader)
    job = _Job(config, subset_of(config.sources, sources, loader), shares)
    subset = job.subset
    _ = subset.writer_type  # a layout that is only read is refused before any work
    flags = {
        "container": subset.container,
        "dialect": subset.dialect.name,
        "shares": {name: str(share) for name, share in shares.items()},
        "by": config.by,
        "seed": config.seed,
        "image_root": config.sources.image_root,
        "source_frame": config.sources.source_frame,
        "on_error": config.on_error,
        "limit": config.limit,
    }
    dst = _directory(config.dst_dir)
    suffixes = [f"/{name}{subset.extension}" for name in job.names]
    output = Output(dst, suffixes, RunConfig("split", sources.hash(), flags | sources.flags, subset.metadata))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is not None:
        return _result(job, output, done.facts["parts"], done.counts, [], unchanged=True)
    _require_no_other_part(job, output)
    return _write(job, output)


def _shares(config: SplitConfig) -> dict[str, Fraction]:
    """Return the shares of val and test; raises UsageError (`bad-share`)."""
    given = {VAL: config.val} | ({TEST: config.test} if config.test else {})
    shares = {}
    for name, share in given.items():
        if not 0 < share < 1:
            raise _bad_share(f"--{name} {share}", "a share above 0 and below 1, such as 0.1")
        shares[name] = Fraction(str(share))
    if sum(shares.values()) >= 1:
        raise _bad_share(f"--val {config.val} --test {config.test}", "shares that leave something to train on")
    return shares


def _bad_share(found: str, expected: str) -> UsageError:
    return UsageError("this is no share of a data set", code="bad-share", found=found, expected=expected)


def _require_no_other_part(job: _Job, output: Output) -> None:
    """Raise UsageError (`output-exists`) if a part that is not written lies there and is not of an earlier split."""
    before = read_manifest(output.manifest_path)
    ours = set() if before is None else {old.name for old in before.outputs}
    for name in (VAL, TEST):
        path = Path(output.dst) / f"{name}{job.subset.extension}"
        if name not in job.names and path.name not in ours and path.exists():
            raise UsageError(
                "a part lies there that is not of this split and may share images with it",
                code="output-exists",
                source=str(path),
                fix="remove it, or choose another directory",
            )


def _directory(name: str) -> str:
    """Return the directory without a final slash; raises UsageError (`not-a-directory`) if it is a file."""
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise UsageError("the destination is a file", code="not-a-directory", source=name, expected="a directory")
    return str(path) if path.name else str(path.resolve())


def _write(job: _Job, output: Output) -> SplitResult:
    started = time.time()
    config, subset = job.config, job.subset
    before = read_manifest(output.manifest_path)
    output.begin()
    try:
        groups, images, read = _assign(job)
        with writing(output.dst), dropped_file(output.partial / "dropped.jsonl") as dropped:
            keep = _Once(dropped)
            results = [_write_part(job, groups, number, path, keep) for number, path in enumerate(output.partial_paths)]
        counts = _total(read, results, keep.kept)
        parts = {
            name: {"rows": result.counts.written, "images": count}
            for name, result, count in zip(job.names, results, images, strict=True)
        }
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(BYTE_PACKAGES),
            counts,
            {},
            (),
            subset.facts(output.finals[0]) | {"parts": parts},
        )
        with writing(output.dst):
            Path(output.dst).mkdir(parents=True, exist_ok=True)
            for old in () if before is None else before.outputs:
                # Part of an earlier split, which would share images with the new ones.
                if old.name not in {final.name for final in output.finals}:
                    (Path(output.dst) / old.name).unlink(missing_ok=True)
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "workers": config.workers})
    except BaseException:
        output.abort()
        raise
    return _result(job, output, parts, counts, results[0].warnings.as_data())


def _assign(job: _Job) -> tuple[ImageGroups, list[int], Counts]:
    """Read every image once and return who falls where, how many images each part has, and what was read."""
    config = job.config
    groups = ImageGroups(job.subset.loader, seed=config.seed)
    pipeline = Pipeline(on_error=config.on_error)
    for record in job.subset.records(pipeline, config.limit):
        try:
            groups.see(record)
        except ROW_ERRORS as error:
            pipeline.settle(dropped_of(record, error))
    require_rows(pipeline.result, config.sources.paths)
    return groups, groups.cut(list(job.shares.values())), pipeline.result.counts


def _write_part(
    job: _Job, groups: ImageGroups, number: int, path: Path, keep_dropped: Callable[[Dropped], None]
) -> RunResult:
    config, subset = job.config, job.subset
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=keep_dropped)
    records: Iterator[Any] = pipeline.through(SplitPart(groups, number), subset.records(pipeline, config.limit))
    return subset.write(pipeline, records, path, workers=config.workers)


class _Once:
    """Keeps a dropped row when it is met first: every part's pass meets the rows that cannot be read."""

    def __init__(self, keep: Callable[[Dropped], None]) -> None:
        self.keep = keep
        self.kept = 0
        self._seen = OffsetIndex()

    def __call__(self, dropped: Dropped) -> None:
        digest = digest_of((dropped.source.path, dropped.source.row, dropped.source.part))
        if self._seen.get(digest) is None:
            self._seen.set(digest, 0)
            self.kept += 1
            self.keep(dropped)


def _total(read: Counts, results: list[RunResult], dropped: int) -> dict[str, int]:
    """Return the counts over all parts; raises CountError unless every row is in one of them or dropped."""
    total = Counts(
        read=read.read,
        repeated=read.repeated,
        not_selected=read.not_selected,
        dropped=dropped,
        written=sum(result.counts.written for result in results),
    )
    total.require_balanced()
    return total.as_data()


def _result(
    job: _Job,
    output: Output,
    parts: dict[str, dict[str, int]],
    counts: dict[str, int],
    warnings: list[dict[str, Any]],
    *,
    unchanged: bool = False,
) -> SplitResult:
    dropped = output.sidecar / "dropped.jsonl"
    return SplitResult(
        tuple(
            PartResult(name, str(final), parts[name]["rows"], parts[name]["images"])
            for name, final in zip(job.names, output.finals, strict=True)
        ),
        counts,
        warnings,
        str(dropped) if dropped.exists() else None,
        job.subset.container,
        job.subset.dialect.name,
        unchanged=unchanged,
    )
