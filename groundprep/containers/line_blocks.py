"""Whole lines of a JSONL file in blocks, so that another process may decode them.

A block's rows are those that reading the file line by line would give, with the same row numbers, oddities and errors.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

import msgspec
from msgspec import Struct

from groundprep.config import MAX_JSON_DEPTH, MAX_ROW_BYTES
from groundprep.containers.base import Row
from groundprep.containers.json_text import BOM
from groundprep.containers.jsonl import JsonlReader
from groundprep.record import Dropped
from groundprep.source import Source

_decode = msgspec.json.Decoder().decode

BLOCK_BYTES = 64 * 1024
"""A hundred rows or more: few enough to lie in a processor's cache, many enough to make the steps around them cheap."""

LONGEST_READ_BYTES = MAX_ROW_BYTES + 2
"""What is read of a line at most: enough to see that it is too long."""


class LineBlock(Struct, frozen=True):
    """Some lines of a file.

    Args:
        data: whole lines; only the last line of the file may lack its end, and one that is too long lacks its middle.
        first_row: number of the first line, from 1.
    """

    data: bytes
    first_row: int


def iter_line_blocks(file: IO[bytes], block_bytes: int = BLOCK_BYTES) -> Iterator[LineBlock]:
    """Yield all lines of a file in blocks of about so many bytes."""
    row = 1
    while data := file.read(block_bytes):
        if not data.endswith(b"\n"):
            rest = file.readline(LONGEST_READ_BYTES)
            data += rest
            if len(rest) == LONGEST_READ_BYTES and not rest.endswith(b"\n"):
                _skip_line(file)
                data += b"\n"
        yield LineBlock(data, row)
        row += data.count(b"\n")


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
        pass


def blocks_of(reader: JsonlReader) -> Iterator[LineBlock]:
    """Yield the blocks of a reader's file."""
    with open(reader.path, "rb") as file:  # noqa: PTH123 (as the reader does)
        yield from iter_line_blocks(file)


class BlockReader(JsonlReader):
    """Reads one block: the rows that reading the whole file gives, with their numbers, oddities and errors."""

    def __init__(self, path: str, block: LineBlock) -> None:
        super().__init__(path)
        self.block = block

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield the rows one by one, each decoded just before it is used; raises FormatError if the last line is cut off."""
        data, before = self.block.data, self.block.first_row - 1
        if b"\r" in data or not data.endswith(b"\n") or data.startswith(BOM):
            yield from self.rows_of(io.BytesIO(data), before=before)
            return
        path, row = self.path, before
        for line in data[:-1].split(b"\n"):
            row += 1
            try:
                value = _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the reader says what is wrong
                value = None
            if (
                type(value) is dict
                and line.count(b"[") + line.count(b"{") <= MAX_JSON_DEPTH
                and len(line) <= MAX_ROW_BYTES
            ):
                yield Row(Source(path, row), value)
            else:
                yield from self.rows_of(io.BytesIO(line + b"\n"), before=row - 1)
