"""JSON Lines: one object a line, UTF-8. BOM, CRLF and blank lines are accepted with a warning."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import LOAD, ImagePlan, OutRow, Reader, Row, Writer
from groundprep.containers.json_text import BOM, decode_object, encode_compact, plain_object
from groundprep.errors import FormatError, RecordError
from groundprep.record import Dropped
from groundprep.source import Source

STDIN = "-"
SHOWN_ROW_CHARACTERS = 2_000
READ_BYTES = 1 << 20
"""Read seldom: at every read, other threads may take Python's lock away for longer than the read lasts."""


def undecodable(source: Source, text: bytes, error: RecordError) -> Dropped:
    """Return the Dropped for a row whose text is no row; keeps the text up to a readable length."""
    error.at(source)
    row = text[:SHOWN_ROW_CHARACTERS].decode("utf-8", "backslashreplace")
    return Dropped(source, error.code, error.message, row, error)


def _is_cut_off(line: bytes, error: RecordError) -> bool:
    """Say whether a last line without LF lacks its end, not only its sense; it may be cut inside a character."""
    broken_inside = error.code in ("bad-utf8", "not-finite", "too-deep")
    return error.code == "bad-json" or (broken_inside and not line.rstrip().endswith(b"}"))


class JsonlReader(Reader):
    """Reads JSON Lines from a file or standard input."""

    container = "jsonl"

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every line that is not blank; raises FormatError if the last line is cut off."""
        if self.path == STDIN:
            yield from self.rows_of(sys.stdin.buffer)
            return
        with open(self.path, "rb", READ_BYTES) as file:  # noqa: PTH123 (the path may be a name in messages only)
            yield from self.rows_of(file)

    def rows_of(self, file: IO[bytes], *, before: int = 0) -> Iterator[Row | Dropped]:
        """Yield every line that is not blank of an open file, `before` of whose lines were read already."""
        number, path = before, self.path
        while line := file.readline(MAX_ROW_BYTES + 2):
            number += 1
            if line.endswith(b"}\n"):  # nearly every line is nothing but an object
                value = plain_object(line)
                if value is not None:
                    yield Row(Source(path, number), value)
                    continue
            if number == 1 and line.startswith(BOM):
                self.warn("bom", "the file starts with a byte order mark", row=1, fix="save it as UTF-8 without BOM")
                line = line[len(BOM) :]
            if line.endswith(b"\r\n"):
                self.warn("crlf", "lines end with CRLF", row=number, fix="save it with LF line ends")
            if not line.strip():
                self.warn("blank-line", "blank lines are skipped", row=number, fix="remove them")
                continue
            yield self._row(file, line, number)

    def _row(self, file: IO[bytes], line: bytes, number: int) -> Row | Dropped:
        source = Source(self.path, number)
        if len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
                pass
        try:
            return Row(source, decode_object(line))
        except RecordError as error:
            if not line.endswith(b"\n") and _is_cut_off(line, error):
                raise FormatError(
                    "the last line is cut off",
                    code="cut-off",
                    source=source,
                    found=line[-40:].decode("utf-8", "replace"),
                    expected="a complete JSON object and a line end",
                    fix="copy or write the file again",
                ) from error
            return undecodable(source, line, error)


class JsonlWriter(Writer):
    """Writes compact JSON Lines."""

    container = "jsonl"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.file: IO[bytes] = sys.stdout.buffer if str(self.paths[0]) == STDIN else self.paths[0].open("wb", 1 << 20)

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> bytes:
        """Return the line."""
        del plan
        return encode_compact(row.value) + b"\n"

    def write(self, prepared: bytes) -> None:
        """Append the line."""
        self.file.write(prepared)

    def close(self) -> None:
        """Flush to disk."""
        self.file.flush()
        if self.file is not sys.stdout.buffer:
            os.fsync(self.file.fileno())
            self.file.close()

    def abort(self) -> None:
        """Close."""
        if self.file is not sys.stdout.buffer:
            self.file.close()
