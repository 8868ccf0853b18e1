"""What a check is: a function from a subject to findings, and the codes that it may yield.

A check of one row is a pure function, so that rows may be checked anywhere and in any order. A check that compares rows is a
`Watch`: what it must remember of a batch is taken where the batch is checked, and compared in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from groundprep.checks.tokens import ESTIMATED, TokenCounter
from groundprep.checks.verdicts import Verdict
from groundprep.errors import shown
from groundprep.finding import Finding, PartFinding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.profile import Profile
from groundprep.record import Record
from groundprep.source import replaceable


class Rule(NamedTuple):
    """One code: how bad it is at worst, what it means in one line, and which codes it makes superfluous on the same row.

    A suppressed finding says nothing that the suppressing one does not: one defect gives one finding. Of two findings that
    know which part of the row they concern (`about`), one on another part is never suppressed.
    """

    code: str
    severity: Severity
    meaning: str
    suppresses: tuple[str, ...] = ()


class Split(NamedTuple):
    """A split of a data set: what tells the data set from others, and the split's name in it."""

    data_set: str
    name: str


REWARD_VERDICTS = ("reward-ceiling-low", "reward-unreachable", "useless-answer-scores")
"""What a reward makes of a row: an effect, which the finding that names its cause makes superfluous."""


@partial(replaceable, anew=("memo",))
class Subject(Struct, frozen=True, gc=False):
    """What a check looks at.

    Args:
        record: the record; for a profile's checks, the one that the row was made from.
        verdicts: what is known of its images, in order.
        profile: the trainer, if one was named.
        row: the row as that trainer will read it.
        is_native: the row is as the file has it; otherwise it is what `convert --for` would write.
        tokens: counts the tokens of a text.
        is_frame_named: a person said in which frame its numbers are.
        split: the one that its file is, if its file is one.
        memo: what one check found out and another may use: the same subject goes to a check's `run` and to its `watch`.
    """

    record: Record
    verdicts: tuple[Verdict, ...] = ()
    profile: Profile | None = None
    row: Mapping[str, Any] = msgspec.field(default_factory=dict)
    is_native: bool = False
    tokens: TokenCounter = ESTIMATED
    is_frame_named: bool = False
    split: Split | None = None
    memo: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def sizes_wh(self) -> tuple[SizeWH | None, ...]:
        """(width, height) of the images, None where it is unknown: a broken one, or none that was looked at."""
        return tuple([verdict.size_wh for verdict in self.verdicts])

    @property
    def is_sized(self) -> bool:
        """Say whether the sizes of all images are known."""
        return None not in self.sizes_wh

    def finding(
        self,
        rule: Rule,
        message: str,
        *,
        found: object = None,
        expected: str | None = None,
        fix: str | None = None,
        severity: Severity | None = None,
        about: str | None = None,
    ) -> Finding:
        """Return a finding on this record; `about`: on this part of it alone."""
        finding = Finding(
            code=rule.code,
            severity=severity or rule.severity,
            record=self.record.label,
            source=str(self.record.source),
            message=message,
            found=None if found is None else shown(found),
            expected=expected,
            fix=fix,
        )
        return finding if about is None else PartFinding(**msgspec.structs.asdict(finding), about=about)


class Batch(list[Subject]):
    """Subjects that are looked at together; `memo`: what one check found out about them all and another may use."""

    def __init__(self, subjects: Iterable[Subject] = ()) -> None:
        super().__init__(subjects)
        self.memo: dict[str, Any] = {}


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


@runtime_checkable
class ReportingWatch(Watch, Protocol):
    """A watch that has something for the result of `validate`, beside its findings."""

    def results(self, profile: Profile) -> Mapping[str, Any]:
        """Return what goes into the result, as JSON values by key; the same for every number of workers."""


@dataclass(frozen=True, slots=True)
class Check:
    """One registry line.

    Args:
        name: what it looks at.
        rules: the codes that it may yield.
        run: yields findings on one subject; None where another part of the program finds them (readers, the whole file).
        applies: for which profile its findings exist; None: always, and then it sees each record as it was read.
        watch: makes the state of a check that compares rows; it sees the same subjects as `run` would.
        screen: yields, in order, the places of those subjects of a batch in which `run` may find something; it may name one
            too many, never one too few. For checks that find nothing in most rows and can tell so of many rows at once.
        needs_sizes: it is not run where an image's size is unknown. Without it, a row that `convert` would write has the
            numbers as they were read, where the trainer's frame cannot be computed (see `Subject.is_sized`).
        also: further codes that it may yield, which belong to other checks.
    """

    name: str
    rules: tuple[Rule, ...]
    run: Callable[[Subject], Iterable[Finding]] | None = None
    applies: Callable[[Profile], bool] | None = None
    watch: Callable[[], Watch] | None = None
    screen: Callable[[Sequence[Subject]], Iterable[int]] | None = None
    needs_sizes: bool = True
    also: tuple[Rule, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it may yield."""
        return tuple(rule.code for rule in self.rules)


def of_dialects(*names: str) -> Callable[[Sequence[Subject]], list[int]]:
    """Return the screen of a check that concerns records which were read from rows of these dialects."""

    def screen(subjects: Sequence[Subject]) -> list[int]:
        origins = [subject.record.origin for subject in subjects]
        return [place for place, origin in enumerate(origins) if origin is not None and origin.dialect in names]

    return screen
