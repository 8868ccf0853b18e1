"""TRL's rows: GRPO (a prompt, images, the solution) and SFT (a prompt and its completion).

    GRPO  {"prompt": [{"role": "user", "content": "Hint: …"}], "images": […], "solution": "```json…```"}
    SFT   {"prompt": [{"role": "user", "content": "…"}], "completion": [{"role": "assistant", "content": "…"}], "images": […]}

The text is that of EasyR1's rows, so that Rex-Thinker's rewards read it, without `<image>`: TRL itself puts the images in
front of the first user turn. Content is always one string; a list of parts would come back from parquet with every missing
key filled with null, `{"type": "image", "text": None}`. `solution` reaches the reward functions by its name.
Source: TRL 1.16 data_utils.prepare_multimodal_messages, GRPOTrainer (specs/targets.md §3.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.containers.parquet import IMAGE_STRUCT, MESSAGES
from groundprep.dialects.base import ReadContext, WriteContext, convert_row
from groundprep.dialects.easyr1 import TEXT_FIELDS, TRAINING_ROWS, EasyR1, ImageStruct, image_of
from groundprep.dialects.exchange import ExchangeDialect, Said
from groundprep.dialects.hints import IMAGE_MARK
from groundprep.errors import RecordError
from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Record, Turn


class Part(Struct):
    """One part of a message's content; null keys come from Arrow."""

    type: str
    text: str | None = None
    image: Any = None


class Message(Struct):
    """One message of a chat."""

    role: str
    content: str | list[Part]


class TrlRow(Struct):
    """A GRPO row; `answer` may stand in for `solution`, `image` for a list of one; further keys are kept."""

    prompt: list[Message]
    images: list[ImageStruct | str] | UnsetType = UNSET
    image: ImageStruct | str | UnsetType = UNSET
    solution: str | UnsetType = UNSET
    answer: str | UnsetType = UNSET


class TrlSftRow(Struct):
    """An SFT row: prompt and completion, or messages; further keys are kept."""

    images: list[ImageStruct | str] | UnsetType = UNSET
    image: ImageStruct | str | UnsetType = UNSET
    prompt: list[Message] | UnsetType = UNSET
    completion: list[Message] | UnsetType = UNSET
    messages: list[Message] | UnsetType = UNSET


def text_of(content: str | list[Part], image: str = IMAGE_MARK) -> str:
    """Return a message as text, `image` for every image part."""
    if isinstance(content, str):
        return content
    return "".join(image if part.type == "image" else part.text or "" for part in content)


