"""The flags that say what a training allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app


@pytest.fixture
def source(tmp_path: Path) -> str:
    Image.new("RGB", (61, 37)).save(tmp_path / "é.jpg")
    candidates = [{"bbox": box, "category": "garçon"} for box in ([7.5, 3.0, 40.0, 21.0], [1, 2, 30, 33])]
    row = {"image_name": "é.jpg", "ans": [1, 2, 30, 33], "referring": "le garçon", "candidate_boxes": candidates}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["validate", *arguments])


def codes(source: str, profile: str, *flags: str) -> tuple[int, list[str]]:
    result = run(source, "--for", profile, "--format", "json", *flags)
    return result.exit_code, [item["code"] for item in json.loads(result.stdout)["findings"]]


@pytest.mark.parametrize(
    ("profile", "flag", "code"),
    [
        ("easyr1", "--max-prompt-length", "prompt-too-long"),
        ("easyr1", "--max-response-length", "answer-too-long"),
        ("trl-sft", "--max-length", "sequence-too-long"),
    ],
)
def test_each_flag_sets_its_own_limit(source: str, profile: str, flag: str, code: str) -> None:
    assert codes(source, profile, "--select", code, flag, "3") == (1, [code])
    assert codes(source, profile, "--select", code, flag, "9000") == (0, [])


def test_the_batch_of_the_training_fails_the_run_and_the_default_one_does_not(source: str) -> None:
    assert codes(source, "easyr1", "--select", "rows-few") == (0, ["rows-few"])
    assert codes(source, "easyr1", "--select", "rows-few", "--train-batch-size", "2") == (1, ["rows-few"])
    assert codes(source, "easyr1", "--select", "rows-few", "--train-batch-size", "1") == (0, [])


def test_a_limit_without_a_trainer_is_a_usage_error(source: str) -> None:
    result = run(source, "--train-batch-size", "2")
    assert result.exit_code == 2
    assert "--train-batch-size" in result.stderr
    assert "--for PROFILE" in result.stderr


def test_a_tokenizer_that_is_none_is_a_usage_error(source: str, tmp_path: Path) -> None:
    (tmp_path / "leer").mkdir()
    result = run(source, "--for", "easyr1", "--tokenizer", str(tmp_path / "leer"))
    assert result.exit_code == 2
    assert "no tokenizer" in result.stderr
