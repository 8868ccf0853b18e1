"""What the readers are given: files written by `groundprep convert`, and what is in them by the sources that we wrote by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tests.interop.environments import ROOT, last_line

TOY = ROOT / "toy_data"
SIZES_WH = {"bilder/straße 0.png": (61, 37), "bilder/été 狗.jpg": (120, 90), "bilder/leer.png": (90, 64)}
SQUARE = {"size": [37, 61], "counts": "g;?f00000000000000000000000000000000000000fS1"}
"""A compressed mask: columns 10 to 29, rows 5 to 19."""
CROWD = {"size": [90, 120], "counts": [100, 50, 10_650]}
TABLE_PROFILES = ("easyr1", "rexthinker", "trl", "trl-sft")
TINY_MODEL = TOY / "vlm"
_SIZE = json.loads((TINY_MODEL / "processor_config.json").read_text(encoding="utf-8"))["image_processor"]["size"]
TINY_LIMITS = (_SIZE["shortest_edge"], _SIZE["longest_edge"])
"""min_pixels, max_pixels of the tiny model's own processor, which alone resizes under TRL."""

COCO: dict[str, Any] = {  # no `info`, no `licenses`; an image without boxes; ids that are not in order
    "images": [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in zip((42, 7, 9), SIZES_WH.items(), strict=True)
    ],
    "annotations": [
        {"id": 5, "image_id": 42, "category_id": 3, "bbox": [7.5, 3, 32.5, 18.25], "area": 593.125, "iscrowd": 0,
         "segmentation": [[7.5, 3, 40, 3, 40, 21.25, 7.5, 21.25], [50, 30, 58, 30, 58, 35]]},
        {"id": 8, "image_id": 42, "category_id": 18, "bbox": [10, 5, 20, 15], "area": 300, "iscrowd": 0,
         "segmentation": SQUARE},
        {"id": 6, "image_id": 7, "category_id": 3, "bbox": [1, 2, 30.25, 40], "area": 1210, "iscrowd": 0},
        {"id": 900_100_000_042, "image_id": 7, "category_id": 18, "bbox": [0, 0, 120, 90], "area": 50, "iscrowd": 1,
         "segmentation": CROWD},
    ],
    "categories": [
        {"id": 3, "name": "Straßenbahn", "supercategory": "véhicule"},
        {"id": 18, "name": "狗", "supercategory": "animal"},
    ],
}  # fmt: skip

LVIS: dict[str, Any] = {
    "info": {"version": "v1"},
    "images": [
        {"id": number, "coco_url": f"http://images.cocodataset.org/{name}", "width": width, "height": height,
         "neg_category_ids": absent, "not_exhaustive_category_ids": some}
        for number, (name, (width, height)), absent, some in zip(
            (11, 12, 13), SIZES_WH.items(), ([5, 9], [], [9]), ([2], [], []), strict=True
        )
    ],
    "annotations": [
        {"id": 1, "area": 300.5, "segmentation": [[7.5, 3, 40, 3, 40, 21.25]], "image_id": 11,
         "bbox": [7.5, 3, 32.5, 18.25], "category_id": 2},
        {"id": 2, "area": 12, "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]], "image_id": 12, "bbox": [1, 2, 3, 4],
         "category_id": 5},
    ],
    "categories": [
        {"id": number, "name": name, "synset": synset, "synonyms": [name], "frequency": "r", "def": "…",
         "image_count": 1, "instance_count": 1}
        for number, name, synset in ((2, "Straßenbahn", "tram.n.01"), (5, "狗", "dog.n.01"), (9, "café", "cafe.n.01"))
    ],
}  # fmt: skip

REXOMNI: list[dict[str, Any]] = [
    {"image_name": "bilder/straße 0.png", "annotation": {"boxes": [
        {"bbox": [7.5, 3, 40, 21.25], "phrase": "chien à gauche"}, {"bbox": [1, 2, 30, 36], "phrase": "狗"},
        {"bbox": [2, 2.5, 31, 36], "phrase": "狗"}, {"bbox": None, "phrase": "Straßenbahn"}]}},
    {"image_name": "bilder/leer.png", "annotation": {"boxes": []}},
]  # fmt: skip

Box = tuple[str, str, float, float, float, float]
"""An image's name, a category's name, x, y, width, height."""


class ConvertError(Exception):
    """`groundprep convert` did not do what the readers were to judge."""


@dataclass(frozen=True)
class Document:
    """A COCO or LVIS document that was written, and what its source says."""

    path: Path
    images: int
    categories: int
    boxes: tuple[Box, ...]
    crowd: int = 0
    source: Path | None = None
    """The source, where it is a document of the same kind: its masks must be the same."""


@dataclass(frozen=True)
class Table:
    """A parquet file that was written for a trainer, and the source of its rows."""

    path: Path
    profile: str
    source: Path
    rows: int


@dataclass(frozen=True)
class Inputs:
    """All files that the readers are given, by a name for the report."""

    coco: Mapping[str, Document]
    lvis: Mapping[str, Document]
    tables: Mapping[str, Table]
    trained: Mapping[str, Path] = field(default_factory=dict)


