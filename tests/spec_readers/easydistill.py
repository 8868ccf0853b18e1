"""EasyDistill's loader: `image_path` as it stands, `abs_box` only (specs/vlmr1_easydistill.md §3.2, §3.5)."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from tests.spec_readers.facts import Fact, Frame, RefusedError, SpecRow, StoredImage, file_image
from tests.spec_readers.vlmr1 import seen_wh

LABELS = ("0", "1", "2", "3")
SINGLE_START, SINGLE_END = "Locate ", " in this image and answer with nothing but its bounding box as [x1,y1,x2,y2]"
"""groundprep's own wording: the specification has none for a single box."""


def read(
    path: str | Path, *, root: Path | None = None, stored: bool = False, needs_abs_box: bool = True
) -> list[SpecRow]:
    """Return single-box and multi-box rows.

    Args:
        path: jsonl.
        root: where relative paths start; None: the trainer joins nothing, so that a relative path is refused.
        stored: the numbers are pixels of the stored image, as in files that nobody converted.
        needs_abs_box: the trainer's KeyError where a row has `bbox` only.
    """
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        if root is None and not Path(row["image_path"]).is_absolute():
            raise RefusedError("image_path is opened as it stands, relative to the working directory")
        image = file_image((root or Path()) / row["image_path"])
        if not needs_abs_box and "abs_box" not in row:
            row["abs_box"] = row["bbox"]
        if "abs_box" not in row:
            raise RefusedError("KeyError: abs_box")
        frame = Frame(image.size_wh if stored else seen_wh(image.size_wh), "round")
        facts = _facts(row["instruction"], row["abs_box"], image, frame)
        if not stored and any(fact.kind == "box" and _is_flat(fact) for fact in facts):
            raise RefusedError("a box without area caps the score, or makes it infinite (§3.6)")
        rows.append(SpecRow(number, tuple(facts), image))
    return rows


def _facts(instruction: str, truth: Any, image: StoredImage, frame: Frame) -> list[Fact]:
    if isinstance(truth, list):
        phrase = instruction
        if instruction.startswith(SINGLE_START) and instruction.endswith(SINGLE_END):
            phrase = instruction[len(SINGLE_START) : -len(SINGLE_END)]
        return [frame.fact(image, phrase, "box", truth)]
    if set(truth) != set(LABELS):
        raise RefusedError(f"all of the labels 0 to 3 are needed, found {sorted(truth)}")
    facts = []
    for label, boxes in truth.items():
        facts += [frame.fact(image, label, "box", box) for box in boxes] or [Fact(image.key, label, "absent")]
    return facts


def _is_flat(fact: Fact) -> bool:
    x0, y0, x1, y1 = fact.numbers
    return x1 <= x0 or y1 <= y0


def read_sft(path: str | Path, root: Path) -> list[SpecRow]:
    """Return rows of the SFT companion: a Python dict literal with integer keys, pixels of the stored image."""
    rows = []
    for number, row in enumerate(json.loads(Path(path).read_text(encoding="utf-8")), start=1):
        image = file_image(root / row["images"])
        truth = ast.literal_eval(row["messages"][1]["content"])
        facts = _facts("", {str(label): boxes for label, boxes in truth.items()}, image, Frame(image.size_wh, "round"))
        rows.append(SpecRow(number, tuple(facts), image))
    return rows
