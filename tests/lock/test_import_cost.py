"""`import groundprep` and `groundprep --help` are instant: nothing heavy is imported until a verb needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from groundprep.cli import VERBS

HEAVY = ("torch", "transformers", "datasets", "polars", "pyarrow", "numpy", "PIL", "ray", "scipy", "rich", "trl")


def heavy_modules_after(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(HEAVY) & set(output.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb.NAME, "--help"] for verb in VERBS)], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"sys.argv = ['groundprep', *{arguments!r}]; from groundprep.cli import main; main()"
    assert heavy_modules_after(code) == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert heavy_modules_after("import groundprep") == set()
