"""Rows that are a conversation about images: what Qwen's trainer and TRL's SFT share.

A question and an answer of a known shape become expression, candidates, answers and reasoning; an answer of a known shape to
another question becomes that question with its labelled regions; everything else stays a conversation, verbatim.
Coordinates in free text cannot follow into another frame: such rows are refused there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, extra_keys, report_unheld
from groundprep.dialects.citations import THINK, think_of
from groundprep.dialects.easyr1 import ANSWERERS, ASKERS, hint_category
from groundprep.dialects.edits import require_unmoved
from groundprep.dialects.grounding_text import (
    Item,
    Question,
    Style,
    coordinates_in,
    format_answer_text,
    format_question,
    parse_answer_text,
    parse_question,
    require_absent,
)
from groundprep.dialects.hints import IMAGE_MARK
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES, Frame
from groundprep.images import BytesImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Candidate, Record, Region, Turn

REL1000 = FRAMES["rel1000"]
FIELDS = ("referring", "instruction", "category", "answers", "regions", "candidates", "turns")
PARTS = frozenset(f"{name}.{part}" for name in ("answers", "regions") for part in ("point", "extra"))


class Said(NamedTuple):
    """One message: who, what."""

    role: str
    text: str


class ExchangeDialect(Dialect):
    """The common half; a subclass knows where messages and images stand in its rows.

    A row asks for one expression, or has a question of its own about several phrases of an image: hence the unit.
    """

    unit = "image"
    mixes_units = True

    holds = frozenset(
        {"images", "referring", "instruction", "answers", "regions", "candidates", "answers.point", "regions.point"}
    )
    image_keys: ClassVar[tuple[str, ...]]
    text_keys: ClassVar[tuple[str, ...]]
    holds_id: ClassVar[bool] = False

    @abstractmethod
    def read_said(self, value: dict[str, Any]) -> list[Said]:
        """Return a row's messages; raises RecordError."""

    def said_anew(self, value: dict[str, Any]) -> list[Said]:
        """Return a row's messages as they are written where they cannot stay as they stand."""
        return self.read_said(value)

    @abstractmethod
    def read_images(self, value: dict[str, Any], context: ReadContext) -> tuple[ImageRef, ...]:
        """Return a row's images; raises RecordError, PayloadError."""

    @abstractmethod
    def write_said(self, value: dict[str, Any], said: list[Said]) -> None:
        """Put messages into a row."""

    @abstractmethod
    def image_value(self, record: Record, container: str) -> tuple[str, Any]:
        """Return the key of the images and its value; raises RecordError."""

    @abstractmethod
    def new_roles(self) -> tuple[str, str]:
        """Return the names of who asks and who answers."""

    def question_text(self, text: str, images: int) -> str:
        """Return a question with the marks of its images."""
        return IMAGE_MARK * images + ("\n" if images and not text.startswith("\n") else "") + text

    def with_marks(self, said: list[Said], images: int, context: WriteContext) -> list[Said]:
        """Return a conversation of another layout with the marks of its images: where they stand, else in front."""
        del context
        if any(IMAGE_MARK in turn.text for turn in said):
            return said
        first = next(index for index, turn in enumerate(said) if turn.role == self.new_roles()[0])
        asked = Said(said[first].role, self.question_text(said[first].text, images))
        return [*said[:first], asked, *said[first + 1 :]]

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a conversation; answers in tokens are 0–1000 whatever the file is in."""
        said, images = self.read_said(row.value), self.read_images(row.value, context)
        parsed = parse_answer_text(said[-1].text) if said else None
        if parsed is not None and parsed.style == "tokens":
            context = ReadContext(context.images, context.loader, RowFrame(REL1000))
        is_pair = [turn.role in ASKERS for turn in said] == [True, False] and said[1].role in ANSWERERS
        fields: dict[str, Any] = {"turns": tuple(Turn(turn.role, turn.text) for turn in said)}
        if is_pair and parsed is not None:
            image = images[0] if images else None
            regions = tuple(_region(item, image, context) for item in parsed.items)
            fields = _fields(said[0].text, regions, image, context)
            fields["turns"] = () if parsed.think is None else (Turn(THINK, parsed.think),)
        identity = row.value.get("id") if self.holds_id else None
        has_id = isinstance(identity, str | int) and not isinstance(identity, bool)
        known = (*self.image_keys, *self.text_keys, *(("id",) if has_id else ()))
        return Record(
            source=row.source,
            id=identity if has_id else None,
            images=images,
            extra=extra_keys(row.value, known),
            **fields,
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; what did not change keeps its words if frame and style stay."""
        own = context.own_value(record, self.name)
        said = [] if own is None else self.said_anew(own)
        row = self._start(own, record, context)
        self._report(record, own, row, context)
        if own is not None and self._stays(record, said, context):
            report_kept(record.answers, "answers", context.losses)
            context.losses.kept("candidates.box", len(record.candidates or ()))
            report_kept(record.regions, "regions", context.losses)
            if context.container == "parquet":
                self.write_said(row, said)
        else:
            self.write_said(row, self._said(record, said, context))
        embedded = any(isinstance(ref.location, BytesImage) for ref in record.images)
        if own is None or context.container == "parquet" or embedded or not record.unchanged("images"):
            for key in self.image_keys:
                row.pop(key, None)
            if record.images or context.container == "parquet":
                key, value = self.image_value(record, context.container)
                row[key] = value
        if own is None and context.container != "parquet":  # images first, as in everyone's files
            row = {key: row[key] for key in (*self.image_keys, *row) if key in row}
        return OutRow(row, record.images[0] if record.images else None)

    def _start(self, own: dict[str, Any] | None, record: Record, context: WriteContext) -> dict[str, Any]:
        """Return the row's other keys: those that were read, edited; in a table those that have a column."""
        if context.container == "parquet":
            return {} if own is None else context.further(own)
        row = dict(own) if own is not None else {}
        if self.holds_id and record.id is not None and (own is None or not record.unchanged("id")):
            row = {"id": record.id} | row if own is None else row | {"id": record.id}
        if own is None or not record.unchanged("extra"):
            before = record.origin.record.extra if own is not None and record.origin is not None else {}
            for key in before.keys() - record.extra.keys():
                row.pop(key, None)
            said_elsewhere = ("answer",) if own is None and _plain_answer(record) is not None else ()
            row |= extra_keys(record.extra, (*self.image_keys, *self.text_keys, *said_elsewhere))
        return row

    def _report(self, record: Record, own: dict[str, Any] | None, row: dict[str, Any], context: WriteContext) -> None:
        """Count what the row will not say."""
        holds = self.holds | PARTS if own is not None else self.holds
        if self.holds_id:
            holds |= {"id"}
        if record.referring is not None and record.instruction is not None:
            holds -= {"instruction"}
        if record.referring is None or all(turn.role == THINK for turn in record.turns):
            holds |= {"turns"}
        if record.candidates is not None:
            category = hint_category(record)
            foreign = sum(c.phrase not in (None, category) for c in record.candidates)
            context.losses.lost("candidates.phrase", foreign)
            holds |= {"category"} if record.category in (None, category) else set()
            context.losses.added("category", int(category not in (record.category, record.referring)))
        said_elsewhere = {"answer"} if own is None and _plain_answer(record) is not None else set()
        report_unheld(record, holds, context.losses, lost_extra=record.extra.keys() - row.keys() - said_elsewhere)

    def _stays(self, record: Record, said: list[Said], context: WriteContext) -> bool:
        """Say whether the words that were read can stay."""
        if not all(map(record.unchanged, FIELDS)):
            return False
        parsed = parse_answer_text(said[-1].text) if said else None
        if parsed is not None and context.style and parsed.style != context.style:
            return False
        return context.reads_as_written(record) or not any(coordinates_in(turn.text) for turn in said)

    def _said(self, record: Record, said: list[Said], context: WriteContext) -> list[Said]:
        """Return the messages of a record that has changed, or comes from elsewhere."""
        has_question = record.referring is not None or record.instruction is not None
        if has_question and (record.referring is not None or record.answers or record.regions):
            return self._exchange(record, said, context)
        if any(turn.role != THINK for turn in record.turns):
            return self._conversation(record, context)
        if has_question and said:  # an answer that was read, and that lists nothing
            return self._exchange(record, said, context)
        answer = _plain_answer(record)
        if answer is not None:
            _require_same_frame([answer], record, context)
            asker, answerer = self.new_roles()
            return [Said(asker, self._question(record, said, context)), Said(answerer, answer)]
        return self._conversation(record, context)

    def _exchange(self, record: Record, said: list[Said], context: WriteContext) -> list[Said]:
        """Return question and answer, written from the record."""
        parsed = parse_answer_text(said[-1].text) if len(said) == 2 else None
        own_style = parsed.style if parsed is not None else "json"
        style: Style = "tokens" if (context.style or own_style) == "tokens" else "json"
        asker, answerer = (said[0].role, said[1].role) if len(said) == 2 else self.new_roles()
        name = "answers" if record.referring is not None or record.answers else "regions"
        regions = record.answers if name == "answers" else record.regions
        present = [region for region in regions if not region.is_absent]
        items = [_item(region, record, name, context, with_extra=parsed is not None) for region in present]
        if record.referring is None:
            context.losses.lost(f"{name}.absent", len(regions) - len(items))
        question = self._question(record, said, context)
        fenced = parsed is not None and parsed.is_fenced
        return [
            Said(asker, question),
            Said(answerer, format_answer_text(items, think_of(record), style, is_fenced=fenced)),
        ]

    def _question(self, record: Record, said: list[Said], context: WriteContext) -> str:
        if record.referring is None:
            text = record.instruction or ""
            keeps = len(said) == 2 and record.unchanged("instruction")
            _require_same_frame([text], record, context)
            plain = text.replace(IMAGE_MARK, "").strip()
            return said[0].text if keeps else self.question_text(plain, len(record.images))
        hint = None
        if record.candidates is not None:
            hint = context.candidate_numbers(record)
        referring = require_absent(record.referring, IMAGE_MARK)
        return self.question_text(format_question(referring, hint_category(record), hint), len(record.images))

    def _conversation(self, record: Record, context: WriteContext) -> list[Said]:
        roles = self.new_roles()
        names = dict.fromkeys(ASKERS, roles[0]) | dict.fromkeys(ANSWERERS, roles[1])
        said = [Said(names.get(turn.role, turn.role), turn.text) for turn in record.turns]
        if not any(turn.role == roles[0] for turn in said) or not any(turn.role == roles[1] for turn in said):
            raise RecordError(
                "the record has neither an expression with its boxes nor a question with its answer",
                code="no-expression",
                found=f"turns of {[turn.role for turn in record.turns]}",
                fix="convert a data set of expressions, phrases or conversations",
            )
        _require_same_frame([turn.text for turn in said], record, context)
        require_unmoved(record)
        own = record.origin is not None and record.origin.dialect == self.name
        return said if own else self.with_marks(said, len(record.images), context)


