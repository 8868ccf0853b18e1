"""Whole lines of a JSONL file in blocks, so that another process may decode them.

A block's rows are those that reading the file line by line would give, with the same row numbers, oddities and errors.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from msgspec import Struct

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import Row
from groundprep.containers.jsonl import JsonlReader
from groundprep.errors import FormatError
from groundprep.record import Dropped

BLOCK_BYTES = 64 * 1024
"""A hundred rows or more: few enough to lie in a processor's cache, many enough to make the steps around them cheap."""

LONGEST_READ_BYTES = MAX_ROW_BYTES + 2
"""What is read of a line at most: enough to see that it is too long."""


class Place(NamedTuple):
    """A part of a file."""

    path: str
    offset_bytes: int
    size_bytes: int


class LineBlock(Struct, frozen=True):
    """Some lines of a file.

    Args:
        data: whole lines; only the last line of the file may lack its end, and one that is too long lacks its middle.
        first_row: number of the first line, from 1.
        place: where the data lies; another process is given this alone, and reads it there. None: the data is not as in a file.
    """

    data: bytes
    first_row: int
    place: Place | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the data in the file."""
        if self.place is None:
            return LineBlock, (self.data, self.first_row)
        return UnreadBlock, (self.first_row, self.place)


class UnreadBlock(NamedTuple):
    """A block whose data is still in the file."""

    first_row: int
    place: Place

    def read(self) -> LineBlock:
        """Return the block; raises FormatError (`file-unreadable`) if the file is gone or shorter now."""
        path, offset_bytes, size_bytes = self.place
        try:
            with open(path, "rb", 0) as file:  # noqa: PTH123 (as the reader does)
                data = os.pread(file.fileno(), size_bytes, offset_bytes)
        except OSError as error:
            raise FormatError(
                "the file cannot be read", code="file-unreadable", source=path, found=error.strerror
            ) from error
        if len(data) < size_bytes:
            raise FormatError(
                "the file has become shorter while it was read",
                code="file-unreadable",
                source=path,
                found=f"{len(data)} bytes at byte {offset_bytes}",
                expected=f"{size_bytes}",
            )
        return LineBlock(data, self.first_row, self.place)


def iter_line_blocks(file: IO[bytes], block_bytes: int = BLOCK_BYTES, path: str | None = None) -> Iterator[LineBlock]:
    """Yield all lines of a file in blocks of about so many bytes; `path` is where other processes find it."""
    row, offset_bytes = 1, 0
    while data := file.read(block_bytes):
        size_bytes, is_whole = len(data), True
        if not data.endswith(b"\n"):
            rest = file.readline(LONGEST_READ_BYTES)
            data += rest
            size_bytes = len(data)
            if len(rest) == LONGEST_READ_BYTES and not rest.endswith(b"\n"):
                size_bytes += _skip_line(file)
                data += b"\n"
                is_whole = False
        place = Place(path, offset_bytes, size_bytes) if path is not None and is_whole else None
        yield LineBlock(data, row, place)
        row += data.count(b"\n")
        offset_bytes += size_bytes


def _skip_line(file: IO[bytes]) -> int:
    """Pass over the rest of a line; returns its length."""
    skipped = 0
    while rest := file.readline(MAX_ROW_BYTES):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def blocks_of(reader: JsonlReader) -> Iterator[LineBlock]:
    """Yield the blocks of a reader's file."""
    with open(reader.path, "rb") as file:  # noqa: PTH123 (as the reader does)
        yield from iter_line_blocks(file, path=reader.path)


class BlockReader(JsonlReader):
    """Reads one block: the rows that reading the whole file gives, with their numbers, oddities and errors."""

    def __init__(self, path: str, block: LineBlock | UnreadBlock) -> None:
        super().__init__(path)
        self.block = block if isinstance(block, LineBlock) else block.read()

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield the rows one by one, each decoded just before it is used; raises FormatError if the last line is cut off."""
        return self.rows_of(io.BytesIO(self.block.data), before=self.block.first_row - 1)
