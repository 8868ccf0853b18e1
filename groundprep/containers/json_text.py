"""JSON text ↔ values, strictly: NaN, Infinity, lone surrogates and absurd nesting are errors of their row."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from groundprep.config import MAX_JSON_DEPTH, MAX_ROW_BYTES
from groundprep.containers.key_paths import first_place, has_lone_surrogate, is_non_finite, placed
from groundprep.errors import RecordError, shown

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_exact_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_ascii_encoder = json.JSONEncoder(ensure_ascii=True, allow_nan=False)

BOM = b"\xef\xbb\xbf"


def decode_value(text: bytes | str) -> Any:
    """Return the JSON value; raises RecordError (`bad-json`, `not-finite`, `bad-utf8`, `too-deep`, `row-too-long`)."""
    if len(text) > MAX_ROW_BYTES:
        raise RecordError(
            "the row is too long", code="row-too-long", found=f"{len(text)} bytes", expected=f"at most {MAX_ROW_BYTES}"
        )
    try:
        value = _decoder.decode(text)
    except RecursionError as error:
        raise _too_deep() from error
    except UnicodeDecodeError as error:
        raise _not_utf8(text) or _at_byte(error) from error  # its own place counts inside a string
    except msgspec.MsgspecError as error:
        raise _explain(text, error) from error
    openings = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if openings > MAX_JSON_DEPTH and _is_deeper(value, MAX_JSON_DEPTH):
        raise _too_deep()
    return value


def _not_utf8(text: bytes | str) -> RecordError | None:
    """Return what is said of a row that is not UTF-8, or None if it is."""
    try:
        if isinstance(text, bytes):
            text.decode()
    except UnicodeDecodeError as error:
        return _at_byte(error)
    return None


def _at_byte(error: UnicodeDecodeError) -> RecordError:
    return RecordError(
        "the row is not UTF-8",
        code="bad-utf8",
        found=f"byte 0x{error.object[error.start]:02x} at offset {error.start} of the row: {error.reason}",
        expected="UTF-8",
        fix="correct that byte: only the rows named here are not UTF-8, the others would suffer from re-encoding the file",
    )


def _too_deep() -> RecordError:
    return RecordError(
        "the JSON is nested too deeply",
        code="too-deep",
        expected=f"at most {MAX_JSON_DEPTH} levels",
        fix="correct the row",
    )


def _is_deeper(value: Any, limit: int) -> bool:
    """Say whether lists and objects are nested more than `limit` deep; goes level by level, never by recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return True


def plain_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line; None where it is none or anything is odd, for `decode_object` to say what."""
    try:
        value = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_plain = (
        type(value) is dict and len(line) <= MAX_ROW_BYTES and line.count(b"[") + line.count(b"{") <= MAX_JSON_DEPTH
    )
    return value if is_plain else None


def decode_object(text: bytes | str) -> dict[str, Any]:
    """Return a JSON object; raises RecordError (also `row-not-object`)."""
    value = decode_value(text)
    if not isinstance(value, dict):
        raise RecordError(
            "a row must be a JSON object",
            code="row-not-object",
            found=value,
            expected='an object, {"key": …}',
            fix="write the row as an object, or remove it",
        )
    return value


def _explain(text: bytes | str, refusal: msgspec.MsgspecError) -> RecordError:
    """Parse once more with the standard library, whose verdict is more exact, and name the reason."""

    def refuse_constant(name: str) -> NoReturn:
        raise RecordError(
            f"{name} is not a number that a trainer can learn from",
            code="not-finite",
            found=placed(_number_place(text, lambda item: repr(item) == repr(float(name))), name),
            expected="a finite number",
            fix="remove or correct the row",
        )

    broken = _not_utf8(text)
    if broken is not None:
        return broken
    try:
        json.loads(text.strip(), parse_constant=refuse_constant)  # the line end would be counted as a second line
    except RecordError as error:
        return error
    except RecursionError:
        return _too_deep()
    except json.JSONDecodeError as error:
        start = max(0, error.pos - 20)
        return RecordError(
            f"the JSON is broken at column {error.colno}: {error.msg}",
            code="bad-json",
            found=error.doc[start : error.pos + 20],
            expected="one JSON value",
            fix="correct the text at that column, or remove the row",
        )
    except ValueError:  # an integer of more digits than Python converts
        return _too_large(text, f"an integer of more than {sys.get_int_max_str_digits()} digits")
    return _explain_refusal(text, str(refusal))


def _too_large(text: bytes | str, found: str) -> RecordError:
    return RecordError(
        "a number is too large",
        code="not-finite",
        found=placed(_number_place(text, is_non_finite), found),
        expected="a finite number",
        fix="correct the row",
    )


def _number_place(text: bytes | str, is_it: Callable[[Any], bool]) -> str | None:
    """Return the path of the first number that is meant, those too large taken as infinite; None where it is unknown."""

    def integer(digits: str) -> float:
        try:
            return int(digits)
        except ValueError:
            return math.inf

    try:
        return first_place(json.loads(text, parse_constant=float, parse_int=integer), is_it)
    except (ValueError, RecursionError):  # broken further on, too
        return None


def _explain_refusal(text: bytes | str, refusal: str) -> RecordError:
    """Name the reason why msgspec refuses what the standard library accepts."""
    if "surrogate" in refusal or b"\\ud" in (text if isinstance(text, bytes) else text.encode()).lower():
        return RecordError(
            "a string holds half of a surrogate pair (such as \\ud800), which is no character",
            code="lone-surrogate",
            found=first_place(json.loads(text), has_lone_surrogate) or None,
            expected="valid Unicode",
            fix="correct the text",
        )
    if "out of range" in refusal:
        return _too_large(text, "a number beyond double precision")
    return RecordError("the JSON is refused", code="bad-json", found=refusal, fix="correct the row, or remove it")


def encode_compact(value: Any) -> bytes:
    """Return compact UTF-8 JSON; raises RecordError for what JSON cannot hold."""
    try:
        return _encoder.encode(value)
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError) as error:
        raise RecordError("the row cannot be written as JSON", code="not-json", found=shown(str(error))) from error


def encode_exact(value: Any, *, ascii_only: bool = False) -> str:
    """Return JSON as Python's json.dumps writes it (`", "`, `": "`, floats by repr); raises RecordError."""
    try:
        return (_ascii_encoder if ascii_only else _exact_encoder).encode(value)
    except (TypeError, ValueError) as error:
        raise RecordError("the row cannot be written as JSON", code="not-json", found=shown(str(error))) from error
