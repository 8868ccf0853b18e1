"""`python -m benchmarks [--quick]`: print every ratio and keep them under benchmarks/results/.

Whatever is compared runs in turns in the same process, after one warm-up of each; a ratio is that of the median times.
`--quick` measures a tenth of the rows and images, to see that all of it works.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
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

from benchmarks import baselines, rows, validate
from benchmarks.photos import write_corpus

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("groundprep", "msgspec", "numpy", "pillow", "pyarrow", "pybase64", "typer")
GROUNDPREP = (sys.executable, "-m", "groundprep")


def seconds(work: Callable[[], object], output: Path | None = None) -> float:
    """Return the wall time of one call, without the removal of its earlier output and what others left to go to disk."""
    if output is not None:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
    os.sync()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(
    ours: Callable[[], object],
    baseline: Callable[[], object],
    repeats: int,
    outputs: tuple[Path | None, Path | None] = (None, None),
) -> dict[str, float]:
    """Return median times and their ratio; the two run alternately, after one warm-up of each.

    `outputs`: the directories into which they write, which are emptied before each run.
    """
    seconds(ours, outputs[0])
    seconds(baseline, outputs[1])
    pairs = [(seconds(ours, outputs[0]), seconds(baseline, outputs[1])) for _ in range(repeats)]
    our_s, baseline_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"ours_s": round(our_s, 4), "baseline_s": round(baseline_s, 4), "ratio": round(our_s / baseline_s, 3)}


def start_up(repeats: int) -> dict[str, Any]:
    """`groundprep --help` against `python -c pass`."""

    def run(*command: str) -> object:
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    return ratio(lambda: run(*GROUNDPREP, "--help"), lambda: run(sys.executable, "-c", "pass"), repeats)


class Conversions:
    """A corpus of photographs in a directory of its own, and the two ways of converting it that are compared."""

    def __init__(self, directory: Path, images: int) -> None:
        from groundprep import SourceConfig

        self.annotations, self.photos = write_corpus(directory, images), directory / "images"
        self.source = SourceConfig((str(self.annotations),), image_root=str(self.photos))
        self.outputs = self.ours, self.theirs = directory / "ours", directory / "theirs"

    def convert(self, dst: str, profile: str | None = None, **flags: Any) -> Callable[[], object]:
        """Return what converts the corpus to `dst` with groundprep, in this process."""
        from groundprep import ConvertConfig, convert

        return lambda: convert(ConvertConfig(self.source, str(self.ours / dst), profile, overwrite=True, **flags))

    def to(
        self, work: Callable[[], object], baseline: Callable[[Path, Path, Path], None], repeats: int
    ) -> dict[str, float]:
        """Return the ratio of our time to a baseline's."""
        return ratio(work, lambda: baseline(self.annotations, self.photos, self.theirs / "toy"), repeats, self.outputs)


def conversions(images: int, repeats: int) -> dict[str, Any]:
    """JSONL + JPEG to TSV and parquet against floors and `datasets`."""
    results: dict[str, Any] = {"images": images}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        corpus = Conversions(Path(name), images)
        results["mean_jpeg_bytes"] = round(statistics.mean(path.stat().st_size for path in corpus.photos.iterdir()))
        to_tsv, to_parquet = corpus.convert("toy", to="tsv"), corpus.convert("toy.parquet", "rexthinker")
        results["tsv_to_floor"] = corpus.to(to_tsv, baselines.floor_tsv, repeats)
        results["parquet_to_floor"] = corpus.to(to_parquet, baselines.floor_parquet, repeats)
        results["parquet_to_datasets"] = corpus.to(to_parquet, baselines.datasets_parquet, repeats)
    return results


def pixels(images: int, repeats: int) -> dict[str, Any]:
    """The same against those who decode and encode every image, and the resize on two workers against one."""
    results: dict[str, Any] = {"images_of_the_slow_ones": images}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        corpus = Conversions(Path(name), images)
        to_tsv, to_parquet = corpus.convert("toy", to="tsv"), corpus.convert("toy.parquet", "rexthinker")
        results["tsv_to_reencode"] = corpus.to(to_tsv, baselines.reencode_tsv, repeats)
        results["parquet_to_reencode"] = corpus.to(to_parquet, baselines.reencode_parquet, 1)
        sizes = [file.stat().st_size for file in (corpus.ours / "toy.parquet", corpus.theirs / "toy")]
        results["parquet_bytes_to_reencode"] = {"ratio": round(sizes[0] / sizes[1], 3)}
        two, one = (
            corpus.convert("toy", "rexomni-sft", resize="fixed-point", workers=workers, max_pixels=200_000)
            for workers in (2, 1)
        )
        results["fixed_point_two_workers_to_one"] = ratio(two, one, min(repeats, 3), (corpus.ours, corpus.ours))
    return results


