"""Pictures of coloured rectangles with rows about them, for tests of add-candidates."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tests.detect.colour_detector import COLOURS

SIZES_WH = ((161, 97), (83, 140), (203, 58))


def write_scenes(directory: Path, images: int, *, seed: int = 7) -> tuple[Path, Path, list[dict[str, Any]]]:
    """Write `images` pictures and one row per rectangle and one per missing colour; return rows file, root and rows."""
    rng = random.Random(seed)
    root = directory / "bilder"
    root.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for number in range(images):
        w, h = SIZES_WH[rng.randrange(len(SIZES_WH))]
        picture = Image.new("RGB", (w, h), (235, 235, 225))
        draw = ImageDraw.Draw(picture)
        name = f"bild é {number}.png"
        step = w // 4
        for place in range(rng.randrange(1, 5)):
            colour = rng.choice(list(COLOURS))
            x0, y0 = place * step + rng.randrange(2, 5), rng.randrange(3, h // 3)
            x1, y1 = x0 + step - rng.randrange(8, 12), y0 + rng.randrange(h // 4, h // 2)
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=COLOURS[colour])
            ans = [x0 + rng.choice((-1, 0, 1)), y0, x1, y1 + 0.5]
            rows.append(
                {"image_name": name, "ans": ans, "category": colour.title(), "referring": f"the {colour} one, №{place}"}
            )
        picture.save(root / name)
    path = directory / "zeilen.jsonl"
    write_rows(path, rows)
    return path, root, rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
