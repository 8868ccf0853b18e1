"""The two kinds of stages, and the counts that every one of them must respect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

from groundprep.errors import CountError
from groundprep.finding import Finding
from groundprep.losses import Losses
from groundprep.record import Dropped, Record


@dataclass(slots=True)
class Counts:
    """What happened to every row (law 1).

    rows read + exploded + repeated - merged - not_selected - dropped = written.
    """

    read: int = 0
    exploded: int = 0
    repeated: int = 0
    merged: int = 0
    not_selected: int = 0
    dropped: int = 0
    written: int = 0

    @property
    def change(self) -> int:
        """By how much the stages changed the number of records, drops apart."""
        return self.exploded + self.repeated - self.merged - self.not_selected

    def require_balanced(self) -> None:
        """Raise CountError unless the counts add up."""
        if self.read + self.change - self.dropped != self.written:
            raise CountError(
                "rows read and written do not add up", found=str(self.as_data()), fix="report this as a bug"
            )

    def as_data(self) -> dict[str, int]:
        """Return the counts as JSON values."""
        return asdict(self)


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
