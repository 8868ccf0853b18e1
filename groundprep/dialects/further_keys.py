"""Keys of a row that no field of a record holds: which of them a row of another layout may take, and which are lost.

A further key of one layout may be a typed key of another: there it would be read as something that nobody said, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from groundprep.dialects.base import BINARY, extra_keys


def fitting_keys(value: Mapping[str, Any], row_type: type[msgspec.Struct], known: Iterable[str]) -> dict[str, Any]:
    """Return further keys for a row of this type: without those in `known`, and without foreign values of its own keys.

    A key that came from another layout may be the name of a typed key of this one; written with a value of another type it would
    make the row unreadable.
    """
    types = _types_of(row_type)
    keys = extra_keys(value, known)
    return {key: item for key, item in keys.items() if key not in types or _fits(item, types[key])}


@cache
def _types_of(row_type: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(row_type)}


def _fits(value: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted, builtin_types=BINARY)
    except msgspec.ValidationError:
        return False
    return True


def unwritten(extra: Mapping[str, Any], *written: Mapping[str, Any]) -> set[str]:
    """Return those further keys that none of the written objects has with the same value."""
    return {
        key
        for key, item in extra.items()
        if not any(key in value and (value[key] is item or value[key] == item) for value in written)
    }
