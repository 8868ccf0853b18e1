"""What a corpus is: a data set of a layout of its own, in one document or several files that belong together.

Its reader yields rows as a container's does, each complete in itself (an image with its annotations, or a sentence with
its box), and its dialect turns them into Records. So everything that reads rows reads a corpus too.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundprep.containers.base import Reader, Writer
from groundprep.dialects.base import Dialect

NO_KEY = -(1 << 63)
"""Stands for the key of an element that has none that can be read."""

MAX_ID = 1 << 62
"""Largest absolute id; larger numbers are refused, so that there is always a next one."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One registry line.

    Args:
        name: unique among containers, dialects and corpora.
        title: one line for `groundprep formats`.
        reader: yields the rows.
        dialect: what the rows say.
        writer: None: this corpus is only read.
        is_it: says from path and first bytes whether a source is of this corpus.
    """

    name: str
    title: str
    reader: type[Reader]
    dialect: Dialect
    writer: type[Writer] | None
    is_it: Callable[[str], bool]


class Range(NamedTuple):
    """Where an element of an array is: its 1-based place, its first byte and its length."""

    number: int
    offset: int
    length_bytes: int


class RangeIndex:
    """The byte ranges of an array's elements by an integer key: 24 bytes an element."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._offsets = array("Q")
        self._lengths = array("I")
        self._sorted_N: NDArray[np.int64] = np.empty(0, np.int64)
        self._order_N: NDArray[np.uint32] = np.empty(0, np.uint32)

    def add(self, key: int, offset: int, length_bytes: int) -> None:
        """Note the next element; keys may repeat."""
        self._keys.append(key)
        self._offsets.append(offset)
        self._lengths.append(length_bytes)

    def finish(self) -> None:
        """Make the index ready; no element is added afterwards."""
        keys_N = np.frombuffer(self._keys, np.int64) if self._keys else self._sorted_N
        order_N = np.argsort(keys_N, kind="stable")
        self._sorted_N = keys_N[order_N]
        self._order_N = order_N.astype(np.uint32)
        self._keys = array("q")

    def __len__(self) -> int:
        return len(self._order_N)

    def of(self, key: int) -> list[Range]:
        """Return the elements of a key, in the order of the file."""
        start, end = np.searchsorted(self._sorted_N, (key, key + 1)) if key != NO_KEY else (0, 0)
        return [self._range(int(place)) for place in self._order_N[start:end]]

    def strangers(self, known: RangeIndex) -> Iterator[Range]:
        """Yield the elements whose key is none of another index's, or none at all, in the order of the file."""
        is_stranger_N = ~np.isin(self._sorted_N, known._sorted_N) | (self._sorted_N == NO_KEY)
        for place in np.sort(self._order_N[is_stranger_N]):
            yield self._range(int(place))

    def _range(self, place: int) -> Range:
        return Range(place + 1, self._offsets[place], self._lengths[place])


def whole_if_whole(number: float) -> int | float:
    """Return 12.0 as 12, for counts and areas that need no fraction."""
    return int(number) if math.isfinite(number) and number == int(number) else number
