"""A COCO document on disk: read once to learn where everything is, then by byte range; never loaded as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

import msgspec

from groundprep.containers.base import require_readable
from groundprep.containers.json_stream import Element, JsonText, iter_document
from groundprep.containers.json_text import BOM, decode_object, decode_value
from groundprep.containers.jsonl import undecodable
from groundprep.corpora.base import MAX_ID, NO_KEY, Range, RangeIndex
from groundprep.dialects.base import convert_row
from groundprep.errors import FormatError, RecordError, SchemaError
from groundprep.record import Dropped
from groundprep.source import Source

Id = Annotated[int, msgspec.Meta(ge=-MAX_ID, le=MAX_ID)]

MAX_OTHER_BYTES = 1 << 20
"""Sections that COCO does not know (`type`, …) are kept up to this size together."""


class Category(msgspec.Struct):
    """An entry of the category table; further keys are kept."""

    id: Id
    name: str
    keypoints: list[str] | None = None


class _HasId(msgspec.Struct):
    id: Id


class _HasImageId(msgspec.Struct):
    image_id: Id


class Categories(NamedTuple):
    """The category table: id → name, and id → the entry as it is."""

    names: dict[int, str]
    entries: dict[int, dict[str, Any]]


class Document:
    """The sections of a COCO document.

    Args:
        path: the file as the user named it.
        annotations_by: the key by which annotations are found: `image_id` or `id`.

    Raises:
        FormatError: the document cannot be read through, or has no images.
        SchemaError: the category table is broken.
    """

    def __init__(self, path: str, *, annotations_by: str = "image_id") -> None:
        require_readable(Path(path))
        self.path = path
        self.has_bom = False
        self.images = RangeIndex()
        self.annotations = RangeIndex()
        self.categories = Categories({}, {})
        self.info: Mapping[str, Any] = {}
        self.other: dict[str, Any] = {}
        self.left_out: list[str] = []
        self._images_offset: int | None = None
        self._other_bytes = 0
        self._image_key = msgspec.json.Decoder(_HasId)
        self._annotation_key = msgspec.json.Decoder(_HasImageId if annotations_by == "image_id" else _HasId)
        self._scan()

    def _scan(self) -> None:
        seen: set[str] = set()
        with self.open() as file:
            for element in iter_document(JsonText(file, self.path, offset=self._start(file))):
                if element.number in (None, 0):
                    if element.key in seen:
                        raise self._broken(f"the section {element.key} is there twice", element.offset)
                    seen.add(element.key)
                self._note(element)
        if self._images_offset is None:
            raise SchemaError(
                "the document has no images", source=self.path, found=sorted(seen), expected="a key images: […]"
            )
        self.images.finish()
        self.annotations.finish()
        self.licences: list[Any] = self.other.pop("licenses") if isinstance(self.other.get("licenses"), list) else []

    def _start(self, file: IO[bytes]) -> int:
        self.has_bom = file.read(len(BOM)) == BOM
        return len(BOM) if self.has_bom else 0

    def _note(self, element: Element) -> None:
        key, number, offset, text = element
        if key in ("images", "annotations"):
            if number is None:
                raise self._broken(f"the section {key} is no array", offset)
            if number == 0:
                self._images_offset = offset if key == "images" else self._images_offset
            elif key == "images":
                self.images.add(_key_of(self._image_key, text), offset, len(text))
            else:
                self.annotations.add(_key_of(self._annotation_key, text), offset, len(text))
        elif key == "categories":
            if number:
                self._note_category(number, text)
        else:
            self._note_other(element)

    def _note_category(self, number: int, text: bytes) -> None:
        source = Source(f"{self.path}[categories]", number)
        try:
            entry = decode_object(text)
            category = convert_row(entry, Category)
        except RecordError as error:
            raise SchemaError(
                f"a category cannot be read: {error.message}",
                source=source,
                found=error.found,
                expected='{"id": 1, "name": "person"}',
            ) from error
        if category.id in self.categories.names:
            raise SchemaError(
                "two categories have one id",
                code="repeated-category",
                source=source,
                found=f"{category.id}: {self.categories.names[category.id]} and {category.name}",
                fix="give every category its own id",
            )
        self.categories.names[category.id] = category.name
        self.categories.entries[category.id] = entry

    def _note_other(self, element: Element) -> None:
        """Keep a section that COCO does not need, unless it is large."""
        self._other_bytes += len(element.text)
        if element.key in self.left_out:
            return
        if self._other_bytes > MAX_OTHER_BYTES:
            self.left_out.append(element.key)
            self.other.pop(element.key, None)
            return
        try:
            value = decode_value(element.text) if element.number != 0 else None
        except RecordError as error:
            raise self._broken(f"the section {element.key} cannot be read", element.offset) from error
        if element.key == "info" and element.number is None and isinstance(value, dict):
            self.info = value
        elif element.number == 0:
            self.other[element.key] = []
        elif element.number is None:
            self.other[element.key] = value
        else:
            self.other[element.key].append(value)

    def _broken(self, message: str, offset: int) -> FormatError:
        return SchemaError(message, source=self.path, found=f"at byte {offset}")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the file."""
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 (read in large pieces and by position)
            yield file

    def iter_images(self, file: IO[bytes]) -> Iterator[tuple[Source, int, dict[str, Any]] | Dropped]:
        """Yield place, number and value of every image, in order."""
        assert self._images_offset is not None
        text = JsonText(file, self.path, offset=self._images_offset)
        for number, (_, element) in enumerate(text.elements(), start=1):
            source = Source(self.path, number)
            try:
                yield source, number, decode_object(element)
            except RecordError as error:
                yield undecodable(source, element, error)

    def source_of_annotation(self, number: int) -> Source:
        """Return the place of an annotation in words."""
        return Source(f"{self.path}[annotations]", number)

    @staticmethod
    def read(file: IO[bytes], where: Range) -> bytes:
        """Return the text of an element."""
        return os.pread(file.fileno(), where.length_bytes, where.offset)


def _key_of(decoder: msgspec.json.Decoder[Any], text: bytes) -> int:
    try:
        found = decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # told when the element is read
        return NO_KEY
    return int(found.image_id if isinstance(found, _HasImageId) else found.id)
