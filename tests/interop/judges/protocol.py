"""How a judge is asked and answers: two files of JSON, named on the command line. Standard library only."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def answer(package: str, judge: Callable[..., dict[str, Any]]) -> None:
    """Run the judge on every named task and write what it sees, with the version of the package.

    argv: a file `{"tasks": {name: path}, "options": {…}}`, and the file to write. Options are the judge's keyword arguments.
    """
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    seen = {name: judge(path, **asked["options"]) for name, path in asked["tasks"].items()}
    Path(sys.argv[2]).write_text(json.dumps({"version": version(package), "seen": seen}), encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a row as JSON; bytes by their SHA-256."""
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
