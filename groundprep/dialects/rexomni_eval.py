"""Rex-Omni's evaluation rows: what is asked of an image, and the ground truth per category.

    {"image_path": "a.jpg", "categories": ["dog", "cat"], "gt": {"dog": [[x0, y0, x1, y1], …]},
     "dataset_name": "COCO", "task_name": "detection"}

Numbers are pixels of the stored image. An entry of `gt` is a box (4 numbers), a point (2), a polygon (6 or more), a COCO mask
(`{"counts", "size"}`, which may stand in `gt_mask` beside `gt`) or an object with a `bbox` (keypoint sets; the rest of it is
kept as it is). For GUI tasks `gt` is one list of boxes for the first category. A category without an entry is absent.
Answers of a model (`extracted_predictions`, `raw_response`, `question`) are carried, not read.
Source: Rex-Omni @478e44f evaluation (specs/rexomni.md §9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.further_keys import fitting_keys, unwritten
from groundprep.dialects.kept import report_kept
from groundprep.dialects.mask_files import mask_of_file, report_drift
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Mask, Record, Region

Truth = dict[str, list[Any]] | list[Any]


class RexOmniEvalRow(Struct):
    """A row; further keys (visual_prompt, a model's answers) are kept."""

    image_path: str
    categories: list[str]
    gt: Truth | UnsetType = UNSET
    gt_mask: dict[str, list[Any]] | UnsetType = UNSET
    dataset_name: str | UnsetType = UNSET
    task_name: str | UnsetType = UNSET


TRUTH_KEYS = ("image_path", "categories", "gt", "gt_mask")
COORDINATE_KEYS = ("visual_prompt", "extracted_predictions")
"""Further keys whose numbers are in the frame of the row."""
DATASET_NAME = "custom"
"""The dataset_name of rows that were no evaluation rows before."""


class RexOmniEval(Dialect):
    """Rows of one image with the categories that are asked for."""

    name = "rexomni-eval"
    title = "Rex-Omni evaluation rows: image_path, categories, gt per category"
    containers = ("jsonl", "json")
    unit = "image"
    row_type = RexOmniEvalRow
    holds = frozenset(
        {"images", "referring", "regions", "answers", "extra"}
        | {f"{name}.{part}" for name in ("answers", "regions") for part in ("point", "polygon", "mask")}
    )

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image_path, categories and gt."""
        del container
        has_truth = isinstance(value.get("gt"), dict | list) or isinstance(value.get("gt_mask"), dict)
        return "image_path" in value and isinstance(value.get("categories"), list) and has_truth

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one image; categories without ground truth are absent."""
        typed = convert_row(row.value, RexOmniEvalRow)
        image = ImageRef(typed.image_path, context.images.locate(typed.image_path))
        truth = _truth(row.value.get("gt", {}), typed.categories)
        masks = row.value.get("gt_mask", {})
        regions: list[Region] = []
        for category in dict.fromkeys((*truth, *masks, *typed.categories)):
            shapes = [_region(category, entry, image, context) for entry in truth.get(category, ())]
            covers = [_region(category, entry, image, context) for entry in masks.get(category, ())]
            if len(shapes) == len(covers) and all(shape.mask is None for shape in shapes):
                shapes = [replace(shape, mask=cover.mask) for shape, cover in zip(shapes, covers, strict=True)]
                covers = []
            regions += [*shapes, *covers] or [Region(category)]
        return Record(
            source=row.source,
            images=(image,),
            regions=tuple(regions),
            extra=extra_keys(row.value, TRUTH_KEYS),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the ground truth is written again where regions changed or are in another frame."""
        own = context.own_value(record, self.name) if record.referring is None else None
        if len(record.images) != 1 or record.images[0].name is None:
            raise RecordError(
                "an evaluation row names exactly one image file",
                code="image-needed",
                found=f"{len(record.images)} images",
                fix="pass --image-out DIR",
            )
        value = dict(own) if own is not None else {"image_path": record.images[0].name}
        if own is None or not record.unchanged("images"):
            value["image_path"] = record.images[0].name
        stays = own is not None and context.keeps(record, "regions")
        if stays:
            report_kept(record.regions, "regions", context.losses)
        else:
            _require_movable(record, context)
            value |= _ground_truth(record, context)
            if own is not None:
                value.pop("gt_mask", None)  # its masks are in gt now
                value["gt"] = _as_read(own.get("gt"), value)
        if own is None:
            value |= {
                "dataset_name": DATASET_NAME,
                "task_name": "detection" if record.referring is None else "referring",
            }
        if own is None or not record.unchanged("extra"):
            value |= fitting_keys(record.extra, RexOmniEvalRow, TRUTH_KEYS)
        lost = unwritten(record.extra, value)
        if own is None:
            for key in ("dataset_name", "task_name"):
                context.losses.added(f"extra.{key}", int(key not in record.extra or key in lost))
        holds = self.holds | {"regions.extra"} if stays else self.holds
        report_unheld(record, holds, context.losses, lost_extra=lost)
        return OutRow(value, record.images[0])


def _truth(gt: Truth, categories: list[str]) -> dict[str, list[Any]]:
    """Return category → entries; a bare list belongs to the first category; raises RecordError (`gt-shape`)."""
    if isinstance(gt, dict):
        return gt
    boxes = [gt] if gt and not isinstance(gt[0], list | dict) else gt
    if boxes and not categories:
        raise _bad(gt)
    return {categories[0]: boxes} if boxes else {}


def _region(category: str, entry: Any, image: ImageRef, context: ReadContext) -> Region:
    if isinstance(entry, dict):
        return _object(category, entry, image, context)
    if not isinstance(entry, list) or not all(type(number) in (int, float) for number in entry):
        raise _bad(entry)
    if len(entry) == 2:
        return Region(category, point=context.point(entry, image))
    if len(entry) == 4:
        return Region(category, box=context.box(entry, image))
    return Region(category, polygon=context.polygon(entry, image))


def _object(category: str, entry: dict[str, Any], image: ImageRef, context: ReadContext) -> Region:
    size, counts, box = entry.get("size"), entry.get("counts"), entry.get("bbox")
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size) and counts is not None:
        if isinstance(counts, list) and all(type(count) is int for count in counts):
            counts = tuple(counts)
        elif not isinstance(counts, str):
            raise _bad(entry)
        return Region(category, mask=Mask((size[0], size[1]), counts), extra=extra_keys(entry, ("size", "counts")))
    if isinstance(box, list) and all(type(number) in (int, float) for number in box):
        return Region(category, box=context.box(box, image), extra=extra_keys(entry, ("bbox",)))
    raise _bad(entry)


def _bad(found: Any) -> RecordError:
    return RecordError(
        "an entry of gt has no known shape",
        code="gt-shape",
        found=found,
        expected='4 numbers, 2, 6 or more, {"counts", "size"} or {"bbox", …}',
        fix="correct the row",
    )


def _require_movable(record: Record, context: WriteContext) -> None:
    """Raise RecordError (`frame-fixed`) if further keys hold numbers of a frame that is not the one written."""
    if record.origin is None or record.origin.dialect != RexOmniEval.name or context.reads_as_written(record):
        return
    held = [key for key in COORDINATE_KEYS if key in record.extra]
    held += [key for region in record.regions for key in ("keypoints",) if key in region.extra]
    if held:
        raise RecordError(
            "further coordinates of the row cannot be moved into another frame",
            code="frame-fixed",
            found=held[0],
            fix="convert into the frame that the row is in, or take the key out",
        )


def _ground_truth(record: Record, context: WriteContext) -> dict[str, Any]:
    """Return categories and gt; absent categories are asked for and have no ground truth."""
    name = "answers" if record.referring is not None else "regions"
    regions = record.answers if record.referring is not None else record.named_regions
    categories = [record.referring] if record.referring is not None else []
    gt: dict[str, list[Any]] = {}
    for region in regions:
        phrase = record.referring if record.referring is not None else region.phrase
        if phrase is None:
            raise RecordError("a region has no phrase, which an evaluation row needs", code="no-phrase")
        if phrase not in categories:
            categories.append(phrase)
        if not region.is_absent:
            gt.setdefault(phrase, []).append(_entry(region, record, name, context))
    return {"categories": categories, "gt": gt}


def _run_lengths(mask: Mask, record: Record, context: WriteContext) -> dict[str, Any]:
    """Return a mask as COCO's run lengths; one in a file is read; raises RecordError, PayloadError."""
    width, height = mask.size_hw[::-1] if mask.size_hw is not None else context.size_wh(record)
    if mask.path is not None:
        mask = mask_of_file(mask.path, (height, width))
    counts = mask.counts.decode("ascii") if isinstance(mask.counts, bytes) else mask.counts
    return {"counts": list(counts) if isinstance(counts, tuple) else counts, "size": [height, width]}


def _as_read(gt: Any, value: dict[str, Any]) -> Any:
    """Return a row's new ground truth as one box or one list of boxes, if it was one and still is of one category (GUI tasks)."""
    truth = value["gt"]
    if not isinstance(gt, list) or not gt or truth.keys() != set(value["categories"][:1]):
        return truth
    (boxes,) = truth.values()
    is_flat = not isinstance(gt[0], list | dict)
    return boxes[0] if is_flat and len(boxes) == 1 else boxes


def _entry(region: Region, record: Record, name: str, context: WriteContext) -> Any:
    """Return a region as one entry: its box, else its mask, polygon or point."""
    parts = [part for part in ("box", "mask", "polygon", "point") if getattr(region, part) is not None]
    for part in parts[1:]:
        context.losses.lost(f"{name}.{part}")
    if region.box is not None:
        numbers = list(context.box_numbers(region.box, record, f"{name}.box", region.image))
        own = record.origin is not None and record.origin.dialect == RexOmniEval.name
        return {"bbox": numbers} | dict(region.extra) if own and region.extra else numbers
    if region.mask is not None:
        report_drift(region.mask, f"{name}.mask", context.losses)
        return _run_lengths(region.mask, record, context)
    if region.polygon is not None:
        return context.polygon_numbers(region.polygon, record, f"{name}.polygon", region.image)
    if region.point is not None:
        return context.point_numbers(region.point, record, f"{name}.point", region.image)
    raise RecordError("a region has nothing that an evaluation row can hold", code="no-box", found="keypoints only")
