"""`groundprep validate --fix OUT`: the source again, in its own layout and frame, with every safe fix applied and listed.

The source is never touched, no row appears or disappears, and a row that needs no fix stays equal as JSON. `changes.jsonl` in
the sidecar names every change; `stages.repair` says what is safe.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import groundprep
from groundprep.api.conversion import BYTE_PACKAGES
from groundprep.api.destination_name import has_foreign_extension
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.frame import FrameConfig, resolve_profile
from groundprep.api.sources import SourceConfig, open_sources
from groundprep.api.subset import Subset, require_two_passes, subset_of
from groundprep.api.validate import ValidateConfig, ValidateResult, validate
from groundprep.checks.rexomni_rows import normal_phrase
from groundprep.containers import STDIN, container_of_name
from groundprep.containers.json_text import encode_compact
from groundprep.containers.tsv import LINE_INDEX
from groundprep.dialects import WriteContext
from groundprep.errors import ExitCode, FormatError, GroundprepError, UsageError
from groundprep.finding import Severity
from groundprep.image_loader import ImageLoader
from groundprep.losses import Losses
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import CHANGES, Output, writing
from groundprep.pipeline import ROW_ERRORS, OnError, Pipeline, require_rows
from groundprep.profile import Profile, RowFrame
from groundprep.record import Record
from groundprep.stages.repair import Change, RepairSettings, plain_words, repair


@dataclass(frozen=True, slots=True)
class FixConfig:
    """What shall be fixed.

    Args:
        sources: the one source.
        dst: destination, in the source's container; a prefix for tsv.
        profile: the trainer that shall read it: its pixels decide which hints are equal, its reward whether answers must be
            hints, its loader what a phrase may hold.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`.
    """

    sources: SourceConfig
    dst: str
    profile: Profile | None = None
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class FixResult:
    """What was fixed.

    Args:
        outputs: the files under their final names.
        rows: rows written.
        rows_changed: rows of them in which something was fixed.
        changes: kind of fix → number.
        refused: rows whose fix their layout cannot express, such as a moved box that the text cites; they are as they were.
        changes_file: every change, one a line; None if there was none.
        dropped: rows that could not be read (`--on-error drop`).
        unchanged: the very same output was there already.
    """

    outputs: tuple[str, ...]
    rows: int
    rows_changed: int
    changes: dict[str, int]
    refused: int
    changes_file: str | None
    dropped: int = 0
    unchanged: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """5 if rows were dropped."""
        return ExitCode.DROPPED if self.dropped else ExitCode.OK


@dataclass(slots=True)
class _Fixer:
    """Repairs records in order and writes down what it did."""

    settings: RepairSettings
    context: WriteContext
    subset: Subset
    path: Path
    changes: dict[str, int] = field(default_factory=dict)
    rows_changed: int = 0
    refused: int = 0

    def __call__(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield every record, repaired where that is safe."""
        with self.path.open("wb") as file:
            for record in records:
                fixed, changes = repair(record, self._sizes_wh(record), self.settings)
                if changes and not self._can_be_written(fixed):
                    self.refused += 1
                    fixed, changes = record, []
                self.rows_changed += bool(changes)
                for change in changes:
                    self.changes[change.kind] = self.changes.get(change.kind, 0) + 1
                    file.write(encode_compact(_as_data(record, change)) + b"\n")
                yield fixed

    def _sizes_wh(self, record: Record) -> list[tuple[int, int] | None]:
        sizes_wh: list[tuple[int, int] | None] = []
        for ref in record.images:
            try:
                sizes_wh.append(self.subset.loader.size_wh(ref))
            except ROW_ERRORS:  # the checks tell it; without a size no box is cut
                sizes_wh.append(None)
        return sizes_wh

    def _can_be_written(self, record: Record) -> bool:
        try:
            self.subset.dialect.format(record, self.context)
        except ROW_ERRORS:
            return False
        return True


def _as_data(record: Record, change: Change) -> dict[str, Any]:
    return {"source": str(record.source), "record": record.label, **change._asdict()}


def fix(config: FixConfig) -> FixResult:
    """Write the fixed data; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    if len(config.sources.paths) != 1:
        raise UsageError(
            "one source is fixed at a time", found=" ".join(config.sources.paths), expected="SRC --fix OUT"
        )
    require_two_passes(config.sources, f"--fix {config.dst}")
    loader = ImageLoader()
    sources = open_sources(config.sources, loader)
    subset = subset_of(config.sources, sources, loader)
    dst = _destination(config, subset)
    flags = {
        "container": subset.container,
        "dialect": subset.dialect.name,
        "for": None if config.profile is None else config.profile.as_metadata(),
        "image_root": config.sources.image_root,
        "source_frame": config.sources.source_frame,
        "on_error": config.on_error,
        "limit": config.limit,
    }
    output = Output(
        dst, subset.writer_type.suffixes, RunConfig("fix", sources.hash(), flags | sources.flags, subset.metadata)
    )
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is not None:
        return _result(output, done.counts, done.facts, unchanged=True)
    return _write(config, subset, output)


def fix_and_validate(
    config: ValidateConfig, dst: str, *, on_error: OnError = "fail", overwrite: bool = False, fresh: bool = False
) -> tuple[FixResult, ValidateResult]:
    """Fix the source of a validation into `dst`, and validate that; raises as `fix` and `validate` do.

    Raises FormatError (`fix-hides`) where the numbers are in another frame than the file says: cutting and ordering boxes
    would hide it.
    """
    whole = ("frame-contradicted", "frame-mismatch")
    before = validate(replace(config, select=whole, ignore=(), report=None, verify="header"))
    for finding in before.findings:
        if finding.severity is Severity.ERROR:
            raise FormatError(
                f"fixing would hide that {finding.message}",
                code="fix-hides",
                source=finding.source,
                found=finding.found,
                expected=finding.expected,
                fix=finding.fix,
            )
    profile = (
        None
        if config.profile is None
        else resolve_profile(FrameConfig(config.profile, config.frame, config.min_pixels, config.max_pixels))
    )
    layout = None if profile is None else profile.dialect
    fixed = fix(
        FixConfig(
            replace(config.sources, assumed_dialect=layout),
            dst,
            profile,
            on_error,
            config.limit,
            overwrite=overwrite,
            fresh=fresh,
            workers=config.workers,
        )
    )
    root = config.sources.image_root or str(Path(config.sources.paths[0]).absolute().parent)
    sources = replace(config.sources, paths=(dst,), image_root=root, annotations=None, images=None)
    return fixed, validate(replace(config, sources=sources, limit=None))


def _destination(config: FixConfig, subset: Subset) -> str:
    """Return the name of the output; raises UsageError (`fix-container`) if it says another container or the source itself."""
    dst = config.dst
    named = container_of_name(dst)
    foreign = subset.container != "tsv" and has_foreign_extension(dst)
    other = named is not None and named not in (subset.container, "json")
    if dst == STDIN or foreign or other or dst.endswith(LINE_INDEX):
        raise UsageError(
            "fixed rows are written in the container of their source",
            code="fix-container",
            found=dst,
            expected="a prefix" if subset.container == "tsv" else f"a name for {subset.container}",
            fix="choose another destination, or convert it afterwards",
        )
    if any(Path(dst).absolute() == file.absolute() for file in subset.sources.files):
        raise UsageError("the source is never overwritten", code="fix-container", found=dst, expected="another name")
    return dst


def _settings(config: FixConfig) -> RepairSettings:
    profile = config.profile
    if profile is None:
        return RepairSettings()
    rexomni = profile.dialect == "rexomni"
    return RepairSettings(
        RowFrame.of_profile(profile),
        snap=profile.needs_answer_in_hint,
        words=(lambda text: plain_words(normal_phrase(text))) if rexomni else plain_words,
    )


def _write(config: FixConfig, subset: Subset, output: Output) -> FixResult:
    started = time.time()
    output.begin()
    try:
        with writing(output.dst), dropped_file(output.partial / "dropped.jsonl") as dropped:
            pipeline = Pipeline(on_error=config.on_error, keep_dropped=dropped)
            context = WriteContext(subset.container, subset.loader, subset.sources.contexts[0].row_frame, Losses())
            fixer = _Fixer(_settings(config), context, subset, output.partial / CHANGES)
            records = fixer(subset.records(pipeline, config.limit))
            result = subset.write_files(pipeline, records, output.partial_paths, workers=config.workers)
        require_rows(result, config.sources.paths)
        if not fixer.changes:
            fixer.path.unlink()
        facts = {"changes": fixer.changes, "rows_changed": fixer.rows_changed, "refused": fixer.refused}
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(BYTE_PACKAGES),
            result.counts.as_data(),
            result.losses.as_data(),
            (),
            facts,
        )
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "workers": config.workers})
    except (GroundprepError, OSError, KeyboardInterrupt) as error:
        output.abort()
        if isinstance(error, ROW_ERRORS):
            error.fix = f"correct the row, or leave out rows that cannot be read with --on-error drop ({error.fix or error.code})"
        raise
    return _result(output, result.counts.as_data(), facts)


def _result(output: Output, counts: dict[str, int], facts: dict[str, Any], *, unchanged: bool = False) -> FixResult:
    changes = output.sidecar / CHANGES
    return FixResult(
        tuple(map(str, output.finals)),
        counts["written"],
        facts["rows_changed"],
        facts["changes"],
        facts["refused"],
        str(changes) if facts["changes"] else None,
        counts.get("dropped", 0),
        unchanged=unchanged,
    )
