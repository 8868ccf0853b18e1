"""Progress of a long run on stderr: a bar on a terminal, a plain line every ten seconds elsewhere; and its bad rows."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from groundprep.cli.options import Globals, OutputFormat
from groundprep.cli.out import Out
from groundprep.errors import visible

if TYPE_CHECKING:
    from groundprep.record import Dropped

LINE_EVERY_S = 10.0
SHOWN_BAD_ROWS = 20


class Progress:
    """Tells people; use it as a context manager. Quiet runs tell bad rows only.

    Args:
        options: the global options.
        bad_word: how a bad row's line begins: `error`, or `dropped` where the run goes on without it.
    """

    def __init__(self, options: Globals, *, bad_word: str) -> None:
        self.out = Out(options)
        self.bad_word = bad_word
        self.quiet = options.format is OutputFormat.QUIET
        self.plain = not sys.stderr.isatty() or "NO_COLOR" in os.environ or "CI" in os.environ
        self.bad_rows = 0
        self._bar: Any = None
        self._task: Any = None
        self._what, self._rows, self._done = "", 0, 0
        self._started = self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()
        if self.bad_rows > SHOWN_BAD_ROWS:
            self._line(f"and {self.bad_rows - SHOWN_BAD_ROWS} more")

    def begin(self, what: str, rows: int) -> None:
        """Start counting rows."""
        self._close_bar()
        self._what, self._rows, self._done = what, rows, 0
        self._started = self._told = time.monotonic()
        if not self.quiet and not self.plain:
            self._bar, self._task = _bar(what, rows)

    def advance(self, rows: int) -> None:
        """Count rows, and tell how many, how fast and how much longer."""
        self._done += rows
        if self._bar is not None:
            self._bar.advance(self._task, rows)
            return
        now = time.monotonic()
        if not self.quiet and now - self._told >= LINE_EVERY_S:
            self._told = now
            rate = self._done / (now - self._started)
            left_s = (self._rows - self._done) / rate if rate else 0.0
            self._line(f"{self._what}: {self._done} of {self._rows} rows, {rate:.1f} rows/s, {left_s:.0f} s left")

    def note(self, text: str) -> None:
        """Tell something on a line of its own."""
        self.out.hint(text)

    def bad_row(self, dropped: Dropped) -> None:
        """Tell a bad row; the first twenty only, the sidecar lists them all."""
        self._close_bar()
        self.bad_rows += 1
        if self.bad_rows <= SHOWN_BAD_ROWS:
            self._line(f"{self.bad_word}[{dropped.code}] {dropped.error}")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @staticmethod
    def _line(text: str) -> None:
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


def _bar(what: str, rows: int) -> tuple[Any, Any]:
    """Return a running bar on stderr and its task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    class Rate(ProgressColumn):
        """Rows a second."""

        def render(self, task: Task) -> Any:
            from rich.text import Text

            return Text(f"{task.speed or 0.0:.1f} rows/s")

    bar = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.start()
    return bar, bar.add_task(what, total=rows)
