"""Editing the row that a record was read from: what has changed goes into its old place, the rest stays as it was."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from groundprep.dialects.base import extra_keys
from groundprep.errors import RecordError
from groundprep.record import Record


def edited_row(own: Mapping[str, Any], record: Record, known: Collection[str]) -> dict[str, Any]:
    """Return a copy of the row with a changed id and changed extra keys; keys in `known` are left to the caller."""
    value = dict(own)
    if not record.unchanged("id") and record.id is not None:
        value["id"] = record.id
    if record.origin is not None and not record.unchanged("extra"):
        for key in record.origin.record.extra.keys() - record.extra.keys():
            value.pop(key, None)
        value.update(extra_keys(record.extra, known))
    return value


def new_size(own: Mapping[str, Any], record: Record) -> dict[str, int]:
    """Return width and height as far as the row states them, if its one image has another size now."""
    read = record.origin.record.images[0].declared_size_wh if record.origin is not None else None
    size_wh = record.images[0].declared_size_wh
    if size_wh is None or size_wh == read:
        return {}
    return {key: side for key, side in zip(("width", "height"), size_wh, strict=True) if key in own}


def own_id(value: Mapping[str, Any]) -> str | int | None:
    """Return a row's id if a record can hold it; any other stays among the further keys."""
    identity = value.get("id")
    return identity if isinstance(identity, str | int) and not isinstance(identity, bool) else None


def is_same_kind(record: Record) -> bool:
    """Say whether the record still is what its row was: an expression, an image with its phrases, or free text."""
    if record.origin is None:
        return False
    read = record.origin.record
    return bool(read.regions) == bool(record.regions) and (read.referring is None) == (record.referring is None)


def require_unmoved(record: Record) -> None:
    """Raise RecordError (`frame-fixed`) if a turn that is written as it was read cites coordinates that have moved since."""
    if all(map(record.unchanged, ("answers", "regions"))):
        return
    for turn in record.turns:
        if turn.follows:
            raise RecordError(
                "a conversation cites coordinates that have moved, and is written as it was read",
                code="frame-fixed",
                found=turn.text,
                expected="a layout that writes the answer from its boxes",
                fix="leave the images as they are, or write a layout with boxes first",
            )
