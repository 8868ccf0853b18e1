"""COCO instances: one document of images, annotations and categories; a row is an image with its annotations.

    {"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 426}],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 18, "bbox": [x, y, w, h], "area": …, "iscrowd": 0,
                      "segmentation": [[x0, y0, …], …] or {"size": [h, w], "counts": …}}],
     "categories": [{"id": 18, "name": "dog"}]}

Boxes are xywh, 0-based, in pixels of the stored image. `phrase` is our own key for text that is more than a category.
Source: specs/targets.md §3.8; cocoapi PythonAPI/pycocotools/coco.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from groundprep.containers.base import OutRow, Row
from groundprep.corpora.base import whole_if_whole
from groundprep.corpora.document import Id
from groundprep.dialects.base import (
    Dialect,
    ReadContext,
    WriteContext,
    convert_row,
    extra_keys,
    report_unheld,
)
from groundprep.dialects.further_keys import fitting_keys, unwritten
from groundprep.dialects.mask_files import mask_of_file, report_drift
from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES, SizeWH, Space
from groundprep.geometry.masks import decode_rle
from groundprep.images import ImageRef
from groundprep.record import Keypoints, Mask, Native, Polygon, Record, Region

Number = int | float
XYWH = FRAMES["pixels-xywh"]


class RunLengths(msgspec.Struct):
    """A mask as run lengths, column by column: compressed text or a list."""

    size: tuple[int, int]
    counts: str | list[int]


class CocoAnnotation(msgspec.Struct):
    """An object; further keys are kept."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: list[Number] | None = None
    segmentation: list[list[Number]] | RunLengths | None = None
    keypoints: list[Number] | None = None
    phrase: str | None = None


class CocoImage(msgspec.Struct):
    """An image; further keys are kept."""

    id: Id
    file_name: str | None = None
    coco_url: str | None = None
    width: int | None = None
    height: int | None = None


class CocoRow(msgspec.Struct):
    """A row: an image, its annotations in the order of the file, and the categories that it mentions, by id."""

    image: CocoImage
    annotations: list[CocoAnnotation]
    categories: dict[int, dict[str, Any]]


HELD_BY_ANNOTATION = ("image_id", "category_id", "bbox", "segmentation", "keypoints", "phrase")
IMAGE_KEYS = ("id", "file_name", "width", "height")
CATEGORY_KEYS = ("id", "name")


