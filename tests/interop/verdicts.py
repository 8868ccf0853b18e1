"""What a reader saw, held against what the sources say. Each problem is one line: what was found, and what should have been."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.interop.inputs import TINY_LIMITS, TOY, Document, Table
from tests.spec_readers import annotated_files, easyr1, rexthinker, trl
from tests.spec_readers.facts import Fact, RefusedError, SpecRow
from tests.spec_readers.matching import is_same_place, matched
from tests.spec_readers.resize import smart_resize

BOX_TOLERANCE_PX = 1e-3
"""supervision keeps boxes as float32."""
GOOD_PRECISION = 0.999
TOY_ROWS = TOY / "toy.candidates.rexthinker.jsonl"


def document_problems(wanted: Document, seen: Mapping[str, Any], *, stems: bool = False) -> Iterator[str]:
    """Yield what differs; `stems`: the reader names images without their extension."""
    for name in ("images", "categories", "crowd"):
        if seen[name] != getattr(wanted, name):
            yield f"{seen[name]} {name} instead of {getattr(wanted, name)}"
    if seen["annotations"] != len(wanted.boxes):
        yield f"{seen['annotations']} annotations instead of {len(wanted.boxes)}"
    rest = [(_stem(name) if stems else name, category, *numbers) for name, category, *numbers in wanted.boxes]
    for box in seen["boxes"]:
        partner = next((known for known in rest if _is_same(box, known)), None)
        if partner is None:
            yield f"a box that the source has not: {box}"
        else:
            rest.remove(partner)
    if rest:
        yield f"{len(rest)} boxes of the source are not there, such as {rest[0]}"
    if seen.get("average_precision", 1) < GOOD_PRECISION:
        yield f"the document's own boxes score {seen['average_precision']:.3f} instead of 1"
    if seen.get("detected", ["coco_instances"]) != ["coco_instances"]:
        yield f"recognised as {seen['detected']} instead of coco_instances"


def mask_problems(seen: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if a mask does not cover as many pixels as in the source that it was read from."""
    written, original = dict(map(tuple, seen["masks"])), dict(map(tuple, source["masks"]))
    if written != original:
        yield f"masks of {written} pixels instead of {original}"


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _is_same(box: Sequence[Any], known: Sequence[Any]) -> bool:
    return list(box[:2]) == list(known[:2]) and all(
        math.isclose(a, b, abs_tol=BOX_TOLERANCE_PX) for a, b in zip(box[2:], known[2:], strict=True)
    )


CARRIED = ("box", "candidate", "absent")
"""What rows of boxes hold; outlines are declared lost."""

ROW_READERS: dict[str, Callable[[dict[str, Any], int], SpecRow]] = {
    "easyr1": easyr1.read_row,
    "rexthinker": rexthinker.read_row,
    "trl": trl.read_grpo_row,
    "trl-sft": trl.read_sft_row,
}
"""Profile → the trainer's rules, which read a row as the judge loaded it."""


def table_problems(table: Table, seen: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between the rows of a table and the source that they were made of."""
    if len(seen["rows"]) != table.rows:
        yield f"{len(seen['rows'])} rows instead of {table.rows}"
    if seen["sizes"] is not None and len(seen["sizes"]) != table.rows:
        yield f"{len(seen['sizes'])} rows of decoded images instead of {table.rows}"
    folder = table.source.parent
    facts: list[Fact] = []
    images = _images(folder)
    for number, value in enumerate(seen["rows"], start=1):
        try:
            facts += ROW_READERS[table.profile](_with_bytes(value, images), number).facts
        except (RefusedError, KeyError) as error:
            yield f"row {number}: {error}"
    read = annotated_files.read_coco if table.source.suffix == ".json" else annotated_files.read_rexthinker
    known = [fact for row in read(table.source, folder) for fact in row.facts if fact.kind in CARRIED]
    found = matched(facts, known, is_same_place)
    if found.made_up or found.missing:
        yield f"the rows say {found.made_up[:1]} instead of {found.missing[:1]}"


def _images(folder: Path) -> dict[str, bytes]:
    files = [
        path.read_bytes() for name in ("images", "bilder") for path in (folder / name).rglob("*") if path.is_file()
    ]
    return {hashlib.sha256(data).hexdigest(): data for data in files}


def _with_bytes(value: Any, images: Mapping[str, bytes]) -> Any:
    """Return a judged row with its images' bytes; KeyError: bytes that are none of the source's, untouched."""
    if isinstance(value, dict):
        is_digest = set(value) == {"sha256"}
        return images[value["sha256"]] if is_digest else {key: _with_bytes(item, images) for key, item in value.items()}
    return [_with_bytes(item, images) for item in value] if isinstance(value, list) else value


def training_problems(profile: str, seen: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a training: no step, a reward without its truth, an image of another size than the boxes."""
    rows = len(TOY_ROWS.read_text(encoding="utf-8").splitlines())
    if seen["rows"] != rows:
        yield f"{seen['rows']} rows instead of {rows}"
    if not seen["steps"] or not seen["loss_is_finite"]:
        yield f"{seen['steps']} steps, the loss is {'' if seen['loss_is_finite'] else 'not '}finite"
    if profile == "trl" and (not seen["solutions"] or seen["foreign_solutions"]):
        yield f"{seen['solutions']} solutions reached the reward, {seen['foreign_solutions']} of them none of ours"
    for stored, found in zip(seen.get("stored_wh", ()), seen.get("seen_wh", ()), strict=True):
        wanted = smart_resize(tuple(stored), TINY_LIMITS, raises_below_factor=False)
        if tuple(found) != wanted:
            yield f"an image of {stored} is seen at {found} instead of {wanted}, the pixels of its boxes"


def counted(seen: Mapping[str, Any]) -> str:
    """Return in a few words what a reader saw of one file."""
    if "boxes" in seen:
        masks = len(seen.get("masks", seen.get("mask_pixels", ())))
        shapes = f", {masks} masks" if masks else ""
        boxes = f"{seen['annotations']} annotations ({seen['crowd']} crowd)"
        return f"{seen['images']} images, {boxes}, {seen['categories']} categories{shapes}"
    if "steps" in seen:
        return f"{seen['rows']} rows, {seen['steps']} training steps"
    images = Counter(type(row["images"]).__name__ for row in seen["rows"])
    return f"{len(seen['rows'])} rows, images as {' and '.join(images)}"
