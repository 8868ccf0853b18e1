"""Small files in the layouts of the specs, written by hand: each is recognised as what it is, and goes through unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundprep.containers import Row, open_reader
from groundprep.dialects import DIALECTS
from tests.contracts.samples import lost_and_rounded, run

FIXTURES = Path(__file__).parents[1] / "fixtures"
OWN = ("humanref-cot", "qwen-vl", "rexomni-engine", "rexomni-eval", "trl", "trl/parts", "trl-sft")
FRAMES = {"qwen-vl": "qwen3-vl", "trl": "trl", "trl/parts": "trl", "trl-sft": "trl-sft"}


def path_of(name: str) -> Path:
    if "/" in name:
        return FIXTURES / f"{name}.jsonl"
    folder = FIXTURES / name
    return folder / "rows" if (folder / "rows.annotations.tsv").exists() else folder / "rows.jsonl"


def values(path: Path) -> list[Any]:
    return [item.value for item in open_reader(str(path)) if isinstance(item, Row)]


@pytest.mark.parametrize("name", OWN)
def test_every_row_fits_its_dialect_and_no_other(name: str) -> None:
    reader = open_reader(str(path_of(name)))
    rows = values(path_of(name))
    assert rows
    for row in rows:
        fits = [n for n, d in DIALECTS.items() if reader.container in d.containers and d.matches(row, reader.container)]
        assert fits == [name.partition("/")[0]], row


@pytest.mark.parametrize("name", OWN)
def test_every_file_goes_through_unchanged(tmp_path: Path, name: str) -> None:
    src = path_of(name)
    dst = tmp_path / ("out" if src.name == "rows" else "out.jsonl")
    to = {"to": name} if src.name == "rows" else {}
    result = run(src, dst, source_frame=FRAMES.get(name), image_root=str(src.parent), **to)
    assert json.dumps(values(dst)) == json.dumps(values(src))
    assert lost_and_rounded(result) == set()
