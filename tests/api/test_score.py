from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from groundprep.api.score import ScoreConfig, ScoredRow, score
from groundprep.cli import app
from groundprep.errors import FormatError, RecordError, UsageError
from groundprep.rewards import SCORER_NAMES, get_scorer

TRUTH = '```json\n[{"bbox_2d": [94, 45, 445, 271], "label": "blaues Brett é"}]\n```'
RIGHT = f"<think>é</think><answer>{TRUTH}</answer>"

NAMES = (
    "rexthinker", "rexomni:box_iou", "rexomni:point_in_box", "rexomni:point_in_mask", "easydistill:format",
    "easydistill:gaussian_point", "easydistill:gaussian_plane", "easydistill:multi_box_format_reward",
    "easydistill:multi_gaussian_point", "easydistill:multi_gaussian_plane_reward", "vlmr1:rec", "vlmr1:od", "vlmr1-seg",
)  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(*lines: Any) -> str:
        path = tmp_path / "é.jsonl"
        path.write_text(
            "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), "utf-8"
        )
        return str(path)

    return write


def line(completion: Any = RIGHT, truth: Any = TRUTH) -> dict[str, Any]:
    return {"completion": completion, "ground_truth": truth, "more": 1}


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["score", *arguments], input=stdin)


def printed(result: Result) -> list[Any]:
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_every_trainers_reward_has_its_name() -> None:
    assert set(NAMES) < set(SCORER_NAMES)
    assert all(callable(get_scorer(name)) for name in SCORER_NAMES)


def test_one_object_per_line_in_order(write: Any) -> None:
    result = run(write(line(), line("nothing"), line(TRUTH)), "--reward", "rexthinker")
    assert result.exit_code == 0, result.stderr
    assert printed(result) == [
        {"overall": 1.0, "format": 1.0, "accuracy": 1.0},
        {"overall": 0.0, "format": 0.0, "accuracy": 0.0},
        {"overall": 0.9, "format": 0.0, "accuracy": 1.0},
    ]


@pytest.mark.parametrize(
    ("name", "truth", "keys"),
    [
        ("rexomni:box_iou", {"answer": {}, "resized_image_size": [61, 37], "raw_image_size": [61, 37]}, ["overall"]),
        (
            "rexomni:point_in_box",
            {"answer": {}, "resized_image_size": [61, 37], "raw_image_size": [61, 37]},
            ["overall"],
        ),
        (
            "rexomni:point_in_mask",
            {"answer": {}, "resized_image_size": [61, 37], "raw_image_size": [61, 37]},
            ["overall"],
        ),
        ("easydistill:format", [1, 2, 3, 4], ["score"]),
        ("easydistill:gaussian_point", [1, 2, 3, 4], ["score"]),
        ("easydistill:gaussian_plane", [1, 2, 3, 4], ["score"]),
        ("easydistill:multi_box_format_reward", {"0": []}, ["score"]),
        ("easydistill:multi_gaussian_point", {"0": []}, ["score"]),
        ("easydistill:multi_gaussian_plane_reward", {"0": []}, ["score"]),
        (
            "vlmr1:rec",
            {"solution": "<answer> [1, 2, 3, 4] </answer>", "image_size": [61, 37], "seen_size": [56, 28]},
            ["accuracy", "format"],
        ),
        ("vlmr1:od", "<answer> None </answer>", ["od_ap", "od_ap50", "odLength", "weighted_sum", "map"]),
        ("vlmr1-seg", "<answer> {} </answer>", ["mask_iou", "format"]),
    ],
)
def test_parts_are_named_as_the_trainer_names_them(write: Any, name: str, truth: Any, keys: list[str]) -> None:
    result = run(write(line("text, or none", truth)), "--reward", name)
    assert result.exit_code == 0, result.stderr
    assert list(printed(result)[0]) == keys


def test_what_is_not_finite_is_text_and_what_is_unknown_is_null(write: Any) -> None:
    plane = run(
        write(line("[5, 5, 5, 15]", [5, 5, 5, 15]), line(f"[{'9' * 400}, 1, {'9' * 400}, 2]", [5, 5, 25, 15])),
        "--reward",
        "easydistill:gaussian_plane",
    )
    assert printed(plane) == [{"score": "inf"}, {"score": "nan"}]
    unknown = run(write(line("foo()", {"0": []})), "--reward", "easydistill:multi_box_format_reward")
    assert printed(unknown) == [{"score": None, "reason": "needs-eval"}]
    assert "needs-eval" in unknown.stderr
    raised = run(write(line("[]", {"0": []})), "--reward", "easydistill:multi_gaussian_point")
    assert printed(raised) == [{"score": None, "reason": "raises AttributeError"}]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"ground_truth": TRUTH}, "completion"),
        (line(completion=5), "completion"),
        ({"completion": RIGHT}, "ground-truth"),
        (line(truth=[94, 45, 445, 271]), "ground-truth"),
        ('{"completion": NaN}', "not-finite"),
        ("[1]", "row-not-object"),
        ("{,}", "bad-json"),
    ],
)
def test_a_bad_line_stops_with_one_clear_line_or_gets_a_null_score(write: Any, bad: Any, code: str) -> None:
    path = write(line(), bad, line())
    stopped = run(path, "--reward", "rexthinker")
    assert (stopped.exit_code, len(printed(stopped))) == (3, 1)
    assert f"error[{code}] {path}:2:" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    went_on = run(path, "--reward", "rexthinker", "--on-error", "drop")
    assert went_on.exit_code == 5
    assert printed(went_on)[1] == {"score": None, "reason": code}
    assert printed(went_on)[2]["overall"] == 1.0
    assert f"dropped[{code}] {path}:2:" in went_on.stderr
    assert "error[" not in went_on.stderr


