"""Draw the toy data set: scenes of coloured shapes, expressions with exactly one meaning, and every layout of them.

    python toy_data/build.py            draw and write everything under toy_data/
    python toy_data/build.py --check    draw again and compare with the files: pixels, annotations, TSV bytes, parquet

Everything but the parquet is written by the few lines here, from the formats' descriptions, so that groundprep's own
readers and writers can be tested against files that they did not make. The parquet is written by groundprep and checked by
`toy_data.check`, which knows nothing of groundprep.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `python toy_data/build.py` works

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toy_data.expressions import Expression, iter_expressions, solve, text_of
from toy_data.scenes import SIZES_WH, BoxXyxy, Scene, SceneObject, draw_scene

SEED = 2025
SCENES = 28
ROWS_PER_SCENE = 3
JPEG_QUALITY = 92
EXIF_ORIENTATION_TAG = 0x0112
ROTATED_90 = 6
"""EXIF: the picture is shown after turning the stored pixels a quarter clockwise."""

HERE = Path(__file__).resolve().parent
PINNED = ("numpy", "pillow", "pyarrow")

Variant = Literal["plain", "exif", "gray", "alpha"]
VARIANTS: dict[int, Variant] = {3: "exif", 8: "gray", 11: "alpha"}
SUBDIRECTORY_SCENE = 5
KINDS = ("attribute", "every", "none", "foreign", "every", "extreme")
"""These take turns, and what few scenes allow comes twice; a relation is asked wherever a scene has one."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToyImage:
    """One drawn image.

    Args:
        name: relative to toy_data.
        objects: what is drawn, as people see it.
        boxes_xyxy: the objects' boxes in pixels of the stored image.
        pixels: the stored image, (h, w) or (h, w, channels) uint8.
        data: the file.
    """

    number: int
    variant: Variant
    name: str
    objects: tuple[SceneObject, ...]
    boxes_xyxy: tuple[BoxXyxy, ...]
    pixels: NDArray[np.uint8]
    data: bytes


@dataclass(frozen=True, slots=True)
class ToyData:
    """Everything that is drawn: images, rows, and the rows with the objects of their category as candidates."""

    images: tuple[ToyImage, ...]
    rows: tuple[Row, ...]
    candidate_rows: tuple[Row, ...]


def draw_everything() -> ToyData:
    """Return the toy data; the same for the same SEED and versions of numpy and Pillow."""
    images, rows, candidate_rows = [], [], []
    for number in range(SCENES):
        image = _draw_image(number)
        images.append(image)
        rng = np.random.default_rng([SEED, number, 1])
        for part, (expression, meant) in enumerate(choose_expressions(image, rng)):
            boxes = [list(image.boxes_xyxy[index]) for index in meant]
            category = expression.words.shape
            row: Row = {
                "id": f"toy-{number:02d}-{part}",
                "image_name": image.name,
                "image_id": number,
                "ans": boxes[0] if len(boxes) == 1 else boxes,
                "category": category,
                "referring": text_of(expression),
            }
            same = [list(b) for o, b in zip(image.objects, image.boxes_xyxy, strict=True) if o.shape == category]
            shuffled = [{"bbox": same[index], "category": category} for index in rng.permutation(len(same))]
            rows.append(row)
            candidate_rows.append(row | {"candidate_boxes": shuffled})
    return ToyData(tuple(images), tuple(rows), tuple(candidate_rows))


def _draw_image(number: int) -> ToyImage:
    """Return one image; the number of objects goes from one to six and starts again."""
    size_wh, wanted = SIZES_WH[number % len(SIZES_WH)], number // 2 % 6 + 1
    for attempt in range(100):
        scene = draw_scene(
            size_wh, np.random.default_rng([SEED, number, 0, attempt]), min_objects=0, max_objects=wanted
        )
        variant = VARIANTS.get(number, "plain")
        if len(scene.objects) == wanted and (wanted < 3 or _has_relation(scene)):
            return _encode(number, variant, scene)
    raise RuntimeError(f"scene {number}: no drawing with {wanted} objects was found in 100 attempts")


def _has_relation(scene: Scene) -> bool:
    """Say whether one of several like objects can be told by its place: pictures that make a model look."""
    expressions = iter_expressions(scene.objects, colours=False, places=True)
    return any(expression.kind == "relation" and solve(expression, scene.objects) for expression in expressions)


def _encode(number: int, variant: Variant, scene: Scene) -> ToyImage:
    """Store a scene in the way that its number asks for."""
    picture, boxes, exif = Image.fromarray(scene.image), tuple(item.box_xyxy for item in scene.objects), Image.Exif()
    if variant == "gray":
        picture = picture.convert("L")
    elif variant == "alpha":
        picture.putalpha(Image.fromarray(_alpha(scene)))
    elif variant == "exif":
        # Stored a quarter counter-clockwise, so that a viewer that obeys the tag turns it back.
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        width = scene.size_wh[0]
        boxes = tuple((b[1], round(width - b[2], 2), b[3], round(width - b[0], 2)) for b in boxes)
        exif[EXIF_ORIENTATION_TAG] = ROTATED_90
    is_png = variant in ("gray", "alpha") or number % 6 == 2
    folder = "images/shelf/" if number == SUBDIRECTORY_SCENE else "images/"
    name = f"{folder}scene_{number:02d}{'.png' if is_png else '.jpg'}"
    buffer = io.BytesIO()
    if is_png:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return ToyImage(number, variant, name, scene.objects, boxes, np.asarray(picture), buffer.getvalue())


