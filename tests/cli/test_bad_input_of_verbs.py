"""Bad input for the verbs that do not convert: the same sources, the same contract as in `test_bad_input.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from groundprep.cli import app
from tests.cli.test_bad_input import (
    BAD_IMAGE_ROWS,
    BAD_ROWS,
    BROKEN,
    GOOD,
    Place,
    cases,
    lines,
    pictures,
    place,
    row,
    text,
    with_bad,
)

__all__ = ["pictures", "place"]

READERS = {
    "vis": ["vis", "{src}", "{out}/pictures"],
    "split": ["split", "{src}", "{out}/parts", "--val", "0.5"],
    "run": ["run", "{pipeline}"],
    "formats": ["formats", "{src}"],
    "train": ["train", "{src}", "--trainer", "trl", "--stage", "grpo", "--model", "m", "--dry-run"],
    "add-candidates": ["add-candidates", "{src}", "{out}/x.jsonl", "--detector", "{out}/none"],
}
every_reader = pytest.mark.parametrize("verb", READERS)
every_writer = pytest.mark.parametrize("verb", ["vis", "split", "run"])


def call(verb: str, src: Path, place: Place, *more: str) -> Any:
    pipeline = place.inside / "pipeline.yaml"
    step = {"verb": "convert", "src": str(src), "dst": f"{place.out}/x.parquet", "for": "easyr1"}
    pipeline.write_text(json.dumps({"steps": [step]}), encoding="utf-8")
    arguments = [part.format(src=src, out=place.out, pipeline=pipeline) for part in READERS[verb]]
    result = CliRunner().invoke(app, [*arguments, *more])
    assert "Traceback" not in result.output + result.stderr
    assert "internal" not in result.stderr
    return result


def require_refused(result: Any, code: str, place: Place) -> None:
    assert result.exit_code == 3
    (line,) = [line for line in result.stderr.splitlines() if "error[" in line]
    assert line.startswith(f"error[{code}] ")
    assert place.left_over() == []


@every_reader
@pytest.mark.parametrize(("name", "data", "code"), list(BROKEN.values()), ids=list(BROKEN))
def test_a_broken_container_ends_every_verb(name: str, data: bytes, code: str, verb: str, place: Place) -> None:
    require_refused(call(verb, place.write(name, data), place), code, place)


@every_reader
def test_a_missing_file_and_a_directory_end_every_verb(verb: str, place: Place) -> None:
    require_refused(call(verb, place.inside / "nirgends.jsonl", place), "file-missing", place)
    require_refused(call(verb, place.inside, place), "is-directory", place)


@every_writer
@cases(BAD_ROWS | BAD_IMAGE_ROWS)
def test_a_bad_row_ends_the_verb_or_is_dropped(bad: bytes, code: str, verb: str, place: Place) -> None:
    (place.inside / "other.jpg").write_bytes((place.inside / "é b.jpg").read_bytes() + b"\0")  # split needs two images
    src = place.write("x.jsonl", with_bad(bad, 1) + text(row(3, image_name="other.jpg")) + b"\n")
    require_refused(call(verb, src, place), code, place)
    result = call(verb, src, place, "--on-error", "drop")
    assert result.exit_code == 5
    assert "error[" not in result.stderr


@every_writer
def test_a_destination_below_a_file_is_refused(verb: str, place: Place) -> None:
    (place.inside / "other.jpg").write_bytes((place.inside / "é b.jpg").read_bytes() + b"\0")
    src = place.write("x.jsonl", lines(*GOOD, text(row(3, image_name="other.jpg"))))
    blocked = Place(place.inside, place.write("datei", b"x"))
    result = call(verb, src, blocked)
    assert result.exit_code == 3
    assert next(line for line in result.stderr.splitlines() if "error[" in line).startswith("error[write-failed] ")
    assert (place.inside / "datei").read_bytes() == b"x"
