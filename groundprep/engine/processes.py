"""Ordered work in processes, for work that Python itself does: threads would wait for each other.

Results come in input order and a bounded number of items is in flight. Nothing is inherited: every process imports what it
needs and makes its own function, so the start method does not matter and no lock is copied.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import wait
from types import ModuleType
from typing import Any, TypeVar

from groundprep.engine.local import IN_FLIGHT_PER_WORKER
from groundprep.errors import WorkerLostError

A = TypeVar("A")
B = TypeVar("B")

COLLECTION_THRESHOLD = 100_000
"""In a worker process, look for reference cycles rarely: what it works on has none, and looking took a fifth of its time."""

_made: Callable[[Any], Any] | None = None
"""In a worker process: the function that it applies."""


def process_map(
    make: Callable[[], Callable[[A], B]], items: Iterable[A], *, workers: int, alone: int = 0, together: int = 1
) -> Iterator[B]:
    """Yield make()(item) in input order.

    Args:
        make: makes the function, once in every process that needs it; picklable, and so are items and results.
        items: read in the calling process, never far ahead of the results.
        workers: processes; with one, all is done in the calling process.
        alone: so many items are done in the calling process first, so that little work pays for no start of a process.
        together: so many go to a process at once; handing over costs a third of a millisecond each time.

    An exception of the function or of the items ends the iteration and the processes; so does leaving it early.

    Raises:
        WorkerLostError: a process was killed.
    """
    iterator = iter(items)
    here = None if workers <= 1 or _is_in_a_pool() else alone
    function = make()
    for item in islice(iterator, here):
        yield function(item)
    following = next(iterator, None)
    if following is None:
        return
    del function
    for results in _in_pool(make, _batches(chain((following,), iterator), together), workers):
        yield from results


def _is_in_a_pool() -> bool:
    """Say whether this process may not start others."""
    return bool(multiprocessing.current_process().daemon)


def _batches(items: Iterable[A], size: int) -> Iterator[list[A]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _in_pool(make: Callable[[], Callable[[A], B]], batches: Iterable[list[A]], workers: int) -> Iterator[list[B]]:
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(make,)
    )
    waiting: deque[Future[list[B]]] = deque()
    try:
        for number, batch in enumerate(batches):
            with _starting(a_process=number < workers):
                waiting.append(pool.submit(_apply, batch))
            if len(waiting) >= workers * IN_FLIGHT_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "a worker process was killed",
            found=f"1 of {workers} worker processes is gone",
            fix="there may not be enough memory: pass --workers 1",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _starting(*, a_process: bool) -> Iterator[None]:
    """Hide the main module and hold interrupts back while a process starts.

    It would run the main module again, because work may be defined there; ours never is. A script that has no `if __name__ ==
    "__main__"` would otherwise start itself over in every worker.
    """
    if not a_process:
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        with _holding_interrupts_back():
            yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _holding_interrupts_back() -> Iterator[None]:
    """Let interrupts wait: half a start leaves a process that complains, and a new process is not ready to ignore them.

    The mask is for the new process, which inherits it; that it keeps an interrupt from this one is not enough, because another
    thread of this process (numpy has some) may be given it.
    """
    held: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda arrived, _frame: held.append(arrived))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)
        for arrived in held:
            signal.raise_signal(arrived)


def _start(make: Callable[[], Callable[[Any], Any]]) -> None:
    """Begin a worker process: interrupts are the parent's business, and it does not outlive the parent."""
    global _made  # noqa: PLW0603 (one worker has one function)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.set_threshold(COLLECTION_THRESHOLD)
    _made = make()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _apply(items: list[Any]) -> list[Any]:
    assert _made is not None
    return [_made(item) for item in items]
