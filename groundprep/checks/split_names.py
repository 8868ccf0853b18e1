"""Paths that EasyR1 cuts at `@`, where it expects the name of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

SPLIT_IN_PATH = Rule(
    "at-in-path", Severity.ERROR, "the path holds an @, after which the trainer expects a split's name"
)

CUTS_AT_SPLIT = "easyr1"
"""Source: EasyR1 @b44b311 verl/utils/dataset.py: `path@split`; a second @ breaks it, and a lone file has only the split
`train` (specs/rexthinker.md §4.2, §4.3)."""


def cuts_at_split(profile: Profile) -> bool:
    """Say whether a profile's trainer takes `path@split`."""
    return profile.dialect == CUTS_AT_SPLIT


class SplitNameWatch:
    """Finds such paths; it remembers the paths of the files."""

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}

    def note(self, subjects: Sequence[Subject]) -> list[str] | None:
        """Return the files that the trainer would read as they are, and whose path holds an `@`."""
        paths = {subject.record.source.path: None for subject in subjects if subject.is_native}
        return [path for path in paths if "@" in path] or None

    def see(self, note: list[str] | None) -> Iterable[Finding]:
        """Remember them."""
        self._paths.update(dict.fromkeys(note or ()))
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield an error for each."""
        for path in self._paths:
            yield Finding(
                code=SPLIT_IN_PATH.code,
                severity=SPLIT_IN_PATH.severity,
                record=None,
                source=path,
                message="the trainer cuts the path at the @ and looks for a split of that name",
                found=path,
                expected="a path without @, as the trainer is given it",
                fix="rename the file or its directory, or reach it through a link",
            )