def many_rows(count: int, repeats: int) -> dict[str, Any]:
    """Rows without images: rate against a bare msgspec loop, and peak memory at `count` and twice as many."""
    from groundprep import ConvertConfig, SourceConfig, convert

    results: dict[str, Any] = {"rows": count}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        directory = Path(name)
        source = rows.write_rows(directory / "rows.jsonl", count)
        config = ConvertConfig(SourceConfig((str(source),)), str(directory / "out.jsonl"), overwrite=True, workers=1)
        results["rows_to_bare_loop"] = ratio(
            lambda: convert(config), lambda: rows.bare_loop(source, directory / "bare.jsonl"), repeats
        )
        results["peak_mib"] = rows.peak_mib(source, directory / "out.jsonl")
        twice = rows.write_rows(directory / "twice.jsonl", 2 * count)
        results["peak_mib_of_twice_the_rows"] = rows.peak_mib(twice, directory / "out2.jsonl")
    return results


def tsv_reads(count: int, repeats: int) -> dict[str, Any]:
    """`TsvDataset` on a TSV of `count` rows: opening against a loop of int(), random raw reads against the trainer's steps."""
    from groundprep import TsvDataset

    results: dict[str, Any] = {"tsv_rows": count}
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as name:
        prefix = Path(name) / "toy"
        rows.write_tsv(prefix, count, images=500)
        results["tsv_open_to_loop"] = ratio(lambda: TsvDataset(str(prefix)), lambda: rows.loop_of_int(prefix), repeats)
        dataset, offsets = TsvDataset(str(prefix)), rows.loop_of_int(prefix)
        numbers = random.Random(1).sample(range(count), 2000)
        pairs = zip(rows.trainer_reads(prefix, offsets, numbers), (dataset[n] for n in numbers), strict=True)
        assert all(item.image == data for (_, data), item in itertools.islice(pairs, 100))
        results["tsv_reads_to_trainer"] = ratio(
            lambda: [dataset[number] for number in numbers],
            lambda: list(rows.trainer_reads(prefix, offsets, numbers)),
            repeats,
        )
    return results


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


GATES = {
    "tsv_to_floor": "at most 1.5",
    "tsv_to_reencode": "at most 1/12 = 0.083",
    "parquet_to_floor": "at most 1.5",
    "parquet_to_reencode": "at most 1/40 = 0.025",
    "parquet_bytes_to_reencode": "at most 1/4 = 0.25",
    "parquet_to_datasets": "below 1",
    "fixed_point_two_workers_to_one": "at most 1/1.7 = 0.588",
    "rows_to_bare_loop": "at most 6",
    "tsv_open_to_loop": "at most 0.1",
    "tsv_reads_to_trainer": "at most 1/3 = 0.333",
    **validate.GATES,
}
"""What each ratio of our time to the baseline's is aimed at, on two processors and at least 3,000 images."""


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=9000, help="a third of it for what decodes every image")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows and images, three repeats")
    parser.add_argument("--only", choices=("start", "images", "pixels", "rows", "tsv", "validate"), help="one group")
    parser.add_argument("--out", type=Path, default=RESULTS / "convert.json")
    arguments = parser.parse_args()
    scale, repeats = (10, min(3, arguments.repeats)) if arguments.quick else (1, arguments.repeats)
    groups: dict[str, Callable[[], dict[str, Any]]] = {
        "start": lambda: {"help_to_bare_python": start_up(repeats)},
        "images": lambda: conversions(arguments.images // scale, repeats),
        "pixels": lambda: pixels(arguments.images // scale // 3, repeats),
        "rows": lambda: many_rows(arguments.rows // scale, min(repeats, 3)),
        "tsv": lambda: tsv_reads(arguments.rows // scale, repeats),
        "validate": lambda: validate.measure(arguments.rows // scale, arguments.images // scale // 3, repeats, ratio),
    }
    results: dict[str, Any] = {"repeats": repeats, "machine": machine()}
    for name, measure in groups.items():
        if arguments.only in (None, name):
            found = measure()
            results |= found
            for key, value in found.items():
                gate = f"   (aim: {GATES[key]})" if key in GATES else ""
                print(f"{key:32} {value}{gate}", flush=True)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
