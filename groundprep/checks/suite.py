"""The checks of one run: which of them apply, run over batches of subjects, and one finding for one defect."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundprep.checks.base import Batch, Check, ReportingWatch, Rule, Watch
from groundprep.finding import Finding
from groundprep.profile import Profile


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which codes shall be reported.

    Args:
        select: these; empty: all.
        ignore: but not these.
    """

    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()

    def __contains__(self, code: str) -> bool:
        """Say whether findings of a code are reported."""
        return code not in self.ignore and (not self.select or code in self.select)


_PART = re.compile(r"#\d+$")
"""What a part's source ends in: `file:row#part`."""


class Suite:
    """The checks that apply to a profile, in the order of the registry.

    Args:
        checks: all there are.
        profile: the trainer; None: only the checks of records as they were read.
        wanted: a check of whose codes none is wanted is not run.
    """

    def __init__(self, checks: Sequence[Check], profile: Profile | None = None, wanted: Wanted | None = None) -> None:
        self.wanted = wanted or Wanted()
        live = [check for check in checks if self._is_live(check)]
        self.of_records = tuple(check for check in live if check.applies is None)
        self.of_rows = tuple(
            check for check in live if profile is not None and check.applies is not None and check.applies(profile)
        )
        self._watching = tuple(check for check in (*self.of_records, *self.of_rows) if check.watch is not None)
        self._noting = self.watches()

    def _is_live(self, check: Check) -> bool:
        if check.run is None and check.watch is None:
            return False
        return not check.rules or any(rule.code in self.wanted for rule in (*check.rules, *check.also))

    def watches(self) -> list[Watch]:
        """Return new watches, in the order of the notes that `notes` gives."""
        return [check.watch() for check in self._watching if check.watch is not None]

    def record_findings(self, subjects: Batch) -> dict[int, list[Finding]]:
        """Return what records give, as they were read, by their place in the batch; most give nothing."""
        return self._run(self.of_records, subjects)

    def row_findings(self, subjects: Batch) -> dict[int, list[Finding]]:
        """Return what rows give, as the trainer will read them, by their place in the batch."""
        return self._run(self.of_rows, subjects)

    def notes(self, records: Batch, rows: Batch) -> list[Any]:
        """Return what each watch shall see of some records and of the rows that were made from them."""
        notes = []
        sized: Batch | None = None
        for check, watch in zip(self._watching, self._noting, strict=True):
            subjects = records
            if check.applies is not None:
                if check.needs_sizes and sized is None:
                    sized = rows if all(row.is_sized for row in rows) else Batch(row for row in rows if row.is_sized)
                subjects = sized if check.needs_sizes and sized is not None else rows
            notes.append(watch.note(subjects) if subjects else None)
        return notes

    def _run(self, checks: Iterable[Check], subjects: Batch) -> dict[int, list[Finding]]:
        found: defaultdict[int, list[Finding]] = defaultdict(list)
        for check in checks:
            if check.run is None:
                continue
            needs_sizes = check.applies is not None and check.needs_sizes
            places: Iterable[int] = range(len(subjects)) if check.screen is None else check.screen(subjects)
            for place in places:
                subject = subjects[place]
                if needs_sizes and not subject.is_sized:
                    continue
                for finding in check.run(subject):
                    if finding.code in self.wanted:
                        found[place].append(finding)
        return found


def without_suppressed(findings: Sequence[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
    """Return the findings without those that say less than another one on the same record, or on a part of it.

    Where both say which phrase (or image, region) they concern, only those on the same one are left out.

    Of two rules that suppress each other both stay silent, so no two may; a test of the registry says so.
    """
    suppressed: defaultdict[tuple[str, str], set[str | None]] = defaultdict(set)
    for finding in findings:
        rule = rules.get(finding.code)
        if rule is not None and rule.suppresses:
            for source in {finding.source, _PART.sub("", finding.source)}:
                for code in rule.suppresses:
                    suppressed[source, code].add(finding.part)
    if not suppressed:
        return list(findings)
    return [f for f in findings if not _is_told(f.part, suppressed.get((f.source, f.code), set()))]


def _is_told(part: str | None, told: set[str | None]) -> bool:
    """Say whether findings on some parts of a row (None: on all of it) make one on `part` superfluous."""
    return bool(told) and (part is None or None in told or part in told)


def results_of(watches: Iterable[Watch], profile: Profile | None) -> dict[str, Any]:
    """Return what the watches have for the result of a run."""
    results: dict[str, Any] = {}
    if profile is not None:
        for watch in watches:
            if isinstance(watch, ReportingWatch):
                results |= watch.results(profile)
    return results


def iter_findings(watches: Iterable[Watch]) -> Iterator[Finding]:
    """Yield what the watches found once all rows are seen."""
    for watch in watches:
        yield from watch.findings()
