"""Rex-Thinker's annotation rows: one referring expression, its boxes, and candidate boxes.

    {"image_name": "a.jpg", "image_id": 7, "ans": [x0, y0, x1, y1], "category": "person", "referring": "…",
     "candidate_boxes": [{"bbox": [x0, y0, x1, y1], "category": "person"}, …]}

Boxes are xyxy in pixels of the stored image. `ans` is flat for one box, a list of boxes for several, `[]` for none.
Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47 (specs/rexthinker.md §1.2, §1.5); several boxes and none
are design.md's extension, which the trainer's reward scores (§3.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.further_keys import unwritten
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Box, Candidate, Origin, Record, Region

BoxNumbers = list[int | float]


class CandidateRow(msgspec.Struct):
    """A proposed box; further keys are kept."""

    bbox: BoxNumbers
    category: str | None = None
    score: float | None = None


class RexThinkerRow(msgspec.Struct):
    """A row; further keys are kept."""

    image_name: str
    referring: str
    ans: list[int | float | BoxNumbers]
    category: str | None = None
    candidate_boxes: list[CandidateRow] | None = None


ROW_KEYS = frozenset(RexThinkerRow.__struct_fields__)
KEYS_WITH_ID = ROW_KEYS | {"id"}
CANDIDATE_KEYS = frozenset(CandidateRow.__struct_fields__)


class RexThinker(Dialect):
    """Rows of `image_name, ans, category, referring, candidate_boxes`."""

    name = "rexthinker"
    title = "Rex-Thinker annotations: image_name, ans, category, referring, candidate_boxes"
    containers = ("jsonl", "json")
    row_type = RexThinkerRow
    holds = frozenset(
        {
            "id",
            "images",
            "category",
            "referring",
            "answers",
            "candidates",
            "candidates.score",
            "candidates.extra",
            "extra",
        }
    )

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has image_name, referring and ans."""
        del container
        return {"image_name", "referring", "ans"} <= value.keys()

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one expression."""
        typed = convert_row(row.value, RexThinkerRow)
        image = ImageRef(typed.image_name, context.images.locate(typed.image_name))
        numbers = answer_boxes(row.value["ans"])
        values = row.value["candidate_boxes"] if typed.candidate_boxes else ()
        boxes = context.boxes([*numbers, *[value["bbox"] for value in values]], image)
        answers = tuple([Region(typed.referring, box) for box in boxes[: len(numbers)]])
        candidates = None
        if typed.candidate_boxes is not None:
            candidates = _candidates(values, typed.candidate_boxes, boxes[len(numbers) :])
        identity = row.value.get("id")
        if identity is not None and not isinstance(identity, str | int):
            identity = None
        return Record(
            source=row.source,
            id=identity,
            images=(image,),
            referring=typed.referring,
            category=typed.category,
            answers=answers,
            candidates=candidates,
            extra=extra_keys(row.value, ROW_KEYS if identity is None else KEYS_WITH_ID),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the origin's own values stay wherever the record was not changed."""
        origin = record.origin if context.own_value(record, self.name) is not None else None
        value = _new_row(record) if origin is None else _edited_row(origin, record)
        has_all_extra = origin is not None and record.extra is origin.record.extra
        lost_extra = () if has_all_extra else unwritten(record.extra, value)
        report_unheld(record, self.holds, context.losses, lost_extra=lost_extra)
        if origin is not None and not context.reads_as_written(record):
            origin = None  # its numbers cannot stay
        if origin is not None and record.answers is origin.record.answers:
            context.losses.kept("answers.box", len(record.answers))
        else:
            value["ans"] = _answers(record, context)
        if origin is not None and record.candidates is origin.record.candidates:
            context.losses.kept("candidates.box", len(record.candidates or ()))
        elif record.candidates is not None:
            value["candidate_boxes"] = [_format_candidate(c, record, context) for c in record.candidates]
        else:
            value.pop("candidate_boxes", None)
        return OutRow(value, record.images[0] if record.images else None)


def answer_boxes(ans: list[Any]) -> list[list[float]]:
    """Return the boxes of an `ans` value: `[x0, y0, x1, y1]`, `[[…], …]` or `[]`; raises RecordError."""
    if len(ans) == 4 and list not in map(type, ans):  # one box: most rows
        return [ans]
    if not ans:
        return []
    kinds = set(map(type, ans))
    if kinds == {list}:
        return ans
    if list in kinds or len(ans) != 4:
        raise RecordError(
            "ans is neither one box nor a list of boxes",
            code="box-shape",
            found=ans,
            expected="[x0, y0, x1, y1], [[…], …] or []",
            fix="correct ans, or remove the row",
        )
    return [ans]


def _candidates(values: Sequence[dict[str, Any]], rows: list[CandidateRow], boxes: list[Box]) -> tuple[Candidate, ...]:
    return tuple(
        [
            Candidate(box, row.category, row.score, extra=extra_keys(value, CANDIDATE_KEYS) if len(value) > 2 else {})
            for value, row, box in zip(values, rows, boxes, strict=True)
        ]
    )


def _image_name(record: Record) -> str:
    if len(record.images) != 1 or record.images[0].name is None:
        raise RecordError(
            "a rexthinker row names exactly one image file",
            code="image-needed",
            found=f"{len(record.images)} images" if len(record.images) != 1 else "an embedded image without a name",
            fix="pass --image-out DIR",
        )
    return record.images[0].name


def _new_row(record: Record) -> dict[str, Any]:
    if record.referring is None:
        raise RecordError(
            "the record has no referring expression, which a rexthinker row needs",
            code="no-expression",
            fix="convert a data set of expressions or phrases",
        )
    row: dict[str, Any] = {"image_name": _image_name(record)}
    if record.id is not None:
        row["id"] = record.id
    row["ans"] = []
    if record.category is not None:
        row["category"] = record.category
    row["referring"] = record.referring
    return row | extra_keys(record.extra, (*ROW_KEYS, *row))


def _edited_row(origin: Origin, record: Record) -> dict[str, Any]:
    """Return the row that was read, with what has changed since in its place; boxes apart."""
    value, read = dict(origin.value), origin.record
    if record.images is not read.images:
        value["image_name"] = _image_name(record)
    if record.referring is not read.referring:
        value["referring"] = record.referring
    if record.category is not read.category and record.category is not None:
        value["category"] = record.category
    if record.id is not read.id and record.id is not None:
        value["id"] = record.id
    if record.extra is not read.extra:
        for key in read.extra.keys() - record.extra.keys():
            value.pop(key, None)
        value.update(extra_keys(record.extra, ROW_KEYS))
    return value


def _answers(record: Record, context: WriteContext) -> list[Any]:
    boxes = [
        context.box_numbers(region.box, record, "answers.box", region.image)
        for region in record.answers
        if region.box is not None
    ]
    context.losses.lost("answers.phrase", sum(r.phrase not in (None, record.referring) for r in record.answers))
    present = sum(not region.is_absent for region in record.answers)
    if present > len(boxes):
        raise RecordError(
            "an answer has no box, and a rexthinker row holds boxes only",
            code="no-box",
            found="a point or mask without a box",
        )
    return boxes[0] if len(boxes) == 1 else boxes


def _format_candidate(candidate: Candidate, record: Record, context: WriteContext) -> dict[str, Any]:
    phrase = candidate.phrase if candidate.phrase is not None else record.category
    value: dict[str, Any] = {
        "bbox": context.box_numbers(candidate.box, record, "candidates.box", candidate.image),
        "category": phrase if phrase is not None else record.referring,
    }
    if candidate.score is not None:
        value["score"] = candidate.score
    value.update(candidate.extra)
    return value
