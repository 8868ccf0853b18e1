"""The findings of a run by code: how many, how bad, and the first few as examples; for reports that people read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from groundprep.checks.base import Rule
from groundprep.finding import Finding, Severity

EXAMPLES = 3


@dataclass(slots=True)
class CodeTally:
    """The findings of one code.

    Args:
        code: the code.
        meaning: what it means, in one line.
        errors, warnings: how many there were of each severity.
        examples: the first few.
    """

    code: str
    meaning: str
    errors: int = 0
    warnings: int = 0
    examples: list[Finding] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there were."""
        return self.errors + self.warnings

    @property
    def severity(self) -> Severity:
        """The worst severity."""
        return Severity.ERROR if self.errors else Severity.WARNING

    @property
    def fixes(self) -> list[str]:
        """What to do, as the examples say it, each once."""
        return list(dict.fromkeys(finding.fix for finding in self.examples if finding.fix))

    def as_data(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "meaning": self.meaning,
            "errors": self.errors,
            "warnings": self.warnings,
            "examples": [finding.as_dict() for finding in self.examples],
        }


class Tally:
    """Counts findings by code; memory does not grow with their number."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        self._rules = rules
        self._codes: dict[str, CodeTally] = {}

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        tally = self._codes.get(finding.code)
        if tally is None:
            rule = self._rules.get(finding.code)
            tally = self._codes[finding.code] = CodeTally(
                finding.code, finding.message if rule is None else rule.meaning
            )
        if finding.severity is Severity.ERROR:
            tally.errors += 1
        else:
            tally.warnings += 1
        if len(tally.examples) < EXAMPLES:
            tally.examples.append(finding)

    def worst_first(self) -> list[CodeTally]:
        """Return the codes, errors before warnings, the most frequent first."""
        return sorted(
            self._codes.values(), key=lambda tally: (tally.severity is not Severity.ERROR, -tally.count, tally.code)
        )
