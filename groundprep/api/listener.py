"""Who is told what a long run does, while it does it."""

from __future__ import annotations

from typing import Protocol

from groundprep.record import Dropped


class Listener(Protocol):
    """Who is told what a long run does."""

    def begin(self, what: str, rows: int) -> None:
        """A pass over the rows begins."""

    def advance(self, rows: int) -> None:
        """Rows were read."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def bad_row(self, dropped: Dropped) -> None:
        """A row cannot be carried."""


class Silent:
    """Tells nobody."""

    def begin(self, what: str, rows: int) -> None:
        """Do nothing."""

    def advance(self, rows: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def bad_row(self, dropped: Dropped) -> None:
        """Do nothing."""