def is_chat(value: Any) -> bool:
    """Say whether a decoded value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    )


def images_of(typed: TrlRow | TrlSftRow, context: ReadContext) -> tuple[ImageRef, ...]:
    """Return the images of a row, which may be in `images` or `image`."""
    items = [typed.image] if not isinstance(typed.image, UnsetType) else []
    items = typed.images if not isinstance(typed.images, UnsetType) else items
    return tuple(image_of(item, context) for item in items)


class Trl(EasyR1):
    """GRPO rows."""

    name = "trl"
    title = "TRL GRPO rows: prompt (messages), images, solution"
    row_type = TrlRow
    columns: ClassVar = {"prompt": MESSAGES, "images": IMAGE_STRUCT, "solution": "string"}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has a chat as its prompt, images, and a solution or an answer, but no completion."""
        del container
        truth = value.get("solution", value.get("answer"))
        has_images = not {"images", "image"}.isdisjoint(value)
        return is_chat(value.get("prompt")) and isinstance(truth, str) and has_images and "completion" not in value

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a GRPO row."""
        typed = convert_row(row.value, TrlRow)
        images = images_of(typed, context)
        place = _user_place(row.value)
        text = text_of(typed.prompt[place].content)
        if IMAGE_MARK not in text:
            text = IMAGE_MARK * len(images) + text
        known = (*_image_keys(row.value), "prompt", _truth_key(row.value))
        others = {key: item for key, item in row.value.items() if key not in known}
        answer = typed.answer if isinstance(typed.solution, UnsetType) else typed.solution
        if isinstance(answer, UnsetType):
            raise RecordError(
                "the row has no solution for the rewards to compare with",
                code="missing-key",
                found=sorted(row.value),
                expected="solution or answer",
            )
        plain = Row(row.source, others | {"images": [], "problem": text, "answer": answer})
        record = self.parse_text(plain, images, context)
        others_said = [m for index, m in enumerate(typed.prompt) if index != place]
        turns = tuple(Turn(message.role, text_of(message.content)) for message in others_said)
        return replace(record, origin=None, turns=turns).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; unchanged text is written as it was read if the frame is the same."""
        own = context.own_value(record, self.name)
        if own is None:
            return OutRow(self._new_row(super().format(record, context).value, record, context))
        row = {"prompt": own["prompt"], "images": None, "solution": own[_truth_key(own)]} | context.further(own)
        if context.container != "parquet":
            row = dict(own)
        self._report(record, own, row | {"answer": ""}, context)
        if context.reads_as_written(record) and all(map(record.unchanged, TEXT_FIELDS)):
            context.losses.kept("answers.box", len(record.answers))
            context.losses.kept("candidates.box", len(record.candidates or ()))
            if context.container == "parquet":
                row["prompt"] = _as_strings(own["prompt"])
        else:
            problem, answer = self.texts(record, context, with_extra=True)
            place = _user_place(own)
            content = without_marks(problem, len(record.images), context)
            row["prompt"] = [
                message | {"content": content} if index == place else message
                for index, message in enumerate(_as_strings(own["prompt"]))
            ]
            row[_truth_key(row)] = answer
        embedded = any(isinstance(ref.location, BytesImage) for ref in record.images)
        if context.container == "parquet" or embedded or not record.unchanged("images"):
            row.pop("image", None)
            row["images"] = self.image_value(record, context.container)
        return OutRow(row)

    def _new_row(self, value: dict[str, Any], record: Record, context: WriteContext) -> dict[str, Any]:
        """Return a row of EasyR1's text as one of TRL's."""
        content = without_marks(value["problem"], len(record.images), context)
        row = {"prompt": [{"role": "user", "content": content}], "images": value["images"], "solution": value["answer"]}
        return row | {key: item for key, item in value.items() if key not in ("problem", "answer", *row)}


