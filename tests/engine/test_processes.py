"""Work in processes: in order, bounded, and never left behind."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundprep.engine.local import IN_FLIGHT_PER_WORKER
from groundprep.engine.processes import process_map
from groundprep.errors import ExitCode, RecordError, WorkerLostError


def squares() -> Callable[[int], tuple[int, int]]:
    """Make a function that says which process it ran in, and takes longer for the first items."""

    def square(number: int) -> tuple[int, int]:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number * number, os.getpid()

    return square


def failing(at: int) -> Callable[[int], int]:
    def fail(number: int) -> int:
        if number == at:
            raise RecordError("no", source="é.jsonl:7", found=number)
        return number

    return fail


def killing() -> Callable[[int], int]:
    def kill(number: int) -> int:
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return kill


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("together", [1, 7, 100])
def test_results_come_in_the_order_of_the_items(workers: int, together: int) -> None:
    results = list(process_map(squares, range(30), workers=workers, together=together))
    assert [square for square, _ in results] == [number * number for number in range(30)]
    assert (os.getpid() in {process for _, process in results}) == (workers == 1)


def test_few_items_start_no_process_and_many_do_after_the_first_ones() -> None:
    few = list(process_map(squares, range(10), workers=2, alone=10))
    assert {process for _, process in few} == {os.getpid()}
    many = [process for _, process in process_map(squares, range(14), workers=2, alone=10)]
    assert set(many[:10]) == {os.getpid()}
    assert os.getpid() not in many[10:]


def test_items_are_read_no_further_than_the_bound() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for read in range(1, 200):  # noqa: UP028 (what was read is looked at)
            yield read

    results = process_map(squares, items(), workers=2)
    assert next(results)[0] == 1
    assert read <= 2 * IN_FLIGHT_PER_WORKER + 1
    results.close()  # type: ignore[attr-defined]
    assert children() == set()


def test_an_error_of_the_function_comes_back_whole_and_ends_the_processes() -> None:
    with pytest.raises(RecordError) as caught:
        list(process_map(functools.partial(failing, 3), range(100), workers=2))
    assert (caught.value.source, caught.value.found) == ("é.jsonl:7", "3")
    assert children() == set()


def test_an_error_of_the_items_ends_the_processes() -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise RecordError("the file ends")

    with pytest.raises(RecordError):
        list(process_map(squares, items(), workers=2))
    assert children() == set()


def test_a_killed_worker_is_one_clear_error_of_the_environment() -> None:
    with pytest.raises(WorkerLostError) as caught:
        list(process_map(killing, range(100), workers=2))
    assert (caught.value.code, caught.value.exit_code) == ("worker-lost", ExitCode.ENVIRONMENT)
    assert children() == set()


SCRIPT = """
import os, sys, time
from groundprep.engine.processes import process_map
from tests.engine.test_processes import squares
print("started", flush=True)
for square, process in process_map(squares, range(int(sys.argv[1])), workers=2):
    if square == 1:
        print(process, flush=True)
"""


def script(directory: Path, items: int) -> subprocess.Popen[str]:
    """Start a script that has no `if __name__ == "__main__"`."""
    path = directory / "straße.py"
    path.write_text(SCRIPT, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, str(path), str(items)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
        start_new_session=True,
    )


def test_a_script_without_a_main_guard_is_run_once(tmp_path: Path) -> None:
    with script(tmp_path, 20) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err, out.count("started")) == (0, "", 1)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_the_process_that_started_it(tmp_path: Path, end: signal.Signals) -> None:
    with script(tmp_path, 1_000_000) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        worker = int(process.stdout.readline())
        if end is signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, end)  # as a terminal does
        err = process.communicate(timeout=60)[1]
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
    assert err.count("Traceback") == (end is signal.SIGINT)  # the script's own: the workers say nothing


def children() -> set[int]:
    """Return the processes that this one has started, apart from Python's own tracker of resources."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"resource_tracker" not in command:
            found.add(int(stat.parent.name))
    return found
