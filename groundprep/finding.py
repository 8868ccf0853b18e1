"""One violation of a rule, as a value. The rules live in `checks`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Severity(StrEnum):
    """How bad a finding is: an error makes the trainer fail or learn something wrong; a warning may."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found.

    Args:
        code: stable kebab-case name, a heading in docs/errors.md.
        severity: error or warning.
        record: the record's id, or its number in the file (1-based).
        source: `file:row` or `file:row#part`.
        message: what is wrong.
        found: the value found, at most 120 characters.
        expected: what should be there.
        fix: what to do.
    """

    code: str
    severity: Severity
    record: str | int | None
    source: str
    message: str
    found: str | None = None
    expected: str | None = None
    fix: str | None = None

    @property
    def part(self) -> str | None:
        """What of the record it concerns, such as a phrase; None: the record as a whole, or that is not known."""
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return dict(msgspec.to_builtins(self))


class PartFinding(Finding, frozen=True, kw_only=True):
    """A finding on one part of its record: it makes no finding on another part superfluous.

    Args:
        about: the part: a phrase, an image, or the place of a region. Reports do not have it.
    """

    about: str

    @property
    def part(self) -> str | None:
        """What of the record it concerns."""
        return self.about

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values: the same keys as of any other."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name != "about"}
