"""Writing COCO and LVIS documents: sections are spooled to nameless files and put together at the end.

Ids are kept where they are known and unique; the others are numbered on from the largest. That can only be decided when
all are known, so eight bytes an annotation are remembered, and twelve an image.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from groundprep.containers.base import LOAD, ImagePlan, OutRow, Writer
from groundprep.containers.json_text import decode_object, encode_compact
from groundprep.corpora.base import MAX_ID, NO_KEY
from groundprep.losses import Losses
from groundprep.record import Header

BUFFER_BYTES = 1 << 20


class CocoWriter(Writer):
    """Writes one document, one image or annotation a line."""

    container = "coco"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.header = self.table.header
        self.categories = CategoryTable(self.header)
        directory = self.paths[0].parent
        scratch = directory if self.paths[0] != Path(os.devnull) else None
        self.file: IO[bytes] = self.paths[0].open("wb", BUFFER_BYTES)
        self._images: IO[bytes] = TemporaryFile("w+b", BUFFER_BYTES, dir=scratch)  # noqa: SIM115 (closed by close and abort)
        self._annotations: IO[bytes] = TemporaryFile("w+b", BUFFER_BYTES, dir=scratch)  # noqa: SIM115 (the same)
        self._image_ids = array("q")
        self._annotation_ids = array("q")
        self._annotations_of_image = array("I")

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> dict[str, Any]:
        """Return the row; categories get their ids in order, when it is written."""
        del plan
        return row.value

    def write(self, prepared: dict[str, Any]) -> None:
        """Spool the image and its annotations; raises RecordError before anything is written."""
        encode_compact(prepared)  # proves that all of it can be written
        image = self.image_entry(prepared)
        lines = []
        counted = Counter[int]()
        for annotation, (name, wished) in zip(prepared["annotations"], prepared["names"], strict=True):
            category_id = self.categories.id_of(name, wished)
            counted[category_id] += 1
            lines.append(encode_compact(annotation | {"image_id": image["id"], "category_id": category_id}) + b"\n")
        self.categories.count(counted)
        self._annotation_ids.extend(_known(annotation["id"]) for annotation in prepared["annotations"])
        self._annotations.writelines(lines)
        self._images.write(encode_compact(image) + b"\n")
        self._image_ids.append(_known(image["id"]))
        self._annotations_of_image.append(len(lines))

    def image_entry(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """Return the image as it is written."""
        return dict(prepared["image"])

    def report_header(self, losses: Losses) -> None:
        """Count the categories that the sources have no table for, and repeated ids; the rest of the header is written."""
        for name, ids in (("id", self._image_ids), ("regions.extra.id", self._annotation_ids)):
            wished_N = np.array(ids, dtype=np.int64)
            known_N = wished_N[wished_N != NO_KEY]
            losses.lost(name, len(known_N) - len(np.unique(known_N)))
        if self.header.categories:
            losses.kept("header.categories", len(self.header.categories))
        losses.added("header.categories", len(self.categories.names) - len(self.header.categories))

    def category_entries(self) -> Iterator[Mapping[str, Any]]:
        """Yield the category table."""
        return self.categories.entries()

    def close(self) -> None:
        """Put the sections together and flush to disk."""
        image_ids_N = settled_ids(self._image_ids)
        annotation_ids_N = settled_ids(self._annotation_ids)
        self.file.write(b"{")
        if self.header.info:
            self._section("info", encode_compact(self.header.info))
        if self.header.licences:
            self._section("licenses", encode_compact(list(self.header.licences)))
        for key, value in self.header.extra.items():
            self._section(key, encode_compact(value))
        self._array("images", self._image_lines(image_ids_N))
        self._array("annotations", self._annotation_lines(image_ids_N, annotation_ids_N))
        self._array("categories", map(encode_compact, self.category_entries()), last=True)
        self.file.write(b"}\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.abort()

    def _image_lines(self, ids_N: NDArray[np.int64]) -> Iterator[bytes]:
        self._images.seek(0)
        for line, wished, identity in zip(self._images, self._image_ids, ids_N.tolist(), strict=True):
            yield line[:-1] if wished == identity else _with(line, id=identity)

    def _annotation_lines(self, image_ids_N: NDArray[np.int64], ids_N: NDArray[np.int64]) -> Iterator[bytes]:
        self._annotations.seek(0)
        image_of_each_N = np.repeat(np.arange(len(image_ids_N), dtype=np.uint32), self._annotations_of_image)
        lines = zip(self._annotations, self._annotation_ids, ids_N, image_of_each_N, strict=True)
        for line, wished, identity, place in lines:
            image_id = int(image_ids_N[place])
            if wished == identity and self._image_ids[place] == image_id:
                yield line[:-1]
            else:
                yield _with(line, id=int(identity), image_id=image_id)

    def _section(self, key: str, value: bytes) -> None:
        self.file.write(encode_compact(key) + b":" + value + b",\n")

    def _array(self, key: str, elements: Iterable[bytes], *, last: bool = False) -> None:
        self.file.write(encode_compact(key) + b":[")
        separator = b"\n"
        for element in elements:
            self.file.write(separator + element)
            separator = b",\n"
        self.file.write(b"]" if last else b"],\n")

    def abort(self) -> None:
        """Close the files; the spools vanish."""
        for file in (self.file, self._images, self._annotations):
            file.close()


class CategoryTable:
    """Category names and ids: those of the source, then those that turn up, in order."""

    def __init__(self, header: Header) -> None:
        self.names = dict(header.categories)
        self._kept = header.category_entries
        self._by_name: dict[str, int] = {}
        for identity, name in self.names.items():
            self._by_name.setdefault(name, identity)
        self._next = max(self.names, default=0) + 1
        self.images: Counter[int] = Counter()
        self.instances: Counter[int] = Counter()

    def id_of(self, name: str, wished: int | None) -> int:
        """Return the id of a category: the wished one if it is that category's, else the name's own, else a new one."""
        if wished is not None and self.names.get(wished) == name:
            return wished
        known = self._by_name.get(name)
        if known is not None:
            return known
        identity = self._next if wished is None or wished in self.names else wished
        self._next = max(self._next, identity + 1)
        self.names[identity] = name
        self._by_name[name] = identity
        return identity

    def count(self, of_image: Counter[int]) -> None:
        """Count the objects of one image."""
        self.images.update(of_image.keys())
        self.instances.update(of_image)

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """Yield the entries, those of the source as they were."""
        for identity, name in self.names.items():
            yield self._kept.get(identity) or self.new_entry(identity, name)

    def new_entry(self, identity: int, name: str) -> dict[str, Any]:
        """Return an entry for a category that the source had no table for."""
        return {"id": identity, "name": name}


def settled_ids(wished: array[int]) -> NDArray[np.int64]:
    """Return (N,) ids, all different: the first of equal wishes is granted, the others are numbered on from the largest."""
    wished_N = np.array(wished, dtype=np.int64)
    known_N = wished_N != NO_KEY
    granted_N = np.zeros(len(wished_N), dtype=bool)
    _, first_of_each = np.unique(wished_N, return_index=True)
    granted_N[first_of_each] = True
    granted_N &= known_N
    largest = int(wished_N[known_N].max(initial=0))
    others_N = np.arange(largest + 1, largest + 1 + int((~granted_N).sum()), dtype=np.int64)
    settled_N = wished_N.copy()
    settled_N[~granted_N] = others_N
    return settled_N


def _known(identity: Any) -> int:
    return identity if type(identity) is int and abs(identity) <= MAX_ID else NO_KEY


def _with(line: bytes, **changes: int) -> bytes:
    return encode_compact(decode_object(line) | changes)
