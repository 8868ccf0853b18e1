"""JSON text ↔ values, strictly: NaN, Infinity, lone surrogates and absurd nesting are errors of their row."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import msgspec

from groundprep.config import MAX_JSON_DEPTH, MAX_ROW_BYTES
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
        raise RecordError(
            "the row is not UTF-8",
            code="bad-utf8",
            found=f"byte {error.start}: {error.reason}",
            fix="re-encode the file",
        ) from error
    except msgspec.MsgspecError as error:
        raise _explain(text, error) from error
    openings = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if openings > MAX_JSON_DEPTH and _is_deeper(value, MAX_JSON_DEPTH):
        raise _too_deep()
    return value


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


def decode_object(text: bytes | str) -> dict[str, Any]:
    """Return a JSON object; raises RecordError (also `row-not-object`)."""
    value = decode_value(text)
    if not isinstance(value, dict):
        raise RecordError(
            "a row must be a JSON object",
            code="row-not-object",
            found=value,
            expected='an object, {"key": …}',
        )
    return value


def _explain(text: bytes | str, refusal: msgspec.MsgspecError) -> RecordError:
    """Parse once more with the standard library, whose verdict is more exact, and name the reason."""

    def refuse_constant(name: str) -> NoReturn:
        raise RecordError(
            f"{name} is not a number that a trainer can learn from",
            code="not-finite",
            found=name,
            expected="a finite number",
            fix="remove or correct the row",
        )

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
        )
    except UnicodeDecodeError as error:
        return RecordError("the row is not UTF-8", code="bad-utf8", found=f"byte {error.start}: {error.reason}")
    except ValueError:  # an integer of more digits than Python converts
        return RecordError(
            "a number is too large",
            code="not-finite",
            found=f"an integer of more than {sys.get_int_max_str_digits()} digits",
            expected="a finite number",
            fix="correct the row",
        )
    return _explain_refusal(text, str(refusal))


def _explain_refusal(text: bytes | str, refusal: str) -> RecordError:
    """Name the reason why msgspec refuses what the standard library accepts."""
    if "surrogate" in refusal or b"\\ud" in (text if isinstance(text, bytes) else text.encode()).lower():
        return RecordError(
            "a string holds half of a surrogate pair (such as \\ud800), which is no character",
            code="lone-surrogate",
            expected="valid Unicode",
            fix="correct the text",
        )
    if "out of range" in refusal:
        return RecordError(
            "a number is too large", code="not-finite", found=refusal, expected="a finite number", fix="correct the row"
        )
    return RecordError("the JSON is refused", code="bad-json", found=refusal)


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
