"""Findings by code, worst first."""

from __future__ import annotations

from groundprep.checks.base import Rule
from groundprep.checks.tally import EXAMPLES, Tally
from groundprep.finding import Finding, Severity

RULES = {"box-outside": Rule("box-outside", Severity.ERROR, "a box lies outside its image")}


def finding(code: str, severity: Severity, row: int, fix: str | None = None) -> Finding:
    return Finding(code=code, severity=severity, record=row, source=f"é.jsonl:{row}", message=f"{code}!", fix=fix)


def test_errors_come_before_warnings_and_the_frequent_before_the_rare() -> None:
    tally = Tally(RULES)
    for row in range(9):
        tally.add(finding("blank-line", Severity.WARNING, row))
    for row in range(2):
        tally.add(finding("box-outside", Severity.ERROR, row))
    for row in range(5):
        tally.add(finding("box-degenerate", Severity.ERROR, row))
    assert [(t.code, t.count) for t in tally.worst_first()] == [
        ("box-degenerate", 5),
        ("box-outside", 2),
        ("blank-line", 9),
    ]


def test_the_first_examples_are_kept_and_all_are_counted() -> None:
    tally = Tally(RULES)
    for row in range(1, 8):
        tally.add(finding("box-outside", Severity.ERROR if row == 5 else Severity.WARNING, row, fix=f"fix {row % 2}"))
    (code,) = tally.worst_first()
    assert (code.errors, code.warnings, code.severity) == (1, 6, "error")
    assert [example.record for example in code.examples] == [1, 2, 3][:EXAMPLES]
    assert code.fixes == ["fix 1", "fix 0"]
    assert code.meaning == "a box lies outside its image"


def test_a_code_that_no_rule_describes_is_told_by_its_message() -> None:
    tally = Tally({})
    tally.add(finding("new-code", Severity.ERROR, 1))
    assert tally.worst_first()[0].meaning == "new-code!"
