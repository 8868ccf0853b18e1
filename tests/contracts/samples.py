"""Small data sets for tests: images that are not square, boxes that touch no border, text that is not ASCII."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from groundprep.api.convert import ConvertConfig, ConvertResult, convert
from groundprep.api.sources import SourceConfig
from groundprep.geometry.frames import PIXELS
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.profile import RowFrame

SIZE_WH = (61, 37)
BOX_XYXY = [7.5, 3, 40, 21.25]


def make_image(path: Path, size_wh: tuple[int, int] = SIZE_WH, *, seed: int = 0) -> Path:
    """Write an image of noise in the format that the name says; equal arguments give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def same_json(left: Any, right: Any) -> bool:
    """Say whether two values are the same JSON text: 1 is not 1.0, True is not 1, and the order of keys counts."""
    return json.dumps(left, ensure_ascii=False) == json.dumps(right, ensure_ascii=False)


def rexthinker_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "image_name": f"bilder/straße {number % 3}.png",
        "image_id": number,
        "ans": BOX_XYXY,
        "category": "chien",
        "referring": f"le chien n°{number} à gauche 狗",
        "candidate_boxes": [
            {"bbox": [7, 3, 40, 21], "category": "chien", "score": 0.5},
            {"bbox": [1.5, 2, 30, 36], "category": "chien"},
        ],
    } | changes


def rexomni_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    boxes = [
        {"bbox": BOX_XYXY, "phrase": "chien à gauche"},
        {"bbox": [1, 2, 30, 36], "phrase": "狗"},
        {"bbox": [2, 2, 31, 36], "phrase": "狗"},
        {"bbox": None, "phrase": "Straßenbahn"},
    ]
    return {"image_name": f"bilder/straße {number % 3}.png", "annotation": {"boxes": boxes}} | changes


def make_images(folder: Path) -> None:
    """Write the three images that the rows above name."""
    for number, size_wh in enumerate(((61, 37), (640, 426), (90, 333))):
        make_image(folder / f"bilder/straße {number}.png", size_wh, seed=number)


def loader() -> ImageLoader:
    return ImageLoader()


def image_root(folder: Path) -> ImageRoot:
    return ImageRoot(str(folder))


PIXEL_FRAME = RowFrame(PIXELS)


def run(src: Path | str | Iterable[Path | str], dst: Path | str, **flags: Any) -> ConvertResult:
    """Convert; keywords of SourceConfig and ConvertConfig alike."""
    paths = (src,) if isinstance(src, Path | str) else tuple(src)
    source = {name: flags.pop(name) for name in ("from_name", "image_root", "source_frame") if name in flags}
    return convert(ConvertConfig(SourceConfig(tuple(map(str, paths)), **source), str(dst), **flags))


def lost_and_rounded(result: ConvertResult) -> set[str]:
    return {name for name, loss in result.losses.items() if loss["lost"] or loss["rounded"]}
