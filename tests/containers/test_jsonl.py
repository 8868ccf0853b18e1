"""JSON Lines: every line is a row or the reason why it is not; a last line that is cut off stops the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.containers import Row, open_reader
from groundprep.containers.json_text import encode_compact
from groundprep.errors import FormatError, RecordError
from groundprep.record import Dropped
from tests.contracts.containers import ContainerContract


class TestJsonl(ContainerContract):
    name = "jsonl"

    def complete_lengths(self, whole: bytes) -> list[int]:
        ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
        return ends + [end - 1 for end in ends]


def items(path: Path, content: bytes) -> list[Row | Dropped]:
    path.write_bytes(content)
    return list(open_reader(str(path)))


GOOD = '{"a": "naïve 狗"}\n'.encode()


@pytest.mark.parametrize("last", ['{"a": "naïve 狗", "c": {"d": [1]}}', '{"a": NaN, "b": "naïve 狗"}'])
def test_a_last_line_is_cut_off_wherever_it_is_cut_even_inside_a_character(tmp_path: Path, last: str) -> None:
    for length in range(1, len(last.encode())):
        with pytest.raises(FormatError) as caught:
            items(tmp_path / "é.jsonl", GOOD + last.encode()[:length])
        assert caught.value.code == "cut-off"
        assert str(caught.value.source) == f"{tmp_path / 'é.jsonl'}:2"


def test_a_last_line_without_line_end_is_complete(tmp_path: Path) -> None:
    assert len(items(tmp_path / "é.jsonl", GOOD + GOOD.rstrip())) == 2


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a": NaN}', "not-finite"),
        (b'{"a": [1, -Infinity]}', "not-finite"),
        (b'{"a": 1e999}', "not-finite"),
        (b'{"a": "\\ud800"}', "lone-surrogate"),
        (b'{"a": "caf\xe9"}', "bad-utf8"),
        (b'{"a": 1,}', "bad-json"),
        (b"{'a': 1}", "bad-json"),
        (b"[1, 2]", "row-not-object"),
        (b'"text"', "row-not-object"),
        (b"[" * 9000 + b"]" * 9000, "too-deep"),
        (b'{"a": 1} {"b": 2}', "bad-json"),
    ],
)
def test_a_bad_line_is_dropped_with_its_reason_and_the_others_are_read(tmp_path: Path, line: bytes, code: str) -> None:
    first, bad, last = items(tmp_path / "é.jsonl", GOOD + line + b"\n" + GOOD)
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert isinstance(bad, Dropped)
    assert bad.code == code
    assert bad.source.row == 2
    assert len(bad.row) <= 2000


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path) -> None:
    rows = items(tmp_path / "é.jsonl", GOOD + b"\n  \n" + GOOD + b"\n")
    assert [row.source.row for row in rows] == [1, 4]


def test_a_line_above_the_cap_is_dropped_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundprep.containers.jsonl.MAX_ROW_BYTES", 100)
    monkeypatch.setattr("groundprep.containers.json_text.MAX_ROW_BYTES", 100)
    long = b'{"a": "' + b"x" * 1000 + b'"}\n'
    first, bad, last = items(tmp_path / "é.jsonl", GOOD + long + GOOD)
    assert [type(first), type(bad), type(last)] == [Row, Dropped, Row]
    assert isinstance(bad, Dropped)
    assert bad.code == "row-too-long"


def test_integers_of_any_length_are_written_as_integers() -> None:
    assert encode_compact({"id": 10**40, "x": -(2**63), "y": 1.0}) == (
        b'{"id":1' + b"0" * 40 + b',"x":-9223372036854775808,"y":1.0}'
    )


def test_a_value_that_is_no_json_is_an_error_of_the_row() -> None:
    with pytest.raises(RecordError) as caught:
        encode_compact({"a": object()})
    assert caught.value.code == "not-json"


def test_a_misnamed_json_array_is_read_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "é.jsonl").write_text('[{"a": 1}, {"a": 2}]')
    reader = open_reader(str(tmp_path / "é.jsonl"))
    assert len(list(reader)) == 2
    assert [warning.code for warning in reader.warnings] == ["misnamed"]
