"""EasyR1's and Rex-Thinker's training rows: images, problem, answer.

The problem holds the hint (the candidates) and the request, the answer the boxes, all as integers in the pixels that the
model sees. The two differ in the image column only: a list for EasyR1, one binary for Rex-Thinker's bundled loader; no
column type satisfies both.
Source: EasyR1 @b44b311, Rex-Thinker @5038b47 (specs/rexthinker.md §2.3, §2.5, §4.2, §4.3).
"""

from __future__ import annotations

import builtins
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from groundprep.containers.base import OutRow, Row
from groundprep.containers.parquet import IMAGE_STRUCT
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.citations import THINK
from groundprep.dialects.grounding_text import coordinates_in
from groundprep.dialects.hints import IMAGE_MARK, Answer, format_answer, format_problem, parse_answer, parse_problem
from groundprep.errors import RecordError
from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.images import BytesImage, FileImage, ImageRef
from groundprep.record import Candidate, Record, Region

ASKERS, ANSWERERS = frozenset({"human", "user"}), frozenset({"gpt", "assistant"})


class ImageStruct(msgspec.Struct):
    """An image as bytes or as a path."""

    bytes: builtins.bytes | None = None  # the field's own name would hide the type
    path: str | None = None


class EasyR1Row(msgspec.Struct):
    """A row with a list of images."""

    problem: str
    answer: str
    images: list[ImageStruct | str]


class RexThinkerParquetRow(msgspec.Struct):
    """A row with exactly one image, as bytes or as a struct of bytes."""

    problem: str
    answer: str
    images: bytes | ImageStruct


class TrainingRows(Dialect):
    """What the two layouts share: the text."""

    holds = frozenset({"images", "category", "referring", "answers", "candidates", "instruction"})
    frame = SEEN_TRUNCATED
    keeps_names: ClassVar[bool] = True

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; unchanged text is written as it was read if the frame is the same."""
        own = context.own_value(record, *TRAINING_ROWS)
        row = {"images": None, "problem": "", "answer": ""}
        if own is not None:
            row = dict(own) if context.container != "parquet" else row | context.further(own)  # its columns are fixed
        self._report(record, own, row, context)
        if own is not None and context.reads_as_written(record) and all(map(record.unchanged, TEXT_FIELDS)):
            row["problem"], row["answer"] = own["problem"], own["answer"]
            context.losses.kept("answers.box", len(record.answers))
            context.losses.kept("candidates.box", len(record.candidates or ()))
        else:
            row["problem"], row["answer"] = self.texts(record, context, with_extra=own is not None)
        row["images"] = self.image_value(record, context.container)
        return OutRow(row)

    def texts(self, record: Record, context: WriteContext, *, with_extra: bool) -> tuple[str, str]:
        """Return problem and answer, written from the record; `with_extra`: with further keys of its answers."""
        return _problem(record, context), _answer(record, context, with_extra=with_extra)

    def _report(self, record: Record, own: dict[str, Any] | None, row: dict[str, Any], context: WriteContext) -> None:
        """Count what the row will not say."""
        kept_extra = set[str]() if own is None else set(row) - {"answer"}
        if record.referring is None and isinstance(record.extra.get("answer"), str):
            kept_extra.add("answer")
        holds = self.holds if own is None else self.holds | {"answers.extra", "turns"}
        if record.referring is not None:
            has_other_key = record.category not in (None, hint_category(record))
            holds -= {"instruction", "category"} if has_other_key else {"instruction"}
        if _answer_in_turns(record) is not None:
            holds |= {"turns"}
        report_unheld(
            record,
            holds,
            context.losses,
            lost_extra=record.extra.keys() - kept_extra,
            keeps_names=self.keeps_names,
        )

    def parse_text(self, row: Row, images: tuple[ImageRef, ...], context: ReadContext) -> Record:
        """Return the record of the row's text; text of another shape is kept verbatim as instruction and extra."""
        problem, answer = row.value["problem"], row.value["answer"]
        extra = extra_keys(row.value, ("images", "problem", "answer"))
        record = Record(source=row.source, images=images, extra=extra)
        hint, answers = parse_problem(problem), parse_answer(answer)
        image = images[0] if images else None
        if hint is None or answers is None:
            record = replace(record, instruction=problem, extra=extra | {"answer": answer})
        else:
            record = replace(
                record,
                referring=hint.referring,
                category=hint.category,
                candidates=tuple(Candidate(context.box(box, image), hint.category) for box in hint.boxes),
                answers=tuple(_region(item, hint.referring, image, context) for item in answers),
            )
        return record.with_origin(self.name, row.value, context.row_frame)

    @abstractmethod
    def image_value(self, record: Record, container: str) -> Any:
        """Return the value of the image column; raises RecordError."""


