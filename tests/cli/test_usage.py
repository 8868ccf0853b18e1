"""A wrong flag is told as every other error: in one line, exit 2."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from groundprep.cli import app

WRONG: dict[str, tuple[list[str], str]] = {
    "no such verb": (["nope"], "no such command 'nope'"),
    "no such option": (["vis", "a", "b", "--nope"], "no such option: --nope"),
    "no such global option": (["--nope", "vis", "a", "b"], "no such option: --nope"),
    "a missing option": (["frame", "10x10"], "missing option '--for'"),
    "a missing argument": (["validate"], "missing argument"),
    "a value out of range": (["validate", "a", "--limit", "0"], "invalid value for '--limit': "),
    "a value of another type": (["--workers", "many", "formats"], "invalid value for '--workers': "),
    "a word that is no choice": (["convert", "a", "b", "--exif", "turn"], "invalid value for '--exif': "),
}


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(("arguments", "message"), list(WRONG.values()), ids=list(WRONG))
def test_a_wrong_flag_is_told_in_one_line(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error[usage] {message}")
    assert "; fix: see `groundprep " in line
    assert line.endswith("--help`")


@pytest.mark.parametrize("asked", [("--format", "json"), ("--format=json",)])
@pytest.mark.parametrize("before", [True, False])
def test_json_format_tells_a_wrong_flag_in_json(asked: tuple[str, ...], before: bool) -> None:
    arguments = ("validate", "a", "--limit", "0")
    result = invoke(*asked, *arguments) if before else invoke(*arguments, *asked)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "usage"


def test_help_is_no_error() -> None:
    assert invoke("vis", "--help").exit_code == 0
    assert "Commands:" in invoke("--help").stdout
    alone = invoke()
    assert "Commands:" in alone.output
    assert "error[" not in alone.output
