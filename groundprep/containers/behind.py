"""Writing behind the rows: what is complete goes to disk on a thread of its own while the next rows are prepared.

Work is handed over in large pieces, because a thread that waits for Python's lock at every small write would slow down the
others more than it helps. A bounded number of pieces waits: memory stays flat.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

BLOCK_BYTES = 1 << 20
BLOCKS_WAITING = 8
SYNC_BYTES = 16 << 20
"""How much may wait in the system's memory: what is on disk already need not be waited for at the end."""

PARTS_AT_ONCE = 1000
"""Below IOV_MAX, 1024 on Linux and macOS: how many parts the system takes at once."""


class Behind:
    """Tasks that are done in order, on a thread of their own if `threaded`, else at once.

    Two queues and no futures: what a task costs the calling thread is what it slows the whole run down by.

    Args:
        waiting: how many tasks may wait for the thread, the one it is at included; with more, the caller waits.
    """

    def __init__(self, waiting: int) -> None:
        self.threaded = False
        self._most = waiting
        self._waiting = 0
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def do(self, task: Callable[[], None]) -> None:
        """Do the task now or later; what an earlier one raised is raised here or by `finish`."""
        if not self.threaded:
            task()
            return
        if self._thread is None:
            self._start()
        if self._waiting >= self._most:
            self._wait_for_one()
        self._tasks.put(task)
        self._waiting += 1

    def _start(self) -> None:
        self._tasks, self._done, self._stopped = SimpleQueue(), SimpleQueue(), False
        self._thread = threading.Thread(target=self._run, name="groundprep-write", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._stopped:
                continue
            try:
                task()
            except BaseException as error:  # noqa: BLE001 (raised again on the calling thread)
                self._done.put(error)
            else:
                self._done.put(None)
            del task  # its block is free for the next one, while this thread waits

    def _wait_for_one(self) -> None:
        error = self._done.get()
        self._waiting -= 1
        if error is not None:
            raise error

    def finish(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self._wait_for_one()
        self.stop()

    def stop(self) -> None:
        """End the thread after the task that it is at; the others are forgotten."""
        self._stopped = True
        self._waiting = 0
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join()
            self._thread = None


class Syncing:
    """Sends what was written to disk on a thread of its own, while the rest is prepared: the wait at the end is the shorter.

    Args:
        descriptor: any open descriptor of the file; it stays open until `stop`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsynced_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def wrote(self, size: int) -> None:
        """Note that so many bytes were written; raises the OSError of what was sent before."""
        self._unsynced_bytes += size
        if self._unsynced_bytes < SYNC_BYTES or not (self._running is None or self._running.done()):
            return
        if self._running is not None:
            self._running.result()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="groundprep-sync")
        self._unsynced_bytes = 0
        self._running = self._pool.submit(os.fdatasync, self._descriptor)

    def finish(self) -> None:
        """Wait until all of the file is on disk; raises OSError."""
        running = self._running
        self.stop()
        if running is not None:
            running.result()
        os.fsync(self._descriptor)

    def stop(self) -> None:
        """End the thread."""
        self._running = None
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class FileBehind:
    """A file that is only appended to, a block of parts at a time; it is created or emptied."""

    def __init__(self, path: Path) -> None:
        self.behind = Behind(BLOCKS_WAITING)
        self._file = path.open("wb", 0)
        self._syncing = Syncing(self._file.fileno())
        self._parts: list[bytes] = []
        self._bytes = 0

    def write(self, *parts: bytes) -> int:
        """Append; returns the number of bytes. An OSError may be raised by a later call, at the latest by `close`."""
        size = sum(map(len, parts))
        self._parts += parts
        self._bytes += size
        if self._bytes >= BLOCK_BYTES:
            self._hand_over()
        return size

    def _hand_over(self) -> None:
        parts, size, self._parts, self._bytes = self._parts, self._bytes, [], 0
        self.behind.do(lambda: self._append(parts, size))

    def _append(self, parts: list[bytes], size: int) -> None:
        write_parts(self._file.fileno(), parts)
        if self.behind.threaded:
            self._syncing.wrote(size)

    def close(self) -> None:
        """Write what is left and flush it to disk."""
        self._hand_over()
        self.behind.finish()
        self._syncing.finish()
        self._file.close()

    def abort(self) -> None:
        """Close the file; what is not written yet is lost."""
        self.behind.stop()
        self._syncing.stop()
        self._parts = []
        self._file.close()


def write_parts(descriptor: int, parts: list[bytes]) -> None:
    """Write all parts without joining them, which would copy every image once more; raises OSError."""
    for start in range(0, len(parts), PARTS_AT_ONCE):
        left = parts[start : start + PARTS_AT_ONCE]
        while left:
            left = _after(left, os.writev(descriptor, left))


def _after(parts: list[bytes], written: int) -> list[bytes]:
    """Return what is left of the parts after their first `written` bytes: the system may take less than all."""
    for place, part in enumerate(parts):
        if written < len(part):
            return [part[written:], *parts[place + 1 :]]
        written -= len(part)
    return []
