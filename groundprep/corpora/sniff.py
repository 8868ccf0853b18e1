"""Telling a COCO document from rows, and LVIS from COCO, by as little of the file as possible."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from groundprep.containers.json_stream import Element, JsonText, iter_document
from groundprep.containers.json_text import BOM, decode_value
from groundprep.errors import FormatError, RecordError

FIRST_KEYS = {"images": ("id",), "annotations": ("image_id",), "categories": ("id", "name")}
"""What the first element of a section has; rows of other layouts have a key `images` too."""

LVIS_IMAGE_KEYS = {"neg_category_ids", "not_exhaustive_category_ids"}
LVIS_CATEGORY_KEYS = {"frequency", "synset"}


def family_of(path: str) -> str | None:
    """Return `coco`, `lvis` or None; reads until the first image or category says which."""
    try:
        stat = Path(path).stat()
        return _family_of(path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    except OSError:  # told by whoever opens it
        return None


@lru_cache(maxsize=64)
def _family_of(path: str, *_identity: int) -> str | None:
    """Remember the answer while the file is the same: each corpus asks."""
    family = None
    with Path(path).open("rb") as file:
        offset = len(BOM) if file.read(len(BOM)) == BOM else 0
        text = JsonText(file, path, offset=offset)
        if text.peek() != ord("{"):
            return None
        try:
            for element in iter_document(text):
                if element.key in FIRST_KEYS and element.number in (None, 1):
                    family = _verdict(element)
                    if family is None or element.key != "annotations":
                        break
        except FormatError:  # rows that are no document, or a document that is cut off: its reader says where
            return family
    return family


def _verdict(element: Element) -> str | None:
    """Return what the first element of a section says; annotations of COCO and LVIS look alike and mean `coco` so far."""
    first = None if element.number is None else _first(element)
    if not isinstance(first, dict) or not all(key in first for key in FIRST_KEYS[element.key]):
        return None
    return "lvis" if element.key != "annotations" and _is_lvis(element.key, first) else "coco"


def _first(element: Element) -> Any:
    try:
        return decode_value(element.text)
    except RecordError:
        return None


def _is_lvis(key: str, first: dict[str, Any]) -> bool:
    if key == "images":
        return bool(LVIS_IMAGE_KEYS & first.keys())
    return bool(LVIS_CATEGORY_KEYS & first.keys())
