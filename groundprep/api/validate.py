"""`groundprep validate`: every rule that rows must keep, on every row; a bad row is a finding, never the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from groundprep.api.frame import FrameConfig, resolve_profile
from groundprep.api.sources import SourceConfig, Sources, open_sources
from groundprep.checks.base import Subject
from groundprep.checks.files import profile_findings
from groundprep.checks.frames import FrameWatch
from groundprep.checks.identity import IdentityWatch
from groundprep.checks.registry import RULES, record_findings, trainer_findings
from groundprep.checks.rexomni_rows import KeysWatch
from groundprep.checks.verdicts import ImageVerdicts
from groundprep.containers import Row
from groundprep.containers.json_text import encode_compact
from groundprep.dialects import Dialect, ReadContext, WriteContext, get_dialect
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.engine.local import default_workers, ordered_map
from groundprep.errors import FormatError, UsageError
from groundprep.finding import Finding, Severity
from groundprep.images import ImageLoader, SizeWH
from groundprep.losses import Losses
from groundprep.output import writing
from groundprep.pipeline import ROW_ERRORS, parse
from groundprep.profile import Profile, RowFrame
from groundprep.record import Dropped, Record
from groundprep.stages.explode import QUESTION_FIELDS, ExplodePhrases

FailOn: TypeAlias = Literal["error", "warning", "never"]

CHUNK_ROWS = 8
"""Few: rows may hold their images, and decoding one costs far more than handing it to a thread."""

MAX_FINDINGS = 1000


@dataclass(frozen=True, slots=True)
class ValidateConfig:
    """What `validate` shall do.

    Args:
        sources: what to read.
        profile: the trainer that shall read it, `NAME[@REV]`; None: rows, images and boxes only.
        frame: the trainer's frame, or the one that the trainer's own converter assumes.
        min_pixels, max_pixels: override the profile's limits.
        verify: decode every image, or parse headers only.
        select: codes to report; empty means all.
        ignore: codes not to report.
        max_findings: findings to keep; the counts are always complete.
        report: a .json file for the result, or a .jsonl file for all findings without a limit.
        limit, workers: see `groundprep --help`.
    """

    sources: SourceConfig
    profile: str | None = None
    frame: Literal["trainer", "converter"] = "trainer"
    min_pixels: int | None = None
    max_pixels: int | None = None
    verify: Literal["header", "decode"] = "decode"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_findings: int = MAX_FINDINGS
    report: str | None = None
    limit: int | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class ValidateResult:
    """What `validate` found.

    Args:
        records: rows that were read.
        errors, warnings: findings, all of them.
        findings: the first of them, in the order of the rows; what concerns a file as a whole comes last.
        truncated: there were more findings than are kept.
    """

    records: int
    errors: int
    warnings: int
    findings: tuple[Finding, ...]
    truncated: bool

    def fails(self, fail_on: FailOn) -> bool:
        """Say whether there are findings at or above a severity."""
        return {"error": self.errors, "warning": self.errors + self.warnings, "never": 0}[fail_on] > 0

    def as_data(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "records": self.records,
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [finding.as_dict() for finding in self.findings],
            "truncated": self.truncated,
        }


def validate(config: ValidateConfig) -> ValidateResult:
    """Check every row; raises UsageError, and FormatError where rows cannot be enumerated or the report not written."""
    _require_codes((*config.select, *config.ignore))
    _require_report_name(config.report)
    profile = _profile(config)
    loader = ImageLoader()
    assumed = None if profile is None else RowFrame.of_profile(profile)
    sources = open_sources(replace(config.sources, assumed_frame=assumed), loader)
    with _open_report(config.report) as report:
        findings = _Findings(config, report)
        records = _check_rows(config, sources, _Examiner(loader, config.verify, profile), findings)
        for finding in _file_findings(config, sources, profile):
            findings.add(finding)
        if records == 0:
            raise FormatError(
                "the source holds no rows",
                code="no-rows",
                source=", ".join(config.sources.paths),
                expected="at least one row",
                fix="check what wrote it",
            )
        result = findings.result(records)
        if report is not None:
            report.finish(result)
    return result


def _require_codes(codes: Iterable[str]) -> None:
    for code in codes:
        if code not in RULES:
            raise UsageError(
                "no check has this code", code="no-such-code", found=code, expected=", ".join(sorted(RULES))
            )


def _require_report_name(name: str | None) -> None:
    if name is not None and Path(name).suffix not in (".json", ".jsonl"):
        raise UsageError("the report's extension says its format", found=name, expected="FILE.json or FILE.jsonl")


def _profile(config: ValidateConfig) -> Profile | None:
    if config.profile is not None:
        return resolve_profile(FrameConfig(config.profile, config.frame, config.min_pixels, config.max_pixels))
    if config.min_pixels is not None or config.max_pixels is not None or config.frame != "trainer":
        raise UsageError("--min-pixels, --max-pixels and --frame concern a trainer", expected="--for PROFILE")
    return None


_Item: TypeAlias = tuple[Row | Dropped, Dialect, ReadContext]


@dataclass(slots=True)
class _Examined:
    """What one row gave: its record, unless it is bad; what the checks found; the rows that the trainer would read."""

    record: Record | None
    findings: list[Finding]
    rows: list[tuple[Record, dict[str, Any]]] = field(default_factory=list)
    sizes_wh: tuple[SizeWH | None, ...] = ()


class _Examiner:
    """Runs every check that looks at one row; any thread may call it."""

    def __init__(self, loader: ImageLoader, verify: Literal["header", "decode"], profile: Profile | None) -> None:
        self.loader = loader
        self.verdicts = ImageVerdicts(loader, verify=verify)
        self.profile = profile

    def __call__(self, items: list[_Item]) -> list[_Examined]:
        """Return what some rows gave."""
        return [self._examine(*item) for item in items]

    def _examine(self, row: Row | Dropped, dialect: Dialect, context: ReadContext) -> _Examined:
        record = parse(row, dialect, context)
        if isinstance(record, Dropped):
            return _Examined(None, [finding_of(record)])
        subject = Subject(record, tuple(self.verdicts.of(ref) for ref in record.images), self.profile)
        examined = _Examined(record, list(record_findings(subject)), sizes_wh=subject.sizes_wh)
        refused = any(finding.code == "size-refused" for finding in examined.findings)
        if self.profile is not None and not refused and None not in subject.sizes_wh:
            self._examine_for(subject, self.profile, examined)
        return examined

    def _examine_for(self, subject: Subject, profile: Profile, examined: _Examined) -> None:
        """Add what the trainer will make of the record: as it is in the file, or as a conversion would write it."""
        record = subject.record
        origin = record.origin
        if origin is not None and origin.dialect in SCORED_ROWS and profile.dialect in SCORED_ROWS:
            examined.findings += trainer_findings(replace(subject, row=origin.value, is_native=True), profile)
            return
        dialect = get_dialect(profile.dialect)
        context = WriteContext(profile.container, self.loader, RowFrame.of_profile(profile), Losses(), profile.style)
        explode = ExplodePhrases(keep_questions=dialect.holds >= QUESTION_FIELDS)
        parts = explode([record]) if profile.unit == "expression" else (record,)
        for part in parts:
            if isinstance(part, Dropped):
                examined.findings.append(finding_of(part))
                continue
            try:
                row = dialect.format(part, context).value
            except ROW_ERRORS as error:
                error.at(part.source)
                value = None if part.origin is None else part.origin.value
                examined.findings.append(finding_of(Dropped(part.source, error.code, error.message, value, error)))
                continue
            examined.findings += trainer_findings(replace(subject, record=part, row=row), profile)
            examined.rows.append((part, row))


def finding_of(dropped: Dropped) -> Finding:
    """Return a bad row as a finding."""
    identity = dropped.row.get("id") if isinstance(dropped.row, dict) else None
    error = dropped.error
    return Finding(
        code=dropped.code,
        severity=Severity.ERROR,
        source=str(error.source or dropped.source),
        message=dropped.message,
        record=identity if isinstance(identity, str | int) and not isinstance(identity, bool) else dropped.source.row,
        found=error.found,
        expected=error.expected,
        fix=error.fix,
    )


def _check_rows(config: ValidateConfig, sources: Sources, examiner: _Examiner, findings: _Findings) -> int:
    """Check all rows in order; returns their number."""
    identities, keys, frames = IdentityWatch(), KeysWatch(), FrameWatch()
    records = 0
    items = islice(_items(sources), config.limit)
    for chunk in ordered_map(examiner, _chunks(items), workers=config.workers or default_workers()):
        for examined in chunk:
            records += 1
            for finding in examined.findings:
                findings.add(finding)
            if examined.record is not None:
                identities.see(examined.record)
                frames.see(examined.record, examined.sizes_wh)
            if examiner.profile is not None and examiner.profile.name == "rexomni-grpo":
                for part, row in examined.rows:
                    findings.add(keys.see(part, row))
    for finding, _count in identities.findings():
        findings.add(finding)
    for finding in frames.findings() if config.sources.source_frame is None else ():
        if finding.source not in sources.with_named_frame:
            findings.add(finding)
    return records


def _file_findings(config: ValidateConfig, sources: Sources, profile: Profile | None) -> Iterator[Finding]:
    for reader, dialect in zip(sources.readers, sources.dialects, strict=True):
        yield from reader.warnings
        if profile is not None:
            yield from profile_findings(
                reader.path,
                dialect.name,
                reader.header.profile,
                profile,
                frame_named=config.sources.source_frame is not None,
            )


def _items(sources: Sources) -> Iterator[_Item]:
    for reader, dialect, context in zip(sources.readers, sources.dialects, sources.contexts, strict=True):
        for row in reader:
            yield row, dialect, context


def _chunks(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    while chunk := list(islice(items, CHUNK_ROWS)):
        yield chunk


class _Findings:
    """Counts all findings that were asked for and keeps the first."""

    def __init__(self, config: ValidateConfig, report: _Report | None) -> None:
        self.config = config
        self.report = report
        self.kept: list[Finding] = []
        self.counts = dict.fromkeys(Severity, 0)

    def add(self, finding: Finding | None) -> None:
        """Count a finding, unless its code was not selected or is ignored."""
        if finding is None or finding.code in self.config.ignore:
            return
        if self.config.select and finding.code not in self.config.select:
            return
        self.counts[finding.severity] += 1
        if self.report is not None:
            self.report.add(finding)
        if len(self.kept) < self.config.max_findings:
            self.kept.append(finding)

    def result(self, records: int) -> ValidateResult:
        """Return the result."""
        errors, warnings = self.counts[Severity.ERROR], self.counts[Severity.WARNING]
        return ValidateResult(records, errors, warnings, tuple(self.kept), truncated=errors + warnings > len(self.kept))


class _Report:
    """The file of `--report`: `.json` holds the result, `.jsonl` one finding a line, all of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.file: IO[bytes] = self.partial.open("wb")

    def add(self, finding: Finding) -> None:
        """Write a finding, if the file is one of findings."""
        if self.path.suffix == ".jsonl":
            with writing(self.path):
                self.file.write(encode_compact(finding.as_dict()) + b"\n")

    def finish(self, result: ValidateResult) -> None:
        """Write the result, if the file is one of a result, and give the file its name."""
        with writing(self.path):
            if self.path.suffix == ".json":
                self.file.write(encode_compact(result.as_data()) + b"\n")
            self.file.close()
            self.partial.replace(self.path)


@contextmanager
def _open_report(name: str | None) -> Iterator[_Report | None]:
    """Yield the report file; nothing stays behind unless it was finished."""
    if name is None:
        yield None
        return
    path = Path(name)
    with writing(path):
        report = _Report(path)
    try:
        yield report
    finally:
        report.partial.unlink(missing_ok=True)
        with suppress(OSError):  # what cannot be flushed now was told, or is of no interest any more
            report.file.close()
