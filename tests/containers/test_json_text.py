"""JSON text to values: what is said of a number that is none."""

import pytest

from groundprep.containers.json_text import decode_object
from groundprep.errors import RecordError


def test_a_number_of_thousands_of_digits_is_told_without_advice_for_programmers() -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(b'{"x": ' + b"9" * 5000 + b"}")
    assert caught.value.code == "not-finite"
    assert caught.value.found == "x: an integer of more than 4300 digits"


def test_what_a_row_must_be_is_told_without_naming_a_layout() -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(b"[1]")
    assert (caught.value.code, caught.value.expected) == ("row-not-object", 'an object, {"key": …}')


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ('{"é": [1, {"bbox": [2, NaN]}]}', "not-finite", "é[1].bbox[1]: NaN"),
        ('{"a": Infinity, "b": -Infinity}', "not-finite", "a: Infinity"),
        ('{"a": [1, -1e999]}', "not-finite", "a[1]: a number beyond double precision"),
        ('{"a": NaN,}', "not-finite", "NaN"),
        ('{"a": ["狗", "x\\ud800"]}', "lone-surrogate", "a[1]"),
        ('{"a": {"\\udfff": 1}}', "lone-surrogate", "a.\\udfff"),
        ('{"é": 1,}', "bad-json", '{"é": 1,}'),
        ("[1]", "row-not-object", "[1]"),
    ],
)
def test_a_refused_row_says_where_in_it_and_what_to_do(text: str, code: str, found: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(text.encode())
    assert (caught.value.code, caught.value.found) == (code, found)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "offset", "byte"),
    [
        (b'{"a": "x\xff"}', 8, "0xff"),
        (b'{"\xc3\xa9": "ok", "b": "caf\xe9"}', 22, "0xe9"),
        (b'\xfe{"a": 1}', 0, "0xfe"),
        (b'{"a": "\xed\xa0\x80"}', 7, "0xed"),
    ],
)
def test_a_byte_that_is_not_utf8_is_counted_from_the_start_of_the_row(text: bytes, offset: int, byte: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(text + b"\n")
    assert caught.value.code == "bad-utf8"
    assert str(caught.value.found).startswith(f"byte {byte} at offset {offset} of the row: ")
    assert str(caught.value.fix).startswith("correct that byte")
