"""docs/interop.md: which reader of which version read what, and how it went."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.environments import READERS, ROOT, Reader

PAGE = ROOT / "docs" / "interop.md"
HEAD = """# Other people's readers

`make interop` converts hand-written sources with `groundprep convert` and lets other people's software read the result, each
from the package index, in an environment of its own under `.venv-interop/` (TRL in the project's own). Counts, boxes, masks and
image bytes must be those of the sources. It needs the package index and 2 GB of disk, so `make test` does not run it; one
reader that fails makes its exit code 1. This page is its report.

The sources hold what goes wrong elsewhere: a crowd, compressed and plain run lengths, a polygon of two rings, an image without
boxes, no `info` and no `licenses`, ids out of order and above 2³², negative categories, and names with umlauts, accents, Chinese
characters and blanks. The tables are the toy expressions and that COCO document; each row is read by the trainer's own rules
(`tests/spec_readers/`) after the reader has loaded it.
"""
MOST_PROBLEMS = 5
"""Problems of one reader on the page."""


@dataclass
class Verdict:
    """What one reader said.

    Args:
        reader: who.
        version: of its package; empty if it did not get so far.
        files: a file's name and what was seen of it.
        problems: one line each; none: all is well.
    """

    reader: Reader
    version: str = ""
    files: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """One line for the terminal."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"FAILED {self.reader.name} {self.version}: {self.problems[0]}{more}"
        return f"ok     {self.reader.name} {self.version}: {len(self.files)} files"


def page_of(verdicts: Sequence[Verdict], groundprep: str) -> str:
    """Return the page."""
    lines = [HEAD, f"groundprep {groundprep}, Python {platform.python_version()}.\n"]
    lines += ["| reader | version | as | verdict |", "|---|---|---|---|"]
    for verdict in verdicts:
        word = "**failed**" if verdict.problems else "ok"
        lines.append(f"| {verdict.reader.name} | {verdict.version or '—'} | {verdict.reader.why} | {word} |")
    lines += ["", "| reader | file | what it saw |", "|---|---|---|"]
    lines += [f"| {verdict.reader.name} | {name} | {seen} |" for verdict in verdicts for name, seen in verdict.files]
    problems = [f"- **{v.reader.name}**: {problem}" for v in verdicts for problem in v.problems[:MOST_PROBLEMS]]
    lines += ["", "## Problems", "", *problems] if problems else []
    return "\n".join(lines) + "\n"


def write(verdicts: Sequence[Verdict], groundprep: str) -> Path:
    """Write the page, if every reader was asked; returns it."""
    if {verdict.reader for verdict in verdicts} == set(READERS):
        PAGE.write_text(page_of(verdicts, groundprep), encoding="utf-8")
    return PAGE