def make(folder: Path) -> Inputs:
    """Write the sources and convert them; raises ConvertError."""
    sources = write_sources(folder / "sources")
    coco = {
        "coco from coco": _of_coco(
            COCO, sources / "coco.json", _document(folder, "coco", sources / "coco.json", sources)
        ),
        "coco from lvis": _of_coco(LVIS, None, _document(folder, "coco-lvis", sources / "lvis.json", sources)),
        "coco from rexomni": _of_rexomni(_document(folder, "coco-rexomni", sources / "rexomni.jsonl", sources)),
        "coco from rexthinker": _of_toy(_document(folder, "coco-toy", TOY / "toy.rexthinker.jsonl", TOY)),
    }
    written = _document(folder, "lvis", sources / "lvis.json", sources, to="lvis")
    toy = TOY / "toy.candidates.rexthinker.jsonl"
    tables = {}
    for profile in TABLE_PROFILES:
        table = tables[f"{profile} from rexthinker"] = Table(folder / f"{profile}.parquet", profile, toy, rows=84)
        convert(toy, table.path, "--for", profile, "--image-root", str(TOY))
        table = Table(folder / f"{profile}.coco.parquet", profile, sources / "coco.json", rows=len(COCO["annotations"]))
        # An image without boxes has nothing to ask for: it is dropped, with the exit code that says so.
        flags = ("--image-root", str(sources), "--on-error", "drop")
        convert(table.source, table.path, "--for", profile, *flags, exit_code=5)
        tables[f"{profile} from coco"] = table
    trained = {}
    for profile in ("trl", "trl-sft"):
        trained[profile] = folder / f"{profile}.tiny.parquet"
        low, high = map(str, TINY_LIMITS)
        limits = ("--min-pixels", low, "--max-pixels", high)
        convert(toy, trained[profile], "--for", profile, "--image-root", str(TOY), "--exif", "bake", *limits)
    return Inputs(coco, {"lvis from lvis": _of_coco(LVIS, sources / "lvis.json", written)}, tables, trained)


def write_sources(folder: Path) -> Path:
    """Write images, COCO, LVIS and Rex-Omni's annotations as people have them."""
    for number, (name, size_wh) in enumerate(SIZES_WH.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size_wh, 40 + number).convert("RGB").save(folder / name)
    for name, value in (("coco", COCO), ("lvis", LVIS)):
        (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in REXOMNI)
    (folder / "rexomni.jsonl").write_text(rows, encoding="utf-8")
    return folder


def convert(src: Path, dst: Path, *flags: str, exit_code: int = 0) -> None:
    """Run `groundprep convert` as a person would; raises ConvertError for another exit code."""
    command = [sys.executable, "-m", "groundprep", "convert", str(src), str(dst), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode != exit_code:
        raise ConvertError(
            f"groundprep convert {src.name} {dst.name}: exit {done.returncode}: {last_line(done.stderr)}"
        )


def _document(folder: Path, name: str, src: Path, images: Path, *, to: str = "coco") -> Path:
    """Convert to a document that lies beside its images as everyone lays them out: annotations/, images/train/."""
    path = folder / name / "annotations" / "instances_train.json"
    convert(src, path, "--to", to, "--image-root", str(images))
    for file in json.loads(path.read_text(encoding="utf-8"))["images"]:
        target = folder / name / "images" / "train" / _name(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / _name(file), target)
    return path


def _name(entry: Mapping[str, Any]) -> str:
    name: str = entry.get("file_name") or "/".join(entry["coco_url"].split("/")[-2:])
    return name


def _of_coco(document: Mapping[str, Any], source: Path | None, path: Path) -> Document:
    names = {entry["id"]: _name(entry) for entry in document["images"]}
    categories = {entry["id"]: entry["name"] for entry in document["categories"]}
    boxes = [(names[a["image_id"]], categories[a["category_id"]], *a["bbox"]) for a in document["annotations"]]
    crowd = sum(a.get("iscrowd", 0) for a in document["annotations"])
    return Document(path, len(names), len(categories), tuple(boxes), crowd, source)


def _of_rexomni(path: Path) -> Document:
    entries = [(row["image_name"], entry) for row in REXOMNI for entry in row["annotation"]["boxes"]]
    boxes = tuple((name, entry["phrase"], *_xywh(entry["bbox"])) for name, entry in entries if entry["bbox"])
    return Document(path, len(REXOMNI), len({phrase for _, phrase, *_ in boxes}), boxes)


def _of_toy(path: Path) -> Document:
    """What the toy expressions say: a box for each answer, under the category's name."""
    lines = (TOY / "toy.rexthinker.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    boxes: list[Box] = []
    for row in rows:
        ans = row["ans"] if not row["ans"] or isinstance(row["ans"][0], list) else [row["ans"]]
        boxes += [(row["image_name"], row["category"], *_xywh(box)) for box in ans]
    return Document(path, len({row["image_name"] for row in rows}), len({name for _, name, *_ in boxes}), tuple(boxes))


def _xywh(box: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return (x0, y0, x1 - x0, y1 - y0)
