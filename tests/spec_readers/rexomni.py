"""Rex-Omni's readers: the shared TSV path, SFT at both revisions, and GRPO (specs/rexomni.md §2.1, §2.3, §2.4, §3.3)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Literal

from tests.spec_readers.facts import Fact, RefusedError, SpecRow, StoredImage, exact, stored_image
from tests.spec_readers.resize import smart_resize

Reader = Literal["grounding@S", "grounding@U", "grpo"]
LIMITS = (12_544, 2_007_040)
"""min_pixels, max_pixels of the released configs (§3.7)."""
GRPO_NAMES = frozenset({
    "prompt", "answer", "ground_truth", "multi_modal_data", "multi_modal_inputs", "input_ids", "attention_mask", "position_ids",
    "raw_prompt_ids", "uid",
})  # fmt: skip


def lines(prefix: str | Path) -> list[tuple[int, bytes, dict[str, Any]]]:
    """Return (place, image bytes, annotation) of every entry of the line index, by seeking as the trainers do (§2.1)."""
    annotations, images = Path(f"{prefix}.annotations.tsv"), Path(f"{prefix}.images.tsv")
    offsets = [int(line.strip()) for line in Path(f"{annotations}.lineidx").read_text(encoding="ascii").splitlines()]
    found = []
    with annotations.open("rb") as annotation_file, images.open("rb") as image_file:
        for place, offset in enumerate(offsets, start=1):
            annotation_file.seek(offset)
            fields = annotation_file.readline().decode("utf-8").strip().split("\t")
            if len(fields) != 2:
                raise RefusedError(f"an annotation line has {len(fields)} fields")
            image_file.seek(int(fields[0]))
            image_fields = image_file.readline().decode("ascii").strip().split("\t")
            payload = image_fields[1]
            payload = payload[1:-1] if payload.startswith("b'") else payload
            found.append((place, base64.b64decode(payload), json.loads(fields[1])))
    return found


def read(prefix: str | Path, reader: Reader) -> list[SpecRow]:
    """Return the rows that a trainer takes; raises RefusedError for one of which it dies or which it skips."""
    rows = [_row(place, data, annotation, reader) for place, data, annotation in lines(prefix)]
    if reader == "grpo" and len({tuple(row.said["keys"]) for row in rows}) > 1:
        raise RefusedError("GRPO collates every key: all rows need the same ones")
    return rows


def _row(place: int, data: bytes, annotation: dict[str, Any], reader: Reader) -> SpecRow:
    image = stored_image(data)
    if min(image.size_wh) < 28:
        raise RefusedError("a side below 28 pixels is skipped")
    smart_resize(image.size_wh, LIMITS)
    facts = list(_boxes(annotation, image, reader))
    if reader == "grounding@U":
        facts += _points(annotation, image)
    if reader == "grpo" and GRPO_NAMES & annotation.keys():
        raise RefusedError(f"a key of the trainer's own: {GRPO_NAMES & annotation.keys()}")
    is_skipped = not facts and reader != "grpo"  # a message, and its successor is trained twice (§2.3)
    return SpecRow(place, tuple(facts), image, {"keys": sorted(annotation), "skipped": is_skipped})


def _boxes(annotation: dict[str, Any], image: StoredImage, reader: Reader) -> list[Fact]:
    if "boxes" not in annotation:
        if reader == "grounding@U" and "points" in annotation:
            return []  # PointingTSVDataset reads it
        raise RefusedError("KeyError: boxes")
    facts = []
    for entry in annotation["boxes"]:
        phrase, numbers = named(entry), entry["bbox"]
        if numbers is None:
            if reader != "grounding@U":
                raise RefusedError("a null box makes an inhomogeneous array, or a ground truth of [None]")
            facts.append(Fact(image.key, phrase, "absent"))
        elif len(numbers) != 4:
            raise RefusedError("a box has four numbers")
        else:
            facts.append(exact(image.key, phrase, "box", numbers))
    return facts


def _points(annotation: dict[str, Any], image: StoredImage) -> list[Fact]:
    facts = []
    for entry in annotation.get("points", []):
        numbers = entry["point"]
        absent = Fact(image.key, named(entry), "absent")
        facts.append(absent if numbers is None else exact(image.key, named(entry), "point", numbers))
    return facts


def named(entry: dict[str, Any]) -> str:
    """Return an entry's words; `caption` stands in where `phrase` is missing (§1.5)."""
    phrase = entry["phrase"] if "phrase" in entry else entry.get("caption")
    if not isinstance(phrase, str):
        raise RefusedError("Error modifying category name")
    return phrase
