"""The real-shaped files: every dialect and corpus, with images of the sizes that they are about, and what they say."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.spec_readers import annotated_files, easydistill, easyr1, qwen_vl, rexthinker, trl, vlmr1
from tests.spec_readers.facts import SpecRow
from tests.spec_readers.parquet_rows import rows_of

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/fixtures"
STREETS = {"bilder/straße 0.png": (61, 37), "bilder/straße 1.png": (640, 426), "bilder/straße 2.png": (90, 333)}


@dataclass(frozen=True)
class Case:
    """One file.

    Args:
        folder: where it lies, from the repository's root.
        name: the file in it; a prefix for a TSV.
        truth: reads it by the letter of its specification, given the file and where image names start.
        images: pictures to draw: name → (width, height); those that lie in the folder are copied.
        flags: what `convert` must be told, because the file does not say it.
        rows: read this many only.
        embeds_images: whether images lie in the file.
    """

    folder: str
    name: str
    truth: Callable[[Path, Path], list[SpecRow]]
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    embeds_images: bool = False

    def prepare(self, folder: Path) -> Path:
        """Copy the file and draw its images; returns the file."""
        if not (folder / self.folder).exists():
            shutil.copytree(
                ROOT / self.folder, folder / self.folder, ignore=shutil.ignore_patterns("*.safetensors", "vlm")
            )
        for name, size_wh in self.images.items():
            draw(folder / self.folder / name, size_wh)
        if self.name.endswith("shipped.parquet"):
            write_shipped(folder / self.folder / self.name)
        return folder / self.folder / self.name

    def read(self, path: Path) -> list[SpecRow]:
        """Return what the file says."""
        return [row for row in self.truth(path, path.parent) if self.rows is None or row.number <= self.rows]


def draw(path: Path, size_wh: tuple[int, int]) -> None:
    """Write a picture of one colour, another one for every name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = tuple(hashlib.sha256(str(path.name).encode()).digest()[:3])
    if path.name == "17_0.png":  # a mask: 0 and 255
        mask = Image.new("L", size_wh)
        mask.paste(255, (10, 8, 70, 44))
        mask.save(path)
    else:
        Image.new("RGB", size_wh, colour).save(path)


def write_shipped(path: Path) -> None:
    """Write a parquet file as Rex-Thinker ships it: images binary, in the reference converter's frame (rexthinker.md §2.5)."""
    draw(path.parent / "straße 0.png", (640, 426))
    data = (path.parent / "straße 0.png").read_bytes()
    hint = '{"chien": [[402, 95, 526, 198], [94, 46, 451, 276], [202, 276, 323, 407]]}'
    problem = (
        f"<image>Hint: Object and its coordinates in this image: {hint}\nPlease detect le chien à gauche in this image."
    )
    answer = '```json\n[{"bbox_2d": [94, 46, 451, 276], "label": "le chien \\u00e0 gauche"}]\n```'
    table = pa.table({"images": [data] * 2, "problem": [problem] * 2, "answer": [answer, "```json\n[]\n```"]})
    pq.write_table(table, path)


def _photo(width: int, height: int, *names: str) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(names, (width, height))


