"""Rex-Omni's annotations: every phrase of an image with its box or point; null for a phrase that is absent.

In a TSV the annotation stands alone; in json and jsonl it stands beside its image's name:
    {"image_name": "a.jpg", "annotation": {"boxes": [{"bbox": [x0, y0, x1, y1], "phrase": "dog"}, …]}}
Boxes are xyxy, points (x, y), polygons flat, in pixels of the stored image. `caption` stands in where `phrase` is missing.
Source: Rex-Omni @478e44f and @8c474a3 (specs/rexomni.md §1.1, §1.5); polygons are unofficial (their issue 27).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.further_keys import fitting_keys, unwritten
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record, Region

Numbers = list[int | float]


class BoxEntry(Struct):
    """A phrase and its box; null: the phrase is absent."""

    bbox: Numbers | None
    phrase: str | UnsetType = UNSET
    caption: str | UnsetType = UNSET


class PointEntry(Struct):
    """A phrase and its point; null: the phrase is absent."""

    point: Numbers | None
    phrase: str | UnsetType = UNSET
    caption: str | UnsetType = UNSET


class PolygonEntry(Struct):
    """A phrase and its polygon, flat."""

    polygon: Numbers | None
    phrase: str | UnsetType = UNSET
    caption: str | UnsetType = UNSET


class RexOmniAnnotation(Struct):
    """The annotation of one image; further keys are kept."""

    boxes: list[BoxEntry] | UnsetType = UNSET
    points: list[PointEntry] | UnsetType = UNSET
    polygons: list[PolygonEntry] | UnsetType = UNSET


class RexOmniRow(Struct):
    """A row of json or jsonl; in a TSV the annotation is the row."""

    image_name: str
    annotation: RexOmniAnnotation


KINDS = {"boxes": "bbox", "points": "point", "polygons": "polygon"}


class RexOmni(Dialect):
    """Rows of one image with all its phrases.

    Args:
        plain: an annotation has the keys of its regions and no further ones, the same in every row: what a GRPO loader needs.
    """

    name = "rexomni"
    title = "Rex-Omni annotations: boxes, points and polygons with their phrases"
    containers = ("tsv", "jsonl", "json")
    unit = "image"
    row_type = RexOmniRow
    holds = frozenset(
        {
            "images",
            "referring",
            "regions",
            "answers",
            "answers.point",
            "regions.point",
            "regions.polygon",
            "answers.polygon",
            "answers.extra",
            "regions.extra",
        }
    )

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A TSV row has boxes, points or polygons; another has image_name and annotation."""
        if container == "tsv":
            return any(isinstance(value.get(kind), list) for kind in KINDS)
        return "image_name" in value and isinstance(value.get("annotation"), dict)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one image."""
        if row.image is not None:
            image = ImageRef(None, row.image)
            annotation = row.value
            extra = extra_keys(annotation, KINDS)
            typed = convert_row(annotation, RexOmniAnnotation)
        else:
            typed_row = convert_row(row.value, RexOmniRow)
            image = ImageRef(typed_row.image_name, context.images.locate(typed_row.image_name))
            annotation, typed = row.value["annotation"], typed_row.annotation
            extra = extra_keys(row.value, ("image_name", "annotation", "id")) | extra_keys(annotation, KINDS)
        regions: list[Region] = []
        for kind, key in KINDS.items():
            entries = getattr(typed, kind)
            if entries is not UNSET:
                regions += [
                    _region(value, entry, key, image, context)
                    for value, entry in zip(annotation[kind], entries, strict=True)
                ]
        identity = row.value.get("id")
        return Record(
            source=row.source,
            id=identity if isinstance(identity, str | int) else None,
            images=(image,),
            regions=tuple(regions),
            extra=extra,
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; an expression becomes the phrase of its answers, and null when nothing answers it."""
        own = context.own_value(record, self.name) if record.referring is None else None
        if self.plain and own is not None and set(_annotation_in(own, record)) != {"boxes"}:
            own = None
        annotation = _edited_annotation(own, record, context) if own is not None else _annotation(record, context)
        outer = _outer_row(own, record)
        written = annotation if context.container == "tsv" else {**annotation, **outer, "id": record.id}
        holds = self.holds | {"id"} if "id" in written else self.holds
        lost_extra = unwritten(record.extra, annotation, {} if context.container == "tsv" else outer)
        report_unheld(record, holds, context.losses, lost_extra=lost_extra, keeps_names=context.container != "tsv")
        image = record.images[0] if len(record.images) == 1 else None
        if context.container == "tsv":
            return OutRow(annotation, image)
        if image is None or image.name is None:
            raise RecordError(
                "a rexomni row names exactly one image file",
                code="image-needed",
                found=f"{len(record.images)} images",
                fix="pass --image-out DIR",
            )
        identity = {"id": record.id} if record.id is not None else {}
        return OutRow(outer | {"image_name": image.name} | identity | {"annotation": annotation}, image)


def _edited_annotation(own: dict[str, Any], record: Record, context: WriteContext) -> dict[str, Any]:
    """Return the annotation that was read, its regions replaced if they changed or were read in another frame."""
    annotation = _annotation_in(own, record)
    if context.keeps(record, "regions"):
        report_kept(record.regions, "regions", context.losses)
        return dict(annotation)
    entries = _annotation(record, context)
    return {key: entries.pop(key, []) if key in KINDS else item for key, item in annotation.items()} | entries


