"""Photo-like JPEGs: smooth colour noise at several scales, about 100 KB each at quality 90."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE_WH = (640, 428)
QUALITY = 90
DISTINCT = 60  # pictures that are really computed; the rest are crops shifted by a few pixels, encoded anew


def photo(rng: np.random.Generator, size_wh: tuple[int, int] = SIZE_WH) -> Image.Image:
    """Return one picture with detail at every scale, as photographs have."""
    w, h = size_wh
    pixels = np.zeros((h, w, 3))
    for cells, strength in ((4, 60), (16, 40), (64, 24), (214, 16)):
        coarse = rng.normal(0, strength, (max(2, cells * h // w), cells, 3))
        layer = [
            np.asarray(Image.fromarray(coarse[..., c].astype(np.float32)).resize((w, h), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        pixels += np.stack(layer, axis=-1)
    pixels += rng.normal(0, 7, pixels.shape) + 128
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_corpus(directory: Path, count: int, seed: int = 0) -> Path:
    """Write `count` JPEGs and their rexthinker annotations; returns the annotation file."""
    rng = np.random.default_rng(seed)
    images = directory / "images"
    images.mkdir(parents=True, exist_ok=True)
    originals = [photo(rng, (SIZE_WH[0] + 16, SIZE_WH[1] + 16)) for _ in range(min(DISTINCT, count))]
    annotations = directory / "photos.jsonl"
    with annotations.open("w", encoding="utf-8") as file:
        for index in range(count):
            dx, dy = (int(n) for n in rng.integers(0, 16, 2))
            crop = originals[index % len(originals)].crop((dx, dy, dx + SIZE_WH[0], dy + SIZE_WH[1]))
            buffer = io.BytesIO()
            crop.save(buffer, "JPEG", quality=QUALITY)
            name = f"{index:06d}.jpg"
            (images / name).write_bytes(buffer.getvalue())
            boxes = [_box(rng) for _ in range(5)]
            row = {
                "image_name": name,
                "ans": boxes[0],
                "category": "thing",
                "referring": f"the thing number {index}",
                "candidate_boxes": [{"bbox": box, "category": "thing"} for box in boxes],
            }
            file.write(json.dumps(row) + "\n")
    return annotations


def _box(rng: np.random.Generator) -> list[float]:
    x0, x1 = sorted(rng.uniform(0, SIZE_WH[0], 2))
    y0, y1 = sorted(rng.uniform(0, SIZE_WH[1], 2))
    return [round(float(n), 2) for n in (x0, y0, x1 + 2, y1 + 2)]