class Coco(Dialect):
    """Rows of an image and its annotations."""

    name = "coco"
    title = "COCO instances: one document of images, annotations and categories"
    containers = ("coco",)
    unit = "image"
    row_type = CocoRow
    frame = XYWH
    says_absent = False
    image_keys: ClassVar[tuple[str, ...]] = IMAGE_KEYS
    holds = frozenset(
        {
            "id",
            "images",
            "images.extra",
            "regions",
            "regions.polygon",
            "regions.mask",
            "regions.keypoints",
            "regions.extra",
            "regions.category",
        }
    )

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row of the corpus' own reader has an image and annotations."""
        return container in self.containers and {"image", "annotations"} <= value.keys()

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one image; its annotations were proven by the reader."""
        image, value = row.value["image"], row.value
        ref = image_ref(image, context, self.image_extra(value))
        entries = {int(key): entry for key, entry in value["categories"].items()}
        regions = [region_of(item, entries[item["category_id"]], ref, context) for item in value["annotations"]]
        return Record(
            source=row.source,
            id=image["id"],
            images=(ref,),
            regions=(*regions, *self.absent_regions(value)),
        ).with_origin(self.name, value, context.row_frame)

    def image_extra(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of the image that no field holds."""
        return extra_keys(value["image"], IMAGE_KEYS)

    def absent_regions(self, value: Mapping[str, Any]) -> Iterator[Region]:
        """Yield regions for what the row says is not in the image; COCO says nothing of the kind."""
        del value
        yield from ()

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row for this corpus' writer; raises RecordError for what has neither box nor outline.

        Beside the image and its annotations it holds `names`: the (category name, wished id) of each annotation, and
        `absent` and `not_exhaustive`: the same of categories that the image is said not to hold, or not to hold in full.
        """
        own = context.own_value(record, self.name)
        present = [region for region in record.regions if not region.is_absent]
        if any(region.category is None and region.phrase is None for region in present):
            raise RecordError(
                "a region has no phrase, which is the name of its category in COCO",
                code="no-phrase",
                fix="drop it with --on-error drop",
            )
        if own is not None and context.keeps(record, "regions"):
            annotations = own["annotations"]
            context.losses.kept("regions.box", sum(region.box is not None for region in present))
        else:
            annotations = [self.annotation(region, record, context) for region in present]
        names = [(region.category or region.phrase, region.category_id) for region in present]
        absent = [(region.phrase, region.category_id) for region in record.regions if region.is_absent]
        ref = _one_image(record)
        image = self._image(own, record, ref, context)
        self._report(record, image, context)
        value = {"image": image, "annotations": annotations, "names": names}
        named = ref.extra.get("not_exhaustive")
        not_exhaustive = [(name, None) for name in named if isinstance(name, str)] if isinstance(named, list) else []
        return OutRow(value | {"absent": absent, "not_exhaustive": not_exhaustive}, ref)

    def _report(self, record: Record, image: dict[str, Any], context: WriteContext) -> None:
        holds = self.holds if type(record.id) is int else self.holds - {"id"}
        report_unheld(record, holds, context.losses, lost_extra=unwritten(record.extra, image))
        context.losses.added("id", int(image["id"] is None))
        for region in record.regions:
            if "regions.mask" in self.holds:
                report_drift(region.mask, "regions.mask", context.losses)
            if region.is_absent and not self.says_absent:
                context.losses.lost("regions.absent")
            elif region.category not in (None, region.phrase):
                context.losses.renamed("regions.phrase")  # kept under a key of our own, which COCO's readers ignore

    def _image(
        self, own: dict[str, Any] | None, record: Record, ref: ImageRef, context: WriteContext
    ) -> dict[str, Any]:
        if own is not None and record.unchanged("images"):
            identity = own["image"]["id"] if record.unchanged("id") else record.id
            return {**own["image"], "id": identity if type(identity) is int else None}
        if ref.name is None:
            raise RecordError("a COCO image is a file with a name", code="image-needed", fix="pass --image-out DIR")
        width, height = _size_wh(ref, record, context)
        identity = record.id if type(record.id) is int else None
        image = {"id": identity, "file_name": ref.name, "width": width, "height": height}
        for extra in (ref.extra, record.extra):
            image |= fitting_keys(extra, CocoImage, self.image_keys)
        return image

    def annotation(self, region: Region, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return a new annotation, without image and category; raises RecordError."""
        rings = None if region.polygon is None else _rings(region.polygon)
        mask = _mask_to_write(region, record, context)
        area: Number | None = None
        if region.box is not None:
            bbox = list(context.box_numbers(region.box, record, "regions.box", region.image))
        elif rings is not None:
            bbox = _bounds(rings)
        elif mask is not None:
            bbox, area = _mask_bounds(mask)
        else:
            raise RecordError(
                "a region has neither box, polygon nor mask, and COCO holds nothing else",
                code="no-box",
                found="a point" if region.point is not None else "keypoints",
            )
        context.losses.added("regions.box", int(region.box is None))
        if area is None:
            area = _polygon_area(rings) if rings is not None else whole_if_whole(max(bbox[2], 0) * max(bbox[3], 0))
        value: dict[str, Any] = {"id": None, "image_id": None, "category_id": None, "bbox": bbox, "area": area}
        value |= {"iscrowd": 0, "segmentation": self.segmentation(rings, mask)}
        if region.keypoints is not None:
            value["keypoints"] = _keypoint_numbers(region.keypoints)
        if region.category not in (None, region.phrase):
            value["phrase"] = region.phrase
        further = extra_keys(region.extra, HELD_BY_ANNOTATION)
        for key in ("id", "area", "iscrowd"):
            context.losses.added(f"regions.extra.{key}", int(key not in further))
        for key in region.extra.keys() - further.keys():
            context.losses.lost(f"regions.extra.{key}")
        value |= further
        if type(value["id"]) is not int:
            value["id"] = None
        return value

    def segmentation(self, rings: list[list[Number]] | None, mask: Mask | None) -> Any:
        """Return the outline as COCO writes it: rings, run lengths, or an empty list."""
        if mask is not None and mask.size_hw is not None:
            counts = mask.counts.decode("ascii") if isinstance(mask.counts, bytes) else mask.counts
            return {"size": list(mask.size_hw), "counts": list(counts) if isinstance(counts, tuple) else counts}
        return rings or []


def _size_wh(ref: ImageRef, record: Record, context: WriteContext) -> SizeWH:
    """Return (width, height) of the stored image, as the data says or else as the file does; raises PayloadError."""
    return ref.declared_size_wh or context.size_wh(record)


def _mask_to_write(region: Region, record: Record, context: WriteContext) -> Mask | None:
    """Return a region's mask as run lengths, if it has one; raises RecordError and PayloadError for one in a file."""
    if region.mask is None or region.mask.path is None:
        return region.mask
    width, height = _size_wh(_one_image(record), record, context)
    return mask_of_file(region.mask.path, (height, width))


