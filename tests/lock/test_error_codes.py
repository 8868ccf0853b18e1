"""Every code that a message can carry is a heading of docs/errors.md, and no heading is stale."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

import groundprep
from groundprep import errors
from groundprep.errors import GroundprepError
from groundprep.source import Source

PACKAGE = Path(groundprep.__file__).parent
DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
CODE = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")


def codes_in_source() -> set[str]:
    """Every string given as `code=` or `default_code =`, assigned to a name `code`, or given to a reader's `warn`."""
    nodes = (node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {code for node in nodes for code in codes_of(node) if CODE.match(code)}


def codes_of(node: ast.AST) -> set[str]:
    if isinstance(node, ast.keyword) and node.arg == "code":
        return strings(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warn":
        return strings(node.args[0])
    if not isinstance(node, ast.Assign):
        return set()
    found = set()
    for target in node.targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=False))
        for name, value in pairs:
            if isinstance(name, ast.Name) and name.id in ("code", "default_code"):
                found |= strings(value)
    return found


def strings(node: ast.expr) -> set[str]:
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def documented() -> set[str]:
    return set(re.findall(r"^### `([^`]+)`", DOCS.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_code_is_documented() -> None:
    from groundprep.checks import CHECKS

    checks = {code for check in CHECKS for code in check.codes}
    assert (codes_in_source() | checks) - documented() == set()


def test_every_documented_code_exists() -> None:
    everything = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert {code for code in documented() if f'"{code}"' not in everything} == set()


def all_error_classes() -> list[type[GroundprepError]]:
    found, waiting = [], [GroundprepError]
    while waiting:
        cls = waiting.pop()
        found.append(cls)
        waiting += cls.__subclasses__()
    return found


@pytest.mark.parametrize("cls", all_error_classes(), ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling(cls: type[GroundprepError]) -> None:
    error = cls(
        "the box is odd", code="box-shape", source=Source("café.jsonl", 3, 2), found=[1, 2], expected="four", fix="look"
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert copy.as_dict() == error.as_dict()
    assert str(copy) == str(error)


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {code.name: int(code) for code in errors.ExitCode} == {
        "OK": 0, "FINDINGS": 1, "USAGE": 2, "DATA": 3, "ENVIRONMENT": 4, "DROPPED": 5, "INTERNAL": 70, "INTERRUPTED": 130,
        "TERMINATED": 143,
    }  # fmt: skip
