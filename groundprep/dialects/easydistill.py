"""EasyDistill's rows for reinforcement: a picture, an instruction, and boxes in `abs_box`.

    multi   {"image_path": "/data/260.jpg", "instruction": "…", "height": 720, "width": 1280,
             "abs_box": {"0": [], "1": [], "2": [[619, 264, 723, 332]], "3": []}}
    single  {"image_path": "/data/1.jpg", "instruction": "…", "bbox": [850, 720, 1070, 780], "abs_box": [850, 720, 1070, 780]}

They are two dialects, because a row of one is an image and of the other an expression; each reads rows of the other kind in a
mixed file. Boxes are xyxy integers, in pixels of the file at `image_path`, which the trainer opens as it stands: absolute or
relative to its working directory. `bbox` is what is documented, `abs_box` what the code reads; both are written.
Source: modelscope/easydistill @acbe49b mmkd_rl_grounding.py (specs/vlmr1_easydistill.md §3.2, §3.5, §3.6).
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.answers_text import between, plain_question
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.edits import edited_row, is_same_kind, new_size, own_id
from groundprep.dialects.further_keys import unwritten
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.geometry.frames import Space
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Record, Region

LABELS = ("0", "1", "2", "3")
"""The only labels that the multi-box rewards know. Source: multi_box_format_reward (specs/vlmr1_easydistill.md §3.5)."""

MULTI_INSTRUCTION = (
    "Draw bounding boxes around product positions and label them with tags 0, 1, 2, 3, then output in JSON format"
)
"""Source: data/multi_box_grounding_SFT_sample.json (specs/vlmr1_easydistill.md §3.2); for records without an instruction."""

SINGLE_START = "Locate "
SINGLE_END = " in this image and answer with nothing but its bounding box as [x1,y1,x2,y2]"
"""Ours: EasyDistill gives no wording for a single box. It asks for exactly what the `format` reward wants (§3.5)."""

Numbers = list[int | float]


class EasyDistillRow(Struct):
    """A row; further keys are kept."""

    image_path: str
    instruction: str
    abs_box: dict[str, list[Numbers]] | Numbers | UnsetType = UNSET
    bbox: Numbers | UnsetType = UNSET
    height: int | None = None
    width: int | None = None


OWN_KEYS = ("image_path", "instruction", "abs_box", "bbox", "height", "width")


class _EasyDistill(Dialect):
    """What both kinds share: each reads both."""

    containers = ("jsonl", "json")
    row_type = EasyDistillRow
    holds = frozenset({"id", "images", "instruction", "referring", "answers", "regions", "extra"})
    labels: Mapping[str, str] = MappingProxyType({})

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the labelled boxes of an image, or the one box that an instruction asks for."""
        typed = convert_row(row.value, EasyDistillRow)
        declared_wh = (typed.width, typed.height) if typed.width and typed.height else None
        image = ImageRef(typed.image_path, context.images.locate(typed.image_path), declared_wh)
        value = row.value.get("abs_box", row.value.get("bbox"))
        if value is None:
            raise RecordError("a row needs boxes", code="missing-key", found=sorted(row.value), expected="abs_box")
        identity = own_id(row.value)
        known = {*OWN_KEYS, "id"} if identity is not None else set(OWN_KEYS)
        if row.value.get("bbox", value) != value:
            known.discard("bbox")  # another box than the one that is read
        expression = between(typed.instruction, SINGLE_START, SINGLE_END) if isinstance(value, list) else None
        if isinstance(value, dict):
            fields: dict[str, Any] = {"regions": tuple(read_labelled(value, image, context))}
        else:
            fields = {"answers": (Region(phrase=expression, box=context.box(value, image)),)}
        return Record(
            source=row.source,
            id=identity,
            images=(image,),
            referring=expression,
            instruction=typed.instruction if expression is None else None,
            extra=extra_keys(row.value, known),
            **fields,
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the origin's own values stay wherever the record was not changed."""
        own = context.own_value(record, self.name) if is_same_kind(record) else None
        value = self._new_row(record, context) if own is None else _edited_row(own, record, context, self.labels)
        holds = self.holds if own is None else self.holds | {"regions", "answers"}
        if own is None and record.referring is not None:  # the instruction asks for the expression
            holds -= {"instruction"}
        report_unheld(record, holds, context.losses, lost_extra=unwritten(record.extra, value))
        return OutRow(value, record.images[0])

    def _new_row(self, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return a row made of the record alone; raises RecordError, PayloadError."""
        row: dict[str, Any] = {} if record.id is None else {"id": record.id}
        row["image_path"] = image_path(record, context)
        row |= self.new_boxes(record, context)
        width, height = context.size_wh(record)
        row |= {"height": height, "width": width}
        return row | extra_keys(record.extra, (*OWN_KEYS, *row))

    @abstractmethod
    def new_boxes(self, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return instruction and boxes; raises RecordError."""


class EasyDistill(_EasyDistill):
    """Multi-box rows: an image with its boxes under the labels 0 to 3.

    Args:
        labels: phrase → label, for phrases that are no labels themselves.
    """

    name = "easydistill"
    title = "EasyDistill multi-box rows: image_path, instruction, abs_box with the labels 0 to 3"
    unit = "image"

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        self.labels = labels or {}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image_path, instruction and an object as abs_box."""
        del container
        return {"image_path", "instruction"} <= value.keys() and isinstance(value.get("abs_box"), dict)

    def new_boxes(self, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return the instruction and all four labels; raises RecordError."""
        require_labelled(record)
        return {"instruction": multi_instruction(record), "abs_box": labelled_boxes(record, context, self.labels)}


class EasyDistillSingle(_EasyDistill):
    """Single-box rows: an instruction and its one box, under the documented and the read key."""

    name = "easydistill-single"
    title = "EasyDistill single-box rows: image_path, instruction, bbox and abs_box"
    holds = _EasyDistill.holds - {"regions"}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image_path, instruction and a list as abs_box or, where that is missing, bbox."""
        del container
        box = value.get("abs_box", value.get("bbox"))
        return {"image_path", "instruction"} <= value.keys() and isinstance(box, list)

    def new_boxes(self, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return the instruction and the box, twice."""
        numbers = single_box(record, context)
        return {"instruction": single_instruction(record), "bbox": numbers, "abs_box": numbers}


def _edited_row(
    own: dict[str, Any], record: Record, context: WriteContext, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the row that was read, with what has changed since in its place."""
    value = edited_row(own, record, OWN_KEYS)
    field = "regions" if isinstance(value.get("abs_box"), dict) else "answers"
    is_for_trainer = context.row_frame.frame.space is Space.SEEN  # which opens a path as it stands
    if not record.unchanged("images") or (is_for_trainer and not Path(own["image_path"]).is_absolute()):
        value["image_path"] = image_path(record, context)
    value |= new_size(own, record)
    if not (record.unchanged("instruction") and record.unchanged("referring")):
        value["instruction"] = single_instruction(record) if field == "answers" else multi_instruction(record)
    stays = context.keeps(record, field) and (_is_whole(own) or not is_for_trainer)
    if stays and not (field == "regions" and renames(labels, record)):
        report_kept(getattr(record, field), field, context.losses)
    elif field == "answers":
        numbers = single_box(record, context)
        value |= {"bbox": numbers, "abs_box": numbers}
    else:
        value["abs_box"] = labelled_boxes(record, context, labels)
    return value


def _is_whole(own: dict[str, Any]) -> bool:
    """Say whether a row has every key and label, and whole numbers: what the trainer's code and rewards ask for (§3.2, §3.5)."""
    boxes = own.get("abs_box")
    if isinstance(boxes, dict):
        return boxes.keys() >= set(LABELS) and all(map(_are_whole, chain.from_iterable(boxes.values())))
    return boxes is not None and own.get("bbox") == boxes and _are_whole(boxes)


def _are_whole(numbers: Sequence[float]) -> bool:
    return all(type(number) is int for number in numbers)


def read_labelled(
    boxes: Mapping[str, Sequence[Sequence[float]]], image: ImageRef | None, context: ReadContext
) -> Iterator[Region]:
    """Yield the boxes of every label, in order; a label without boxes is absent."""
    for label, group in boxes.items():
        category_id = int(label) if label in LABELS else None
        if not group:
            yield Region(phrase=label, category_id=category_id)
        for numbers in group:
            yield Region(phrase=label, box=context.box(numbers, image), category_id=category_id)


def image_path(record: Record, context: WriteContext) -> str:
    """Return where the image is or will be written: an absolute path; raises RecordError (`image-needed`).

    The trainer joins no root (§3.2): a name alone would be looked for in its working directory.
    """
    if len(record.images) != 1:
        raise RecordError("a row names exactly one image", code="image-needed", found=f"{len(record.images)} images")
    (ref,) = record.images
    if context.image_out is not None and ref.name is not None:
        path = os.path.abspath(os.path.join(context.image_out, ref.name))  # noqa: PTH100, PTH118 (lexical on purpose)
    elif isinstance(ref.location, FileImage):
        path = ref.location.path
    else:
        raise RecordError("an embedded image has no name", code="image-needed", fix="pass --image-out DIR")
    context.losses.renamed("images.name", int(ref.name is not None and ref.name != path))
    return path


def single_instruction(record: Record) -> str:
    """Return the instruction for one box; raises RecordError (`no-expression`)."""
    if record.referring is not None:
        return SINGLE_START + record.referring + SINGLE_END
    if record.instruction is None:
        raise RecordError(
            "the record has no expression, which a single-box row needs",
            code="no-expression",
            fix="convert a data set of expressions or phrases",
        )
    return plain_question(record.instruction)


def multi_instruction(record: Record) -> str:
    """Return the record's own instruction, else the one of the published sample."""
    return MULTI_INSTRUCTION if record.instruction is None else plain_question(record.instruction)


def require_labelled(record: Record) -> None:
    """Raise RecordError (`no-phrase`) for a conversation without any boxes: it does not say that the labels are absent."""
    is_conversation = record.instruction is not None or bool(record.turns)
    if is_conversation and record.referring is None and not (record.regions or record.answers):
        raise RecordError(
            "the conversation names no object of the image, and this row says of every label where it is",
            code="no-phrase",
            found=record.instruction or record.turns[0].text,
            fix="leave such rows out with --on-error drop",
        )


def single_box(record: Record, context: WriteContext) -> list[int]:
    """Return the record's one box as integers; raises RecordError (`one-answer-needed`, `no-box`, `box-degenerate`)."""
    if len(record.answers) != 1:
        raise RecordError(
            "a single-box row holds exactly one box",
            code="one-answer-needed",
            found=f"{len(record.answers)} answers",
            expected="one box",
            fix="leave such rows out with --on-error drop",
        )
    (region,) = record.answers
    if region.box is None:
        raise RecordError("an answer has no box, and the trainer scores boxes only", code="no-box")
    context.losses.lost("answers.phrase", int(region.phrase not in (None, record.referring)))
    numbers, error_px = integer_box(region.box, record, context, region.image)
    context.losses.rounded("answers.box", error_px)
    if _is_degenerate(numbers):
        raise RecordError(
            "the box has no area in whole pixels, and its reward is infinite or zero",
            code="box-degenerate",
            found=numbers,
            fix="leave such rows out with --on-error drop",
        )
    return numbers


def renames(labels: Mapping[str, str], record: Record) -> bool:
    """Say whether one of the record's labels has another name now."""
    return any(labels.get(region.phrase or "", region.phrase) != region.phrase for region in record.regions)


def labelled_boxes(record: Record, context: WriteContext, labels: Mapping[str, str]) -> dict[str, list[list[int]]]:
    """Return all four labels with their boxes as integers; raises RecordError (`label-needed`, `no-box`).

    `labels` is phrase → label; a phrase that is not in it must be a label, or have a category that has one.
    Boxes without area, which can never be matched and so cap the score, and boxes that are stated twice are left out and
    counted as lost (§3.5, §3.6).
    """
    boxes: dict[str, list[list[int]]] = {label: [] for label in LABELS}
    stated = set()
    for region in record.regions or _as_regions(record):
        label = _label_of(region, record, labels, context)
        if region.box is None:
            if not region.is_absent:
                raise RecordError("a region has no box, and the trainer scores boxes only", code="no-box")
            stated.add(label)
            continue
        numbers, error_px = integer_box(region.box, record, context, region.image)
        if _is_degenerate(numbers) or numbers in boxes[label]:
            context.losses.lost("regions.box")
        else:
            boxes[label].append(numbers)
            context.losses.rounded("regions.box", error_px)
    context.losses.added("regions.absent", sum(not group and label not in stated for label, group in boxes.items()))
    context.losses.added("instruction", int(record.instruction is None))
    return boxes


def _label_of(region: Region, record: Record, labels: Mapping[str, str], context: WriteContext) -> str:
    """Return a region's label, and count what its phrase becomes; raises RecordError (`label-needed`)."""
    for name in (region.phrase, region.category if region.category is not None else record.category):
        label = labels.get(name, name if name in LABELS else None) if name is not None else None
        if label is None:
            continue
        has_its_own = name == region.phrase and list(labels.values()).count(label) <= 1
        if label != region.phrase:
            (context.losses.renamed if has_its_own else context.losses.lost)("regions.phrase")
        return label
    raise RecordError(
        "EasyDistill's multi-box rewards know the labels 0 to 3 only",
        code="label-needed",
        found=region.phrase,
        expected="one of " + ", ".join((*labels, *LABELS)),
        fix="name up to four phrases with --label-map name=0,…, or write one box per expression with --for easydistill-single",
    )


def integer_box(box: Box, record: Record, context: WriteContext, image: int) -> tuple[list[int], float]:
    """Return a box as integers in the target's frame, and by how many stored pixels they miss it.

    Rounded where the frame itself does not round, and where numbers that were read in that frame are none of its integers.
    """
    frame = context.row_frame.frame
    native = box.native.numbers if box.native is not None and context.reads_as_written(record) else None
    if native is not None and _are_whole(native):
        return list(native), 0.0
    size_wh = context.size_wh(record, image) if frame.needs_size else (0, 0)
    seen_wh = context.row_frame.seen_wh(size_wh)
    given = frame.box_from_stored(box.xyxy, size_wh=size_wh, seen_wh=seen_wh) if native is None else native
    numbers = [round(number) for number in given]
    back = frame.box_to_stored(numbers, size_wh=size_wh, seen_wh=seen_wh)
    return numbers, max(abs(a - b) for a, b in zip(box.xyxy, back, strict=True))


def _as_regions(record: Record) -> tuple[Region, ...]:
    """Return an expression's answers as regions of its phrase, so that their label is checked."""
    if record.referring is None:
        return record.answers
    named = tuple(replace(region, phrase=record.referring) for region in record.answers)
    return named or (Region(phrase=record.referring),)


def _is_degenerate(numbers: Sequence[float]) -> bool:
    x0, y0, x1, y1 = numbers
    return x1 <= x0 or y1 <= y0
