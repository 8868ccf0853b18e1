"""The loss report: per field, how many values a conversion kept, renamed, rounded, could not hold, or had to add."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any


@dataclass(slots=True)
class FieldLoss:
    """Counts for one field; `largest_error_px` is the largest rounding error, in pixels of the stored image.

    `added` counts what the target's layout requires and the source does not say: a default, a box drawn around an outline.
    """

    kept: int = 0
    renamed: int = 0
    rounded: int = 0
    lost: int = 0
    largest_error_px: float = 0.0
    added: int = 0


@dataclass(slots=True)
class Losses:
    """Counts per field; one object per batch of rows, added up in order."""

    fields: defaultdict[str, FieldLoss] = field(default_factory=partial(defaultdict, FieldLoss))

    def kept(self, name: str, count: int = 1) -> None:
        """Count values that are written as they are."""
        if count:
            self.fields[name].kept += count

    def renamed(self, name: str, count: int = 1) -> None:
        """Count values that live on under another name or in other words."""
        if count:
            self.fields[name].renamed += count

    def rounded(self, name: str, *errors_px: float) -> None:
        """Count geometries that were rounded; an error of exactly 0 counts as kept."""
        loss = self.fields[name]
        exact = errors_px.count(0)
        loss.kept += exact
        loss.rounded += len(errors_px) - exact
        loss.largest_error_px = max(loss.largest_error_px, *errors_px)

    def lost(self, name: str, count: int = 1) -> None:
        """Count values that the target cannot hold."""
        if count:
            self.fields[name].lost += count

    def added(self, name: str, count: int = 1) -> None:
        """Count values that the target's layout requires and the source does not say."""
        if count:
            self.fields[name].added += count

    def held(self, name: str, *, held: bool, count: int = 1) -> None:
        """Count values as kept or lost."""
        if not count:
            return
        if held:
            self.fields[name].kept += count
        else:
            self.fields[name].lost += count

    def add(self, other: Losses) -> None:
        """Add another batch's counts."""
        for name, loss in other.fields.items():
            mine = self.fields[name]
            mine.kept += loss.kept
            mine.renamed += loss.renamed
            mine.rounded += loss.rounded
            mine.lost += loss.lost
            mine.added += loss.added
            mine.largest_error_px = max(mine.largest_error_px, loss.largest_error_px)

    @property
    def is_lossless(self) -> bool:
        """Say whether nothing was rounded or lost."""
        return not any(loss.rounded or loss.lost for loss in self.fields.values())

    def as_data(self) -> dict[str, Any]:
        """Return the report as JSON values, fields sorted by name; errors to a millionth of a pixel."""
        return {
            name: {
                "kept": loss.kept,
                "renamed": loss.renamed,
                "rounded": loss.rounded,
                "lost": loss.lost,
                "largest_error_px": round(loss.largest_error_px, 6),
                "added": loss.added,
            }
            for name, loss in sorted(self.fields.items())
        }
