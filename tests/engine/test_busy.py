"""Work stays on the calling thread while it keeps that thread busy, and goes to threads where it waits."""

from __future__ import annotations

import threading
import time

import pytest

from groundprep.engine import busy
from groundprep.engine.busy import map_while_busy


def threads_used(seconds_asleep: float, count: int = 40, workers: int = 2) -> set[str]:
    """Return the names of the threads that did work which mostly sleeps; proves order and completeness on the way."""
    names = set()

    def work(item: int) -> int:
        names.add(threading.current_thread().name)
        time.sleep(seconds_asleep)
        return item * 3

    assert list(map_while_busy(work, range(count), workers=workers)) == [item * 3 for item in range(count)]
    return names


def test_work_that_waits_goes_to_threads() -> None:
    assert len(threads_used(0.01)) > 1


def test_one_worker_is_the_calling_thread_however_long_it_waits() -> None:
    assert threads_used(0.005, workers=1) == {threading.current_thread().name}


def test_work_that_is_short_stays_on_the_calling_thread() -> None:
    assert threads_used(0.0) == {threading.current_thread().name}


def test_a_processor_that_others_use_is_no_reason_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all the time asleep had been spent in the queue for a processor."""
    monkeypatch.setattr(busy._Queue, "waited_s", lambda _self: time.perf_counter() - time.thread_time())
    assert threads_used(0.01) == {threading.current_thread().name}


def test_without_the_systems_word_the_wait_for_a_processor_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(busy.os, "open", refuse)
    with busy._Queue() as queue:
        assert queue.waited_s() == 0.0


def test_what_the_work_raises_ends_the_iteration() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        return item

    results = map_while_busy(work, range(9), workers=2)
    with pytest.raises(KeyError):
        list(results)
