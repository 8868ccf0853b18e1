"""Errors: one line each, with where, found, expected and fix; they survive processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import groundprep.geometry.resize
from groundprep import errors
from groundprep.errors import SHOWN_CHARACTERS, ExitCode, GroundprepError, RecordError, shown
from groundprep.source import Source


def subclasses(cls: type[GroundprepError]) -> Iterator[type[GroundprepError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


ALL = sorted(set(subclasses(GroundprepError)), key=lambda cls: cls.__name__)


def test_the_classes_that_are_tested_include_those_of_other_modules() -> None:
    assert groundprep.geometry.resize.SizeRefusedError in ALL
    assert len(ALL) >= 13


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling(cls: type[GroundprepError]) -> None:
    error = cls(
        "das ging schief 狗", code="a-code", source=Source("é.jsonl", 3, 2), found={"a": "\n"}, expected="b", fix="c"
    )
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert (again.as_dict(), str(again), again.source) == (error.as_dict(), str(error), error.source)
    bare = pickle.loads(pickle.dumps(cls("kurz")))
    assert (bare.code, bare.source, str(bare)) == (cls.default_code, None, "kurz")


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_has_a_kebab_case_code_and_an_exit_code(cls: type[GroundprepError]) -> None:
    assert cls.default_code == cls.default_code.lower().replace("_", "-").replace(" ", "-")
    assert cls.exit_code in ExitCode
    assert cls.exit_code not in (ExitCode.OK, ExitCode.FINDINGS)


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FINDINGS": 1, "USAGE": 2, "DATA": 3, "ENVIRONMENT": 4, "DROPPED": 5, "INTERNAL": 70,
        "INTERRUPTED": 130, "TERMINATED": 143,
    }  # fmt: skip
    assert errors.UsageError("x").exit_code == 2
    assert errors.PayloadError("x").exit_code == 3
    assert errors.DeviceError("x").exit_code == errors.MissingDependencyError("x").exit_code == 4


def test_a_message_says_where_what_expected_and_fix_in_this_order() -> None:
    error = RecordError("the box is odd", source=Source("é.jsonl", 7, 1), found=[1, 2], expected="four", fix="count")
    assert str(error) == "é.jsonl:7#1: the box is odd; found [1, 2]; expected four; fix: count"


@given(st.text() | st.binary() | st.lists(st.text()) | st.integers())
def test_what_is_shown_is_one_line_of_visible_characters_and_not_too_long(value: object) -> None:
    text = shown(value)
    assert text.isprintable()
    assert len(text) <= SHOWN_CHARACTERS
    assert shown(text) == text


@given(st.text(), st.text())
def test_an_error_about_hostile_data_is_one_line(path: str, found: str) -> None:
    assert str(RecordError("m", source=Source(path, 1), found=found)).isprintable()


def test_control_characters_are_escaped_and_bytes_are_counted() -> None:
    assert shown("a\x1b[31m\n\u202eb\ud800") == "a\\x1b[31m\\n\\u202eb\\ud800"
    assert shown(b"\x89PNG" * 10) == "<40 bytes>"
    assert shown("é狗") == "é狗"


def test_huge_values_are_cut_before_they_are_escaped() -> None:
    import time

    started = time.process_time()
    assert len(shown("\n" * 20_000_000)) == SHOWN_CHARACTERS
    assert time.process_time() - started < 1


def test_a_place_is_filled_in_once() -> None:
    error = RecordError("m").at(Source("é", 1))
    assert str(error.at(Source("b", 2)).source) == "é:1"
