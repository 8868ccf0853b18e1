from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app

BOXES = [[7.5, 3.0, 40.0, 21.0], [1, 2, 30, 33]]


@pytest.fixture
def src(tmp_path: Path) -> str:
    Image.new("RGB", (61, 37)).save(tmp_path / "é.jpg")
    rows: list[dict[str, Any]] = [
        {"image_name": "é.jpg", "id": number, "ans": BOXES[number], "category": "chien", "referring": f"chien {number}"}
        | {"candidate_boxes": [{"bbox": box, "category": "chien"} for box in BOXES]}
        for number in range(2)
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["validate", "--train-batch-size", "2", *arguments])


def test_people_see_what_right_and_useless_answers_earn_and_how_far_boxes_are_off(src: str) -> None:
    lines = run(src, "--for", "rexthinker").stdout.splitlines()
    start = lines.index("ceilings of rexthinker (overall), 2 rows: lowest 1, 5 % at or below 1, median 1; 0 below 0.8")
    assert [line.split() for line in lines[start + 1 : start + 8]] == [
        ["answer", "mean", "score"],
        ["right", "answer", "1"],
        ["best", "hint", "1"],
        ["empty", "0.1"],
        ["all", "hints", "0.7"],
        ["first", "hint", "0.55"],
        ["last", "hint", "0.55"],
    ]
    assert lines[start + 8].startswith("alignment: boxes are at most 0.")
    assert lines[start + 8].endswith(f"px off (in {src}:1)")


def test_another_reward_and_limit_are_named_in_the_table(src: str) -> None:
    shown = run(src, "--for", "rexthinker", "--reward", "iou", "--min-ceiling", "0.5").stdout
    assert "ceilings of iou (overall), 2 rows" in shown
    assert "0 below 0.5" in shown
    refused = run(src, "--for", "rexthinker", "--reward", "vlmr1:rec")
    assert refused.exit_code == 2
    assert "reward-unfit" in refused.stderr


def test_a_trainer_without_a_reward_is_one_line(src: str) -> None:
    shown = run(src, "--for", "rexomni-sft").stdout
    assert "no ceilings: rexomni-sft imitates the rows' answers and has no reward\n" in shown


def test_machines_get_the_same_as_json(src: str) -> None:
    data = json.loads(run(src, "--for", "rexthinker", "--format", "json").stdout)
    assert data["ceilings"]["useless"] == {"empty": 0.1, "all_hints": 0.7, "first_hint": 0.55, "last_hint": 0.55}
    assert set(data["alignment"]) == {"rows", "max_error_px", "where"}
    assert run(src, "--for", "rexthinker", "--format", "quiet").stdout == ""
