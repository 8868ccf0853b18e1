from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app
from tests.contracts.samples import make_image

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


def test_findings_say_where_what_and_what_to_do(write: Any) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    result = run(src)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert result.stdout == (
        "error[box-inverted] 1 finding: a box ends before it starts\n"
        f"  {src}:2: answer 0 is inverted; found [40.0, 3.0, 7.0, 21.0]; expected x0 < x1 and y0 < y1\n"
        "  fix: exchange the corners (`validate --fix OUT` does), or check --source-frame if many are\n"
        "\n"
        "--fix OUT repairs what is safe to repair: some or all of 1 finding\n"
        "2 records: 1 error, 0 warnings\n"
    )


@pytest.mark.parametrize(
    ("changes", "code", "found"),
    [
        (
            {"candidate_boxes": [{"bbox": BOX}, {"bbox": BOX}, {"bbox": [1, 2, 3]}]},
            "box-shape",
            "candidate_boxes[2].bbox",
        ),
        ({"ans": [BOX, [4, 5]]}, "box-shape", "ans[1]: [4, 5]"),
        (
            {"candidate_boxes": [{"bbox": [1, 2, 3, 1e300]}]},
            "number-range",
            "candidate_boxes[0].bbox: [1, 2, 3, 1e+300]",
        ),
        ({"ans": [1, 2, 3, float("nan")]}, "not-finite", "ans[3]: NaN"),
        ({"referring": "\ud800"}, "lone-surrogate", "referring"),
    ],
)
def test_a_refused_row_names_the_field_and_has_a_fix(write: Any, changes: Any, code: str, found: str) -> None:
    src = write(row(1), row(2, **changes))
    result = run(src)
    assert result.exit_code == 1
    assert f"error[{code}] 1 finding" in result.stdout
    assert f"  {src}:2: " in result.stdout
    assert f"; found {found}" in result.stdout
    assert "\n  fix: " in result.stdout


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
    assert list(data) == [
        "records",
        "errors",
        "warnings",
        "profile",
        "by_code",
        "unsized",
        "findings",
        "truncated",
    ]
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


def test_codes_stand_worst_first_with_three_examples_each(write: Any) -> None:
    rows = [row(number, ans=[40, 3, 7, 21]) for number in range(4)] + [row(7), row(7)]
    lines = run(write(*rows)).stdout.splitlines()
    heads = [line for line in lines if line.startswith(("error[", "warning["))]
    assert heads == [
        "error[box-inverted] 4 findings: a box ends before it starts",
        "warning[repeated-id] 1 finding: a record has the id of an earlier one",
    ]
    assert [line.split(": ")[0][-2:] for line in lines[1:4]] == [":1", ":2", ":3"]
    assert lines[4] == "  … and 1 more"
    assert any(line.startswith("--report FILE.jsonl writes every finding") for line in lines)


def test_the_json_result_keeps_so_many_findings_and_counts_all(write: Any) -> None:
    src = write(*[row(number, ans=[40, 3, 7, 21]) for number in range(5)])
    data = json.loads(run(src, "--max-findings", "2", "--format", "json").stdout)
    assert (len(data["findings"]), data["truncated"], data["errors"]) == (2, True, 5)


