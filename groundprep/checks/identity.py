"""Repeated ids, found with eight bytes a record."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

from groundprep.finding import Finding, Severity
from groundprep.record import Record


class IdentityWatch:
    """Remembers a 64-bit digest of every id; among a million ids a false alarm has a probability of 3e-8."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._path = ""

    def see(self, record: Record) -> None:
        """Note a record's id, if it has one."""
        if record.id is None:
            return
        text = f"{type(record.id).__name__}:{record.id}".encode("utf-8", "surrogatepass")
        self._digests.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))
        self._path = record.source.path

    def findings(self) -> Iterator[tuple[Finding, int]]:
        """Yield one warning with the number of records that repeat an earlier id, if there are any."""
        if not self._digests:
            return
        import numpy as np

        digests_N = np.frombuffer(self._digests, dtype=np.uint64)
        _, first_of_each, positions_N = np.unique(digests_N, return_index=True, return_inverse=True)
        repeats = len(digests_N) - len(first_of_each)
        if repeats:
            earlier_N = first_of_each[positions_N]
            later = int(np.argmax(earlier_N < np.arange(len(digests_N))))
            finding = Finding(
                code="repeated-id",
                severity=Severity.WARNING,
                record=None,
                source=self._path,
                message="a record repeats the id of an earlier one"
                if repeats == 1
                else f"{repeats} records repeat the id of an earlier one",
                found=f"the {ordinal(later + 1)} id is the {ordinal(int(earlier_N[later]) + 1)} again",
                fix="give every record its own id",
            )
            yield finding, repeats


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, … 11th, … 21st."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
