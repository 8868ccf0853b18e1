"""One defect gives one finding."""

from __future__ import annotations

from groundprep.checks.base import Rule
from groundprep.checks.suite import without_suppressed
from groundprep.finding import Finding, Severity


def test_a_finding_on_a_part_makes_that_on_the_whole_row_superfluous_but_not_that_on_another_part() -> None:
    rules = {"cause": Rule("cause", Severity.ERROR, "…", suppresses=("effect",))}

    def found(code: str, source: str) -> Finding:
        return Finding(code=code, severity=Severity.ERROR, record=1, source=source, message="…")

    cause, whole, other = found("cause", "é.jsonl:7#2"), found("effect", "é.jsonl:7"), found("effect", "é.jsonl:7#1")
    assert without_suppressed([cause, whole, other], rules) == [cause, other]