def test_stdin_is_read(write: Any) -> None:
    data = "".join(json.dumps(line(c)) + "\n" for c in (RIGHT, "x")).encode()
    result = run("-", "--reward", "rexthinker", "--limit", "1", stdin=data)
    assert [row["overall"] for row in printed(result)] == [1.0]


def test_scores_are_printed_while_stdin_is_still_open() -> None:
    command = [sys.executable, "-m", "groundprep", "score", "-", "--reward", "rexthinker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(line()).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["overall"] == 1.0
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_an_unknown_reward_names_all(write: Any) -> None:
    result = run(write(line()), "--reward", "accuracy")
    assert result.exit_code == 2
    with pytest.raises(UsageError, match="vlmr1-seg"):
        get_scorer("accuracy")


def test_a_missing_or_empty_file_is_told(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.jsonl"), "--reward", "rexthinker").exit_code == 3
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(FormatError) as caught:
        score(ScoreConfig(str(tmp_path / "empty.jsonl"), "rexthinker"), lambda row: None)
    assert caught.value.code == "file-empty"


@pytest.mark.parametrize("more", [(), ("--on-error", "drop")])
@pytest.mark.parametrize(("data", "code"), [(b"\n \n", "no-rows"), (bytes(range(256)) * 20, "binary")])
def test_a_file_without_a_line_of_text_is_refused_as_everywhere(
    data: bytes, code: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    result = run(str(path), "--reward", "rexthinker", *more)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error[{code}] {path}")
    assert result.stderr.count("error[") == 1


def test_the_library_function_counts_what_it_handed_on(write: Any) -> None:
    rows: list[ScoredRow] = []
    path = write(line("[]", {"0": []}), line("{0: []}", {"0": []}), {"completion": "x"})
    result = score(ScoreConfig(path, "easydistill:multi_gaussian_point", on_error="drop"), rows.append)
    assert (result.rows, result.bad, result.unknown) == (3, 1, {"raises AttributeError": 1})
    assert [row.source.row for row in rows] == [1, 2, 3]
    with pytest.raises(RecordError):
        score(ScoreConfig(path, "easydistill:multi_gaussian_point"), rows.append)


HOSTILE = [
    "[" * 100_000, "<answer>" * 100_000, "[" + "9" * 1_000_000, "-" * 100_000 + "1", "```json" * 100_000, "\n" * 500_000,
    "<answer>```json" + "[" * 100_000 + "```</answer>", "<|object_ref_start|>" * 50_000, "\x00",
    "{0: [" + "[1,2,3,4]," * 20_000 + "]}",
    "<think></think>" * 30_000 + "<answer>{", "(1," * 50_000,
]  # fmt: skip
TRUTHS: dict[str, Any] = {
    "rexomni": {"answer": {"x": {"boxes": [[1, 2, 3, 4]]}}, "resized_image_size": [61, 37], "raw_image_size": [61, 37]},
    "easydistill": {"0": [[1, 2, 30, 40]], "1": []},
    "vlmr1:rec": {"solution": "<answer> [1, 2, 30, 40] </answer>", "image_size": [61, 37], "seen_size": [56, 28]},
    "vlmr1:od": f"<answer> {TRUTH} </answer>",
    "vlmr1-seg": '<answer> {"centre": [17, 19], "coeffs": [14], "size": [37, 61]} </answer>',
    "choice": {"candidates": [[1, 2, 30, 40]], "answer": [0]},
    "point-in-region": {"boxes": [[1, 2, 30, 40]]},
    "mask-iou": {"size": [37, 61], "segmentation": [[1, 2, 30, 2, 30, 20]]},
}


@pytest.mark.parametrize("name", SCORER_NAMES)
def test_hostile_completions_get_a_verdict_in_time(name: str) -> None:
    truth = next((truth for start, truth in TRUTHS.items() if name.startswith(start)), TRUTH)
    scorer = get_scorer(name)
    for completion in HOSTILE:
        started = time.process_time()
        result = scorer(completion, truth)
        assert (None in result.parts.values()) == (result.reason is not None)
        assert time.process_time() - started < 3.0