def _region(answer: Answer, referring: str, image: ImageRef | None, context: ReadContext) -> Region:
    label = answer.label if answer.label is not None else referring
    return Region(
        phrase=label, box=context.box(answer.box, image), extra=extra_keys(answer.value, ("bbox_2d", "label"))
    )


def _problem(record: Record, context: WriteContext) -> str:
    if record.referring is None:
        if record.instruction is not None:
            _require_same_frame(record, context)
            has_marks = IMAGE_MARK in record.instruction
            return record.instruction if has_marks else IMAGE_MARK * len(record.images) + record.instruction
        raise RecordError(
            "the record has no referring expression, which a training row needs",
            code="no-expression",
            fix="convert a data set of expressions or phrases",
        )
    boxes = context.candidate_numbers(record)
    category = hint_category(record)
    context.losses.lost("candidates.phrase", sum(c.phrase not in (None, category) for c in record.candidates or ()))
    context.losses.added("category", int(category not in (record.category, record.referring)))
    context.losses.added("candidates", int(record.candidates is None))  # an empty hint says that none was found
    return format_problem(category, boxes, record.referring, images=len(record.images))


def hint_category(record: Record) -> str:
    """Return the key of the hint: the first candidate's phrase, else the category, else the expression.

    Source: Rex-Thinker convert_dataset.py @5038b47: all candidates are filed under the first one's category.
    """
    first = record.candidates[0].phrase if record.candidates else None
    return next((name for name in (first, record.category, record.referring) if name is not None), "")


def _require_same_frame(record: Record, context: WriteContext) -> None:
    """Raise RecordError (`frame-fixed`) if free text holds coordinates, which cannot follow into another frame."""
    answer = record.extra.get("answer", _answer_in_turns(record))
    numbers = coordinates_in(f"{record.instruction}\n{answer}")
    if numbers is not None and not context.reads_as_written(record):
        raise RecordError(
            "the row's text is not of the known shape, so that its coordinates cannot be moved into another frame",
            code="frame-fixed",
            found=numbers,
            expected="`<image>Hint: …` and a fenced JSON answer, or the same frame as the source",
            fix="write the row's text again from its boxes, or convert into the frame that it is in",
        )


def _answer(record: Record, context: WriteContext, *, with_extra: bool) -> str:
    if record.referring is None and isinstance(record.extra.get("answer"), str):
        return str(record.extra["answer"])
    said = _answer_in_turns(record)
    if said is not None:
        return said
    objects = []
    for region in record.answers:
        if region.box is not None:
            numbers = context.box_numbers(region.box, record, "answers.box", region.image)
            label = region.phrase if region.phrase is not None else record.referring
            named = (
                {} if label is None else {"label": label}
            )  # an answer to a free question need not have words of its own
            objects.append({"bbox_2d": numbers} | named | (dict(region.extra) if with_extra else {}))
        elif not region.is_absent:
            raise RecordError("an answer has no box, and the trainer scores boxes only", code="no-box")
    return format_answer(objects)


