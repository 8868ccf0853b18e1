"""The layers of the design: a module imports lower layers, its own package, or a module to its left on the same line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import groundprep

PACKAGE = Path(groundprep.__file__).parent
LAYERS = (
    ("source", "errors"),
    ("config", "counts", "losses", "geometry", "jpeg", "images", "image_loader", "image_names", "image_header", "hub"),
    ("profile", "finding", "record"),
    ("containers", "dialects", "corpora", "detect", "rewards", "trainers", "manifest", "output"),
    ("checks", "view", "stages"),
    ("engine", "run_result", "pipeline", "training"),
    ("probe", "api", "cli"),
)
RANK = {name: (level, place) for level, names in enumerate(LAYERS) for place, name in enumerate(names)}
ENTRY_POINTS = {"__init__", "__main__"}


def modules() -> list[Path]:
    return [
        path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0][:-3] not in ENTRY_POINTS
    ]


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Every groundprep module that a file imports, at any depth of the code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "groundprep":
            if node.module == "groundprep":
                found.update(f"groundprep.{alias.name}" for alias in node.names if alias.name in RANK)
            else:
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("groundprep."))
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_or_to_its_left(path: Path) -> None:
    own = unit_of(path)
    assert own in RANK, f"{own} has no place in the layers: add it to LAYERS and to docs/architecture.md"
    for module in imported_modules(path):
        other = module.split(".")[1]
        if other == own:
            continue
        level, place = RANK[other]
        own_level, own_place = RANK[own]
        assert level < own_level or (level == own_level and place < own_place), f"{own} must not import {other}"


def test_no_import_cycle_exists_inside_a_package() -> None:
    graph = {module_name(path): top_level_imports(path) for path in modules()}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, f"import cycle: {' → '.join((*trail, name))}"
        if state.get(name) == 2 or name not in graph:
            return
        state[name] = 1
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        state[name] = 2

    for name in graph:
        visit(name, ())


def module_name(path: Path) -> str:
    parts = ("groundprep", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def top_level_imports(path: Path) -> set[str]:
    """The modules that are imported when the file is loaded (not inside functions or type-checking blocks)."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("groundprep."):
            found.add(node.module)
            folder = PACKAGE.parent / node.module.replace(".", "/")
            found.update(
                f"{node.module}.{alias.name}" for alias in node.names if (folder / f"{alias.name}.py").exists()
            )
    own = module_name(path)
    return {name for name in found if name != own and not own.startswith(name + ".")}
