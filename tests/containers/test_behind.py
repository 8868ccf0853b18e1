"""Files that are written behind the rows: complete, in order, and honest about what the disk refuses."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

import pytest

from groundprep.containers import behind
from groundprep.containers.behind import Behind, FileBehind, Syncing

SMALL = 1000
"""Bytes: so that a test need not write 32 MB."""


@pytest.mark.parametrize("threaded", [False, True])
def test_what_is_appended_comes_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threaded: bool) -> None:
    monkeypatch.setattr(behind, "SYNC_BYTES", SMALL)
    monkeypatch.setattr(behind, "BLOCK_BYTES", 300)
    file = FileBehind(tmp_path / "é.bin")
    file.behind.threaded = threaded
    lines = [b"%d\t%b\n" % (number, b"x" * (number % 97)) for number in range(500)]
    assert sum(file.write(line[:2], line[2:]) for line in lines) == sum(map(len, lines))
    file.close()
    assert (tmp_path / "é.bin").read_bytes() == b"".join(lines)


def test_a_file_is_sent_to_disk_meanwhile_on_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "SYNC_BYTES", SMALL)
    sent = []
    fdatasync = os.fdatasync

    def recorded(descriptor: int) -> None:
        sent.append(threading.current_thread().name)
        fdatasync(descriptor)

    monkeypatch.setattr(behind.os, "fdatasync", recorded)
    with (tmp_path / "a").open("wb", 0) as file:
        syncing = Syncing(file.fileno())
        for _ in range(20):
            syncing.wrote(file.write(b"x" * 400))
        syncing.finish()
    assert sent
    assert all(name.startswith("groundprep-sync") for name in sent)


def test_what_the_disk_refuses_is_raised_and_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "SYNC_BYTES", SMALL)

    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(behind.os, "fdatasync", refuse)
    with (tmp_path / "a").open("wb", 0) as file:
        syncing = Syncing(file.fileno())
        syncing.wrote(file.write(b"x" * 2000))
        with pytest.raises(OSError, match="Input/output"):
            syncing.finish()


def test_after_a_stop_no_thread_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "SYNC_BYTES", SMALL)
    file = FileBehind(tmp_path / "a")
    file.behind.threaded = True
    for _ in range(3000):
        file.write(b"x" * 500)
    file.abort()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("groundprep")]


def test_a_task_that_fails_is_told_by_a_later_one_and_the_thread_can_be_used_again() -> None:
    behind = Behind(1)
    behind.threaded = True
    done: list[int] = []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    behind.do(fail)
    with pytest.raises(OSError, match="No space left"):
        behind.do(partial(done.append, 1))
    behind.stop()
    behind.do(partial(done.append, 2))
    behind.finish()
    behind.finish()
    assert done == [2]


def test_no_more_tasks_wait_than_may() -> None:
    behind, gate = Behind(3), threading.Event()
    behind.threaded = True
    begun: list[int] = []

    def work(number: int) -> None:
        gate.wait(10)
        begun.append(number)

    for number in range(3):
        behind.do(partial(work, number))
    fourth = threading.Thread(target=behind.do, args=(partial(work, 3),))
    fourth.start()
    fourth.join(0.05)
    assert fourth.is_alive()  # it waits for the first
    gate.set()
    fourth.join(10)
    behind.finish()
    assert begun == [0, 1, 2, 3]