def _outer_row(own: dict[str, Any] | None, record: Record) -> dict[str, Any]:
    """Return the row that was read if it named its image, as json and jsonl rows do; a TSV's row is the annotation."""
    return dict(own) if own is not None and _named_its_image(record) else {}


def _annotation_in(own: dict[str, Any], record: Record) -> dict[str, Any]:
    annotation: dict[str, Any] = own["annotation"] if _named_its_image(record) else own
    return annotation


def _named_its_image(record: Record) -> bool:
    return record.origin is not None and record.origin.record.images[0].name is not None


def _region(value: dict[str, Any], entry: Any, key: str, image: ImageRef, context: ReadContext) -> Region:
    phrase = entry.phrase if entry.phrase is not UNSET else entry.caption
    if phrase is UNSET:
        raise RecordError(
            "a region has no phrase", code="missing-key", found=sorted(value), expected="phrase (or caption)"
        )
    extra = extra_keys(value, (key, "phrase")) if len(value) > 2 or "caption" in value else {}
    numbers = value[key]
    if numbers is None:
        return Region(phrase=phrase, extra=extra)
    if key == "bbox":
        return Region(phrase=phrase, box=context.box(numbers, image), extra=extra)
    if key == "point":
        return Region(phrase=phrase, point=context.point(numbers, image), extra=extra)
    return Region(phrase=phrase, polygon=context.polygon(numbers, image), extra=extra)


def _annotation(record: Record, context: WriteContext) -> dict[str, Any]:
    regions = list(record.named_regions)
    if record.referring is not None:
        regions += [
            region if region.phrase == record.referring else _with_phrase(region, record.referring)
            for region in record.answers
        ]
        if not record.answers:
            regions.append(Region(phrase=record.referring))
    entries: dict[str, list[Any]] = {"boxes": []}
    for region, kind in zip(regions, _kinds(regions, record), strict=True):
        entries.setdefault(kind, []).append(_entry(region, kind, record, context))
    if "points" in entries and not entries["boxes"]:  # the reader of points asks for no boxes; every other one does
        del entries["boxes"]
    return entries


def _with_phrase(region: Region, phrase: str) -> Region:
    return Region(
        phrase=phrase,
        box=region.box,
        point=region.point,
        polygon=region.polygon,
        image=region.image,
        extra=region.extra,
    )


def _kinds(regions: list[Region], record: Record) -> list[str]:
    """Return the list that each region is written in. Two readers look for absent phrases, each in its own list.

    An absent phrase stays in the list that it was read from; a new one goes to the points where an image has nothing else.
    Source: Rex-Omni @8c474a3 (specs/rexomni.md §1.5: `"bbox": null` and `"point": null`).
    """
    read: dict[int, str] = {}
    origin = record.origin
    if origin is not None and origin.dialect == RexOmni.name:
        annotation = _annotation_in(origin.value, record)
        kinds = [kind for kind in KINDS for _ in annotation.get(kind) or ()]
        read = {id(region): kind for region, kind in zip(origin.record.regions, kinds, strict=True)}
    known = [_kind_of(region) or read.get(id(region)) for region in regions]
    usual = "points" if {*filter(None, known), *read.values()} == {"points"} else "boxes"
    return [usual if kind is None else kind for kind in known]


def _kind_of(region: Region) -> str | None:
    """Return the list of what the region shows, None for an absent phrase; raises RecordError (`no-box`)."""
    shown = {"boxes": region.box, "points": region.point, "polygons": region.polygon}
    kind = next((kind for kind, shape in shown.items() if shape is not None), None)
    if kind is None and not region.is_absent:
        raise RecordError(
            "a mask without box or polygon cannot be written",
            code="no-box",
            found="a mask only",
            fix="write its row to a layout that holds masks (rexomni-eval, vlmr1-seg), or drop it with --on-error drop",
        )
    return kind


def _entry(region: Region, kind: str, record: Record, context: WriteContext) -> dict[str, Any]:
    if region.phrase is None:
        raise RecordError("a region has no phrase, which a rexomni row needs", code="no-phrase")
    name = "answers" if record.referring is not None else "regions"
    further = fitting_keys(region.extra, BoxEntry, ("phrase", *KINDS.values()))
    for key in region.extra.keys() - further.keys():
        context.losses.lost(f"{name}.extra.{key}")
    entry = {"phrase": region.phrase} | further
    if entry.get("caption") == region.phrase:  # it stood in for the phrase
        del entry["caption"]
        context.losses.renamed(f"{name}.caption")
    if region.box is not None:
        _report_unwritten(region, ("point", "polygon"), name, context)
        return {"bbox": context.box_numbers(region.box, record, f"{name}.box", region.image)} | entry
    if region.point is not None:
        _report_unwritten(region, ("polygon",), name, context)
        return {"point": context.point_numbers(region.point, record, f"{name}.point", region.image)} | entry
    if region.polygon is not None:
        ring = context.polygon_numbers(region.polygon, record, f"{name}.polygon", region.image)
        return {"polygon": ring} | entry
    return {KINDS[kind]: None} | entry


def _report_unwritten(region: Region, parts: tuple[str, ...], name: str, context: WriteContext) -> None:
    """Count the geometries that stand beside the one that is written: an entry holds one only."""
    for part in parts:
        context.losses.lost(f"{name}.{part}", int(getattr(region, part) is not None))
