"""The command `frame`."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from groundprep.cli import app


def invoke(*arguments: Any, stdin: Any = None) -> Any:
    return CliRunner().invoke(app, ["frame", *arguments], input=stdin)


def test_one_json_object_a_line_in_the_order_given() -> None:
    result = invoke("1920x1080", "500x375", "--for", "easyr1", "--format", "json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {
        "profile": "easyr1",
        "revision": "b44b311",
        "stored_wh": [1920, 1080],
        "steps": [{"op": "sqrt-limit", "wh": [1920, 1080]}, {"op": "smart-resize", "wh": [1932, 1092]}],
        "seen_wh": [1932, 1092],
    }
    assert second["seen_wh"] == [588, 448]
    assert result.exit_code == 0


def test_a_refused_size_is_exit_3_after_all_sizes_were_printed() -> None:
    result = invoke("10x30000", "640x480", "--for", "rexthinker", "--format", "json")
    refused, seen = map(json.loads, result.stdout.splitlines())
    assert refused == {"error": "size-refused"}
    assert seen["seen_wh"] == [644, 476]
    assert result.exit_code == 3
    assert result.stderr.startswith("error[size-refused] 10x30000: ")
    assert "refuses" in result.stderr


def test_people_see_an_aligned_table() -> None:
    result = invoke("1920x1080", "10x30000", "61x37", "--for", "rexthinker")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["stored", "sqrt-limit", "smart-resize", "seen"],
        ["1920x1080", "1335x751", "1344x756", "1344x756"],
        ["10x30000", "10x30000", "-", "refused"],
        ["61x37", "143x87", "140x84", "140x84"],
    ]
    assert len({line.rindex(line.split()[-1]) for line in result.stdout.splitlines()}) == 1


def test_sizes_are_read_from_stdin() -> None:
    result = invoke("-", "500x375", "--for", "easyr1", "--format", "json", stdin="640x480\n\n1000x1003\n")
    assert [json.loads(line)["seen_wh"] for line in result.stdout.splitlines()] == [
        [644, 476],
        [1008, 1008],
        [588, 448],
    ]


@pytest.mark.parametrize("arguments", [["640"], ["500x375", "0x7"], ["-"]])
def test_text_that_is_no_size_is_exit_2_and_one_line(arguments: Any) -> None:
    result = invoke(*arguments, "--for", "easyr1", stdin="breit\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error[bad-size] ")
    assert result.stderr.count("\n") == 1


def test_an_empty_stdin_is_told() -> None:
    result = invoke("-", "--for", "easyr1", stdin="\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error[no-rows] -: ")


def test_the_converters_frame_and_other_limits_can_be_asked_for() -> None:
    result = invoke("1920x1080", "--for", "rexthinker", "--frame", "converter", "--format", "json")
    assert json.loads(result.stdout)["seen_wh"] == [1316, 728]
    limits = ["--min-pixels", "12544", "--max-pixels", "1003520"]
    result = invoke("1920x1080", "--for", "easyr1", *limits, "--format", "json")
    assert json.loads(result.stdout)["seen_wh"] == [1344, 756]


def test_an_unknown_profile_is_exit_2() -> None:
    assert invoke("640x480", "--for", "nope").exit_code == 2
