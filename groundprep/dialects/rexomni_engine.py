"""What Rex-Omni's automatic grounding data engine writes: a caption, and the boxes of its noun phrases.

    {"image": "a.jpg", "caption": "A dog …", "width": 640, "height": 480,
     "phrases": [{"phrase": "a dog", "start_char": 0, "end_char": 5, "boxes": [{"bbox": [x0, y0, x1, y1]}]}]}

Boxes are xyxy, floats, in pixels of the stored image (EXIF is not applied). `phrase` is in lower case, the span is that of
the caption, `width` and `height` are claims about the image, checked elsewhere. The engine leaves phrases out that it did not
find; a phrase without boxes is read, and written, as absent.
Source: Rex-Omni @478e44f applications/_2_automatic_grounding_data_engine (specs/rexomni.md §8.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.edits import new_size
from groundprep.dialects.further_keys import unwritten
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record, Region

SPAN = ("start_char", "end_char")


class EngineBox(Struct):
    """A box; further keys are kept."""

    bbox: list[int | float]


class EnginePhrase(Struct):
    """A noun phrase of the caption, [start_char, end_char), and its boxes; further keys are kept."""

    phrase: str
    boxes: list[EngineBox]
    start_char: int | UnsetType = UNSET
    end_char: int | UnsetType = UNSET


class RexOmniEngineRow(Struct):
    """A row; further keys are kept."""

    image: str
    caption: str
    phrases: list[EnginePhrase]
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET


ROW_KEYS = RexOmniEngineRow.__struct_fields__
IN_EXTRA = ("caption",)


class RexOmniEngine(Dialect):
    """Rows of one image with its caption and the caption's phrases."""

    name = "rexomni-engine"
    title = "Rex-Omni's data engine: image, caption, phrases with character spans and boxes"
    containers = ("jsonl", "json")
    unit = "image"
    row_type = RexOmniEngineRow
    holds = frozenset({"images", "referring", "regions", "answers", "extra"})

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image, caption and a list of phrases."""
        del container
        return isinstance(value.get("caption"), str) and isinstance(value.get("phrases"), list) and "image" in value

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one image; a region's extra holds the span of its phrase."""
        typed = convert_row(row.value, RexOmniEngineRow)
        declared = None
        if not isinstance(typed.width, UnsetType) and not isinstance(typed.height, UnsetType):
            declared = (typed.width, typed.height)
        image = ImageRef(typed.image, context.images.locate(typed.image), declared)
        regions: list[Region] = []
        for value in row.value["phrases"]:
            extra = extra_keys(value, ("phrase", "boxes"))
            boxes = [context.box(entry["bbox"], image) for entry in value["boxes"]]
            extras = [extra | extra_keys(entry, ("bbox",)) for entry in value["boxes"]]
            regions += [Region(value["phrase"], box, extra=more) for box, more in zip(boxes, extras, strict=True)]
            if not boxes:
                regions.append(Region(value["phrase"], extra=extra))
        known = tuple(key for key in ROW_KEYS if key not in IN_EXTRA and (key not in ("width", "height") or declared))
        return Record(
            source=row.source, images=(image,), regions=tuple(regions), extra=extra_keys(row.value, known)
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; spans are found again in the caption where they are not known."""
        own = context.own_value(record, self.name) if record.referring is None else None
        if len(record.images) != 1 or record.images[0].name is None:
            raise RecordError(
                "a row of the data engine names exactly one image file",
                code="image-needed",
                found=f"{len(record.images)} images",
                fix="pass --image-out DIR",
            )
        if own is None:
            value = self._new_row(record, context)
        else:
            value = dict(own)
            if not record.unchanged("images"):
                value["image"] = record.images[0].name
                value |= new_size(own, record)
            if not record.unchanged("extra"):
                value = {k: v for k, v in value.items() if k in ROW_KEYS or k in record.extra} | dict(record.extra)
            if not record.unchanged("regions"):
                value["phrases"] = _phrases(record, value["caption"], context)
            elif not context.reads_as_written(record):
                value["phrases"] = _moved(own["phrases"], record, context)
            else:
                report_kept(record.regions, "regions", context.losses)
        whole = {"regions.extra", "answers.extra"} if own is not None and record.unchanged("regions") else set()
        report_unheld(record, self.holds | whole, context.losses, lost_extra=unwritten(record.extra, value))
        return OutRow(value, record.images[0])

    def _new_row(self, record: Record, context: WriteContext) -> dict[str, Any]:
        width, height = context.size_wh(record)
        stated = record.extra.get("caption")
        caption = stated if isinstance(stated, str) else _caption(record)
        context.losses.added("extra.caption", int(caption is not stated))
        row: dict[str, Any] = {"image": record.images[0].name, "caption": caption, "width": width, "height": height}
        row["phrases"] = _phrases(record, caption, context)
        return row | extra_keys(record.extra, ROW_KEYS)


def _named(record: Record) -> dict[str, list[Region]]:
    """Return phrase → its regions, in order of first appearance."""
    if record.referring is not None:
        return {record.referring: list(record.answers)}
    named: dict[str, list[Region]] = {}
    for region in record.named_regions:
        if region.phrase is None:
            raise RecordError("a region has no phrase, which a row of the data engine needs", code="no-phrase")
        named.setdefault(region.phrase, []).append(region)
    return named


def _caption(record: Record) -> str:
    """Return a caption for a record that has none: its phrases, so that each can be found in it."""
    return ", ".join(_named(record))


def _phrases(record: Record, caption: str, context: WriteContext) -> list[dict[str, Any]]:
    name = "answers" if record.referring is not None else "regions"
    entries = []
    for phrase, regions in _named(record).items():
        start, end = _span(phrase, regions, caption)
        for key, place in zip(SPAN, (start, end), strict=True):
            known = any(region.extra.get(key) == place for region in regions)
            context.losses.added(f"{name}.extra.{key}", 0 if known else max(len(regions), 1))
        boxes = []
        for region in regions:
            if region.box is not None:
                boxes.append({"bbox": list(context.box_numbers(region.box, record, f"{name}.box", region.image))})
            elif not region.is_absent:
                raise RecordError("a region has no box, and the data engine's rows hold boxes only", code="no-box")
        entries.append({"phrase": phrase, "start_char": start, "end_char": end, "boxes": boxes})
    return entries


def _span(phrase: str, regions: list[Region], caption: str) -> tuple[int, int]:
    """Return where the phrase stands in the caption: as it was read if that is still so, else its first occurrence."""
    for region in regions:
        start, end = (region.extra.get(key) for key in SPAN)
        if type(start) is int and type(end) is int and caption[start:end].lower() == phrase.lower():
            return start, end
    start = caption.find(phrase)
    if start < 0 and len(caption.lower()) == len(caption):  # else lowering shifts places
        start = caption.lower().find(phrase.lower())
    if start < 0:
        raise RecordError(
            "a phrase is not in the row's caption",
            code="phrase-not-in-caption",
            found=phrase,
            expected="words of the caption",
            fix="correct the caption, or take the key `caption` out of the rows",
        )
    return start, start + len(phrase)


def _moved(phrases: list[dict[str, Any]], record: Record, context: WriteContext) -> list[dict[str, Any]]:
    """Return the phrases that were read with their boxes in another frame; all other keys stay."""
    regions: Iterator[Region] = iter(record.regions)
    moved = []
    for entry in phrases:
        boxes = []
        for value in entry["boxes"]:
            region = next(regions)
            assert region.box is not None
            boxes.append(value | {"bbox": list(context.box_numbers(region.box, record, "regions.box"))})
        if not entry["boxes"]:
            next(regions)
        moved.append(entry | {"boxes": boxes})
    return moved
