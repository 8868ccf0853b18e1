from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import groundprep
from groundprep.checks.registry import CHECKS, RULES

ROOT = Path(groundprep.__file__).parent
ROW_ERRORS = ("RecordError", "PayloadError", "LineIndexError", "SizeRefusedError", "NumbersError")
PLACES = ("containers", "dialects", "geometry", "images.py", "image_loader.py", "image_names.py", "stages/explode.py")


def raised_codes() -> Iterator[tuple[str, str]]:
    """Yield (code, file) of every error of a row that reading or formatting may raise."""
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ROW_ERRORS:
                    for keyword in node.keywords:
                        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                            yield str(keyword.value.value), str(file.relative_to(ROOT))


def warned_codes() -> Iterator[tuple[str, str]]:
    """Yield (code, file) of every oddity that a reader accepts."""
    for file in sorted((ROOT / "containers").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warn":
                assert isinstance(node.args[0], ast.Constant)
                yield str(node.args[0].value), file.name


@pytest.mark.parametrize(("code", "file"), sorted({*raised_codes(), *warned_codes()}))
def test_every_code_that_a_row_or_a_reader_may_give_can_be_selected(code: str, file: str) -> None:
    assert code in RULES, f"add a Rule for the code that {file} raises to groundprep/checks/registry.py"


def test_the_search_for_codes_finds_some() -> None:
    assert {"not-finite", "tsv-fields", "image-url", "no-phrase"} <= {code for code, _ in raised_codes()}
    assert {"bom", "misnamed"} <= {code for code, _ in warned_codes()}


def test_every_code_belongs_to_one_check_and_says_what_it_means() -> None:
    codes = [rule.code for check in CHECKS for rule in check.rules]
    assert sorted(codes) == sorted(set(codes))
    for rule in RULES.values():
        assert rule.code == rule.code.lower().replace("_", "-")
        assert 10 < len(rule.meaning) <= 120
        assert not rule.meaning.endswith(".")
