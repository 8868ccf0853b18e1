"""Reading a pickle that may be hostile: plain lists, dicts, strings and numbers, and nothing that runs code.

The opcodes are looked at before the first is executed: one that names a class, calls something, or wants memory out of
all proportion ends it there.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from groundprep.config import MAX_JSON_DEPTH, MAX_PICKLE_BYTES, MAX_ROW_BYTES
from groundprep.errors import FormatError, RecordError

# fmt: off
ALLOWED = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET",
    "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
))
# fmt: on
PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
LONGS = frozenset(("LONG", "LONG1", "LONG4", "INT"))
MAX_LONG_BITS = 64
BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    AttributeError,  # something is appended to what is no list
)
"""What the unpickler raises for opcodes that make no sense together."""


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler to which no class is known."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse."""
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse."""
        raise pickle.UnpicklingError(f"a persistent id {pid!r}")


def read_plain_pickle(path: str) -> tuple[Any, str]:
    """Return the value of a pickle, and the encoding of its Python 2 strings (`utf-8`, or `latin-1` if they are not UTF-8).

    Raises:
        FormatError: `unsafe-pickle` for anything but plain values, `bad-pickle` if it is broken, `file-too-large`.
    """
    file = Path(path)
    size = file.stat().st_size
    if size > MAX_PICKLE_BYTES:
        raise FormatError(
            "the pickle is too large",
            code="file-too-large",
            source=path,
            found=f"{size} bytes",
            expected=f"at most {MAX_PICKLE_BYTES}",
        )
    data = file.read_bytes()
    _require_plain(data, path)
    try:
        try:
            return _load(data, "utf-8"), "utf-8"
        except UnicodeDecodeError:
            return _load(data, "latin-1"), "latin-1"
    except BROKEN as error:
        raise _bad(path, str(error)) from error


def _load(data: bytes, encoding: str) -> Any:
    return _PlainUnpickler(io.BytesIO(data), encoding=encoding).load()


def _require_plain(data: bytes, path: str) -> None:
    """Raise FormatError unless every opcode makes a plain value."""
    memoized = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            name = opcode.name
            if name not in ALLOWED:
                raise FormatError(
                    "the pickle holds more than plain values; it is not opened",
                    code="unsafe-pickle",
                    source=path,
                    found=f"{name} {argument} at byte {position}",
                    expected="lists, dicts, strings and numbers",
                    fix="use the original file of the data set, or remove what is not plain",
                )
            number = argument if isinstance(argument, int) else 0
            if name in PUTS:
                memoized += 1
                if number > 16 * memoized + 4096:  # the unpickler allocates as many places as the largest index
                    raise _bad(path, f"memo index {number} after {memoized} values")
            elif name in LONGS and number.bit_length() > MAX_LONG_BITS:
                raise _bad(path, f"a number of {number.bit_length()} bits")
    except (ValueError, TypeError, EOFError, IndexError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise _bad(path, str(error)) from error


def _bad(path: str, found: str) -> FormatError:
    return FormatError(
        "the pickle is broken",
        code="bad-pickle",
        source=path,
        found=found,
        expected="a file as the data set's authors wrote it",
        fix="copy or download it again",
    )


class _Extent(NamedTuple):
    """How much JSON a value is, at least, and how deep it is nested."""

    characters: int
    levels: int


def require_json_row(value: Any) -> None:
    """Raise RecordError (`row-too-long`, `too-deep`, `not-finite`, `lone-surrogate`) unless the value can be a row of JSON.

    A pickle may hold a list in itself, or in so many places that a few bytes stand for gigabytes.
    """
    _extent(value, {}, depth=0)


def _extent(value: Any, known: dict[int, _Extent], depth: int) -> _Extent:
    """Return the extent of a value; each list and dict is looked at once, in however many places it is (`known`, by id)."""
    if isinstance(value, str):
        return _Extent(_text_bytes(value), 0)
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(
            f"{value} is not a number that a trainer can learn from", code="not-finite", expected="a finite number"
        )
    if not isinstance(value, list | tuple | dict):
        return _Extent(1, 0)
    if id(value) not in known:
        if depth > MAX_JSON_DEPTH:  # also what holds itself
            raise _too_deep()
        inside = chain(value, value.values()) if isinstance(value, dict) else value
        characters, levels = 2, 0
        for item in inside:
            extent = _extent(item, known, depth + 1)
            characters += extent.characters + 1
            levels = max(levels, extent.levels)
        known[id(value)] = _Extent(characters, levels + 1)
    extent = known[id(value)]
    if extent.characters > MAX_ROW_BYTES:
        raise RecordError("the row is too long", code="row-too-long", expected=f"at most {MAX_ROW_BYTES} bytes")
    if extent.levels > MAX_JSON_DEPTH:
        raise _too_deep()
    return extent


def _text_bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise RecordError(
            "a string holds half of a surrogate pair (such as \\ud800), which is no character",
            code="lone-surrogate",
            expected="valid Unicode",
        ) from error


def _too_deep() -> RecordError:
    return RecordError("the row is nested too deeply", code="too-deep", expected=f"at most {MAX_JSON_DEPTH} levels")
