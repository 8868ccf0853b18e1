"""Where a row came from, in words that a message can show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The place of a row in its file.

    Args:
        path: the file as the user named it; `-` for standard input.
        row: 1-based line number (jsonl, tsv) or item number (json, parquet); None for the file as a whole.
        part: 1-based position among the records that this row holds; None if the row is one record.
    """

    path: str
    row: int | None = None
    part: int | None = None

    def __str__(self) -> str:
        text = self.path if self.row is None else f"{self.path}:{self.row}"
        return text if self.part is None else f"{text}#{self.part}"
