"""How rows lie in bytes: json, jsonl, tsv, parquet. Adding one is a module, a line in CONTAINERS and a docs page."""

from __future__ import annotations

from pathlib import Path

from groundprep.containers.base import Container, OutRow, Reader, Row, TableSpec, Writer, require_readable
from groundprep.containers.json import JsonReader, JsonWriter
from groundprep.containers.json_text import BOM
from groundprep.containers.jsonl import STDIN, JsonlReader, JsonlWriter
from groundprep.containers.parquet import ParquetReader, ParquetWriter
from groundprep.containers.tsv import ANNOTATIONS, TsvReader, TsvWriter
from groundprep.errors import FormatError, UsageError

__all__ = ["CONTAINERS", "STDIN", "Container", "OutRow", "Reader", "Row", "TableSpec", "Writer", "open_reader"]

CONTAINERS: dict[str, Container] = {
    container.name: container
    for container in (
        Container("json", "one JSON array of objects", (".json",), JsonReader, JsonWriter),
        Container("jsonl", "one JSON object a line", (".jsonl", ".ndjson"), JsonlReader, JsonlWriter),
        Container(
            "tsv", "base64 images, annotations by byte offset, line index", (".tsv", ".lineidx"), TsvReader, TsvWriter
        ),
        Container("parquet", "columns with embedded images", (".parquet",), ParquetReader, ParquetWriter),
    )
}

SNIFFED_BYTES = 4096
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"


def container_of_name(name: str) -> str | None:
    """Return the container that a file name's extension means, or None."""
    for container in CONTAINERS.values():
        if name.endswith(container.extensions):
            return container.name
    return None


def open_reader(path: str, container: str | None = None) -> Reader:
    """Open a source: the container is `container`, or what name and first bytes say; raises FormatError or UsageError."""
    if container is not None:
        if container not in CONTAINERS:
            raise UsageError("no such container", found=container, expected=", ".join(CONTAINERS))
        if path != STDIN and container != "tsv":
            require_readable(Path(path))
        return CONTAINERS[container].reader(path)
    if path == STDIN:
        return JsonlReader(path)
    named = container_of_name(path)
    if named == "tsv" or (named is None and not Path(path).exists() and Path(path + ANNOTATIONS).exists()):
        return TsvReader(path)
    require_readable(Path(path))
    reader = CONTAINERS[_sniff(path, named)].reader(path)
    if named in ("json", "jsonl") and reader.container != named:
        what = "a JSON array" if reader.container == "json" else "JSON Lines"
        reader.warn("misnamed", f"the file is named {Path(path).suffix} but holds {what}", fix="rename it")
    return reader


def _sniff(path: str, named: str | None) -> str:
    with Path(path).open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    if head.startswith(PARQUET_MAGIC) or named == "parquet":
        return "parquet"
    text = head.removeprefix(BOM).lstrip()
    _require_text(path, head)
    opens_array = text.startswith(b"[") and text[1:].lstrip()[:1] in (b"", b"{", b"]")
    return "json" if opens_array or (named == "json" and text.startswith(b"[")) else "jsonl"


def require_text(path: str) -> None:
    """Raise FormatError (`binary`) if the file's first bytes are no text."""
    with Path(path).open("rb") as file:
        _require_text(path, file.read(SNIFFED_BYTES))


def _require_text(path: str, head: bytes) -> None:
    if b"\0" in head or not _looks_like_text(head):
        raise FormatError(
            "the file is binary, not JSON",
            code="binary",
            source=path,
            found=f"{head[:8]!r}",
            expected="JSON, JSON Lines, TSV or parquet",
            fix="decompress it first" if head.startswith(GZIP_MAGIC) else None,
        )


def _looks_like_text(head: bytes) -> bool:
    """Say whether the first bytes are mostly printable UTF-8; single bad bytes are an error of their row only."""
    decoded = head.decode("utf-8", "replace")
    strange = sum(c == "�" or (ord(c) < 32 and c not in "\t\r\n\f") for c in decoded)
    return strange <= max(3, len(decoded) // 20)
