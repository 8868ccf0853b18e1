"""The command `vis`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from groundprep.cli import app


@pytest.fixture
def source(tmp_path: Path) -> Any:
    Image.new("RGB", (61, 37), "navy").save(tmp_path / "é.png")
    path = tmp_path / "boxes.jsonl"
    row = {"image_name": "é.png", "ans": [7.5, 3, 30, 21], "category": "Hund", "referring": "der Hund"}
    path.write_text("".join(json.dumps(row | {"referring": f"Hund {i}"}) + "\n" for i in range(9)), encoding="utf-8")
    return path


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["vis", *map(str, arguments)])


def test_the_result_is_one_json_object(source: Any, tmp_path: Path) -> None:
    result = invoke(source, tmp_path / "out", "--num-samples", 3, "--format", "json")
    data = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (data["records"], len(data["written"]), data["counts"]["read"]) == (3, 3, 9)


def test_people_see_the_names_of_the_pictures(source: Any, tmp_path: Path) -> None:
    result = invoke(source, tmp_path / "out", "--limit", 2)
    assert result.stdout.splitlines() == [str(tmp_path / "out" / f"sample_00000{i}.png") for i in (0, 1)]


@pytest.mark.parametrize("arguments", [["0", "5", "7"], ["0,5,7"], ["0", "--indices", "5 7"]])
def test_indices_may_be_written_with_spaces_commas_or_options(source: Any, tmp_path: Path, arguments: Any) -> None:
    result = invoke(source, tmp_path / "out", "--indices", *arguments)
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "sample_000000.png",
        "sample_000005.png",
        "sample_000007.png",
    ]


def test_an_index_out_of_range_is_exit_2_and_one_line(source: Any, tmp_path: Path) -> None:
    result = invoke(source, tmp_path / "out", "--indices", 9)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "0 to 8" in result.stderr


def test_a_missing_image_is_exit_3_and_with_drop_exit_5(source: Any, tmp_path: Path) -> None:
    (tmp_path / "é.png").unlink()
    assert invoke(source, tmp_path / "out").exit_code == 3
    result = invoke(source, tmp_path / "out", "--on-error", "drop", "--indices", 0)
    assert result.exit_code == 5
    assert "dropped[image-missing]" in result.stderr


def test_a_destination_is_needed(source: Any) -> None:
    result = invoke(source)
    assert result.exit_code == 2
    assert "SRC OUT_DIR" in result.stderr


def test_pictures_do_not_depend_on_the_hash_seed(source: Any, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "groundprep", "vis", str(source), str(tmp_path / seed), "--indices", "0"]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.DEVNULL)
    first, second = ((tmp_path / seed / "sample_000000.png").read_bytes() for seed in ("1", "2"))
    assert first == second
