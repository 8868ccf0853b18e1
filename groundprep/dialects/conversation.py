"""What all rows of VLM-R1's jsonl route share: `id`, `image`, and a conversation of a question and an answer.

    {"id": 7, "image": "train2014/a.jpg", "conversations": [{"from": "human", "value": "<image>…"},
     {"from": "gpt", "value": …}], "accu_reward_method": "map"}

`image` is a name, a list of names, or absent. Of the conversation the trainer reads the first two values; it removes every
`<image>` from the question and every answer tag from the answer, which need not be a string. All other keys stay columns.
Source: om-ai-lab/VLM-R1 @90052f4 grpo_jsonl.py (specs/vlmr1_easydistill.md §1.2).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.containers.json_text import encode_exact
from groundprep.dialects.answers_text import beside_objects, question_with_images
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.edits import edited_row, is_same_kind, own_id, require_unmoved
from groundprep.dialects.further_keys import fitting_keys, unwritten
from groundprep.dialects.grounding_text import ANY_COORDINATES, coordinates_in
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record, Turn

TEXT_FIELDS = ("referring", "instruction", "answers", "regions", "turns")
"""What of a record the conversation says."""

ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}


class ConversationTurn(Struct, rename={"from_": "from"}):
    """One turn; the trainer never looks at `from`."""

    value: Any
    from_: str | None = None


class ConversationRow(Struct):
    """A row; further keys are kept."""

    conversations: list[ConversationTurn]
    image: str | list[str] | UnsetType = UNSET
    id: Any = None
    accu_reward_method: str | None = None


class Reading(NamedTuple):
    """What a question and its answer say: fields of the record, and whether they say all of it."""

    fields: Mapping[str, Any]
    is_complete: bool


def first_turns(value: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return question and answer of a decoded row, or None if it is no row of a conversation; for detection."""
    turns = value.get("conversations")
    if not isinstance(turns, list) or len(turns) < 2:
        return None
    if not all(isinstance(turn, dict) and "value" in turn for turn in turns[:2]):
        return None
    question = turns[0]["value"]
    return (question, turns[1]["value"]) if isinstance(question, str) else None