def _alpha(scene: Scene) -> NDArray[np.uint8]:
    """Return an (h, w) alpha channel: objects opaque, the background fading out to the right."""
    width, height = scene.size_wh
    alpha = np.tile(np.linspace(255.0, 96.0, width).astype(np.uint8), (height, 1))
    for left, top, right, bottom in (item.box_xyxy for item in scene.objects):
        alpha[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 255
    return alpha


def choose_expressions(image: ToyImage, rng: np.random.Generator) -> list[tuple[Expression, tuple[int, ...]]]:
    """Return expressions of different kinds with the objects that they mean; the kinds take turns from scene to scene."""
    groups: dict[str, list[tuple[Expression, tuple[int, ...]]]] = {kind: [] for kind in ("relation", *KINDS)}
    for expression in iter_expressions(image.objects, colours=image.variant != "gray", places=image.variant != "exif"):
        meant = solve(expression, image.objects)
        if meant is None:
            continue
        if expression.language != "en" and text_of(expression).isascii():
            continue
        if meant:
            groups[expression.kind].append((expression, meant))
        elif expression.kind != "foreign" and (expression.words.colour is not None or expression.anchor is not None):
            groups["none"].append((expression, meant))
    turn = image.number % len(KINDS)
    chosen: list[tuple[Expression, tuple[int, ...]]] = []
    for kind in dict.fromkeys(("relation", *KINDS[turn:], *KINDS[:turn])):
        if groups[kind] and len(chosen) < ROWS_PER_SCENE:
            chosen.append(groups[kind][int(rng.integers(len(groups[kind])))])
    return chosen


def rexomni_rows(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield each row as Rex-Omni's annotation of one phrase; null where nothing answers it."""
    for row in rows:
        boxes: list[Any] = row["ans"] if not row["ans"] or isinstance(row["ans"][0], list) else [row["ans"]]
        entries = [{"bbox": box, "phrase": row["referring"]} for box in boxes or [None]]
        yield {"image_name": row["image_name"], "id": row["id"], "annotation": {"boxes": entries}}


def tsv_files(rows: Sequence[Row], image_bytes: dict[str, bytes]) -> tuple[bytes, bytes, bytes]:
    """Return images, annotations and line index as bytes; an image is stored where it is first used.

    Source: Rex-Omni @478e44f convert_json_data_to_tsv.py (its layout; payloads are the files' own bytes).
    """
    images, annotations, lineidx = bytearray(), bytearray(), bytearray()
    offsets: dict[str, int] = {}
    for row in rows:
        name = row["image_name"]
        if name not in offsets:
            offsets[name] = len(images)
            images += b"%d\t%b\n" % (len(images), base64.b64encode(image_bytes[name]))
        lineidx += b"%d\n" % len(annotations)
        text = json.dumps(row["annotation"], ensure_ascii=False).encode("utf-8")
        annotations += b"%d\t%b\n" % (offsets[name], text)
    return bytes(images), bytes(annotations), bytes(lineidx)


def text_files(toy: ToyData) -> dict[str, bytes]:
    """Return the bytes of every annotation file that is written here, by its name relative to toy_data."""
    omni = list(rexomni_rows(toy.rows))
    lines = [json.dumps(row, ensure_ascii=False) for row in toy.rows]
    images, annotations, lineidx = tsv_files(omni, {image.name: image.data for image in toy.images})
    return {
        "toy.rexthinker.jsonl": _lines(toy.rows),
        "toy.rexthinker.json": ("[\n" + ",\n".join(lines) + "\n]\n").encode("utf-8"),
        "toy.candidates.rexthinker.jsonl": _lines(toy.candidate_rows),
        "toy.rexomni.jsonl": _lines(omni),
        "toy.images.tsv": images,
        "toy.annotations.tsv": annotations,
        "toy.annotations.tsv.lineidx": lineidx,
    }


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")


def build(root: Path) -> None:
    """Write everything under root, and remove images of earlier builds."""
    toy = draw_everything()
    for old in root.glob("images/**/*.*"):
        old.unlink()
    files = {image.name: image.data for image in toy.images} | text_files(toy)
    files["toy.versions.json"] = (json.dumps({name: version(name) for name in PINNED}, indent=2) + "\n").encode()
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    _write_parquet(root)


def _write_parquet(root: Path) -> None:
    """Let groundprep write the training rows of EasyR1 from the rows with candidates."""
    from tempfile import TemporaryDirectory

    from groundprep.api.convert import ConvertConfig, convert
    from groundprep.api.sources import SourceConfig

    with TemporaryDirectory() as directory:
        dst = Path(directory) / "toy.easyr1.parquet"
        source = SourceConfig((str(root / "toy.candidates.rexthinker.jsonl"),))
        convert(ConvertConfig(source, str(dst), profile="easyr1"))
        (root / dst.name).write_bytes(dst.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check; returns the exit code."""
    parser = argparse.ArgumentParser(description="Draw the toy data, or check that its files are what is drawn.")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("--root", type=Path, default=HERE, help="where the files are (default: toy_data)")
    options = parser.parse_args(arguments)
    if not options.check:
        build(options.root)
    from toy_data.check import check

    toy = draw_everything()
    problems = check(options.root, toy, text_files(toy))
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(toy.rows)} records over {len(toy.images)} scenes: every file is as drawn")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
