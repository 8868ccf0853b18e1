from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app

BOX = [7.5, 3.0, 40.0, 21.0]


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["validate", *arguments], input=stdin)


def row(number: int, **changes: Any) -> dict[str, Any]:
    candidates = [{"bbox": box, "category": "garçon"} for box in (BOX, [1, 2, 30, 33])]
    return {
        "image_name": "é.jpg",
        "id": f"r{number}",
        "ans": BOX,
        "referring": f"le garçon n°{number}",
        "candidate_boxes": candidates,
    } | changes


@pytest.fixture
def write(tmp_path: Path) -> Any:
    Image.new("RGB", (61, 37)).save(tmp_path / "é.jpg")

    def write(*rows: dict[str, Any]) -> str:
        path = tmp_path / "x.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


def test_clean_data_exits_with_0_and_says_so(write: Any) -> None:
    result = run(write(row(1), row(2)), "--for", "rexthinker", "--train-batch-size", "2", "--fail-on", "warning")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("\n2 records: 0 errors, 0 warnings\n")
    assert "warning[" not in result.stdout


def test_findings_are_lines_that_say_where_what_and_what_to_do(write: Any) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    result = run(src)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert result.stdout == (
        f"{src}:2: error[box-inverted] answer 0 is inverted; found [40.0, 3.0, 7.0, 21.0]; expected x0 < x1 and y0 < y1; "
        "fix: check the frame of the numbers (--source-frame) and the image\n"
        "2 records: 1 error, 0 warnings\n"
    )


def test_fail_on_decides_the_exit_code(write: Any) -> None:
    src = write(row(1), row(1))
    assert run(src).exit_code == 0
    assert run(src, "--fail-on", "warning").exit_code == 1
    src = write(row(1, ans=[40, 3, 7, 21]))
    assert run(src, "--fail-on", "never").exit_code == 0
    assert run(src, "--ignore", "box-inverted").exit_code == 0
    assert run(src, "--select", "box-outside", "--select", "bom").exit_code == 0


def test_json_is_one_object_with_all_that_the_contract_names(write: Any) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    result = run(src, "--format", "json")
    data = json.loads(result.stdout)
    assert list(data) == ["records", "errors", "warnings", "by_code", "unsized", "findings", "truncated"]
    assert (data["records"], data["errors"], data["warnings"], data["truncated"]) == (2, 1, 0, False)
    assert (data["by_code"], data["unsized"]) == ({"box-inverted": 1}, 0)
    (finding,) = data["findings"]
    assert list(finding) == ["code", "severity", "record", "source", "message", "found", "expected", "fix"]
    assert (finding["code"], finding["severity"], finding["record"], finding["source"]) == (
        "box-inverted",
        "error",
        "r2",
        f"{src}:2",
    )


def test_quiet_prints_nothing_and_still_fails(write: Any) -> None:
    result = run(write(row(1, ans=[40, 3, 7, 21])), "--format", "quiet")
    assert (result.exit_code, result.output) == (1, "")


def test_a_cut_list_says_so(write: Any) -> None:
    result = run(write(*[row(number, ans=[40, 3, 7, 21]) for number in range(5)]), "--max-findings", "2")
    assert [line.split(" ")[1] for line in result.stdout.splitlines()[:2]] == ["error[box-inverted]"] * 2
    assert result.stdout.splitlines()[2].startswith("the first 2 findings are shown")
    assert result.stdout.splitlines()[3] == "5 records: 5 errors, 0 warnings"


def test_an_unknown_code_is_a_usage_error_that_lists_the_known_ones(write: Any) -> None:
    for option in ("--select", "--ignore"):
        result = run(write(row(1)), option, "box")
        assert result.exit_code == 2
        assert result.stderr.startswith("error[no-such-code] ")
        assert "answer-not-in-hint, " in result.stderr


def test_standard_input_is_a_source(write: Any, tmp_path: Path) -> None:
    path = Path(write(row(1), row(2, ans=[40, 3, 7, 21])))
    result = run("-", "--image-root", str(tmp_path), stdin=path.read_bytes())
    assert result.exit_code == 1
    assert result.stdout.startswith("-:2: error[box-inverted] ")
