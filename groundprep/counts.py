"""What happened to every row of a run (law 1): the one place where counts are added up and proven."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from groundprep.errors import CountError


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