TOY = "toy_data"
CASES = {
    "rexthinker": Case(TOY, "toy.candidates.rexthinker.jsonl", annotated_files.read_rexthinker),
    "rexthinker without candidates": Case(TOY, "toy.rexthinker.json", annotated_files.read_rexthinker, rows=12),
    "rexthinker photos": Case(TOY, "photos.rexthinker.jsonl", annotated_files.read_rexthinker),
    "rexomni tsv": Case(TOY, "toy", lambda p, _: annotated_files.read_tsv(p), embeds_images=True),
    "rexomni": Case("tests/fixtures/rexomni", "rows.jsonl", annotated_files.read_rexomni, STREETS),
    "rexomni toy": Case(TOY, "toy.rexomni.jsonl", annotated_files.read_rexomni, rows=12),
    "easyr1": Case(TOY, "toy.easyr1.parquet", lambda p, _: easyr1.read(p), embeds_images=True),
    "rexthinker-parquet": Case(
        "tests/fixtures/rexthinker-parquet",
        "shipped.parquet",
        lambda p, _: [
            rexthinker.read_row(row, number, chain=rexthinker.converter_wh)
            for number, row in enumerate(rows_of(p), start=1)
        ],
        flags={"source_frame": "rexthinker/converter"},
        embeds_images=True,
    ),
    "humanref-cot": Case(
        "tests/fixtures/humanref-cot", "rows", lambda p, _: annotated_files.read_humanref(p), embeds_images=True
    ),
    "rexomni-engine": Case("tests/fixtures/rexomni-engine", "rows.jsonl", annotated_files.read_engine),
    "rexomni-eval": Case("tests/fixtures/rexomni-eval", "rows.jsonl", annotated_files.read_eval),
    "trl": Case("tests/fixtures/trl", "rows.jsonl", trl.read_grpo, flags={"source_frame": "trl"}),
    "trl-sft": Case("tests/fixtures/trl-sft", "rows.jsonl", trl.read_sft, flags={"source_frame": "trl-sft"}),
    "qwen-vl": Case(
        "tests/fixtures/qwen-vl",
        "rows.jsonl",
        lambda p, root: qwen_vl.read(p, root, "qwen3-vl"),
        flags={"source_frame": "qwen3-vl"},
    ),
    "vlmr1": Case(
        "tests/fixtures/vlmr1",
        "rec.jsonl",
        lambda p, root: vlmr1.read_rec(p, root, vlmr1.pixels, mixed=True),
        _photo(427, 640, "train2014/COCO_train2014_000000581857.jpg") | _photo(90, 61, "a/été.png", "a/狗.png"),
    ),
    "vlmr1-ovd": Case(
        "tests/fixtures/vlmr1",
        "ovd.jsonl",
        lambda p, root: vlmr1.read_ovd(p, root, stored=True),
        _photo(810, 560, "strasse/été.jpg", "strasse/狗.jpg"),
    ),
    "vlmr1-refcoco": Case(
        "tests/fixtures/vlmr1",
        "refcoco.json",
        annotated_files.read_vlmr1_refcoco,
        _photo(427, 640, "train2014/COCO_train2014_000000581857.jpg"),
    ),
    "vlmr1-seg": Case(
        "tests/fixtures/vlmr1_seg",
        "chebyshev.jsonl",
        lambda p, root: vlmr1.read_seg(p, root, stored=True),
        _photo(64, 48, "train2014/COCO_train2014_000000000009.jpg") | _photo(120, 100, "train2014/été.jpg"),
    ),
    "easydistill": Case(
        "tests/fixtures/easydistill",
        "multi.jsonl",
        lambda p, root: easydistill.read(p, root=root, stored=True),
        _photo(1280, 720, "regal/été 260.jpg", "regal/狗 360.jpg"),
    ),
    "easydistill-single": Case(
        "tests/fixtures/easydistill",
        "single.jsonl",
        lambda p, root: easydistill.read(p, root=root, stored=True, needs_abs_box=False),
        _photo(1920, 1080, "bild/été.png"),
    ),
    "easydistill-sft": Case(
        "tests/fixtures/easydistill", "sft.json", easydistill.read_sft, _photo(1280, 720, "260.jpg")
    ),
    "coco": Case("tests/fixtures/coco", "instances.json", annotated_files.read_coco, STREETS),
    "lvis": Case("tests/fixtures/lvis", "lvis.json", annotated_files.read_coco, STREETS),
    "refcoco": Case("tests/fixtures/refcoco", "refs(unc).p", annotated_files.read_refcoco, STREETS),
    "refcoco google": Case("tests/fixtures/refcoco", "refs(google).p", annotated_files.read_refcoco, STREETS),
    "refcocog": Case("tests/fixtures/refcoco", "refs(umd).p", annotated_files.read_refcoco, STREETS),
}
