"""The two kinds of stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Protocol

from groundprep.counts import Counts
from groundprep.finding import Finding
from groundprep.losses import Losses
from groundprep.record import Dropped, Record


class BatchStage(Protocol):
    """Maps a batch of records one to one; pure, so that any engine may distribute it."""

    def __call__(self, records: list[Record]) -> list[Record | Dropped]:
        """Return as many items as there were records, in order."""
        ...


class StreamStage(ABC):
    """Works on the ordered stream, on the driver only; may change the number of records and counts each change.

    Attributes:
        counts: every change of the number of records.
        losses: values that the stage could not carry over.
        findings: oddities that it accepted.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self.counts = Counts()
        self.losses = Losses()
        self.findings: list[Finding] = []

    @abstractmethod
    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield records in order, adding every change of their number to `counts`."""
