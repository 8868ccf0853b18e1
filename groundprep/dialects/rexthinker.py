"""Rex-Thinker's annotation rows: one referring expression, its boxes, and candidate boxes.

    {"image_name": "a.jpg", "image_id": 7, "ans": [x0, y0, x1, y1], "category": "person", "referring": "…",
     "candidate_boxes": [{"bbox": [x0, y0, x1, y1], "category": "person"}, …]}

Boxes are xyxy in pixels of the stored image. `ans` is flat for one box, a list of boxes for several, `[]` for none.
Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47 (specs/rexthinker.md §1.2, §1.5); several boxes and none
are design.md's extension, which the trainer's reward scores (§3.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Candidate, Record, Region

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
        answers = tuple(
            Region(phrase=typed.referring, box=context.box(numbers, image))
            for numbers in answer_boxes(row.value["ans"])
        )
        candidates = None
        if typed.candidate_boxes is not None:
            candidates = tuple(
                _candidate(value, typed_candidate, image, context)
                for value, typed_candidate in zip(row.value["candidate_boxes"], typed.candidate_boxes, strict=True)
            )
        identity = row.value.get("id")
        if not isinstance(identity, str | int):
            identity = None
        return Record(
            source=row.source,
            id=identity,
            images=(image,),
            referring=typed.referring,
            category=typed.category,
            answers=answers,
            candidates=candidates,
            extra=extra_keys(row.value, ROW_KEYS if identity is None else ROW_KEYS | {"id"}),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the origin's own values stay wherever the record was not changed."""
        own = context.own_value(record, self.name)
        report_unheld(record, self.holds, context.losses)
        value = _new_row(record) if own is None else _edited_row(own, record)
        if own is None or not context.keeps(record, "answers"):
            value["ans"] = _answers(record, context)
        else:
            context.losses.kept("answers.box", len(record.answers))
        if own is not None and context.keeps(record, "candidates"):
            context.losses.kept("candidates.box", len(record.candidates or ()))
        elif record.candidates is not None:
            value["candidate_boxes"] = [_format_candidate(c, record, context) for c in record.candidates]
        else:
            value.pop("candidate_boxes", None)
        return OutRow(value, record.images[0] if record.images else None)


def answer_boxes(ans: list[Any]) -> list[list[float]]:
    """Return the boxes of an `ans` value: `[x0, y0, x1, y1]`, `[[…], …]` or `[]`; raises RecordError."""
    if not ans:
        return []
    if all(isinstance(item, list) for item in ans):
        return ans
    if any(isinstance(item, list) for item in ans) or len(ans) != 4:
        raise RecordError(
            "ans is neither one box nor a list of boxes",
            code="box-shape",
            found=ans,
            expected="[x0, y0, x1, y1], [[…], …] or []",
        )
    return [ans]


def _candidate(value: dict[str, Any], typed: CandidateRow, image: ImageRef, context: ReadContext) -> Candidate:
    return Candidate(
        box=context.box(value["bbox"], image),
        phrase=typed.category,
        score=typed.score,
        extra=extra_keys(value, CandidateRow.__struct_fields__) if len(value) > 2 else {},
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


def _edited_row(own: dict[str, Any], record: Record) -> dict[str, Any]:
    """Return the row that was read, with what has changed since in its place; boxes apart."""
    value = dict(own)
    if not record.unchanged("images"):
        value["image_name"] = _image_name(record)
    if not record.unchanged("referring"):
        value["referring"] = record.referring
    if not record.unchanged("category") and record.category is not None:
        value["category"] = record.category
    if not record.unchanged("id") and record.id is not None:
        value["id"] = record.id
    if not record.unchanged("extra"):
        for key in record.origin.record.extra.keys() - record.extra.keys() if record.origin else ():
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
