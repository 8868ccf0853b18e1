"""Rows that are decoded block by block are those of the file, whatever the size of the blocks."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import Row
from groundprep.containers.jsonl import JsonlReader
from groundprep.containers.line_blocks import LONGEST_READ_BYTES, BlockReader, LineBlock, UnreadBlock, iter_line_blocks
from groundprep.errors import FormatError
from groundprep.record import Dropped

TEXT = (
    '\ufeff{"id": 1, "wort": "straße"}\r\n\n{"id": 2}\n{broken\n{"id": NaN}\n   \n{"id": 5, "wort": "犬"}\r\n{"id": 6}'
).encode()


def blocks(data: bytes, size: int) -> list[LineBlock]:
    return list(iter_line_blocks(io.BytesIO(data), size))


@pytest.mark.parametrize("size", [1, 7, 30, 64, 10_000])
def test_rows_oddities_and_errors_are_those_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "é.jsonl"
    path.write_bytes(TEXT)
    whole = JsonlReader(str(path))
    expected = [row if not isinstance(row, Dropped) else (row.source, row.code, row.row) for row in whole]
    rows, warnings = [], []
    for block in blocks(TEXT, size):
        reader = BlockReader(str(path), block)
        rows += [row if not isinstance(row, Dropped) else (row.source, row.code, row.row) for row in reader]
        warnings += [warning for warning in reader.warnings if warning.code not in {w.code for w in warnings}]
    assert rows == expected
    assert warnings == whole.warnings
    assert {warning.code for warning in warnings} == {"bom", "crlf", "blank-line"}


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_blocks_are_whole_lines_and_together_the_file(size: int) -> None:
    found = blocks(TEXT, size)
    assert b"".join(block.data for block in found) == TEXT
    assert all(block.data.endswith(b"\n") for block in found[:-1])
    assert found[0].first_row == 1


@pytest.mark.parametrize("size", [1, 7, 30, 10_000])
def test_another_process_reads_the_same_lines_from_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "é.jsonl"
    path.write_bytes(TEXT)
    found = list(iter_line_blocks(io.BytesIO(TEXT), size, str(path)))
    sent = [pickle.loads(pickle.dumps(block)) for block in found]
    assert all(isinstance(block, UnreadBlock) for block in sent)
    assert [BlockReader(str(path), block).block for block in sent] == found


def test_a_block_that_is_not_as_in_the_file_takes_its_data_along(tmp_path: Path) -> None:
    data = b'{"x": "' + b"y" * (2 * MAX_ROW_BYTES) + b'"}\n{"id": 2}\n'
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    first, second = (
        BlockReader(str(path), pickle.loads(pickle.dumps(block)))
        for block in iter_line_blocks(io.BytesIO(data), 100, str(path))
    )
    assert len(first.block.data) < len(data) - 100
    assert [row.value for row in second if isinstance(row, Row)] == [{"id": 2}]


@pytest.mark.parametrize("left", [None, b'{"id": 1}\n'])
def test_a_file_that_is_gone_or_shorter_meanwhile_is_one_clear_error(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "é.jsonl"
    block = pickle.loads(pickle.dumps(next(iter_line_blocks(io.BytesIO(TEXT), 10_000, str(path)))))
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(FormatError) as caught:
        BlockReader(str(path), block)
    assert caught.value.code == "file-unreadable"


@pytest.mark.parametrize("size", [3, 1000])
def test_a_last_line_that_is_cut_off_ends_the_file_with_an_error(size: int) -> None:
    *_, last = blocks(b'{"id": 1}\n{"id": 2}\n{"id": ', size)
    with pytest.raises(FormatError) as caught:
        list(BlockReader("é.jsonl", last))
    assert (caught.value.code, str(caught.value.source)) == ("cut-off", "é.jsonl:3")


def test_a_line_that_is_too_long_is_one_bad_row_and_is_never_held_whole(tmp_path: Path) -> None:
    data = b'{"id": 1}\n{"x": "' + b"y" * (2 * MAX_ROW_BYTES) + b'"}\n{"id": 3}\n'
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    expected = [(str(row.source), row.code if isinstance(row, Dropped) else "") for row in JsonlReader(str(path))]
    found = blocks(data, 4096)
    assert max(len(block.data) for block in found) <= LONGEST_READ_BYTES + 4096 + 1
    rows = [row for block in found for row in BlockReader(str(path), block)]
    assert [(str(row.source), row.code if isinstance(row, Dropped) else "") for row in rows] == expected
    assert expected == [(f"{path}:1", ""), (f"{path}:2", "row-too-long"), (f"{path}:3", "")]
