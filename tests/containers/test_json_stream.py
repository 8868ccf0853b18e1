"""A document is taken value by value wherever the chunks end; what lies inside a value is nobody's business here."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.containers import json_stream
from groundprep.containers.json_stream import JsonText, iter_document
from groundprep.errors import FormatError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(st.text(max_size=5), values, max_size=4)


def elements(data: bytes) -> list[tuple[str, int | None, int, bytes]]:
    return [tuple(element) for element in iter_document(JsonText(io.BytesIO(data), "é.json"))]  # type: ignore[misc]


def rebuilt(data: bytes) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for key, number, offset, text in elements(data):
        assert data[offset : offset + len(text)] == text
        if number == 0:
            assert data[offset : offset + 1] == b"["
            whole[key] = []
        elif number is None:
            whole[key] = json.loads(text)
        else:
            whole[key].append(json.loads(text))
            assert len(whole[key]) == number
    return whole


@given(documents, st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_the_parts_are_the_whole_wherever_a_chunk_ends(
    value: Any, chunk: int, indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_BYTES", chunk)
        assert json.dumps(rebuilt(data)) == json.dumps(value)


@given(documents, st.data())
def test_a_document_that_is_cut_off_is_told_wherever(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with pytest.raises(FormatError) as caught:
        elements(text[: data.draw(st.integers(0, len(text) - 1))])
    assert caught.value.code in ("truncated", "lone-surrogate", "bad-utf8")


@given(st.binary(max_size=40))
def test_no_bytes_make_it_hang_or_fail_otherwise(data: bytes) -> None:
    with suppress(FormatError):
        elements(b"{" + data)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "not-an-object"),
        ("7", "not-an-object"),
        ("{} x", "truncated"),
        ('{"a": 1 "b": 2}', "bad-json"),
        ('{"a": [1 2]}', "bad-json"),
        ('{"a": [1,]}', "bad-json"),
        ('{"a": }', "bad-json"),
        ("{a: 1}", "bad-json"),
        ('{"a" 1}', "bad-json"),
        ('{"a": 1,}', "bad-json"),
        ('{"a": "é', "truncated"),
        ('{"a": [{"b": 1}', "truncated"),
        ("", "truncated"),
    ],
)
def test_broken_text_is_told_with_its_place(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        elements(text.encode())
    assert caught.value.code == code
    assert "é.json" in str(caught.value)


def test_a_value_above_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 100)
    assert rebuilt(b'{"a": [' + b"[1], " * 5000 + b"[1]]}")["a"][5000] == [1]
    for value in (b"[" + b"1," * 3000 + b"1]", b'"' + b"x" * 3000 + b'"', b"1" * 5000):
        with pytest.raises(FormatError) as caught:
            elements(b'{"a": [' + value + b"]}")
        assert caught.value.code == "row-too-long"
