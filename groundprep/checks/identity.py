"""Repeated ids, found with eight bytes a record."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.record import Record

REPEATED_ID = Rule("repeated-id", Severity.WARNING, "a record has the id of an earlier one")


class Identities(NamedTuple):
    """The digests of some records' ids, eight bytes each, and the file of the last of them."""

    digests: bytes
    path: str


class IdentityWatch:
    """Remembers a 64-bit digest of every id; among a million ids a false alarm has a probability of 3e-8.

    Memory: 8 bytes a record that has an id, 16 at the end, 60 if an id is repeated.
    """

    def __init__(self) -> None:
        self._digests = array("Q")
        self._path = ""

    def note(self, subjects: Sequence[Subject]) -> Identities | None:
        """Return the digests of the records' ids."""
        return self.note_of([subject.record for subject in subjects])

    def note_of(self, records: Iterable[Record]) -> Identities | None:
        """Return the digests of the records' ids."""
        digests, path = [], ""
        for record in records:
            identity = record.id
            if identity is None:
                continue
            text = f"{type(identity).__name__}:{identity}".encode("utf-8", "surrogatepass")
            digests.append(hashlib.blake2b(text, digest_size=8).digest())
            path = record.source.path
        return Identities(b"".join(digests), path) if digests else None

    def see(self, note: Identities) -> Iterable[Finding]:
        """Remember the digests of the next records."""
        self._digests.frombytes(note.digests)
        self._path = note.path
        return ()

    def see_record(self, record: Record) -> None:
        """Remember the digest of the next record."""
        note = self.note_of((record,))
        if note is not None:
            self.see(note)

    def findings(self) -> Iterator[Finding]:
        """Yield one warning for all records that repeat an earlier id, if there are any."""
        for finding, _ in self.counted_findings():
            yield finding

    def counted_findings(self) -> Iterator[tuple[Finding, int]]:
        """Yield the same with the number of such records."""
        if not self._digests:
            return
        import numpy as np

        digests_N = np.frombuffer(self._digests, dtype=np.uint64)
        ordered_N = np.sort(digests_N)
        repeats = int(np.count_nonzero(ordered_N[1:] == ordered_N[:-1]))
        if not repeats:
            return
        del ordered_N
        _, first_of_each, positions_N = np.unique(digests_N, return_index=True, return_inverse=True)
        earlier_N = first_of_each[positions_N]
        later = int(np.argmax(earlier_N < np.arange(len(digests_N))))
        finding = Finding(
            code=REPEATED_ID.code,
            severity=REPEATED_ID.severity,
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
