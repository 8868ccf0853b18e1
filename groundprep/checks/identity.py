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

        repeats = len(self._digests) - len(np.unique(np.frombuffer(self._digests, dtype=np.uint64)))
        if repeats:
            finding = Finding(
                code="repeated-id",
                severity=Severity.WARNING,
                record=None,
                source=self._path,
                message=f"{repeats} records repeat the id of an earlier one",
                fix="give every record its own id",
            )
            yield finding, repeats