class TrlSft(ExchangeDialect):
    """SFT rows."""

    name = "trl-sft"
    title = "TRL SFT rows: prompt and completion (messages), images"
    containers = ("parquet", "jsonl", "json")
    row_type = TrlSftRow
    frame = SEEN_TRUNCATED
    image_keys = ("images", "image")
    text_keys = ("prompt", "completion", "messages")
    columns: ClassVar = {"prompt": MESSAGES, "completion": MESSAGES, "images": IMAGE_STRUCT}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has a chat as prompt and completion, or as messages, and images."""
        del container
        if not isinstance(value.get("images"), list) and "image" not in value:
            return False
        return is_chat(value.get("messages")) or (is_chat(value.get("prompt")) and is_chat(value.get("completion")))

    def read_said(self, value: dict[str, Any]) -> list[Said]:
        """Return the messages."""
        return [Said(message.role, text_of(message.content)) for message in _messages(value)]

    def said_anew(self, value: dict[str, Any]) -> list[Said]:
        """Return the messages as strings; image parts fall away, since TRL puts the images in again."""
        return [Said(message.role, text_of(message.content, image="")) for message in _messages(value)]

    def read_images(self, value: dict[str, Any], context: ReadContext) -> tuple[ImageRef, ...]:
        """Return the images."""
        return images_of(convert_row(value, TrlSftRow), context)

    def write_said(self, value: dict[str, Any], said: list[Said]) -> None:
        """Put messages into a row: as prompt and completion, or as messages if it has them."""
        messages = [{"role": turn.role, "content": turn.text} for turn in said]
        if "messages" in value and "completion" not in value:
            value["messages"] = messages
        else:
            first = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
            value["prompt"], value["completion"] = messages[:first], messages[first:]

    def question_text(self, text: str, images: int) -> str:
        """Return the question as it is: TRL puts the images in front of it."""
        del images
        return text

    def with_marks(self, said: list[Said], images: int, context: WriteContext) -> list[Said]:
        """Return a conversation of another layout without marks, which TRL would leave standing as text."""
        plain = [Said(turn.role, turn.text.replace(IMAGE_MARK, "").lstrip("\n")) for turn in said]
        first = next(index for index, turn in enumerate(said) if turn.role == "user")
        texts = [turn.text for turn in said]
        in_front = [*texts[:first], texts[first].removeprefix(IMAGE_MARK * images), *texts[first + 1 :]]
        context.losses.lost("images.place_in_text", int(any(IMAGE_MARK in text for text in in_front)))
        return plain

    def new_roles(self) -> tuple[str, str]:
        """Return the names of the two sides."""
        return "user", "assistant"

    def image_value(self, record: Record, container: str) -> tuple[str, Any]:
        """Return the image column and its value: bytes and path, or names where the container cannot embed."""
        if container == "parquet":
            return "images", [{"bytes": ref, "path": ref.name} for ref in record.images]
        names = [ref.name for ref in record.images]
        if None in names:
            raise RecordError("an embedded image has no name", code="image-needed", fix="pass --image-out DIR")
        return "images", names


def _messages(value: dict[str, Any]) -> list[Message]:
    typed = convert_row(value, TrlSftRow)
    chats = (typed.messages,) if not isinstance(typed.messages, UnsetType) else (typed.prompt, typed.completion)
    return [message for chat in chats if not isinstance(chat, UnsetType) for message in chat]


SCORED_ROWS = (*TRAINING_ROWS, Trl.name)
"""Dialects whose rows a reward of exact equality reads."""


def scored_text(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a row of SCORED_ROWS asks, with its `<image>` marks, and what the reward compares with.

    TRL puts the images in front of a message that is one string; parts have to hold as many as there are (TRL 1.16
    data_utils.prepare_multimodal_messages).
    """
    if "prompt" not in row:
        return row["problem"], row["answer"]
    content = convert_row({"prompt": row["prompt"]}, TrlRow).prompt[_user_place(row)].content
    text = text_of(content)
    images = len(row["images"]) if isinstance(row.get("images"), list) else int("image" in row)
    is_marked = IMAGE_MARK in text or not isinstance(content, str)
    return text if is_marked else IMAGE_MARK * images + text, row[_truth_key(row)]


def without_marks(problem: str, images: int, context: WriteContext) -> str:
    """Return a problem as content for TRL; raises RecordError (`image-mark`) unless it has one mark for each image."""
    marks = problem.count(IMAGE_MARK)
    if marks != images:
        raise RecordError(
            "the text must hold one <image> for each image",
            code="image-mark",
            found=f"{marks} marks, {images} images",
            fix="take <image> out of the expression, or drop the row",
        )
    content = problem.replace(IMAGE_MARK, "")
    context.losses.lost("images.place_in_text", int(IMAGE_MARK * images + content != problem))
    return content


def _as_strings(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose content is one string; image parts fall away, since TRL puts the images in again."""
    strings = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join(part.get("text") or "" for part in content)
        strings.append(message | {"content": content})
    return strings


def _user_place(value: Mapping[str, Any]) -> int:
    places = [place for place, message in enumerate(value["prompt"]) if message["role"] == "user"]
    if len(places) != 1:
        raise RecordError(
            "a GRPO prompt needs exactly one user message",
            code="prompt-shape",
            found=f"{len(places)} user messages",
            expected='[{"role": "user", "content": "…"}], with or without a system message',
            fix="leave the row out, or shorten its prompt",
        )
    return places[0]


def _truth_key(value: Mapping[str, Any]) -> str:
    return "solution" if isinstance(value.get("solution"), str) else "answer"


def _image_keys(value: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in ("images", "image") if key in value)
