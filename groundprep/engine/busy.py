"""Ordered work on the calling thread as long as it keeps that thread busy, on threads once it waits more than it works.

Reading small files from memory, parsing and formatting leave little for a second thread: measured on warm files, a pool of two
made a conversion 1.5 times as slow as no pool, because its threads wait for Python's lock. From a slow or remote disk, where a
thread mostly waits for the disk, a pool is what helps. Results are the same either way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from groundprep.engine.local import ordered_map

A = TypeVar("A")
B = TypeVar("B")

LEAST_SECONDS = 0.1
"""What a verdict is based on at least."""

BUSY_SHARE = 0.25
"""Less than this share of its time at work means that it waits; a busy machine alone does not take that much away."""


def map_while_busy(function: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield function(item) in input order; from when it waits for longer than it works, on `workers` threads."""
    iterator = iter(items)
    worked_s = passed_s = 0.0
    for item in iterator:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        result = function(item)
        worked_s += time.thread_time() - cpu_s
        passed_s += time.perf_counter() - wall_s
        yield result
        if passed_s >= LEAST_SECONDS and workers > 1:
            if worked_s < BUSY_SHARE * passed_s:
                break
            worked_s = passed_s = 0.0
    yield from ordered_map(function, iterator, workers=workers)
