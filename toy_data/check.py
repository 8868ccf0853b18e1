"""Check the toy data's files against a fresh drawing, by readers of their own: nothing here uses groundprep.

The readers follow the formats' descriptions, so that a mistake in groundprep cannot hide itself.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from toy_data.build import Row, ToyData, ToyImage

MAX_TOTAL_BYTES = 6_000_000
JPEG_MEAN_TOLERANCE = 1.0
JPEG_MAX_TOLERANCE = 16
"""Grey levels by which a JPEG may differ from a fresh one where another Pillow made it; with the same one, none."""

# Source: EasyR1 @b44b311 verl/trainer/config.py (defaults) and transformers 4.57.6 smart_resize.
EASYR1_MIN_PIXELS, EASYR1_MAX_PIXELS = 262_144, 4_194_304
PROCESSOR_MIN_PIXELS, PROCESSOR_MAX_PIXELS = 3_136, 12_845_056
FACTOR = 28

NOTHING = (None,)
"""Rex-Omni's boxes of a phrase that is not in the image."""


def check(root: Path, toy: ToyData, files: dict[str, bytes]) -> list[str]:
    """Return what is wrong with the files under root, one line each; nothing if they are as drawn.

    Args:
        root: where the files are.
        toy: a fresh drawing.
        files: the annotation files that belong to it.
    """
    missing = [name for name in (*files, "toy.easyr1.parquet", "toy.versions.json") if not (root / name).is_file()]
    missing += [image.name for image in toy.images if not (root / image.name).is_file()]
    if missing:
        return [f"{name}: the file is missing" for name in missing]
    return [
        *_check_images(root, toy),
        *_check_texts(root, files),
        *_check_json(root, toy),
        *_check_tsv(root, toy),
        *_check_parquet(root, toy),
        *_check_photos(root),
        *_check_size(root),
    ]


def _check_images(root: Path, toy: ToyData) -> Iterator[str]:
    same_pillow = json.loads((root / "toy.versions.json").read_text())["pillow"] == version("pillow")
    for image in toy.images:
        stored = (root / image.name).read_bytes()
        if stored != image.data:
            yield from _compare_pixels(image, stored, exact=image.name.endswith(".png") or same_pillow)
    drawn = {image.name for image in toy.images}
    for path in root.glob("images/**/*.*"):
        name = path.relative_to(root).as_posix()
        if name not in drawn:
            yield f"{name}: no scene of this name is drawn"


def _compare_pixels(image: ToyImage, stored: bytes, *, exact: bool) -> Iterator[str]:
    with Image.open(io.BytesIO(stored)) as found, Image.open(io.BytesIO(image.data)) as drawn:
        if (found.format, found.mode, found.size) != (drawn.format, drawn.mode, drawn.size):
            yield f"{image.name}: found {found.format} {found.mode} {found.size}, drawn {drawn.format} {drawn.mode} {drawn.size}"
            return
        if dict(found.getexif()) != dict(drawn.getexif()):
            yield f"{image.name}: its EXIF data differ"
        difference = np.abs(np.asarray(found).astype(int) - np.asarray(drawn).astype(int))
    allowed_mean, allowed_max = (0.0, 0) if exact else (JPEG_MEAN_TOLERANCE, JPEG_MAX_TOLERANCE)
    if difference.mean() > allowed_mean or difference.max() > allowed_max:
        yield f"{image.name}: pixels differ by up to {difference.max()}, {difference.mean():.2f} on average"


def _check_texts(root: Path, files: dict[str, bytes]) -> Iterator[str]:
    for name, data in files.items():
        # The payloads of the TSV are the files' own bytes, which another version of Pillow encodes differently.
        if name != "toy.images.tsv" and not name.startswith("toy.annotations") and (root / name).read_bytes() != data:
            yield f"{name}: it is not what is drawn"


def _check_json(root: Path, toy: ToyData) -> Iterator[str]:
    if json.loads((root / "toy.rexthinker.json").read_bytes()) != list(toy.rows):
        yield "toy.rexthinker.json: its records are not those of toy.rexthinker.jsonl"


def _check_tsv(root: Path, toy: ToyData) -> Iterator[str]:
    """Read the TSV as Rex-Omni's loader does: seek to a byte offset, read a line, split at the tab."""
    images, annotations, lineidx = (
        (root / f"toy.{name}").read_bytes() for name in ("images.tsv", "annotations.tsv", "annotations.tsv.lineidx")
    )
    entries = [int(line) for line in lineidx.splitlines()]
    starts = [0, *(i + 1 for i, byte in enumerate(annotations[:-1]) if byte == ord("\n"))]
    if entries != starts or lineidx != b"".join(b"%d\n" % start for start in starts):
        yield "toy.annotations.tsv.lineidx: its entries are not the offsets of the annotation lines"
        return
    if len(entries) != len(toy.rows):
        yield f"toy.annotations.tsv: {len(entries)} lines for {len(toy.rows)} records"
        return
    used: set[int] = set()
    for row, start in zip(toy.rows, entries, strict=True):
        offset, text = _line(annotations, start).split("\t")
        expected = {"boxes": [{"bbox": box, "phrase": row["referring"]} for box in (boxes_of(row) or NOTHING)]}
        if text != json.dumps(expected, ensure_ascii=False):
            yield f"toy.annotations.tsv: the line of {row['id']} is not its record"
        own_offset, payload = _line(images, int(offset)).split("\t")
        if own_offset != offset or base64.b64decode(payload, validate=True) != (root / row["image_name"]).read_bytes():
            yield f"toy.images.tsv: the image of {row['id']} is not {row['image_name']}"
        used.add(int(offset))
    if used != {0, *(i + 1 for i, byte in enumerate(images[:-1]) if byte == ord("\n"))}:
        yield "toy.images.tsv: an image is stored that no record uses"


