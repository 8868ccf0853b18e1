"""A million rows without images: `convert` jsonl → jsonl against a bare msgspec loop, its memory, and a TSV read at random."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

CANDIDATES = 5
PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""The kernel's own high-water mark, in KiB: `ru_maxrss` would count the process that started this one, too."""


def write_rows(path: Path, count: int) -> Path:
    """Write rexthinker rows with five candidates each; equal counts give equal bytes."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            boxes = [_box(rng) for _ in range(CANDIDATES)]
            row = {
                "image_name": f"images/{index // 5:07d}.jpg",
                "image_id": index,
                "ans": boxes[0],
                "category": "person",
                "referring": f"la personne n°{index} à gauche",
                "candidate_boxes": [{"bbox": box, "category": "person"} for box in boxes],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def _box(rng: random.Random) -> list[float]:
    return [round(rng.uniform(low, low + 300), 2) for low in (0, 0, 300, 300)]


def bare_loop(source: Path, out: Path) -> None:
    """Decode and encode every line: the least that a program which understands the rows must do."""
    decoder, encoder = msgspec.json.Decoder(), msgspec.json.Encoder()
    with source.open("rb") as rows, out.open("wb") as file:
        for line in rows:
            file.write(encoder.encode(decoder.decode(line)) + b"\n")


def peak_mib(source: Path, out: Path) -> int:
    """Return the peak resident memory, in MiB, of one conversion with one worker in a process of its own."""
    code = (
        "from groundprep import convert, ConvertConfig, SourceConfig\n"
        f"convert(ConvertConfig(SourceConfig(({str(source)!r},)), {str(out)!r}, overwrite=True, workers=1))\n{PEAK}"
    )
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) // 1024


def write_tsv(prefix: Path, rows: int, images: int) -> None:
    """Write a TSV of many rows that share some payloads of about 100 KB."""
    rng = random.Random(0)
    offset, offsets = 0, []
    with Path(f"{prefix}.images.tsv").open("wb") as file:
        for _ in range(images):
            line = b"%d\t%b\n" % (offset, base64.b64encode(rng.randbytes(100_000)))
            offsets.append(offset)
            offset += file.write(line)
    offset = 0
    with (
        Path(f"{prefix}.annotations.tsv").open("wb") as file,
        Path(f"{prefix}.annotations.tsv.lineidx").open("wb") as index,
    ):
        for row in range(rows):
            boxes = {"boxes": [{"bbox": _box(rng), "phrase": f"Straße {row}"}]}
            index.write(b"%d\n" % offset)
            offset += file.write(b"%d\t%b\n" % (offsets[row % images], json.dumps(boxes, ensure_ascii=False).encode()))


def loop_of_int(prefix: Path) -> list[int]:
    """Read a line index as a trainer does, one int() a line."""
    with Path(f"{prefix}.annotations.tsv.lineidx").open("rb") as file:
        return [int(line) for line in file]


def trainer_reads(prefix: Path, offsets: list[int], numbers: list[int]) -> Iterator[tuple[Any, bytes]]:
    """Yield samples by the steps of Rex-Omni's reader (specs/rexomni.md §2.1): text files, seek, readline, split, base64."""
    with (
        Path(f"{prefix}.annotations.tsv").open(encoding="utf-8") as annotations,
        Path(f"{prefix}.images.tsv").open(encoding="utf-8") as images,
    ):
        for number in numbers:
            annotations.seek(offsets[number])
            place, text = annotations.readline().strip().split("\t")
            images.seek(int(place))
            payload = images.readline().strip().split("\t")[1]
            yield json.loads(text), base64.b64decode(payload)
