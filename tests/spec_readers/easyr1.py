"""EasyR1's loader: a list of images, each bytes, a dict with bytes, or a path (specs/rexthinker.md §4.2, §4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.spec_readers.facts import Fact, RefusedError, SpecRow, StoredImage, file_image, stored_image
from tests.spec_readers.parquet_rows import rows_of
from tests.spec_readers.resize import MODEL_LIMITS, SizeWH, smart_resize, sqrt_limit
from tests.spec_readers.rexthinker import frame
from tests.spec_readers.training_text import grounding_facts, without_image_mark

LIMITS = (262_144, 4_194_304)
"""min_pixels, max_pixels of EasyR1's data configuration (§4.1)."""
RESERVED = frozenset({
    "input_ids", "attention_mask", "position_ids", "raw_prompt_ids", "multi_modal_data", "multi_modal_inputs", "ground_truth",
    "uid", "prompts", "responses",
})  # fmt: skip
"""Columns that the trainer itself makes (§4.2)."""


def seen_wh(size_wh: SizeWH) -> SizeWH:
    """By the root into the data's limits, then the processor, which refuses no small side any more (specs/targets.md §3.0)."""
    return smart_resize(sqrt_limit(size_wh, LIMITS), MODEL_LIMITS, raises_below_factor=False)


def read(path: str | Path) -> list[SpecRow]:
    """Return the rows; raises RefusedError."""
    return [read_row(row, number) for number, row in enumerate(rows_of(path), start=1)]


def read_row(row: Mapping[str, Any], number: int, *, chain: Any = seen_wh) -> SpecRow:
    """Return one row; `chain` gives the size that its numbers are in."""
    if RESERVED & row.keys():
        raise RefusedError(f"a column has a name of the trainer's own: {RESERVED & row.keys()}")
    images = images_of(row["images"])
    text = without_image_mark(row["problem"], len(images))
    if not images:
        return SpecRow(number, (Fact("", None, "text"),))
    return SpecRow(number, tuple(grounding_facts(text, row["answer"], images[0], frame(images[0], chain))), images[0])


def images_of(value: Any) -> list[StoredImage]:
    """Return the images of a list column; raises RefusedError."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise RefusedError(f"the image column is no list, but {type(value).__name__}")
    return [_image(item) for item in value]


def _image(item: Any) -> StoredImage:
    if isinstance(item, str):
        return file_image(item)
    data = item["bytes"] if isinstance(item, Mapping) else item
    if not isinstance(data, bytes):
        raise RefusedError(f"an image is neither a path, bytes nor a dict with bytes: {type(item).__name__}")
    return stored_image(data)
