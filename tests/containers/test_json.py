"""A JSON array is split at its commas wherever the chunks end, and never loaded as a whole."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundprep.containers import Row, open_reader
from groundprep.containers.json import JsonReader
from groundprep.errors import FormatError
from groundprep.record import Dropped
from tests.contracts.containers import ContainerContract

TRICKY = [
    {"a": 'closing ] and } and , inside "quotes" and \\ backslashes \\" [ {'},
    {"b": {"c": [1, [2, {"d": "]"}], []], "e": {}}, "f": ""},
    {"g": "naïve 狗 🐕", "h": "\\", "i": '\\"', "j": "\u0001\n"},
    {},
    {"k": [{"l": "[[[["}, "}}}}", None, True, -1.5e-7]},
]


class TestJson(ContainerContract):
    name = "json"

    def complete_lengths(self, whole: bytes) -> list[int]:
        return [len(whole) - 1]  # only the line end after the bracket is missing


def read(path: Path, content: bytes | str) -> list[Any]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [item.value if isinstance(item, Row) else item for item in JsonReader(str(path))]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 7, 16, 61])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_elements_are_the_same_wherever_a_chunk_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, indent: int | None, ascii_only: bool
) -> None:
    monkeypatch.setattr("groundprep.containers.json.CHUNK_BYTES", chunk_bytes)
    assert read(tmp_path / "é.json", json.dumps(TRICKY, indent=indent, ensure_ascii=ascii_only)) == TRICKY


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=3), max_size=5),
    chunk_bytes=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_any_array_of_objects_is_read_as_the_standard_library_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Any], chunk_bytes: int, ascii_only: bool
) -> None:
    monkeypatch.setattr("groundprep.containers.json.CHUNK_BYTES", chunk_bytes)
    text = json.dumps(rows, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read(tmp_path / "é.json", text) == json.loads(text)


@pytest.mark.parametrize("chunk_bytes", [1, 4, 1000])
def test_an_array_cut_off_anywhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr("groundprep.containers.json.CHUNK_BYTES", chunk_bytes)
    whole = json.dumps(TRICKY, ensure_ascii=False).encode()
    for length in range(1, len(whole)):
        with pytest.raises(FormatError) as caught:
            read(tmp_path / "é.json", whole[:length])
        assert caught.value.code == "truncated", length


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[{}] {}", "truncated"),
        ('[{}] "x"', "truncated"),
        ('{"rows": [{}]}', "not-an-array"),
        ('"x" [{}]', "not-an-array"),
        ("] [{}]", "not-an-array"),
        ("12", "truncated"),
    ],
)
def test_what_is_no_single_array_is_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(tmp_path / "é.json", text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, 7, {"b": 2}]', '[{"a": 1}, {"x": NaN}, {"b": 2}]', '[{"a": 1},, {"b": 2}]', "[{},[1],{}]"]
)
def test_a_bad_element_is_dropped_and_its_neighbours_are_read(tmp_path: Path, text: str) -> None:
    first, bad, last = read(tmp_path / "é.json", text)
    assert isinstance(bad, Dropped)
    assert bad.source.row == 2
    assert isinstance(first, dict)
    assert isinstance(last, dict)


def test_a_trailing_comma_is_a_bad_element_not_nothing(tmp_path: Path) -> None:
    first, bad = read(tmp_path / "é.json", '[{"a": 1}, ]')
    assert first == {"a": 1}
    assert isinstance(bad, Dropped)


@pytest.mark.parametrize("text", ["[]", " [ ] \n", "[\n]"])
def test_an_empty_array_has_no_rows(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "é.json", text) == []


def test_an_element_above_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundprep.containers.json.CHUNK_BYTES", 64)
    monkeypatch.setattr("groundprep.containers.json.MAX_ROW_BYTES", 100)
    with pytest.raises(FormatError) as caught:
        read(tmp_path / "é.json", '[{"a": "' + "x" * 1000 + '"}]')
    assert caught.value.code == "row-too-long"


def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    path = tmp_path / "é.json"
    row = json.dumps({"text": "狗" * 200})
    path.write_text("[" + ",".join([row] * 20_000) + "]")
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    count = sum(1 for _ in open_reader(str(path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8_000_000
