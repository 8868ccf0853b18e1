"""A file that is written behind the rows: blocks go to disk on a thread of their own while the next rows are prepared.

Parts are collected and handed over a block at a time, because a thread that waits for Python's lock at every small write would
slow down the others more than it helps. At most `BLOCKS_WAITING` blocks wait: memory stays flat.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

BLOCK_BYTES = 1 << 20
BLOCKS_WAITING = 4
PARTS_AT_ONCE = 1000
"""Below IOV_MAX, 1024 on Linux and macOS: how many parts the system takes at once."""


class FileBehind:
    """A file that is only appended to.

    Args:
        path: where; created or emptied.
        threaded: whether a thread of its own writes; else the calling thread does, a block at a time.
    """

    def __init__(self, path: Path, *, threaded: bool = False) -> None:
        self.threaded = threaded
        self._file = path.open("wb", 0)
        self._parts: list[bytes] = []
        self._bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def write(self, *parts: bytes) -> int:
        """Append; returns the number of bytes. An OSError of an earlier block is raised here or in `close`."""
        size = sum(map(len, parts))
        self._parts += parts
        self._bytes += size
        if self._bytes >= BLOCK_BYTES:
            self._hand_over()
        return size

    def _hand_over(self) -> None:
        parts, self._parts, self._bytes = self._parts, [], 0
        if not self.threaded:
            self._write_all(parts)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="groundprep-write")
        self._waiting.append(self._pool.submit(self._write_all, parts))
        if len(self._waiting) > BLOCKS_WAITING:
            self._waiting.popleft().result()

    def _write_all(self, parts: list[bytes]) -> None:
        """Write parts without joining them; the system may take less than all at once."""
        fd = self._file.fileno()
        for start in range(0, len(parts), PARTS_AT_ONCE):
            views = parts[start : start + PARTS_AT_ONCE]
            left = sum(map(len, views))
            while left:
                written = os.writev(fd, views)
                left -= written
                if left:
                    views = _after(views, written)

    def close(self) -> None:
        """Write what is left and flush it to disk."""
        self._hand_over()
        while self._waiting:
            self._waiting.popleft().result()
        os.fsync(self._file.fileno())
        self.abort()

    def abort(self) -> None:
        """Close the file; what is not written yet may be lost."""
        self._parts = []
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._file.close()


def _after(views: list[bytes], written: int) -> list[bytes]:
    """Return what is left of the parts after their first `written` bytes."""
    rest = list(views)
    while rest and written >= len(rest[0]):
        written -= len(rest.pop(0))
    if written:
        rest[0] = rest[0][written:]
    return rest
