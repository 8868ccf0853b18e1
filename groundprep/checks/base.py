"""What a check is: a function from a subject to findings, and the codes that it may yield.

A check of one row is a pure function, so that rows may be checked anywhere and in any order. A check that compares rows is a
`Watch`: what it must remember of a batch is taken where the batch is checked, and compared in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from groundprep.checks.verdicts import Verdict
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.profile import Profile
from groundprep.record import Record


class Rule(NamedTuple):
    """One code: how bad it is at worst, what it means in one line, and which codes it makes superfluous on the same row.

    A suppressed finding says nothing that the suppressing one does not: one defect gives one finding.
    """

    code: str
    severity: Severity
    meaning: str
    suppresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check looks at.

    Args:
        record: the record; for a profile's checks, the one that the row was made from.
        verdicts: what is known of its images, in order.
        profile: the trainer, if one was named.
        row: the row as that trainer will read it.
        is_native: the row is as the file has it; otherwise it is what `convert --for` would write.
    """

    record: Record
    verdicts: tuple[Verdict, ...] = ()
    profile: Profile | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    is_native: bool = False

    @property
    def sizes_wh(self) -> tuple[SizeWH | None, ...]:
        """(width, height) of the images, None for a broken one."""
        return tuple(verdict.size_wh for verdict in self.verdicts)

    def finding(
        self,
        rule: Rule,
        message: str,
        *,
        found: object = None,
        expected: str | None = None,
        fix: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding on this record."""
        return Finding(
            code=rule.code,
            severity=severity or rule.severity,
            record=self.record.label,
            source=str(self.record.source),
            message=message,
            found=None if found is None else shown(found),
            expected=expected,
            fix=fix,
        )


class Watch(Protocol):
    """A check that compares rows; one instance lives as long as a run of `validate`.

    `note` is called with every batch, on any thread or in any process, and must not touch the instance's state: it returns
    what has to be remembered of the batch (small, picklable; None: nothing). `see` gets the notes in the order of the rows.
    Memory that grows with the rows must be bounded, and the bound stated in the class's docstring.
    """

    def note(self, subjects: Sequence[Subject]) -> Any:
        """Return what is to be remembered of some subjects, or None."""

    def see(self, note: Any) -> Iterable[Finding]:
        """Take the next note; yield findings on single rows, if they can be known now."""

    def findings(self) -> Iterable[Finding]:
        """Yield what was found once all rows are seen."""


@dataclass(frozen=True, slots=True)
class Check:
    """One registry line.

    Args:
        name: what it looks at.
        rules: the codes that it may yield.
        run: yields findings on one subject; None where another part of the program finds them (readers, the whole file).
        applies: for which profile its findings exist; None: always, and then it sees each record as it was read.
        watch: makes the state of a check that compares rows; it sees the same subjects as `run` would.
    """

    name: str
    rules: tuple[Rule, ...]
    run: Callable[[Subject], Iterable[Finding]] | None = None
    applies: Callable[[Profile], bool] | None = None
    watch: Callable[[], Watch] | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it may yield."""
        return tuple(rule.code for rule in self.rules)