def _line(data: bytes, start: int) -> str:
    return data[start : data.index(b"\n", start)].decode("utf-8")


def boxes_of(row: Row) -> list[list[float]]:
    """Return the boxes of `ans`: one flat box, a list of boxes, or none."""
    answers: list[Any] = row["ans"]
    return answers if not answers or isinstance(answers[0], list) else [answers]


def _check_parquet(root: Path, toy: ToyData) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(root / "toy.easyr1.parquet")
    image_type = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    expected = pa.schema([("images", image_type), ("problem", pa.string()), ("answer", pa.string())])
    if not table.schema.equals(expected, check_metadata=False):
        yield f"toy.easyr1.parquet: the columns are {table.schema.names} of other types than EasyR1 reads"
        return
    if table.num_rows != len(toy.rows):
        yield f"toy.easyr1.parquet: {table.num_rows} rows for {len(toy.rows)} records"
        return
    for row, found in zip(toy.candidate_rows, table.to_pylist(), strict=True):
        stored = (root / row["image_name"]).read_bytes()
        if found["images"] != [{"bytes": stored, "path": row["image_name"]}]:
            yield f"toy.easyr1.parquet: the image of {row['id']} is not the file {row['image_name']}"
        with Image.open(io.BytesIO(stored)) as image:
            problem, answer = training_text(row, image.size)
        if (found["problem"], found["answer"]) != (problem, answer):
            yield f"toy.easyr1.parquet: the text of {row['id']} is not what EasyR1's resize chain asks for"


def training_text(row: Row, size_wh: tuple[int, int]) -> tuple[str, str]:
    """Return problem and answer of a row. Source: Rex-Thinker convert_dataset.py @5038b47 (text, truncation, clamping)."""
    seen_wh = easyr1_seen_wh(size_wh)
    hint = {row["category"]: [_seen_box(c["bbox"], size_wh, seen_wh) for c in row["candidate_boxes"]]}
    objects = [{"bbox_2d": _seen_box(box, size_wh, seen_wh), "label": row["referring"]} for box in boxes_of(row)]
    problem = "<image>Hint: Object and its coordinates in this image: " + json.dumps(hint)
    problem += "\nPlease detect " + row["referring"] + " in this image."
    return problem, "```json\n" + json.dumps(objects) + "\n```"


def easyr1_seen_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return the size that the model sees: EasyR1's square-root resize, then the processor's multiples of 28."""
    width, height = size_wh
    if width * height > EASYR1_MAX_PIXELS:
        factor = math.sqrt(EASYR1_MAX_PIXELS / (width * height))
        width, height = int(width * factor), int(height * factor)
    if width * height < EASYR1_MIN_PIXELS:
        factor = math.sqrt(EASYR1_MIN_PIXELS / (width * height))
        width, height = int(width * factor), int(height * factor)
    seen_wh = (round(width / FACTOR) * FACTOR, round(height / FACTOR) * FACTOR)
    if not PROCESSOR_MIN_PIXELS <= seen_wh[0] * seen_wh[1] <= PROCESSOR_MAX_PIXELS:
        raise ValueError(f"{size_wh}: the toy images never reach the processor's own limits")
    return seen_wh


def _seen_box(box_xyxy: list[float], size_wh: tuple[int, int], seen_wh: tuple[int, int]) -> list[int]:
    numbers = []
    for index, pixels in enumerate(box_xyxy):
        side, seen = size_wh[index % 2], seen_wh[index % 2]
        numbers.append(min(max(int(pixels / side * seen), 0), seen - 1))
    return numbers


def _check_photos(root: Path) -> Iterator[str]:
    """Check what was drawn by hand: boxes lie in the photograph, and every answer is one of the candidates."""
    path = root / "photos.rexthinker.jsonl"
    if not path.is_file():
        yield "photos.rexthinker.jsonl: the file is missing"
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        photo = root / row["image_name"]
        if not photo.is_file():
            yield f"{row['image_name']}: the file is missing"
            continue
        with Image.open(photo) as image:
            width, height = image.size
        candidates = [candidate["bbox"] for candidate in row["candidate_boxes"]]
        for left, top, right, bottom in candidates:
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                yield f"photos.rexthinker.jsonl: {row['id']}: a box is not inside {row['image_name']}"
        if any(box not in candidates for box in boxes_of(row)):
            yield f"photos.rexthinker.jsonl: {row['id']}: an answer is not among the candidates"
    if len({row["id"] for row in rows}) != len(rows):
        yield "photos.rexthinker.jsonl: an id is used twice"


def _check_size(root: Path) -> Iterator[str]:
    files = [path for pattern in ("toy.*", "photos.*", "images/**/*", "photos/*") for path in root.glob(pattern)]
    total = sum(path.stat().st_size for path in files if path.is_file())
    if total > MAX_TOTAL_BYTES:
        yield f"the files have {total} bytes together; at most {MAX_TOTAL_BYTES} are to be committed"
