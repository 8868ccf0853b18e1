"""EasyDistill's SFT companion of the multi-box rows: a question, and boxes as a Python dict literal.

    {"messages": [{"role": "user", "content": "<image>Draw bounding boxes …"},
                  {"role": "assistant", "content": "{0: [], 1: [], 2: [[619, 264, 723, 332]], 3: []}"}], "images": "260.jpg"}

`images` is one string. The answer is no JSON, although the question asks for it: its keys are integers.
Source: modelscope/easydistill @acbe49b data/multi_box_grounding_SFT_sample.json (specs/vlmr1_easydistill.md §3.2).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.answers_text import IMAGE_MARK, is_numbers, plain_question
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.easydistill import (
    labelled_boxes,
    multi_instruction,
    read_labelled,
    renames,
    require_labelled,
)
from groundprep.dialects.edits import edited_row
from groundprep.dialects.further_keys import unwritten
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Record

_LITERAL = re.compile(r"\s*\{[0-9\s\[\]{}:,.eE+-]*\}\s*")
"""A dict of numbers: nothing else may reach the literal parser, which warns about odd strings."""


class SftTurn(Struct):
    """One message."""

    role: str
    content: str


class EasyDistillSftRow(Struct):
    """A row; further keys are kept."""

    messages: list[SftTurn]
    images: str


class EasyDistillSft(Dialect):
    """Rows of the SFT companion: the answer is a Python dict literal with integer keys, `images` one string."""

    name = "easydistill-sft"
    title = "EasyDistill SFT rows: messages whose answer is a dict of the labels 0 to 3, and images as one name"
    containers = ("json", "jsonl")
    unit = "image"
    row_type = EasyDistillSftRow
    holds = frozenset({"images", "instruction", "regions", "extra"})

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        self.labels = labels or {}

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has one image name and two messages, of which the second is a dict of boxes."""
        del container
        messages = value.get("messages")
        if not isinstance(messages, list) or len(messages) != 2 or not isinstance(value.get("images"), str):
            return False
        answer = messages[1].get("content") if isinstance(messages[1], dict) else None
        return isinstance(answer, str) and _LITERAL.fullmatch(answer) is not None

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the labelled boxes of an image."""
        typed = convert_row(row.value, EasyDistillSftRow)
        if len(typed.messages) != 2:
            raise RecordError(
                "a row needs a question and an answer", code="wrong-type", found=f"{len(typed.messages)} messages"
            )
        image = ImageRef(typed.images, context.images.locate(typed.images))
        question, answer = typed.messages
        return Record(
            source=row.source,
            images=(image,),
            instruction=plain_question(question.content),
            regions=tuple(read_labelled(parse_dict_literal(answer.content), image, context)),
            extra=extra_keys(row.value, ("messages", "images")),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; the origin's own values stay wherever the record was not changed."""
        own = context.own_value(record, self.name)
        if len(record.images) != 1 or record.images[0].name is None:
            raise RecordError(
                "a row names exactly one image file",
                code="image-needed",
                found=f"{len(record.images)} images",
                fix="pass --image-out DIR",
            )
        messages = self._messages(record, context, own)
        if own is None:
            value = {"messages": messages, "images": record.images[0].name}
            value |= extra_keys(record.extra, tuple(value))
        else:
            value = edited_row(own, record, ("messages", "images")) | {"messages": messages}
            if not record.unchanged("images"):
                value["images"] = record.images[0].name
        report_unheld(record, self.holds, context.losses, lost_extra=unwritten(record.extra, value))
        return OutRow(value, record.images[0])

    def _messages(self, record: Record, context: WriteContext, own: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Return question and answer; those that were read stay where nothing changed."""
        first, second = own["messages"] if own is not None else ({"role": "user"}, {"role": "assistant"})
        if own is None:
            require_labelled(record)
        if own is None or not record.unchanged("instruction"):
            first = first | {"content": f"{IMAGE_MARK}{multi_instruction(record)}"}
        if own is not None and context.keeps(record, "regions") and not renames(self.labels, record):
            report_kept(record.regions, "regions", context.losses)
        else:
            boxes = labelled_boxes(record, context, self.labels)
            second = second | {"content": format_dict_literal(boxes)}
        return [first, second]


def format_dict_literal(boxes: Mapping[str, list[list[int]]]) -> str:
    """Return `{0: [], 1: [[x0, y0, x1, y1]], …}`: a Python literal, not JSON. Source: §3.2, §3.5."""
    return str({int(label): group for label, group in boxes.items()})


def parse_dict_literal(text: str) -> dict[str, list[list[float]]]:
    """Return the boxes of a Python dict literal of integers to lists of boxes; raises RecordError (`bad-answer`).

    Parsed as a literal, never evaluated: the trainer itself calls eval() on what a model says (§3.5).
    """
    value: Any = None
    if _LITERAL.fullmatch(text):
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            value = None
    if not isinstance(value, dict) or not all(
        type(label) is int and isinstance(group, list) and all(is_numbers(box, 4) for box in group)
        for label, group in value.items()
    ):
        raise RecordError(
            "the answer is not a dict of labels and boxes",
            code="bad-answer",
            found=text,
            expected="{0: [[x0, y0, x1, y1], …], 1: [], 2: [], 3: []}",
        )
    return {str(label): group for label, group in value.items()}
