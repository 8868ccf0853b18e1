"""`groundprep validate`: every rule that rows must keep, on every row; a bad row is a finding, never the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from groundprep.api.against import AgainstConfig, leaks_of
from groundprep.api.budget import BudgetConfig, require_no_budget, token_counter, with_budget
from groundprep.api.examine import Examined, Examiner, Setup, SourceSetup, Verify, iter_chunks
from groundprep.api.frame import FrameConfig, resolve_profile
from groundprep.api.report import Report, open_reports, require_report_name
from groundprep.api.sources import SourceConfig, Sources, open_sources
from groundprep.api.splits import split_of_file, with_parts
from groundprep.checks.alignment import AlignmentWatch
from groundprep.checks.base import Watch
from groundprep.checks.ceilings import no_ceilings
from groundprep.checks.container_faults import as_loader_sees
from groundprep.checks.files import FileFrame, frame_findings, reads_as_is
from groundprep.checks.gold_answers import with_reward
from groundprep.checks.layouts import layout_findings
from groundprep.checks.registry import RULES
from groundprep.checks.suite import Wanted, iter_findings, results_of, without_suppressed
from groundprep.checks.tally import CodeTally, Tally
from groundprep.containers import STDIN
from groundprep.engine.local import default_workers, ordered_map
from groundprep.engine.processes import process_map
from groundprep.errors import FormatError, UsageError
from groundprep.finding import Finding, Severity
from groundprep.image_loader import ImageLoader
from groundprep.pipeline import rare_collections
from groundprep.profile import Profile, RowFrame

FailOn: TypeAlias = Literal["error", "warning", "never"]

MAX_FINDINGS = 1000

CHUNKS_TOGETHER = 8
CHUNKS_ALONE = 80
"""About 10,000 rows: starting processes takes as long as examining them."""


@dataclass(frozen=True, slots=True)
class ValidateConfig:
    """What `validate` shall do.

    Args:
        sources: what to read.
        profile: the trainer that shall read it, `NAME[@REV]`; None: rows, images and boxes only.
        frame: the trainer's frame, or the one that the trainer's own converter assumes.
        min_pixels, max_pixels: override the profile's limits.
        verify: decode every image, parse headers only, or look for no image at all.
        select: codes to report; empty means all.
        ignore: codes not to report.
        max_findings: findings to keep; the counts are always complete.
        report: a .json file for the result, a .jsonl file for all findings without a limit, or an .html page.
        limit, workers: see `groundprep --help`.
        budget: limits of the training on tokens and batches, where they are not the profile's.
        reward: what scores the right answers; None: the profile's own.
        min_ceiling: what a right answer should earn at least; None: the profile's.
        against: evaluation data that the rows shall not be part of.
    """

    sources: SourceConfig
    profile: str | None = None
    frame: Literal["trainer", "converter"] = "trainer"
    min_pixels: int | None = None
    max_pixels: int | None = None
    verify: Verify = "decode"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_findings: int = MAX_FINDINGS
    report: str | None = None
    limit: int | None = None
    workers: int | None = None
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    reward: str | None = None
    min_ceiling: float | None = None
    against: AgainstConfig = field(default_factory=AgainstConfig)


@dataclass(frozen=True, slots=True)
class ValidateResult:
    """What `validate` found.

    Args:
        records: rows that were read.
        errors, warnings: findings, all of them.
        findings: the first of them, in the order of the rows; what concerns a file as a whole comes last.
        truncated: there were more findings than are kept.
        sources: what was read, as it was named.
        profile: the trainer, `name@revision`; None if none was named.
        tallies: the findings by code, worst first, all of them counted, the first few as examples.
        unsized: rows with an image of unknown size: what needs the size was not checked.
        measured: what else was measured of the whole, by name (`ceilings`, `alignment`); nothing without a trainer.
    """

    records: int
    errors: int
    warnings: int
    findings: tuple[Finding, ...]
    truncated: bool
    sources: tuple[str, ...] = ()
    profile: str | None = None
    tallies: tuple[CodeTally, ...] = ()
    unsized: int = 0
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_code(self) -> dict[str, int]:
        """Code → findings, all of them; by code."""
        return {tally.code: tally.count for tally in sorted(self.tallies, key=lambda tally: tally.code)}

    def fails(self, fail_on: FailOn) -> bool:
        """Say whether there are findings at or above a severity."""
        return {"error": self.errors, "warning": self.errors + self.warnings, "never": 0}[fail_on] > 0

    def as_data(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "records": self.records,
            "errors": self.errors,
            "warnings": self.warnings,
            "profile": self.profile,
            "by_code": self.by_code,
            "unsized": self.unsized,
            **self.measured,
            "findings": [finding.as_dict() for finding in self.findings],
            "truncated": self.truncated,
        }


def validate(config: ValidateConfig, reports: Sequence[Report] = ()) -> ValidateResult:
    """Check every row.

    Args:
        config: what to check.
        reports: take every finding and the result, beside the file of `config.report`.

    Raises:
        UsageError: the configuration is wrong.
        FormatError: rows cannot be enumerated, there is none, or the report cannot be written.
        WorkerLostError: a worker process was killed.
    """
    _require_codes((*config.select, *config.ignore))
    require_report_name(config.report)
    profile = _profile(config)
    assumed = with_parts(config.sources)
    if profile is not None:
        assumed = replace(assumed, assumed_frame=RowFrame.of_profile(profile), assumed_dialect=profile.dialect)
    sources = open_sources(assumed, ImageLoader())
    setup = _setup(config, sources, profile)
    leaks = leaks_of(config.against, assumed, config.verify, setup.wanted)
    setup = replace(setup, further_checks=tuple(leaks.checks))
    with open_reports(() if config.report is None else (config.report,)) as files:
        run = _Run(config, setup, [*reports, *files])
        with rare_collections():
            run.check_rows(sources)
        run.add_all(_file_findings(sources, profile, run.watches))
        run.add_all(leaks.findings)
        result = run.result(profile)
        for report in run.reports:
            report.finish(result)
    return result


def _require_codes(codes: Iterable[str]) -> None:
    for code in codes:
        if code not in RULES:
            raise UsageError(
                "no check has this code", code="no-such-code", found=code, expected=", ".join(sorted(RULES))
            )


def _profile(config: ValidateConfig) -> Profile | None:
    if config.profile is not None:
        profile = resolve_profile(FrameConfig(config.profile, config.frame, config.min_pixels, config.max_pixels))
        profile = with_reward(profile, config.reward, config.min_ceiling)
        return with_budget(profile, config.budget, all_rows=config.limit is None)
    require_no_budget(config.budget)
    if config.reward is not None or config.min_ceiling is not None:
        raise UsageError("--reward and --min-ceiling concern a trainer", expected="--for PROFILE")
    if config.min_pixels is not None or config.max_pixels is not None or config.frame != "trainer":
        raise UsageError("--min-pixels, --max-pixels and --frame concern a trainer", expected="--for PROFILE")
    return None


def _setup(config: ValidateConfig, sources: Sources, profile: Profile | None) -> Setup:
    return Setup(
        tuple(
            SourceSetup(
                reader.path,
                dialect,
                context.images,
                context.row_frame,
                says == "user",
                profile is not None and reads_as_is(dialect.name, reader.container, profile),
                split_of_file(reader.path),
            )
            for reader, dialect, context, says in zip(
                sources.readers, sources.dialects, sources.contexts, sources.frames_say, strict=True
            )
        ),
        config.verify,
        profile,
        Wanted(frozenset(config.select), frozenset(config.ignore)),
        token_counter(config.budget),
    )


class _Run:
    """The driver's side of a run: it sees everything in the order of the rows."""

    def __init__(self, config: ValidateConfig, setup: Setup, reports: list[Report]) -> None:
        self.config = config
        self.setup = setup
        self.reports = reports
        self.watches = setup.suite().watches()
        self.records = self.unsized = 0
        self.kept: list[Finding] = []
        self.tally = Tally(RULES)
        self.by_severity: Counter[Severity] = Counter()

    def check_rows(self, sources: Sources) -> None:
        """Check all rows, in order."""
        warned = [{finding.code for finding in reader.warnings} for reader in sources.readers]
        for examined in self._examined(sources):
            self.records += examined.records
            self.unsized += examined.unsized
            for finding in examined.warnings:  # every chunk tells its first; that of the file counts
                if finding.code not in warned[examined.source]:
                    warned[examined.source].add(finding.code)
                    sources.readers[examined.source].warnings.append(finding)
            seen = [
                finding
                for watch, note in zip(self.watches, examined.notes, strict=True)
                if note is not None
                for finding in watch.see(note)
            ]
            self._add_of_rows(examined, seen)
        if self.records == 0:
            raise FormatError(
                "the source holds no rows",
                code="no-rows",
                source=", ".join(self.config.sources.paths),
                expected="at least one row",
                fix="check what wrote it",
            )
        self.add_all(iter_findings(self.watches))

    def _examined(self, sources: Sources) -> Iterator[Examined]:
        workers = self.config.workers or default_workers()
        chunks = iter_chunks(sources.readers, self.config.verify, self.config.limit)
        if self.setup.may_use_processes:
            make = partial(Examiner, self.setup)
            return process_map(make, chunks, workers=workers, alone=CHUNKS_ALONE, together=CHUNKS_TOGETHER)
        return ordered_map(Examiner(self.setup), chunks, workers=1 if self.config.verify == "none" else workers)

    def _add_of_rows(self, examined: Examined, seen: list[Finding]) -> None:
        findings = examined.findings
        if seen:
            wanted = (finding for finding in seen if finding.code in self.setup.wanted)
            findings = sorted([*findings, *wanted], key=_row_of)
        for finding in without_suppressed(findings, RULES) if findings else ():
            self._add(finding)

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Take findings on files."""
        for finding in findings:
            if finding.code in self.setup.wanted:
                self._add(finding)

    def _add(self, finding: Finding) -> None:
        self.tally.add(finding)
        self.by_severity[finding.severity] += 1
        for report in self.reports:
            report.add(finding)
        if len(self.kept) < self.config.max_findings:
            self.kept.append(finding)

    def result(self, profile: Profile | None) -> ValidateResult:
        """Return the result."""
        return ValidateResult(
            self.records,
            self.by_severity[Severity.ERROR],
            self.by_severity[Severity.WARNING],
            tuple(self.kept),
            truncated=self.by_severity.total() > len(self.kept),
            sources=self.config.sources.paths,
            profile=None if profile is None else profile.full_name,
            tallies=tuple(self.tally.worst_first()),
            unsized=self.unsized,
            measured=no_ceilings(profile) | results_of(self.watches, profile),
        )


def _row_of(finding: Finding) -> int:
    """Return the row number of a finding on a row: `file:row` or `file:row#part`."""
    number = finding.source.rpartition(":")[2].partition("#")[0]
    return int(number) if number.isdecimal() else 0


def _file_findings(sources: Sources, profile: Profile | None, watches: Sequence[Watch]) -> Iterator[Finding]:
    alignments = [watch for watch in watches if isinstance(watch, AlignmentWatch)]
    for reader, dialect, context, says in zip(
        sources.readers, sources.dialects, sources.contexts, sources.frames_say, strict=True
    ):
        yield from (as_loader_sees(warning, dialect.name, reader.container, profile) for warning in reader.warnings)
        if profile is not None:
            file = FileFrame(
                reader.path, dialect.name, reader.container, context.row_frame, says, reader.header.profile
            )
            names = (reader.path, *map(str, reader.files)) if reader.path != STDIN else (reader.path,)
            measured = next((watch.of(names) for watch in alignments), None)
            yield from frame_findings(file, profile, measured)
            yield from layout_findings(file, profile)
