"""Ordered work on the calling thread as long as it keeps that thread busy, on threads once it waits more than it works.

Reading small files from memory, parsing and formatting leave little for a second thread: measured on warm files, a pool of two
made a conversion 1.5 times as slow as no pool, because its threads wait for Python's lock. From a slow or remote disk, where a
thread mostly waits for the disk, a pool is what helps. Results are the same either way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from groundprep.engine.local import ordered_map

A = TypeVar("A")
B = TypeVar("B")

LEAST_SECONDS = 0.1
"""What a verdict is based on at least."""

TIMED = 4
"""One of so many items is timed: asking the system costs as much as a tenth of a small image."""

BUSY_SHARE = 0.25
"""Less than this share of its time at work means that it waits."""


def map_while_busy(function: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield function(item) in input order; from when it waits for longer than it works, on `workers` threads."""
    iterator = iter(items)
    if workers > 1:
        with _Queue() as queue:
            worked_s = passed_s = 0.0
            for number, item in enumerate(iterator):
                if number % TIMED:
                    yield function(item)
                    continue
                cpu_s, wall_s = time.thread_time(), time.perf_counter() - queue.waited_s()
                result = function(item)
                worked_s += time.thread_time() - cpu_s
                passed_s += time.perf_counter() - queue.waited_s() - wall_s
                yield result
                if passed_s >= LEAST_SECONDS:
                    if worked_s < BUSY_SHARE * passed_s:
                        break
                    worked_s = passed_s = 0.0
    yield from ordered_map(function, iterator, workers=workers)


class _Queue:
    """How long the calling thread was ready to run and had no processor: on a busy machine that is no reason for more threads.

    Linux says so; elsewhere the answer is always 0.
    """

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def waited_s(self) -> float:
        """Return the seconds so far. Source: Linux Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, 2nd number."""
        if self._descriptor < 0:
            return 0.0
        return int(os.pread(self._descriptor, 100, 0).split()[1]) / 1e9