def _answer_in_turns(record: Record) -> str | None:
    """Return the answer of a conversation that points at nothing, None where there is none.

    Raises RecordError (`no-expression`) if it is more than a question with its answer, which is all that a row holds.
    """
    turns = [turn for turn in record.turns if turn.role != THINK]
    points_at = record.referring is not None or record.answers or record.regions or "answer" in record.extra
    if points_at or record.instruction is None or not turns:
        return None
    if len(turns) != 2 or turns[0].role not in ASKERS or turns[1].role not in ANSWERERS:
        raise RecordError(
            "a training row holds one question with its answer, and this conversation has more",
            code="no-expression",
            found=f"turns of {[turn.role for turn in turns]}",
            fix="leave the row out, or shorten its conversation",
        )
    return turns[1].text


class EasyR1(TrainingRows):
    """Rows whose images are a list."""

    name = "easyr1"
    title = "EasyR1 training rows: images (a list), problem, answer"
    containers = ("parquet", "jsonl", "json")
    row_type: ClassVar[type[msgspec.Struct]] = EasyR1Row
    columns: ClassVar = {"images": IMAGE_STRUCT, "problem": "string", "answer": "string"}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has problem, answer and a list of images."""
        del container
        return {"problem", "answer"} <= value.keys() and isinstance(value.get("images"), list)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a training row."""
        images = row.value.get("images")
        value = row.value | {"images": list(map(_as_struct, images))} if isinstance(images, list) else row.value
        typed = convert_row(value, EasyR1Row)
        return self.parse_text(row, tuple(image_of(item, context) for item in typed.images), context)

    def image_value(self, record: Record, container: str) -> Any:
        """Return bytes and path of every image, or its name where the container cannot embed."""
        if container == "parquet":
            return [{"bytes": ref, "path": ref.name} for ref in record.images]
        named = all(isinstance(ref.location, FileImage) for ref in record.images)
        if named and record.origin is not None and record.origin.dialect == self.name and record.unchanged("images"):
            return record.origin.value["images"]
        return [_named(ref) for ref in record.images]


class RexThinkerParquet(TrainingRows):
    """Rows whose image is one binary."""

    name = "rexthinker-parquet"
    title = "Rex-Thinker training rows: images (one binary), problem, answer"
    containers = ("parquet",)
    row_type = RexThinkerParquetRow
    columns: ClassVar = {"images": "binary", "problem": "string", "answer": "string"}
    keeps_names = False

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has problem, answer and one image, as bytes or a struct."""
        del container
        return {"problem", "answer"} <= value.keys() and isinstance(value.get("images"), bytes | dict)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a training row."""
        typed = convert_row(row.value, RexThinkerParquetRow)
        return self.parse_text(row, (image_of(typed.images, context),), context)

    def image_value(self, record: Record, container: str) -> Any:
        """Return the one image."""
        del container
        if len(record.images) != 1:
            raise RecordError(
                "Rex-Thinker's loader takes exactly one image",
                code="image-needed",
                found=f"{len(record.images)} images",
            )
        return record.images[0]


TRAINING_ROWS = (EasyR1.name, RexThinkerParquet.name)
TEXT_FIELDS = ("answers", "candidates", "referring", "category", "instruction")


def image_of(item: ImageStruct | bytes | str, context: ReadContext) -> ImageRef:
    """Return the image that a row embeds or names; raises RecordError (`image-needed`)."""
    if isinstance(item, bytes):
        return ImageRef(None, BytesImage(item))
    if isinstance(item, str):
        return ImageRef(item, context.images.locate(item))
    if item.bytes is not None:
        return ImageRef(item.path, BytesImage(item.bytes))
    if item.path is None:
        raise RecordError("an image has neither bytes nor path", code="image-needed")
    return ImageRef(item.path, context.images.locate(item.path))


def _as_struct(item: Any) -> Any:
    """Return bare bytes, which EasyR1's loader takes too (specs/rexthinker.md §4.3), as a struct."""
    return {"bytes": item} if isinstance(item, bytes) else item


def _named(ref: ImageRef) -> str:
    if ref.name is None:
        raise RecordError("an embedded image has no name", code="image-needed", fix="pass --image-out DIR")
    return ref.name
