"""VLM-R1's older RefCOCO JSON: `image`, `problem`, `solution` and what was derived from them.

    {"height": 640, "width": 427, "image": "train2014/a.jpg", "bbox_list": [[103.93, 299.99, 237.15, 476.41]],
     "problem": "Please provide the bounding box coordinate of the region this sentence describes: the lady in blue.",
     "normal_caption": "the lady in blue", "solution": [103.93, 299.99, 238.15, 477.41],
     "normalized_solution": [243, 468, 557, 745]}

`solution` counts: xyxy, pixels of the stored image, floats. The official evaluation reads these files; training does so only
before commit 185ad65. `bbox_list` ends one pixel early, and `normalized_solution` is floor(1000 · x / width).
Source: om-ai-lab/VLM-R1 @90052f4 and its issue 11 (specs/vlmr1_easydistill.md §1.1, §1.3, §1.7).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.answers_text import IMAGE_MARK, REC_END, REC_START, parse_rec_question, require_unreserved
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.edits import edited_row, own_id
from groundprep.dialects.further_keys import unwritten
from groundprep.dialects.vlmr1 import box_answer
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record, Region

NORMALISED = 1000
"""The maintainer: "max value 1000" (issue 11; specs/vlmr1_easydistill.md §1.3)."""

DERIVED = ("normalized_solution", "bbox_list", "height", "width")
"""Keys that follow from box and image, and are made anew when the box moves."""


class RefCocoRow(Struct):
    """A row; further keys are kept."""

    image: str
    problem: str
    solution: list[int | float]
    normal_caption: str | None = None
    normalized_solution: list[int | float] | None = None
    bbox_list: list[list[int | float]] | None = None
    height: int | None = None
    width: int | None = None


OWN_KEYS = ("image", "problem", "solution", "normal_caption", *DERIVED)


class VlmR1RefCoco(Dialect):
    """Rows of one expression and one box."""

    name = "vlmr1-refcoco"
    title = "VLM-R1 RefCOCO JSON: image, problem, solution, normalized_solution; read by its evaluation"
    containers = ("json", "jsonl")
    row_type = RefCocoRow
    holds = frozenset({"id", "images", "referring", "instruction", "answers", "extra"})

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image and problem, and a list as its solution."""
        del container
        return {"image", "problem"} <= value.keys() and isinstance(value.get("solution"), list)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one expression."""
        typed = convert_row(row.value, RefCocoRow)
        declared_wh = (typed.width, typed.height) if typed.width and typed.height else None
        image = ImageRef(typed.image, context.images.locate(typed.image), declared_wh)
        expression = parse_rec_question(typed.problem)
        identity = own_id(row.value)
        known = {*OWN_KEYS, "id"} if identity is not None else set(OWN_KEYS)
        if typed.normal_caption != expression:
            known.discard("normal_caption")
        return Record(
            source=row.source,
            id=identity,
            images=(image,),
            referring=expression,
            instruction=typed.problem if expression is None else None,
            answers=(Region(phrase=expression, box=context.box(row.value["solution"], image)),),
            extra=extra_keys(row.value, known),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; derived keys are made anew only when the box has moved."""
        own = context.own_value(record, self.name)
        value = _new_row(record) if own is None else _edited_row(own, record)
        image = _one_image(record)
        if own is None or not record.unchanged("images"):
            value["image"] = image.name
        if own is not None and context.keeps(record, "answers"):
            context.losses.kept("answers.box", len(record.answers))
        else:
            value["solution"] = box_answer(record, context, None)
            wanted = DERIVED if own is None else tuple(key for key in DERIVED if key in own)
            derived = _derived(record, context) if wanted else {}
            value.update(_area(value, derived) | {key: derived[key] for key in wanted})
        holds = self.holds | {"answers.extra"} if own is not None else self.holds
        if own is None and record.referring is not None:  # `problem` asks for the expression
            holds -= {"instruction"}
        report_unheld(record, holds, context.losses, lost_extra=unwritten(record.extra, value))
        return OutRow(value, image)


def normalized(box_xyxy: Sequence[float], size_wh: tuple[int, int]) -> list[int]:
    """Return floor(1000 · x / width), floor(1000 · y / height) of both corners."""
    return [math.floor(NORMALISED * number / size_wh[place % 2]) for place, number in enumerate(box_xyxy)]


def _derived(record: Record, context: WriteContext) -> dict[str, Any]:
    box = record.answers[0].box
    assert box is not None
    x0, y0, x1, y1 = box.xyxy
    size_wh = context.size_wh(record)
    return {
        "normalized_solution": normalized(box.xyxy, size_wh),
        "bbox_list": [[x0, y0, x1 - 1, y1 - 1]],
        "height": size_wh[1],
        "width": size_wh[0],
    }


def _area(value: Mapping[str, Any], derived: Mapping[str, Any]) -> dict[str, float]:
    """Return `area`, COCO's square pixels, if the image has another size now than the row states."""
    area, width, height = value.get("area"), value.get("width"), value.get("height")
    if not isinstance(area, int | float) or isinstance(area, bool) or not width or not height:
        return {}
    scale = derived["width"] * derived["height"] / (width * height)
    return {"area": area * scale} if scale != 1 else {}


def _one_image(record: Record) -> ImageRef:
    if len(record.images) != 1 or record.images[0].name is None:
        raise RecordError(
            "a RefCOCO row names exactly one image file",
            code="image-needed",
            found=f"{len(record.images)} images" if len(record.images) != 1 else "an embedded image without a name",
            fix="pass --image-out DIR",
        )
    return record.images[0]


def _new_row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {} if record.id is None else {"id": record.id}
    row |= {"image": None} | _question(record) | {"solution": None}
    return row | extra_keys(record.extra, (*OWN_KEYS, *row))


def _question(record: Record) -> dict[str, str]:
    """Return problem and, if there is an expression, normal_caption; raises RecordError (`no-expression`)."""
    if record.referring is not None:
        return {
            "problem": REC_START + require_unreserved(record.referring, IMAGE_MARK) + REC_END,
            "normal_caption": record.referring,
        }
    if record.instruction is None:
        raise RecordError(
            "the record has no referring expression, which a RefCOCO row needs",
            code="no-expression",
            fix="convert a data set of expressions or phrases",
        )
    return {"problem": record.instruction}


def _edited_row(own: dict[str, Any], record: Record) -> dict[str, Any]:
    """Return the row that was read, with what has changed since in its place; box and image apart."""
    value = edited_row(own, record, OWN_KEYS)
    if not (record.unchanged("referring") and record.unchanged("instruction")):
        value |= _question(record)
    return value