def image_ref(image: dict[str, Any], context: ReadContext, extra: Mapping[str, Any]) -> ImageRef:
    """Return the reference to an image's file; raises RecordError, PayloadError."""
    typed = convert_row(image, CocoImage)
    name = typed.file_name
    if name is None and typed.coco_url is not None:
        # Source: detectron2 data/datasets/lvis.py: the last two parts of the URL, such as train2017/000000000009.jpg.
        name = "/".join(typed.coco_url.split("/")[-2:])
    if name is None:
        raise RecordError("the image has no file", code="missing-key", found=sorted(image), expected="file_name")
    size_wh = (typed.width, typed.height) if typed.width is not None and typed.height is not None else None
    return ImageRef(name, context.images.locate(name), size_wh, extra)


def region_of(value: Mapping[str, Any], category: Mapping[str, Any], image: ImageRef, context: ReadContext) -> Region:
    """Return the region of an annotation that was proven; raises PayloadError if its frame needs an image's size."""
    phrase = value.get("phrase")
    name = category["name"]
    segmentation = value.get("segmentation")
    bbox, keypoints = value.get("bbox"), value.get("keypoints")
    return Region(
        phrase=name if phrase is None else phrase,
        box=None if bbox is None else context.box(bbox, image),
        polygon=_polygon(segmentation, image, context) if isinstance(segmentation, list) and segmentation else None,
        mask=_mask(segmentation) if isinstance(segmentation, dict) else None,
        keypoints=None if keypoints is None else _keypoints(keypoints, category.get("keypoints"), image, context),
        category_id=value["category_id"],
        category=None if phrase in (None, name) else name,
        extra=extra_keys(value, HELD_BY_ANNOTATION),
    )


def _polygon(rings: list[list[Number]], image: ImageRef, context: ReadContext) -> Polygon:
    native = Native(context.row_frame.frame, rings)
    if context.row_frame.frame.space is Space.STORED:
        return Polygon(tuple(tuple(map(float, ring)) for ring in rings), native)
    return Polygon(tuple(context.polygon(ring, image).rings[0] for ring in rings), native)


def _mask(value: Mapping[str, Any]) -> Mask:
    h, w = value["size"]
    counts = value["counts"]
    return Mask((h, w), counts if isinstance(counts, str) else tuple(counts))


def _keypoints(
    numbers: Sequence[Number], names: Iterable[str] | None, image: ImageRef, context: ReadContext
) -> Keypoints:
    points = []
    for i in range(0, len(numbers), 3):
        x, y = context.point(numbers[i : i + 2], image).xy
        points.append((x, y, int(numbers[i + 2])))
    return Keypoints(tuple(points), None if names is None else tuple(names), Native(context.row_frame.frame, numbers))


def _keypoint_numbers(keypoints: Keypoints) -> list[Number]:
    if keypoints.native is not None and keypoints.native.frame.space is Space.STORED:
        return list(keypoints.native.numbers)
    return [number for point in keypoints.points for number in point]


def _one_image(record: Record) -> ImageRef:
    if len(record.images) != 1:
        raise RecordError("a COCO row is exactly one image", code="image-needed", found=f"{len(record.images)} images")
    return record.images[0]


def _rings(polygon: Polygon) -> list[list[Number]]:
    """Return the rings in stored pixels, with the numbers that were read if they were read in them."""
    native = polygon.native
    if native is not None and native.frame.space is Space.STORED:
        nested = isinstance(native.numbers[0], list)
        return [list(ring) for ring in (native.numbers if nested else [native.numbers])]
    return [list(ring) for ring in polygon.rings]


def _bounds(rings: list[list[Number]]) -> list[Number]:
    xs = [x for ring in rings for x in ring[0::2]]
    ys = [y for ring in rings for y in ring[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _polygon_area(rings: list[list[Number]]) -> Number:
    """Return the area that the rings enclose (the shoelace formula), each on its own."""
    total = 0.0
    for ring in rings:
        xs, ys = ring[0::2], ring[1::2]
        pairs = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)
        total += abs(sum(x0 * y1 - x1 * y0 for x0, y0, x1, y1 in pairs)) / 2
    return whole_if_whole(total)


def _mask_bounds(mask: Mask) -> tuple[list[Number], int]:
    """Return the box (xywh) around a mask's pixels and their number; raises RecordError."""
    if mask.size_hw is None:
        raise RecordError("run lengths need the size of their image", code="mask-size")
    rows_N, columns_N = np.nonzero(decode_rle(mask.counts, mask.size_hw))
    if not len(rows_N):
        raise RecordError("the mask is empty", code="no-box", found="no pixel is inside")
    x, y = int(columns_N.min()), int(rows_N.min())
    return [x, y, int(columns_N.max()) + 1 - x, int(rows_N.max()) + 1 - y], len(rows_N)