class ConversationDialect(Dialect):
    """The common half of reading and writing; a subclass knows one kind of question and answer."""

    containers = ("jsonl", "json")
    row_type = ConversationRow
    holds = frozenset({"id", "images", "referring", "instruction", "answers", "extra"})

    @abstractmethod
    def read(self, question: str, answer: Any, images: tuple[ImageRef, ...], context: ReadContext) -> Reading:
        """Return what the conversation says; raises RecordError."""

    @abstractmethod
    def question(self, record: Record) -> str:
        """Return the official question, without `<image>`; raises RecordError."""

    @abstractmethod
    def answer(
        self, record: Record, context: WriteContext, own: Mapping[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the answer in the target's frame, and keys of the row that follow from it; raises RecordError.

        `own` is the row that was read: an answer of its own kind keeps its manner.
        """

    def has_answer(self, record: Record) -> bool:
        """Say whether the record holds something that can be written as question and answer."""
        return bool(record.answers or record.regions or record.referring is not None)

    def asks_the_same(self, record: Record) -> bool:
        """Say whether the question that was read still is the question to this record."""
        return record.unchanged("referring") and record.unchanged("instruction")

    def reported(self, record: Record) -> Record:
        """Return the record as the loss report shall see it: without what the answer itself accounts for."""
        return record

    def restated(self, value: Mapping[str, Any], answer: Any) -> tuple[str, ...]:
        """Return those keys of a row that say the answer once more: no further keys, for they would not move with it."""
        del value, answer
        return ()

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a row; what its fields do not say stays in `turns`, verbatim."""
        typed = convert_row(row.value, ConversationRow)
        if len(typed.conversations) < 2 or not isinstance(typed.conversations[0].value, str):
            raise RecordError(
                "a conversation needs a question, which is text, and an answer",
                code="wrong-type",
                found=row.value["conversations"],
                expected='[{"from": "human", "value": "<image>…"}, {"from": "gpt", "value": …}]',
            )
        names = [] if typed.image is UNSET else [typed.image] if isinstance(typed.image, str) else typed.image
        images = tuple(ImageRef(name, context.images.locate(name)) for name in names)
        question, answer = (turn["value"] for turn in row.value["conversations"][:2])
        reading = self.read(question, answer, images, context)
        is_complete = reading.is_complete and len(typed.conversations) == 2
        identity = own_id(row.value)
        known = ("image", "conversations", *self.restated(row.value, answer))
        return Record(
            source=row.source,
            id=identity,
            images=images,
            turns=() if is_complete else _turns(typed, row.value, follows=_follows(reading, answer)),
            extra=extra_keys(row.value, known if identity is None else (*known, "id")),
            **reading.fields,
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the origin's own values stay wherever the record was not changed."""
        own = context.own_value(record, self.name)
        if own is not None and not is_same_kind(record):
            own = None
        stays = own is not None and all(map(record.unchanged, TEXT_FIELDS)) and context.reads_as_written(record)
        turns_stay = own is not None or not self.has_answer(record)
        holds = (self.holds | {"answers.extra", "regions.extra", *_SHAPES}) if own is not None else self.holds
        if own is None and record.referring is not None:  # its question leaves no room for another
            holds -= {"instruction"}
        value = _edited_row(own, record) if own is not None else _new_row(record)
        if stays:
            _report_kept(record, context)
        elif own is not None and record.turns and not record.unchanged("turns"):
            value["conversations"] = _conversation_of_turns(record)
        elif self.has_answer(record):
            self._write_answer(value, record, context, own)
        elif own is None:
            require_unmoved(record)
            value["conversations"] = _conversation_of_turns(record)
            _require_same_frame([turn.text for turn in record.turns], record, context)
        else:
            _require_same_frame([turn["value"] for turn in own["conversations"]], record, context)
        reported = self.reported(record)
        lost = unwritten(reported.extra, value)
        report_unheld(reported, holds | {"turns"} if turns_stay else holds, context.losses, lost_extra=lost)
        return OutRow(value, record.images[0] if record.images else None)

    def _write_answer(
        self, value: dict[str, Any], record: Record, context: WriteContext, own: dict[str, Any] | None
    ) -> None:
        """Put question and answer into the row; texts that cannot follow into another frame are refused."""
        own_turns = [] if own is None else own["conversations"]
        answer, beside = self.answer(record, context, own)
        if own_turns and self.asks_the_same(record):
            question = own_turns[0]["value"]
            _require_same_frame([question], record, context)
        else:
            question = question_with_images(self.question(record), len(record.images))
        if own_turns:
            further = [turn["value"] for turn in own_turns[2:]]
            _require_same_frame([beside_objects(own_turns[1]["value"]), *further], record, context)
            first, second, *rest = own_turns
            value["conversations"] = [first | {"value": question}, second | {"value": answer}, *rest]
        else:
            value["conversations"] = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        for key in beside.keys() - value.keys():
            context.losses.added(f"extra.{key}")
        value.update(beside)


_SHAPES = tuple(f"{name}.{part}" for name in ("answers", "regions") for part in ("point", "polygon", "mask"))


def _report_kept(record: Record, context: WriteContext) -> None:
    """Count the geometries that stay as they were read."""
    for name in ("answers", "regions"):
        for part in ("box", "polygon", "mask"):
            count = sum(getattr(region, part) is not None for region in getattr(record, name))
            if count:
                context.losses.kept(f"{name}.{part}", count)


def _turns(typed: ConversationRow, value: Mapping[str, Any], *, follows: bool) -> tuple[Turn, ...]:
    """Return the conversation verbatim; an answer that is not text as its JSON. `follows`: what the answer does."""
    texts = (turn["value"] for turn in value["conversations"])
    return tuple(
        Turn(turn.from_ or "", text if isinstance(text, str) else encode_exact(text), follows and place == 1)
        for place, (turn, text) in enumerate(zip(typed.conversations, texts, strict=True))
    )


def _follows(reading: Reading, answer: Any) -> bool:
    """Say whether an answer was read into regions that can be moved, and nothing beside them cites coordinates."""
    regions = (*reading.fields.get("answers", ()), *reading.fields.get("regions", ()))
    is_read = any(not region.is_absent for region in regions)
    return is_read and ANY_COORDINATES.search(beside_objects(answer)) is None


def image_value(record: Record) -> str | list[str]:
    """Return the row's `image`: one name, or a list of names; raises RecordError for an image without a name."""
    names = []
    for ref in record.images:
        if ref.name is None:
            raise RecordError("an embedded image has no name", code="image-needed", fix="pass --image-out DIR")
        names.append(ref.name)
    return names[0] if len(names) == 1 else names


def _new_row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {} if record.id is None else {"id": record.id}
    if record.images:
        row["image"] = image_value(record)
    row["conversations"] = []
    return row | fitting_keys(record.extra, ConversationRow, ("image", "conversations", *row))


def _edited_row(own: dict[str, Any], record: Record) -> dict[str, Any]:
    """Return the row that was read, with what has changed since in its place; the conversation apart."""
    value = edited_row(own, record, ("image", "conversations"))
    if not record.unchanged("images"):
        value["image"] = image_value(record)
    return value


def _conversation_of_turns(record: Record) -> list[dict[str, Any]]:
    """Return the turns as a conversation; raises RecordError (`no-expression`) if they are not question and answer."""
    roles = [ROLES.get(turn.role, turn.role) for turn in record.turns]
    if not roles:
        raise RecordError(
            "the record has no expression, phrase or question to ask for",
            code="no-expression",
            found="an image without boxes" if record.images else "no image and no text",
            fix="ask for absent phrases with --negatives K where the target holds them (vlmr1-ovd), or leave such rows out "
            "with --on-error drop",
        )
    if roles[:2] != ["human", "gpt"]:
        raise RecordError(
            "the record has neither an expression with its boxes nor a question with its answer",
            code="no-expression",
            found=f"turns of {roles}",
            fix="convert a data set of expressions, phrases or conversations",
        )
    return [{"from": role, "value": turn.text} for role, turn in zip(roles, record.turns, strict=True)]


def _require_same_frame(texts: list[Any], record: Record, context: WriteContext) -> None:
    """Raise RecordError (`frame-fixed`) if free text holds coordinates, which cannot follow into another frame."""
    if record.origin is None or context.reads_as_written(record):
        return
    for text in texts:
        numbers = coordinates_in(text if isinstance(text, str) else encode_exact(text))
        if numbers is not None:
            raise RecordError(
                "free text holds coordinates, which cannot be moved into another frame",
                code="frame-fixed",
                found=numbers,
                expected="an official question and answer, or the same frame as the source",
                fix="write the row's text again from its boxes, or convert into the frame that it is in",
            )
