"""Reading COCO documents: images in order, each with its annotations; what is bad is named and dropped on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any

from groundprep.containers.base import Reader, Row
from groundprep.containers.json_text import decode_object
from groundprep.containers.jsonl import undecodable
from groundprep.corpora.base import Range
from groundprep.corpora.coco import CocoAnnotation
from groundprep.corpora.document import Document
from groundprep.dialects.base import convert_row, require_in_range
from groundprep.errors import RecordError
from groundprep.record import Dropped, Header
from groundprep.source import Source


class CocoReader(Reader):
    """Reads a document by byte ranges: images in order, each with its annotations.

    A bad annotation is a row of its own that is dropped; its image stays.
    """

    container = "coco"
    dialect_name = "coco"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        document = self.document = Document(path)
        self.header = Header(
            container=self.container,
            dialect=self.dialect_name,
            categories=document.categories.names,
            category_entries=document.categories.entries,
            info=document.info,
            licences=document.licences,
            extra=document.other,
        )
        if document.has_bom:
            self.warn("bom", "the file starts with a byte order mark", row=1, fix="save it as UTF-8 without BOM")
        for key in document.left_out:
            self.warn("section-left-out", f"the section {key} is large and not COCO's; it is not read")

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every image; before it those of its annotations that are bad, at the end those that have no image."""
        document = self.document
        with document.open() as elements, document.open() as ranges:
            for item in document.iter_images(elements):
                if isinstance(item, Dropped):
                    yield item
                else:
                    yield from self._image(*item, ranges)
            for where in document.annotations.strangers(document.images):
                yield self._stranger(where, ranges)

    def _image(self, source: Source, number: int, image: dict[str, Any], file: IO[bytes]) -> Iterator[Row | Dropped]:
        identity = image.get("id")
        same = self.document.images.of(identity) if type(identity) is int else []
        if same and same[0].number != number:
            error = RecordError(
                "two images have one id",
                code="repeated-image",
                source=source,
                found=f"id {identity}, also of image {same[0].number}",
                fix="give every image its own id",
            )
            yield Dropped(source, error.code, error.message, image, error)
            return
        annotations: list[dict[str, Any]] = []
        for where in self.document.annotations.of(identity) if same and type(identity) is int else ():
            item = self._annotation(where, file)
            if isinstance(item, Dropped):
                yield item
            else:
                annotations.append(item)
        mentioned = dict.fromkeys([a["category_id"] for a in annotations] + self.mentioned_categories(image))
        entries = self.document.categories.entries
        categories = {str(key): entries[key] for key in mentioned if key in entries}
        yield Row(source, {"image": image, "annotations": annotations, "categories": categories})

    def mentioned_categories(self, image: Mapping[str, Any]) -> list[Any]:
        """Return ids of categories that the image itself names."""
        del image
        return []

    def _annotation(self, where: Range, file: IO[bytes]) -> dict[str, Any] | Dropped:
        text = self.document.read(file, where)
        source = self.document.source_of_annotation(where.number)
        try:
            value = decode_object(text)
        except RecordError as error:
            return undecodable(source, text, error)
        try:
            require_annotation(value, self.document.categories.names)
        except RecordError as error:
            error.at(source)
            return Dropped(source, error.code, error.message, value, error)
        return value

    def _stranger(self, where: Range, file: IO[bytes]) -> Dropped:
        """Return an annotation that belongs to no image of the document."""
        item = self._annotation(where, file)
        if isinstance(item, Dropped):
            return item
        source = self.document.source_of_annotation(where.number)
        error = RecordError(
            "the annotation's image is not in the document",
            code="orphan-annotation",
            source=source,
            found=f"image_id {item['image_id']}",
            fix="add the image, or remove the annotation",
        )
        return Dropped(source, error.code, error.message, item, error)


def require_annotation(value: dict[str, Any], categories: Mapping[int, str]) -> CocoAnnotation:
    """Return the typed annotation; raises RecordError unless a region can be made of it."""
    typed = convert_row(value, CocoAnnotation)
    if typed.category_id not in categories:
        raise RecordError(
            "the annotation's category is not in the document",
            code="unknown-category",
            found=f"category_id {typed.category_id}",
            expected=f"one of {len(categories)} ids",
            fix="add the category, or correct the annotation",
        )
    if typed.bbox is not None and len(typed.bbox) != 4:
        raise RecordError(
            "a box needs four numbers",
            code="box-shape",
            found=f"bbox: {typed.bbox}",
            expected="[x, y, w, h]",
            fix="correct the box, or remove the annotation",
        )
    if isinstance(typed.segmentation, list):
        for ring in typed.segmentation:
            if len(ring) < 6 or len(ring) % 2:
                raise RecordError("a polygon needs at least three points", code="polygon-shape", found=ring)
            require_in_range(ring)
    if typed.keypoints is not None and len(typed.keypoints) % 3:
        raise RecordError(
            "keypoints are threes of x, y and visibility",
            code="keypoint-shape",
            found=f"{len(typed.keypoints)} numbers",
        )
    if typed.bbox is None and not typed.segmentation:
        raise RecordError(
            "the annotation says not where it is", code="no-box", found=sorted(value), expected="bbox or segmentation"
        )
    require_in_range([*(typed.bbox or ()), *(typed.keypoints or ())])
    return typed
