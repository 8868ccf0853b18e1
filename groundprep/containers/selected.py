"""Part of a source's rows, or its rows more than once: `path#500`, `path%50`, and a mixture's `sample` and `weight`.

Rows are chosen by their number, good and bad rows alike, before anything looks into them. The order of the file is kept;
a weight above one reads the chosen rows again, pass after pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random

from groundprep.containers.base import Reader, Row
from groundprep.containers.choice import Strategy, verdicts
from groundprep.record import Dropped


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a source, and how often.

    Args:
        strategy: which rows.
        weight: how often each of them, above 0: 2 is twice, 0.5 is a random half of them, 2.5 is both; the number of
            rows is rounded up.
        seed: decides every random choice.
    """

    strategy: Strategy
    weight: Fraction = Fraction(1)
    seed: int = 0

    @property
    def is_everything(self) -> bool:
        """Say whether the selection changes nothing."""
        return self.strategy.name == "all" and self.weight == 1

    def sizes(self, total: int) -> tuple[int, int]:
        """Return how many of `total` rows are chosen, and how many are read in the end."""
        chosen = self.strategy.size(total)
        return chosen, -(-self.weight.numerator * chosen // self.weight.denominator)


class SelectedReader(Reader):
    """Reads a selection of another reader's rows.

    Attributes:
        not_selected, repeated: rows left out, and rows read again; complete after the last row.
    """

    container = ""

    def __init__(self, reader: Reader, selection: Selection) -> None:
        super().__init__(reader.path)
        self.reader = reader
        self.container = reader.container
        self.header = reader.header
        self.warnings = reader.warnings
        self.selection = selection
        self.not_selected = 0
        self.repeated = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self.not_selected = self.repeated = 0

    @property
    def files(self) -> list[Path]:
        """The files of the reader."""
        return self.reader.files

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield the chosen rows; a weight may leave some of them out, or yield them again."""
        self.reset()
        selection = self.selection
        total = sum(1 for _ in self.reader)
        chosen, wanted = selection.sizes(total)
        passes, rest = divmod(wanted, chosen) if chosen else (0, 0)
        for number in range(passes):
            for row in self._chosen(total, count_rest=number == 0):
                self.repeated += number > 0
                yield row
        if rest:
            keep = verdicts(Strategy("random", rest), total=chosen, random=Random(f"{selection.seed}:{passes}"))  # noqa: S311 (a choice of rows, no secret)
            for row, kept in zip(self._chosen(total, count_rest=passes == 0), keep, strict=False):
                if kept:
                    self.repeated += passes > 0
                    yield row
                elif passes == 0:
                    self.not_selected += 1

    def _chosen(self, total: int, *, count_rest: bool) -> Iterator[Row | Dropped]:
        """Yield the rows that the strategy chooses."""
        keep = verdicts(self.selection.strategy, total=total, random=Random(self.selection.seed))  # noqa: S311 (as above)
        for row, kept in zip(self.reader, keep, strict=False):
            if kept:
                yield row
            else:
                self.not_selected += count_rest