def _plain_answer(record: Record) -> str | None:
    """Return the answer to a free question of a training row, which keeps it beside the record's fields."""
    answer = record.extra.get("answer")
    is_free = record.instruction is not None and record.referring is None and not (record.answers or record.regions)
    return answer if is_free and isinstance(answer, str) and not record.turns else None


def _fields(question: str, regions: tuple[Region, ...], image: ImageRef | None, context: ReadContext) -> dict[str, Any]:
    """Return the record's fields for a question and its answered regions."""
    asked: Question | None = parse_question(question)
    if asked is None or any(region.phrase not in (None, asked.referring) for region in regions):
        return {"instruction": question.replace(IMAGE_MARK, "").strip(), "regions": regions}
    candidates = None
    if asked.hint is not None:
        candidates = tuple(Candidate(context.box(box, image), asked.category) for box in asked.hint)
    return {"referring": asked.referring, "category": asked.category, "candidates": candidates, "answers": regions}


def _region(item: Item, image: ImageRef | None, context: ReadContext) -> Region:
    if item.kind == "point_2d":
        return Region(item.label, point=context.point(item.numbers, image), extra=item.extra)
    return Region(item.label, box=context.box(item.numbers, image), extra=item.extra)


def _item(region: Region, record: Record, name: str, context: WriteContext, *, with_extra: bool) -> Item:
    label = region.phrase if region.phrase is not None or with_extra else record.referring
    extra = dict(region.extra) if with_extra else {}
    if region.box is not None:
        context.losses.lost(f"{name}.point", int(region.point is not None))
        return Item("bbox_2d", context.box_numbers(region.box, record, f"{name}.box", region.image), label, extra)
    if region.point is None:
        raise RecordError("a region has neither box nor point", code="no-box", found="a mask or polygon only")
    return Item("point_2d", context.point_numbers(region.point, record, f"{name}.point", region.image), label, extra)


def _require_same_frame(texts: Iterable[str], record: Record, context: WriteContext) -> None:
    """Raise RecordError (`frame-fixed`) if free text holds coordinates, which cannot follow into another frame."""
    if record.origin is None or context.reads_as_written(record):
        return
    for text in texts:
        numbers = coordinates_in(text)
        if numbers is not None:
            raise RecordError(
                "free text holds coordinates, which cannot be moved into another frame",
                code="frame-fixed",
                found=numbers,
                expected="boxes in an answer of the known styles, or the same frame as the source",
                fix="convert into the frame that the text is in, or leave the row out",
            )


def only_tokens(answers: Iterable[Any]) -> Frame | None:
    """Return the frame 0–1000 if some of these answers hold boxes, and all of those write them as tokens."""
    styles = {parsed.style for answer in answers if (parsed := parse_answer_text(answer)) is not None and parsed.items}
    return REL1000 if styles == {"tokens"} else None


def last_text(turns: Sequence[Mapping[str, Any]], key: str) -> Any:
    """Return the last message's text of decoded turns."""
    return turns[-1].get(key) if turns and isinstance(turns[-1], dict) else None
