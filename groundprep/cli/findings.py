"""Findings for people and for CI: by code, worst first, a few examples each; and GitHub's annotations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from groundprep.errors import visible

if TYPE_CHECKING:
    from groundprep.api.fix import FixResult
    from groundprep.checks.tally import CodeTally
    from groundprep.cli.out import Out
    from groundprep.finding import Finding

ANNOTATED_PER_SEVERITY = 10
"""GitHub shows ten annotations of a severity for each step, and drops the rest."""


FIXABLE = frozenset(
    {"answer-not-in-hint", "box-inverted", "box-outside", "hint-duplicate", "text-control", "text-spaces"}
)
"""Codes of which `--fix` repairs what can be repaired safely; see `stages.repair`."""


def print_findings(out: Out, tallies: Sequence[CodeTally], *, offers_fix: bool = True) -> None:
    """Print every code with its meaning, number, first examples and fixes."""
    for tally in tallies:
        out.line(f"{tally.severity}[{tally.code}] {counted(tally.count, 'finding')}: {tally.meaning}")
        for finding in tally.examples:
            out.line(f"  {example_line(finding)}")
        if tally.count > len(tally.examples):
            out.line(f"  … and {tally.count - len(tally.examples)} more")
        for fix in tally.fixes:
            out.line(f"  fix: {fix}")
        out.line("")
    if any(tally.count > len(tally.examples) for tally in tallies):
        out.line(
            "--report FILE.jsonl writes every finding, --report FILE.html a page; docs/errors.md explains every code"
        )
    fixable = sum(tally.count for tally in tallies if tally.code in FIXABLE)
    if offers_fix and fixable:
        out.line(f"--fix OUT repairs what is safe to repair: some or all of {counted(fixable, 'finding')}")


def print_fixes(out: Out, fixed: FixResult) -> None:
    """Print what `--fix` did, before the findings on what is left."""
    done = ", ".join(f"{number} {kind}" for kind, number in sorted(fixed.changes.items())) or "nothing to fix"
    out.line(
        f"wrote {', '.join(fixed.outputs)}: {counted(fixed.rows, 'row')}, {fixed.rows_changed} of them changed: {done}"
    )
    if fixed.changes_file is not None:
        out.line(f"every change is in {fixed.changes_file}")
    if fixed.dropped:
        out.line(
            f"{counted(fixed.dropped, 'row')} could not be read and {'was' if fixed.dropped == 1 else 'were'} dropped"
        )
    if fixed.refused:
        out.line(f"{counted(fixed.refused, 'row')} could not be written with its fixes and stayed as it was")
    out.line("what is left:")


def example_line(finding: Finding) -> str:
    """Return `file:row: message; found …; expected …`."""
    parts = [f"{finding.source}: {finding.message}"]
    parts += [f"{name} {value}" for name, value in (("found", finding.found), ("expected", finding.expected)) if value]
    return "; ".join(parts)


def wants_annotations(choice: str) -> bool:
    """Say whether annotations are printed: asked for, or running under GitHub Actions."""
    return choice == "github" or (choice == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


def print_annotations(out: Out, tallies: Sequence[CodeTally]) -> None:
    """Print GitHub's workflow commands: the first examples of every code, as many as GitHub shows."""
    for line in github_annotations(tallies):
        out.line(line)


def github_annotations(tallies: Sequence[CodeTally]) -> Iterator[str]:
    """Yield one workflow command for a finding: first one of every code, then the second ones, worst first."""
    left = {"error": ANNOTATED_PER_SEVERITY, "warning": ANNOTATED_PER_SEVERITY}
    most = max((len(tally.examples) for tally in tallies), default=0)
    for place in range(most):
        for tally in tallies:
            if place >= len(tally.examples):
                continue
            finding = tally.examples[place]
            if left[finding.severity]:
                left[finding.severity] -= 1
                yield _annotation(finding)


def _annotation(finding: Finding) -> str:
    """Return `::error file=…,line=…,title=code::message`; text from data can neither end it nor begin another."""
    path, _, row = finding.source.rpartition(":")
    number = row.partition("#")[0]
    if not number.isdecimal():
        path, number = finding.source, ""
    place = f"file={_property(path)}" + (f",line={number}" if number else "")
    message = "; ".join(part for part in (finding.message, finding.found, finding.fix) if part)
    return f"::{finding.severity} {place},title={_property(finding.code)}::{_data(message)}"


def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def counted(number: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
