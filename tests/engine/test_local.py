"""Ordered work on threads: input order, bounded memory, no lost exception."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from groundprep.engine.local import IN_FLIGHT_PER_WORKER, default_workers, ordered_map

mapped = pytest.mark.parametrize("workers", [1, 2, 4])


@mapped
def test_results_come_in_input_order_however_long_each_takes(workers: int) -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.01 if n % 5 == 0 else 0)
        return n * n

    assert list(ordered_map(slow_first, range(40), workers=workers)) == [n * n for n in range(40)]


@mapped
def test_only_a_bounded_number_of_items_is_taken_ahead(workers: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield n

    results = ordered_map(str, items(), workers=workers)
    assert next(results) == "0"
    assert taken <= workers * IN_FLIGHT_PER_WORKER
    results.close()


@mapped
def test_an_exception_of_the_function_comes_out_at_its_place(workers: int) -> None:
    def fail(n: int) -> int:
        if n == 7:
            raise KeyError("é")
        return n

    results = ordered_map(fail, range(100), workers=workers)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(KeyError, match="é"):
        next(results)


@mapped
def test_an_exception_of_the_items_comes_out_and_no_thread_is_left(workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("é")

    with pytest.raises(OSError, match="é"):
        list(ordered_map(str, items(), workers=workers))
    assert not [t for t in threading.enumerate() if t.name.startswith("groundprep")]


def test_several_workers_really_work_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)
    assert list(ordered_map(lambda _: barrier.wait() >= 0, range(3), workers=3)) == [True] * 3


def test_the_default_is_at_least_one_worker() -> None:
    assert default_workers() >= 1
