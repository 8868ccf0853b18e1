"""`python -m benchmarks [--images 1500] [--repeats 5]`: print every ratio and keep them under benchmarks/results/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import baselines
from benchmarks.photos import write_corpus

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("groundprep", "msgspec", "numpy", "pillow", "pyarrow", "pybase64", "typer")
GROUNDPREP = (sys.executable, "-m", "groundprep")


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], baseline: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return median times and their ratio; the two run alternately, after one warm-up of each."""
    ours()
    baseline()
    pairs = [(seconds(ours), seconds(baseline)) for _ in range(repeats)]
    our_s, baseline_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"ours_s": round(our_s, 4), "baseline_s": round(baseline_s, 4), "ratio": round(our_s / baseline_s, 3)}


def start_up(repeats: int) -> dict[str, Any]:
    """`groundprep --help` against `python -c pass`."""
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    return ratio(
        lambda: subprocess.run([*GROUNDPREP, "--help"], **quiet),  # type: ignore[call-overload]
        lambda: subprocess.run([sys.executable, "-c", "pass"], **quiet),  # type: ignore[call-overload]
        repeats,
    )


def conversions(images: int, repeats: int) -> dict[str, Any]:
    """JSONL + JPEG to TSV and parquet, in this process, against the floors; TSV also against a re-encode."""
    from groundprep.api.convert import ConvertConfig, convert
    from groundprep.api.sources import SourceConfig

    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        directory = Path(name)
        annotations = write_corpus(directory, images)
        source = SourceConfig((str(annotations),), image_root=str(directory / "images"))
        sizes = [path.stat().st_size for path in (directory / "images").iterdir()]
        results["mean_jpeg_bytes"] = round(statistics.mean(sizes))

        def to_tsv() -> None:
            convert(ConvertConfig(source, str(directory / "ours/toy"), to="tsv", overwrite=True))

        def to_parquet() -> None:
            convert(ConvertConfig(source, str(directory / "ours.parquet"), profile="rexthinker", overwrite=True))

        (directory / "floor").mkdir()
        photos = directory / "images"
        results["tsv_to_floor"] = ratio(
            to_tsv, lambda: baselines.floor_tsv(annotations, photos, directory / "floor/toy"), repeats
        )
        results["parquet_to_floor"] = ratio(
            to_parquet, lambda: baselines.floor_parquet(annotations, photos, directory / "floor.parquet"), repeats
        )
        results["tsv_to_reencode"] = ratio(
            to_tsv, lambda: baselines.reencode_tsv(annotations, photos, directory / "reencode.tsv"), 1
        )
        shutil.rmtree(directory / "ours")
    return results


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
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "convert.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"images": arguments.images, "repeats": arguments.repeats, "machine": machine()}
    results["help_to_bare_python"] = start_up(arguments.repeats)
    print(f"groundprep --help          {results['help_to_bare_python']}")
    results |= conversions(arguments.images, arguments.repeats)
    for name in ("tsv_to_floor", "parquet_to_floor", "tsv_to_reencode"):
        print(f"{name:26} {results[name]}")
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
