"""`validate`: a million rows without their images against a bare msgspec loop, its memory and workers; headers against Pillow.

`validate_probes_to_pillow` is the look at the images alone, `validate_with_headers_to_pillow` all checks of their rows as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from benchmarks import rows
from benchmarks.photos import write_corpus

Ratio = Callable[[Callable[[], object], Callable[[], object], int], dict[str, float]]

GATES = {
    "validate_rows_to_bare_decode": "at most 12",
    "validate_two_workers_to_one": "at most 1/1.7 = 0.588",
    "validate_probes_to_pillow": "at most 1/0.8 = 1.25",
}
"""What each ratio of our time to the baseline's is aimed at, on two processors."""


def bare_decode(source: Path) -> int:
    """Decode every line: the least that a program which looks at the rows must do."""
    decode = msgspec.json.Decoder().decode
    count = 0
    with source.open("rb") as file:
        for line in file:
            decode(line)
            count += 1
    return count


def pillow_sizes(photos: Path) -> list[tuple[int, int]]:
    """Open every image file and read its size."""
    sizes_wh = []
    for path in sorted(photos.iterdir()):
        with Image.open(path) as image:
            sizes_wh.append(image.size)
    return sizes_wh


def our_verdicts(photos: Path) -> int:
    """Look at every image file as `--verify header` does: size, format, mode, orientation, several pictures."""
    from groundprep.checks.verdicts import ImageVerdicts
    from groundprep.image_loader import ImageLoader
    from groundprep.images import FileImage, ImageRef

    verdicts = ImageVerdicts(ImageLoader(), verify="header")
    paths = sorted(photos.iterdir())
    return sum(verdicts.of(ImageRef(path.name, FileImage(str(path)))).size_wh is not None for path in paths)


def peak_mib(source: Path) -> int:
    """Return the peak resident memory, in MiB, of one run with one worker in a process of its own."""
    code = (
        "from groundprep import SourceConfig, ValidateConfig, validate\n"
        f"validate(ValidateConfig(SourceConfig(({str(source)!r},)), verify='none', workers=1))\n{rows.PEAK}"
    )
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) // 1024


def measure(count: int, images: int, repeats: int, ratio: Ratio) -> dict[str, Any]:
    """Return the ratios of `count` rows of five candidates, and of `images` JPEGs of about 100 KB."""
    from groundprep import SourceConfig, ValidateConfig, validate

    results: dict[str, Any] = {"validate_rows": count, "validate_images": images}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        directory = Path(name)
        source = rows.write_rows(directory / "rows.jsonl", count)

        def ours(workers: int) -> Callable[[], object]:
            config = ValidateConfig(SourceConfig((str(source),)), verify="none", workers=workers)
            return lambda: validate(config)

        results["validate_rows_to_bare_decode"] = ratio(ours(1), lambda: bare_decode(source), min(repeats, 3))
        results["validate_two_workers_to_one"] = ratio(ours(2), ours(1), min(repeats, 3))
        results["validate_peak_mib"] = peak_mib(source)
        twice = rows.write_rows(directory / "twice.jsonl", 2 * count)
        results["validate_peak_mib_of_twice_the_rows"] = peak_mib(twice)
        annotations = write_corpus(directory, images)
        photos = directory / "images"
        results["validate_probes_to_pillow"] = ratio(
            lambda: our_verdicts(photos), lambda: pillow_sizes(photos), repeats
        )
        config = ValidateConfig(SourceConfig((str(annotations),), image_root=str(photos)), verify="header")
        results["validate_with_headers_to_pillow"] = ratio(
            lambda: validate(config), lambda: pillow_sizes(photos), repeats
        )
    return results
