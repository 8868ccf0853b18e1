"""What the user sees: results on stdout, everything else on stderr.

Text from data is escaped before it reaches a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from groundprep.cli.options import Globals, OutputFormat
from groundprep.errors import shown, visible


class Out:
    """Prints in the chosen format.

    Args:
        options: the global options.
        stdout_is_data: the verb writes rows to stdout, so results go to stderr.
    """

    def __init__(self, options: Globals, *, stdout_is_data: bool = False) -> None:
        self.options = options
        self.stream: TextIO = sys.stderr if stdout_is_data else sys.stdout

    @property
    def is_human(self) -> bool:
        """Say whether people read the result."""
        return self.options.format is OutputFormat.HUMAN

    def json(self, value: Any) -> None:
        """Print one JSON value on one line, if JSON was asked for."""
        if self.options.format is OutputFormat.JSON:
            print(json.dumps(value, ensure_ascii=True), file=self.stream)

    def line(self, text: str) -> None:
        """Print a line for people."""
        if self.is_human:
            print(visible(text), file=self.stream)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print an aligned table for people; numbers to the right."""
        if self.is_human:
            print_table(columns, rows, self.stream)

    def losses(self, losses: Mapping[str, Mapping[str, Any]]) -> None:
        """Print a loss report; the column of what was added only if something was."""
        columns = {name: name for name in ("kept", "renamed", "rounded", "lost")}
        columns |= {"added": "added"} if any(loss.get("added") for loss in losses.values()) else {}
        columns |= {"largest_error_px": "largest error (px)"}
        rows = [(name, *(loss.get(column, 0) for column in columns)) for name, loss in losses.items()]
        self.table(("field", *columns.values()), rows)

    def hint(self, text: str) -> None:
        """Print a hint on stderr."""
        if self.options.format is not OutputFormat.QUIET:
            print(visible(text), file=sys.stderr)

    def warning(self, code: str, source: str, message: str, *, count: int = 1, fix: str | None = None) -> None:
        """Print one accepted oddity on stderr."""
        times = f" ({count} times)" if count > 1 else ""
        advice = f"; fix: {fix}" if fix else ""
        self.hint(f"warning[{code}] {source}: {message}{times}{advice}")

    def warnings(self, warnings: Iterable[dict[str, Any]]) -> None:
        """Print the warnings of a run on stderr."""
        for warning in warnings:
            self.warning(
                warning["code"], warning["source"], warning["message"], count=warning["count"], fix=warning["fix"]
            )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], stream: TextIO) -> None:
    """Print an aligned table: text to the left, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(columns))]
    widths = [max(len(row[i]) for row in (list(columns), *cells)) for i in range(len(columns))]
    for row in (list(columns), *cells):
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(padded).rstrip(), file=stream)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(str(value))


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "").replace("e", "").isdigit() or cell in ("", "-")
