"""Whole lines of a JSONL file in blocks, so that another process may decode them.

A block's rows are those that reading the file line by line would give, with the same row numbers, oddities and errors.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from msgspec import Struct

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import Row
from groundprep.containers.jsonl import JsonlReader
from groundprep.finding import Finding
from groundprep.record import Dropped

BLOCK_BYTES = 128 * 1024
"""A few hundred rows: few enough to be done soon, many enough to make the steps around them cheap."""

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


def read_block(path: str, block: LineBlock) -> tuple[list[Row | Dropped], list[Finding]]:
    """Return the rows of a block and the oddities in it; raises FormatError if the last line is cut off."""
    reader = JsonlReader(path)
    rows = list(reader.rows_of(io.BytesIO(block.data), before=block.first_row - 1))
    return rows, reader.warnings
