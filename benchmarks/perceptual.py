"""`python -m benchmarks.perceptual DIR`: how far perceptual hashes of copies and of different photographs lie apart.

DIR holds photographs, each of another subject. Debian's packages gnome-backgrounds, lomiri-wallpapers-16.04,
lomiri-wallpapers-20.04, mate-backgrounds, plasma-workspace-wallpapers, sway-backgrounds and ukui-wallpapers hold some
(`dpkg-deb -x`). Of files that are one photograph in several sizes, the largest counts. Each photograph is cut into 4 x 4 tiles,
so that there are many pairs of different pictures; tiles of one photograph are not compared with each other. Copies are
measured on whole photographs.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.__main__ import RESULTS, machine
from groundprep.checks.perceptual import SIMILAR_BITS, perceptual_hash

SIDE_PX = 1600
TILES = 4


def photographs(directory: Path) -> Iterator[Image.Image]:
    """Yield every photograph of a directory once, at most `SIDE_PX` on a side."""
    largest: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg"}:
            parts = path.parts
            title = parts[parts.index("contents") - 1] if "contents" in parts else re.sub(r"_\d+x\d+$", "", path.stem)
            if title not in largest or path.stat().st_size > largest[title].stat().st_size:
                largest[title] = path
    for path in largest.values():
        image = Image.open(path).convert("RGB")
        image.thumbnail((SIDE_PX, SIDE_PX))
        yield image


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after one more JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def copies(image: Image.Image) -> dict[str, Image.Image]:
    """Return what other people make of a photograph."""
    half = image.resize((image.width // 2, image.height // 2))
    edge_w, edge_h = image.width // 50, image.height // 50
    return {
        "half the size": half,
        "quarter the size": image.resize((image.width // 4, image.height // 4)),
        "JPEG quality 30": recompressed(image, 30),
        "half the size, JPEG quality 50": recompressed(half, 50),
        "224x224": image.resize((224, 224)),
        "2 % cut off each side": image.crop((edge_w, edge_h, image.width - edge_w, image.height - edge_h)),
    }


def tiles(image: Image.Image) -> Iterator[Image.Image]:
    """Yield the tiles of an image."""
    w, h = image.width // TILES, image.height // TILES
    for x in range(TILES):
        for y in range(TILES):
            yield image.crop((x * w, y * h, (x + 1) * w, (y + 1) * h))


def measure(directory: Path) -> dict[str, Any]:
    """Return the shares of copies found and of different pictures taken for copies."""
    hashes, owners = [], []
    bits: dict[str, list[int]] = {}
    for owner, image in enumerate(photographs(directory)):
        whole = perceptual_hash(image)
        for name, copy in copies(image).items():
            bits.setdefault(name, []).append(int(np.bitwise_count(whole ^ perceptual_hash(copy)).sum()))
        for tile in tiles(image):
            hashes.append(perceptual_hash(tile))
            owners.append(owner)
    hashes_N4, owners_N = np.array(hashes), np.array(owners)
    far = np.bitwise_count(hashes_N4[:, None] ^ hashes_N4[None]).sum(axis=-1)
    apart = far[np.triu(owners_N[:, None] != owners_N[None])]
    return {
        "photographs": len(set(owners)),
        "threshold_bits": SIMILAR_BITS,
        "different_pairs": len(apart),
        "false_matches": int((apart <= SIMILAR_BITS).sum()),
        "nearest_different_bits": int(apart.min()),
        "copies_found": {name: round(float(np.mean(np.array(each) <= SIMILAR_BITS)), 4) for name, each in bits.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    result = {"machine": machine(), **measure(parser.parse_args().directory)}
    (RESULTS / "perceptual.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
