"""One virtual environment for each reader, made from the package index; they clash with each other's pins, and with ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-interop"
STAMP = "requirements.txt"


class InstallError(Exception):
    """An environment could not be made."""


@dataclass(frozen=True)
class Reader:
    """Other people's software that reads our files.

    Args:
        name: its package; `judges/<name>_judge.py` asks it.
        requirements: what is installed for it; empty: it is part of the project's own environment.
        why: what makes it a judge, for the report.
    """

    name: str
    requirements: tuple[str, ...]
    why: str


READERS = (
    Reader("pycocotools", ("pycocotools",), "COCO's own API: reads, draws every mask, scores with COCOeval"),
    # 0.5.3 is from 2020 and needs the numpy and OpenCV of its time.
    Reader(
        "lvis",
        ("lvis==0.5.3", "numpy<1.24", "pycocotools==2.0.7", "opencv-python<4.9", "matplotlib<3.9"),
        "LVIS's own API: reads, draws every mask, scores with LVISEval",
    ),
    Reader("supervision", ("supervision",), "reads boxes and masks with their images"),
    Reader("datumaro", ("datumaro",), "recognises the folder as COCO instances and imports it"),
    Reader("datasets", ("datasets", "pillow"), "loads the parquet files as the trainers do"),
    Reader("polars", ("polars",), "reads the parquet files, whole and lazily"),
    Reader("trl", (), "trains on the rows with the shipped tiny model: one GRPO step, two SFT steps"),
)


def python_of(reader: Reader, *, fresh: bool) -> str:
    """Return the interpreter that has the reader; makes its environment if it is missing or `fresh`; raises InstallError."""
    if not reader.requirements:
        return sys.executable
    directory, wanted = HOME / reader.name, "\n".join(reader.requirements)
    python, stamp = directory / "bin" / "python", directory / STAMP
    if fresh or not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        venv.create(directory, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *reader.requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InstallError(f"pip install {' '.join(reader.requirements)}: {last_line(done.stderr)}")
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
