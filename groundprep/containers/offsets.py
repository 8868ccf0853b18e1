"""A map from image to byte offset that costs at most 64 bytes an image, whatever the length of its name (law 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator

DIGEST_BYTES = 12
OFFSET_BYTES = 6
ENTRY_BYTES = DIGEST_BYTES + OFFSET_BYTES
EMPTY = b"\0" * ENTRY_BYTES
FULLEST = 0.75
IS_PENDING = (1 << 48) - 2
"""What `get` returns for a reserved digest."""


def digest_of(key: Hashable) -> bytes:
    """Return 96 bits that stand for a key: two of a billion images collide with a probability below 1e-11."""
    return hashlib.blake2b(key if isinstance(key, bytes) else repr(key).encode(), digest_size=DIGEST_BYTES).digest()


class OffsetIndex:
    """Open addressing in one bytearray: 18 bytes a slot, at most 75 % full, growing by half."""

    def __init__(self) -> None:
        self._slots = 1024
        self._table = bytearray(self._slots * ENTRY_BYTES)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, digest: bytes) -> int | None:
        """Return the offset stored for the digest, IS_PENDING if it is only reserved, or None."""
        position, found = self._find(digest)
        if not found:
            return None
        return int.from_bytes(self._table[position + DIGEST_BYTES : position + ENTRY_BYTES], "little") - 1

    def set(self, digest: bytes, offset_bytes: int) -> None:
        """Store or replace an offset in [0, 2**48 - 3]."""
        position, found = self._find(digest)
        if found:
            self._table[position + DIGEST_BYTES : position + ENTRY_BYTES] = _packed(offset_bytes)
        else:
            self._put(position, digest, offset_bytes)

    def _put(self, position: int, digest: bytes, offset_bytes: int) -> None:
        """Add an entry whose free slot has been found."""
        if self._count + 1 > self._slots * FULLEST:
            self._grow()
            position, _ = self._find(digest)
        self._count += 1
        self._table[position : position + ENTRY_BYTES] = digest + _packed(offset_bytes)

    def values(self) -> Iterator[int]:
        """Yield every stored offset, in no order that means anything."""
        for start in range(DIGEST_BYTES, len(self._table), ENTRY_BYTES):
            value = int.from_bytes(self._table[start : start + OFFSET_BYTES], "little")
            if value:
                yield value - 1

    def reserve(self, digest: bytes) -> bool:
        """Note that the image will be stored, at an offset that is not known yet; False if the digest is there already."""
        position, found = self._find(digest)
        if not found:
            self._put(position, digest, IS_PENDING)
        return not found

    def _find(self, digest: bytes) -> tuple[int, bool]:
        slot = int.from_bytes(digest[:8], "little") % self._slots
        while True:
            position = slot * ENTRY_BYTES
            entry = self._table[position : position + ENTRY_BYTES]
            if entry == EMPTY:
                return position, False
            if entry.startswith(digest):
                return position, True
            slot = (slot + 1) % self._slots

    def _grow(self) -> None:
        old = self._table
        self._slots += self._slots // 2  # doubling would cost 72 bytes an entry while both tables exist, this costs 60
        self._table = bytearray(self._slots * ENTRY_BYTES)
        for start in range(0, len(old), ENTRY_BYTES):
            entry = old[start : start + ENTRY_BYTES]
            if entry != EMPTY:
                position, _ = self._find(bytes(entry[:DIGEST_BYTES]))
                self._table[position : position + ENTRY_BYTES] = entry


def _packed(offset_bytes: int) -> bytes:
    return (offset_bytes + 1).to_bytes(OFFSET_BYTES, "little")
