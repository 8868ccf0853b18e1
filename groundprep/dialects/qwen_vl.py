r"""The rows of Qwen's own trainer: images, and a conversation whose `<image>` marks say where they stand.

    {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\n…"}, {"from": "gpt", "value": "…"}]}

Answers are written in one of two styles. Qwen2-VL's tokens are always 0–1000 of the stored image. Qwen2.5-VL's and Qwen3-VL's
JSON looks the same, but the one means pixels of the resized image and the other 0–1000: a file does not say which, so it must
be told (`--source-frame`, `--for`, or the manifest beside a file that groundprep wrote).
Source: QwenLM/Qwen3-VL @23d3cce qwen-vl-finetune/qwenvl/data/data_processor.py (specs/targets.md §3.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.dialects.base import ReadContext, convert_row
from groundprep.dialects.exchange import REL1000, ExchangeDialect, Said, last_text, only_tokens
from groundprep.dialects.grounding_text import is_unfenced_answer
from groundprep.dialects.vlmr1 import is_vlmr1_row
from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES, Frame
from groundprep.images import ImageRef
from groundprep.record import Record

SEEN_ROUNDED = FRAMES["seen-rounded"]


class QwenTurn(Struct, rename={"from_": "from"}):
    """One turn."""

    from_: str
    value: str


class QwenVLRow(Struct):
    """A row; further keys are kept."""

    conversations: list[QwenTurn]
    image: str | list[str] | UnsetType = UNSET


class QwenVL(ExchangeDialect):
    """Rows of `image, conversations`."""

    name = "qwen-vl"
    title = "Qwen-VL finetuning rows: image, conversations with bbox_2d, point_2d or box tokens"
    containers = ("jsonl", "json")
    row_type = QwenVLRow
    frame = SEEN_ROUNDED
    holds = ExchangeDialect.holds | {"id", "extra"}
    holds_id = True
    image_keys = ("image",)
    text_keys = ("conversations",)

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row is a conversation of human and gpt.

        VLM-R1's rows look alike. Its own are: its official questions, a bare box or shape, `None`, an `accu_reward_method`, and
        beside an `id` a fence or free text; Qwen's own:
        box tokens, and JSON objects without a fence. What is neither may be both.
        """
        del container
        turns = value.get("conversations")
        if not isinstance(turns, list) or len(turns) < 2 or not all(map(_is_turn, turns)):
            return False
        if is_vlmr1_row(value):
            return False
        return is_unfenced_answer(turns[-1]["value"]) or "id" not in value

    def frame_of(self, rows: Iterable[Mapping[str, Any]]) -> Frame | None:
        """Return 0–1000 if the answers write boxes as tokens; JSON does not say."""
        turns = (row.get("conversations") for row in rows)
        return only_tokens(last_text(t, "value") for t in turns if isinstance(t, list))

    def may_be_in(self, frame: Frame) -> bool:
        """Qwen2.5-VL's or Qwen3-VL's."""
        return frame in (SEEN_ROUNDED, REL1000)

    def read_said(self, value: dict[str, Any]) -> list[Said]:
        """Return the turns."""
        return [Said(turn.from_, turn.value) for turn in convert_row(value, QwenVLRow).conversations]

    def read_images(self, value: dict[str, Any], context: ReadContext) -> tuple[ImageRef, ...]:
        """Return the images that the row names."""
        image = convert_row(value, QwenVLRow).image
        names = [] if isinstance(image, UnsetType) else [image] if isinstance(image, str) else image
        return tuple(ImageRef(name, context.images.locate(name)) for name in names)

    def write_said(self, value: dict[str, Any], said: list[Said]) -> None:
        """Put messages into a row."""
        value["conversations"] = [{"from": turn.role, "value": turn.text} for turn in said]

    def image_value(self, record: Record, container: str) -> tuple[str, Any]:
        """Return the name of the image, or of all images."""
        del container
        names = [ref.name for ref in record.images]
        if None in names:
            raise RecordError("an embedded image has no name", code="image-needed", fix="pass --image-out DIR")
        return "image", names[0] if len(names) == 1 else names

    def new_roles(self) -> tuple[str, str]:
        """Return the names of the two sides."""
        return "human", "gpt"


def _is_turn(turn: Any) -> bool:
    return (
        isinstance(turn, dict) and turn.get("from") in ("human", "gpt", "system") and isinstance(turn.get("value"), str)
    )
