"""JSON text to values: what is said of a number that is none."""

import pytest

from groundprep.containers.json_text import decode_object
from groundprep.errors import RecordError


def test_a_number_of_thousands_of_digits_is_told_without_advice_for_programmers() -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(b'{"x": ' + b"9" * 5000 + b"}")
    assert caught.value.code == "not-finite"
    assert caught.value.found == "an integer of more than 4300 digits"


def test_what_a_row_must_be_is_told_without_naming_a_layout() -> None:
    with pytest.raises(RecordError) as caught:
        decode_object(b"[1]")
    assert (caught.value.code, caught.value.expected) == ("row-not-object", 'an object, {"key": …}')
