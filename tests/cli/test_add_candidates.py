"""The command line of add-candidates: refusals, bad rows and progress, in one line each."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundprep.cli import app
from groundprep.cli.options import Globals, OutputFormat
from groundprep.cli.progress import SHOWN_BAD_ROWS, Progress
from tests.detect.colour_scenes import write_rows

DETECTOR = Path(__file__).parents[2] / "toy_data" / "detector"


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["add-candidates", *arguments])
    return result.exit_code, result.stderr


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "zeilen.jsonl"
    row = {"image_name": "fehlt.png", "ans": [1, 2, 30, 40], "category": "kreis", "referring": "der blaue"}
    write_rows(path, [row | {"referring": f"№ {number}"} for number in range(SHOWN_BAD_ROWS + 5)])
    return path


@pytest.mark.model
def test_many_bad_rows_are_told_one_line_each_up_to_twenty(tmp_path: Path, rows: Path) -> None:
    pytest.importorskip("transformers", reason="the detector needs transformers")
    code, stderr = invoke(str(rows), str(tmp_path / "dst.jsonl"), "--detector", str(DETECTOR))
    lines = stderr.splitlines()
    assert code == 3
    assert [line.startswith(f"error[image-missing] {rows}:{i + 1}: ") for i, line in enumerate(lines[:20])] == [
        True
    ] * 20
    assert lines[20] == "and 5 more"
    assert lines[21].startswith("error[rows-failed] ")
    assert len(lines) == 22
    code, stderr = invoke(str(rows), str(tmp_path / "b.jsonl"), "--detector", str(DETECTOR), "--on-error", "drop")
    assert code == 5
    assert stderr.startswith("dropped[image-missing] ")


def test_legacy_with_another_order_is_refused(tmp_path: Path, rows: Path) -> None:
    code, stderr = invoke(str(rows), str(tmp_path / "dst.jsonl"), "--answer-policy", "legacy", "--order", "score")
    assert code == 2
    assert "--answer-policy legacy keeps the detector's order" in stderr


@pytest.mark.parametrize("name", ["/nicht/da", "./auch/nicht"])
def test_a_detector_that_is_not_there_is_exit_2_and_leaves_nothing(tmp_path: Path, rows: Path, name: str) -> None:
    pytest.importorskip("transformers", reason="the detector needs transformers")
    code, stderr = invoke(str(rows), str(tmp_path / "dst.jsonl"), "--detector", name)
    assert code == 2
    assert stderr.startswith("error[no-model] ")
    assert len(stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == [rows.name]


def test_progress_off_a_terminal_is_a_plain_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    now = 100.0
    monkeypatch.setattr("groundprep.cli.progress.time.monotonic", lambda: now)
    with Progress(Globals(), bad_word="error") as progress:
        progress.begin("detecting", 400)
        for _ in range(100):
            now += 0.25
            progress.advance(1)
    lines = stderr.getvalue().splitlines()
    assert lines == [
        "detecting: 40 of 400 rows, 4.0 rows/s, 90 s left",
        "detecting: 80 of 400 rows, 4.0 rows/s, 80 s left",
    ]


def test_a_quiet_run_tells_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    now = 100.0
    monkeypatch.setattr("groundprep.cli.progress.time.monotonic", lambda: now)
    with Progress(Globals(format=OutputFormat.QUIET), bad_word="error") as progress:
        progress.begin("detecting", 400)
        now += 60
        progress.advance(10)
        progress.note("something")
    assert stderr.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(Globals(), bad_word="error") as progress:
        progress.begin("detecting", 4)
        progress.advance(4)
    assert "detecting" in stderr.getvalue()
    assert "4/4" in stderr.getvalue()
