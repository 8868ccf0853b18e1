"""The command `formats`."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from groundprep.cli import app
from groundprep.containers import CONTAINERS
from groundprep.dialects import DIALECTS
from groundprep.trainers import PROFILES

ROW = {"image_name": "é.jpg", "ans": [7.5, 3, 40, 21], "category": "Hund", "referring": "der \x1b[31mHund"}


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["formats", *map(str, arguments)])


def test_people_see_every_container_dialect_and_profile() -> None:
    result = invoke()
    first_words = {line.split()[0] for line in result.stdout.splitlines() if line}
    assert first_words >= {*CONTAINERS, *DIALECTS, *PROFILES}


def test_json_has_the_name_that_the_option_for_takes() -> None:
    data = json.loads(invoke("--format", "json").stdout)
    assert [profile["full_name"] for profile in data["profiles"]] == list(PROFILES)
    assert data["containers"][0]["extensions"]


def test_a_source_is_named_with_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "boxes.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    text = invoke(path).stdout
    assert "rexthinker  (rows have the keys image_name, ans, referring)" in text
    assert "\x1b" not in text
    data = json.loads(invoke(path, "--format", "json").stdout)
    assert (data["container"], data["dialect"], data["frame"]) == ("jsonl", "rexthinker", "pixels")


def test_an_ambiguous_source_is_exit_3_and_names_both(tmp_path: Path) -> None:
    path = tmp_path / "boxes.jsonl"
    path.write_text(json.dumps(ROW | {"annotation": {"boxes": []}}) + "\n", encoding="utf-8")
    result = invoke(path)
    assert result.exit_code == 3
    assert "rexomni and rexthinker" in result.stderr
    assert invoke(path, "--from", "rexomni").exit_code == 0


def test_a_source_that_is_not_there_is_exit_3(tmp_path: Path) -> None:
    assert invoke(tmp_path / "weg.jsonl").exit_code == 3