@pytest.mark.parametrize(("flags", "environment"), [(["--ci", "github"], ""), ([], "true")])
def test_annotations_are_githubs_and_data_cannot_forge_one(
    write: Any, monkeypatch: pytest.MonkeyPatch, flags: list[str], environment: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", environment)
    src = write(row(1, referring="café\n::error::forged %0A"), row(2, ans=[40, 3, 7, 21]))
    lines = [line for line in run(src, *flags).stdout.splitlines() if line.startswith("::")]
    assert len(lines) == 2
    assert lines[0].startswith(f"::error file={src},line=2,title=box-inverted::answer 0 is inverted; ")
    assert lines[1].startswith(f"::warning file={src},line=1,title=text-control::")
    assert "\\n::error::forged %250A" in lines[1]
    assert not any(line.startswith("::") for line in run(src, "--ci", "off").stdout.splitlines())


def test_at_most_so_many_annotations_as_are_shown_are_printed(write: Any) -> None:
    from groundprep.checks.base import Rule
    from groundprep.checks.tally import Tally
    from groundprep.cli.findings import ANNOTATED_PER_SEVERITY, github_annotations
    from groundprep.finding import Finding, Severity

    tally = Tally({f"code-{n}": Rule(f"code-{n}", Severity.ERROR, "…") for n in range(8)})
    for number in range(24):
        code = f"code-{number % 8}"
        tally.add(Finding(code=code, severity=Severity.ERROR, record=1, source="a.jsonl:1#2", message="x"))
    lines = list(github_annotations(tally.worst_first()))
    assert len(lines) == ANNOTATED_PER_SEVERITY
    assert len({line.split("title=")[1].split("::")[0] for line in lines}) == 8
    assert lines[0] == "::error file=a.jsonl,line=1,title=code-0::x"


def test_the_html_report_is_a_page_with_every_code(write: Any, tmp_path: Path) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    run(src, "--for", "rexthinker", "--report", str(tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("box-inverted", "ceilings", "rexthinker@5038b47", f"{src}:2"):
        assert words in page


def test_fixes_are_told_before_what_is_left(write: Any, tmp_path: Path) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    result = run(src, "--fix", str(tmp_path / "out.jsonl"), "--image-root", str(tmp_path))
    assert result.exit_code == 0
    assert result.stdout.startswith(f"wrote {tmp_path}/out.jsonl: 2 rows, 1 of them changed: 1 corners-reordered\n")
    assert result.stdout.endswith("what is left:\n2 records: 0 errors, 0 warnings\n")
    flags = ("--fix", str(tmp_path / "out.jsonl"), "--image-root", str(tmp_path), "--format", "json")
    assert json.loads(run(src, *flags).stdout)["fixed"]["unchanged"]


def test_rows_that_a_fix_leaves_out_are_told_and_cost_the_exit_code(write: Any, tmp_path: Path) -> None:
    src = write(row(1), row(2, ans=[40, 3, 7, 21]))
    with Path(src).open("a") as file:
        file.write("{broken\n")
    flags = ("--fix", str(tmp_path / "out.jsonl"), "--image-root", str(tmp_path))
    assert "--on-error drop" in run(src, *flags).stderr
    result = run(src, *flags, "--on-error", "drop")
    assert result.exit_code == 5
    assert "1 row could not be read and was dropped" in result.stdout


def test_rows_of_the_evaluation_data_are_errors(write: Any, tmp_path: Path) -> None:
    src = write(row(1), row(2))
    held_out = tmp_path / "eval.jsonl"
    held_out.write_text(json.dumps(row(2)) + "\n", encoding="utf-8")
    result = run(src, "--against", str(held_out), "--format", "json")
    assert result.exit_code == 1
    assert set(json.loads(result.stdout)["by_code"]) <= {"leaked-row", "leaked-image"}
    assert run(src, "--against", "-").exit_code == 2


def test_what_cannot_be_read_of_the_evaluation_data_is_counted_and_the_rest_compared(
    write: Any, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    held_out = tmp_path / "elsewhere" / "eval.jsonl"
    held_out.write_text(f"{json.dumps(row(2))}\n{{broken\n{json.dumps(row(3))}\n", encoding="utf-8")
    refused = run(write(row(1)), "--against", str(held_out))
    assert refused.exit_code == 3
    assert "error[evaluation-unread] " in refused.stderr
    assert "found 2 rows; the first is row 1: the image file cannot be read" in refused.stderr
    make_image(tmp_path / "elsewhere" / "other.png", (61, 37))
    with held_out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row(4) | {"image_name": "other.png"}) + "\n")
    result = run(write(row(1)), "--against", str(held_out))
    assert result.exit_code == 0
    assert "warning[evaluation-unread] 2 findings" in result.stdout
    assert f"  {held_out}: images of the evaluation data cannot be read" in result.stdout
    assert "found 2 rows; the first is row 1: the image file cannot be read" in result.stdout
    assert "found 1 row; the first is row 2: " in result.stdout
    assert "--against-image-root" in result.stdout
    assert "warning[leaked-image] 1 finding" in result.stdout  # by its name
    assert run(write(row(1)), "--against", str(held_out), "--against-image-root", str(tmp_path)).exit_code == 1
    assert run(write(row(1)), "--against", str(held_out), "--verify", "none").exit_code == 0


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
    assert "\n  -:2: answer 0 is inverted" in result.stdout


def test_without_verification_the_summary_says_what_was_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "é.jsonl"
    rows = [row(1), row(2, width=61, height=37, ans=[7, 3, 640, 21])]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(str(path), "--verify", "none")
    assert result.exit_code == 1
    assert "[box-outside]" in result.stdout
    assert "1 record without a declared image size: what needs it was not checked\n" in result.stdout
    assert json.loads(run(str(path), "--verify", "none", "--format", "json").stdout)["unsized"] == 1
    assert "without a declared image size" not in run(str(path), "--verify", "header").stdout


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_workers_and_command_with_its_code_and_one_line(
    tmp_path: Path, end: signal.Signals, code: int
) -> None:
    path = tmp_path / "é.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(60_000)), encoding="utf-8")
    command = [sys.executable, "-m", "groundprep", "validate", str(path), "--verify", "none", "--workers", "2"]
    report = tmp_path / "r.jsonl"
    with subprocess.Popen(
        [*command, "--report", str(report)], stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        workers = workers_of(process.pid)
        os.killpg(process.pid, end) if end is signal.SIGINT else process.terminate()
        err = process.communicate(timeout=120)[1]
    assert process.returncode == code
    assert err.count(b"\n") <= 1
    assert b"Traceback" not in err
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["é.jsonl"]


def test_a_killed_worker_is_one_line_and_exit_code_4(tmp_path: Path) -> None:
    path = tmp_path / "é.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(120_000)), encoding="utf-8")
    command = [sys.executable, "-m", "groundprep", "validate", str(path), "--verify", "none", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.kill(min(workers_of(process.pid)), signal.SIGKILL)
        err = process.communicate(timeout=120)[1]
    assert (process.returncode, err.startswith(b"error[worker-lost] a worker process was killed")) == (4, True)


def workers_of(pid: int) -> set[int]:
    """Wait until a process has two workers, and return them."""
    for _ in range(6000):
        found = set()
        for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):  # it has just ended
                if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                    found.add(int(number))
        if len(found) == 2:
            return found
        time.sleep(0.01)
    raise AssertionError("no workers")
