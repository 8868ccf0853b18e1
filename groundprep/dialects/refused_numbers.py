"""The error of numbers that are no box, point or polygon, which the row can complete with the place where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundprep.containers.key_paths import first_place, placed
from groundprep.errors import RecordError, shown


class NumbersError(RecordError):
    """Numbers of a row are no box, point or polygon; the row can tell where they stand."""

    numbers: Sequence[float] | None = None

    def of(self, numbers: Sequence[float]) -> NumbersError:
        """Return the same error, which remembers the numbers."""
        self.numbers = numbers
        return self

    def locate(self, value: Mapping[str, Any]) -> None:
        """Put the key path of the numbers in front of what was found, if the row holds them as a list."""
        if self.numbers is not None and self.found is not None:
            wanted, self.numbers = list(self.numbers), None
            self.found = shown(placed(first_place(value, lambda item: item == wanted), self.found))
