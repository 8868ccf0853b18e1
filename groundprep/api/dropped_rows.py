"""`dropped.jsonl`: the rows that could not be carried, with the reason of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundprep.containers.json_text import encode_compact
from groundprep.record import Dropped


class DroppedFile:
    """Collects dropped rows as JSON Lines; creates its file with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: Any = None

    def __call__(self, dropped: Dropped) -> None:
        """Write one row; image bytes as their length."""
        if self.file is None:
            self.file = self.path.open("wb")
        row = dropped.error.as_dict() | {"source": str(dropped.source), "row": _printable(dropped.row)}
        self.file.write(encode_compact(row) + b"\n")


def _printable(value: Any) -> Any:
    """Return a row with image bytes replaced by their length."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value


@contextmanager
def dropped_file(path: Path) -> Iterator[DroppedFile]:
    """Open the sidecar for dropped rows and close it at the end."""
    dropped = DroppedFile(path)
    try:
        yield dropped
    finally:
        if dropped.file is not None:
            dropped.file.close()
