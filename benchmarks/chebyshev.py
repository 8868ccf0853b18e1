"""`python -m benchmarks.chebyshev`: how well the Chebyshev fork's ten numbers draw 23 shapes, and what `--fit best` gains.

Every shape lies on a 640 x 480 canvas. The first 19 are those of specs/vlmr1_easydistill.md §2.4, drawn anew; the last four
are ours. Where many pixels are equally far from the background, as in bars, rings and the L, the fork takes the first of
them: there its IoU moves by a tenth and more with the place and size of a shape.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundprep.geometry.chebyshev import encode
from groundprep.geometry.masks import decode_polygons

RESULTS = Path(__file__).parent / "results" / "chebyshev.json"
PACKAGES = ("groundprep", "numpy", "opencv-python-headless", "pycocotools")
SIZE_HW = (480, 640)
COLUMNS = ("fork K=8", "fork K=16", "best K=8")

Shape = NDArray[np.bool_]
Y, X = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(float)


def disc(cx: float, cy: float, radius: float) -> Shape:
    """Return a filled circle."""
    return ellipse(cx, cy, radius, radius, 0)


def ellipse(cx: float, cy: float, a: float, b: float, degrees: float) -> Shape:
    """Return a filled ellipse with half axes a and b, a turned clockwise by `degrees`."""
    angle = np.deg2rad(degrees)
    along = (X - cx) * np.cos(angle) + (Y - cy) * np.sin(angle)
    across = (Y - cy) * np.cos(angle) - (X - cx) * np.sin(angle)
    return np.asarray((along / a) ** 2 + (across / b) ** 2 <= 1)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Shape:
    """Return a filled box."""
    return np.asarray((x0 <= X) & (x1 > X) & (y0 <= Y) & (y1 > Y))


def polygon(*points: tuple[float, float]) -> Shape:
    """Return a filled polygon."""
    return np.asarray(decode_polygons([[number for point in points for number in point]], SIZE_HW) == 1)


def star(cx: float, cy: float, outer: float, inner: float) -> Shape:
    """Return a star of five points, one of them up."""
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, inner, outer)
    return polygon(*zip((cx + radii * np.cos(angles)).tolist(), (cy + radii * np.sin(angles)).tolist(), strict=True))


def person() -> Shape:
    """Return a head, a trunk, two arms and two legs."""
    arms = rectangle(225, 155, 280, 185) | rectangle(360, 155, 415, 185)
    legs = rectangle(285, 290, 315, 420) | rectangle(325, 290, 355, 420)
    return disc(320, 110, 35) | rectangle(280, 145, 360, 290) | arms | legs


def shapes() -> dict[str, Shape]:
    """Return the 23 shapes, in the order of the table."""
    return {
        "disc r=100": disc(320, 240, 100),
        "disc r=10": disc(320, 240, 10),
        "disc r=4": disc(320, 240, 4),
        "ellipse 0°": ellipse(320, 240, 150, 60, 0),
        "ellipse 90°": ellipse(320, 240, 150, 60, 90),
        "ellipse 30°": ellipse(320, 240, 150, 60, 30),
        "ellipse 45°": ellipse(320, 240, 150, 60, 45),
        "square 200": rectangle(220, 140, 420, 340),
        "rectangle 300x100": rectangle(170, 190, 470, 290),
        "rectangle 300x40": rectangle(170, 220, 470, 260),
        "triangle up": polygon((320, 120), (440, 360), (200, 360)),
        "triangle right": polygon((440, 240), (200, 120), (200, 360)),
        "L": rectangle(200, 100, 260, 380) | rectangle(200, 320, 440, 380),
        "C": disc(320, 240, 140) & ~disc(320, 240, 80) & ~rectangle(320, 180, 480, 300),
        "star5": star(320, 240, 140, 55),
        "person": person(),
        "donut": disc(320, 240, 140) & ~disc(320, 240, 70),
        "two components": rectangle(100, 150, 240, 330) | rectangle(400, 190, 520, 290),
        "half disc at border": disc(0, 240, 120),
        "rectangle 40x300": rectangle(300, 90, 340, 390),
        "plus": rectangle(220, 210, 420, 270) | rectangle(290, 140, 350, 340),
        "crescent": disc(320, 240, 130) & ~disc(370, 220, 110),
        "trapezium": polygon((200, 330), (260, 150), (430, 180), (480, 330)),
    }


def measure(mask: Shape) -> dict[str, float]:
    """Return the IoU of each fit, and the seconds that the two of K=8 took."""
    start = time.perf_counter()
    fork = encode(mask)
    between = time.perf_counter()
    best = encode(mask, fit="best")
    end = time.perf_counter()
    ious = (fork.iou, encode(mask, order=16).iou, best.iou)
    seconds = {"fork_s": round(between - start, 4), "best_s": round(end - between, 4)}
    return {column: round(iou, 4) for column, iou in zip(COLUMNS, ious, strict=True)} | seconds


def summary(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean and median of every column."""
    kinds = {"mean": statistics.mean, "median": statistics.median}
    return {
        kind: {column: round(of([row[column] for row in rows]), 4) for column in rows[0]} for kind, of in kinds.items()
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    print(f"{'IoU':22}" + "".join(f"{column:>11}" for column in COLUMNS) + f"{'best, s':>11}")
    rows = {}
    for name, mask in shapes().items():
        rows[name] = measure(mask)
        print_row(name, rows[name])
    figures = summary(list(rows.values()))
    for name, row in figures.items():
        print_row(name, row)
    arguments.out.parent.mkdir(exist_ok=True)
    results = {"size_hw": SIZE_HW, "machine": machine(), "shapes": rows, **figures}
    arguments.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"kept in {arguments.out}")


def print_row(name: str, row: dict[str, float]) -> None:
    """Print one line of the table."""
    print(f"{name:22}" + "".join(f"{row[column]:11.3f}" for column in COLUMNS) + f"{row['best_s']:11.2f}")


if __name__ == "__main__":
    main()
