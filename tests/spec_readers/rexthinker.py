"""Rex-Thinker's bundled loader: one image, as bytes or as a dict with bytes (specs/rexthinker.md §3.3, §4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.spec_readers.facts import Frame, RefusedError, SpecRow, StoredImage, stored_image
from tests.spec_readers.parquet_rows import rows_of
from tests.spec_readers.resize import MODEL_LIMITS, SizeWH, smart_resize, sqrt_limit
from tests.spec_readers.training_text import grounding_facts, without_image_mark

TRAINER_LIMITS = (12_544, 1_003_520)
"""min_pixels, max_pixels of scripts/config.yaml (§3.1)."""


def seen_wh(size_wh: SizeWH) -> SizeWH:
    """The trainer shrinks or enlarges by the root, then the processor rounds to 28 with the model's limits (§3.3, P2)."""
    return smart_resize(sqrt_limit(size_wh, TRAINER_LIMITS), MODEL_LIMITS)


def converter_wh(size_wh: SizeWH) -> SizeWH:
    """The reference converter's frame: smart_resize of the stored size with the trainer's limits (§2.2)."""
    return smart_resize(size_wh, TRAINER_LIMITS, raises_below_factor=False)


def read(path: str | Path) -> list[SpecRow]:
    """Return the rows; raises RefusedError."""
    return [read_row(row, number) for number, row in enumerate(rows_of(path), start=1)]


def read_row(row: dict[str, Any], number: int, *, chain: Any = seen_wh) -> SpecRow:
    """Return one row; `chain` gives the size that its numbers are in."""
    value = row["images"]
    if not isinstance(value, bytes | dict) or (isinstance(value, dict) and "bytes" not in value):
        raise RefusedError(f"the image is neither bytes nor a dict with bytes, but {type(value).__name__}")
    if not isinstance(row["problem"], str) or not isinstance(row["answer"], str):
        raise RefusedError("problem and answer are text")
    image = stored_image(value if isinstance(value, bytes) else value["bytes"])
    problem = without_image_mark(row["problem"], 1)
    return SpecRow(number, tuple(grounding_facts(problem, row["answer"], image, frame(image, chain))), image)


def frame(image: StoredImage, chain: Any) -> Frame:
    """int(x / W * Wr), clamped to [0, Wr - 1] (§2.2)."""
    return Frame(chain(image.size_wh), "truncate", clamp=True)
