"""Plants defects among clean rows; what `validate` finds is then compared with what was planted, in both directions."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from PIL import Image

from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = list[Any]
"""Rows as JSON values; bytes stand for a line that is no JSON object."""

Found: TypeAlias = tuple[str, int]
"""A code and the number of a row, counted from 1; 0: the file as a whole."""

SIZE_WH = (161, 137)
SHORT_WH = (161, 20)
LONG_WH = (6020, 28)
LARGE_WH = (1901, 1397)
CLEAN_IMAGES = 7
STEP = 3
"""Every third row may be spoilt: the ones before and after it are sound, and its own, to be compared with."""


class Defect(NamedTuple):
    """One way to spoil a row.

    Args:
        code: what it must be found as.
        plant: spoils the row at a place; may add to, but not spoil, the row before and the one after it.
        part: what of the row it spoils, one word or several: defects of different parts may meet in one row. None: it is alone.
        once: a file can have it once only.
        of_file: it is found of the file, not of the row.
    """

    code: str
    plant: Callable[[Rows, int], None]
    part: str | None = None
    once: bool = False
    of_file: bool = False

    def may_meet(self, other: Defect) -> bool:
        """Say whether both may be in one row."""
        return bool(self.part and other.part) and set(str(self.part).split()).isdisjoint(str(other.part).split())


def spoils(code: str, change: Callable[[Row], object], part: str | None = None, *, once: bool = False) -> Defect:
    """Return the defect that changes one row."""
    return Defect(code, lambda rows, place: change(rows[place]), part, once)


def replaces(code: str, line: Callable[[Row], bytes]) -> Defect:
    """Return the defect that makes a line of a row."""

    def plant(rows: Rows, place: int) -> None:
        rows[place] = line(rows[place])

    return Defect(code, plant)


def planted(
    clean: Callable[[int, random.Random], Row], defects: Sequence[Defect], *, seed: int, count: int = 60
) -> tuple[Rows, list[Found]]:
    """Return rows with at least so many defects, every kind among them, and what must be found, sorted."""
    rng = random.Random(seed)
    again = [defect for defect in defects if not defect.once]
    chosen = [*defects, *rng.choices(again, k=max(0, count - len(defects)))]
    rng.shuffle(chosen)
    rows: Rows = [clean(number, rng) for number in range(STEP * len(chosen))]
    expected: list[Found] = []
    for number, defect in enumerate(chosen):
        place = STEP * number + 1
        others = [other for other in again if other.may_meet(defect)]
        both = [defect, rng.choice(others)] if others and rng.random() < 1 / 3 else [defect]
        for one in both:
            one.plant(rows, place)
            expected.append((one.code, 0 if one.of_file else place + 1))
    return rows, sorted(expected)


def found(path: Path, profile: str | None, select: tuple[str, ...] = (), **source: Any) -> list[Found]:
    """Return what `validate` finds, sorted."""
    result = validate(ValidateConfig(SourceConfig((str(path),), **source), profile=profile, select=select))
    assert not result.truncated
    return sorted((finding.code, _row_of(finding.source)) for finding in result.findings)


def differences(expected: Iterable[Found], actual: Iterable[Found]) -> dict[str, list[Found]]:
    """Return what was planted and not found, and what was found and not planted; each as often as it is."""
    planted_, found_ = Counter(expected), Counter(actual)
    return {"missed": sorted((planted_ - found_).elements()), "false": sorted((found_ - planted_).elements())}


NO_DIFFERENCE: dict[str, list[Found]] = {"missed": [], "false": []}


def _row_of(source: str) -> int:
    number = source.rpartition(":")[2].partition("#")[0]
    return int(number) if number.isdecimal() else 0


def line_of(row: Row) -> bytes:
    """Return a row as JSON."""
    return json.dumps(row, ensure_ascii=False).encode()


def raw_defects() -> list[Defect]:
    """Return the defects of lines of JSON."""

    def defect(code: str, spoil: Callable[[bytes], bytes]) -> Defect:
        return replaces(code, lambda row: spoil(line_of(row)))

    return [defect(code, spoil) for code, spoil in RAW.items()]


def write_lines(path: Path, rows: Rows) -> Path:
    """Write rows as JSON Lines."""
    lines = (row if isinstance(row, bytes) else line_of(row) for row in rows)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def noise(seed: int, size_wh: tuple[int, int] = SIZE_WH) -> Image.Image:
    """Return an image of its own for every seed."""
    rng = random.Random(seed)
    return Image.frombytes("RGB", size_wh, rng.randbytes(3 * size_wh[0] * size_wh[1]))


def saved(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    """Return an image's file."""
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def rotated() -> Image.Exif:
    """Return the EXIF of an image that viewers turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


HAZARDS: dict[str, Callable[[], bytes]] = {
    "image-16-bit": lambda: saved(Image.new("I;16", SIZE_WH, 40_000)),
    "image-alpha": lambda: saved(Image.new("RGBA", SIZE_WH, (9, 90, 200, 80))),
    "image-cmyk": lambda: saved(Image.new("CMYK", SIZE_WH, (9, 90, 20, 8)), "JPEG"),
    "image-animated": lambda: saved(
        Image.new("RGB", SIZE_WH), "PNG", save_all=True, append_images=[Image.new("RGB", SIZE_WH, (9, 90, 200))]
    ),
    "exif-rotated": lambda: saved(Image.new("RGB", SIZE_WH), "JPEG", exif=rotated()),
}
"""Images that open, and are something else to a trainer than to a person; by the code that says so."""

RAW: dict[str, Callable[[bytes], bytes]] = {
    "bad-json": lambda line: line[:-1],
    "row-not-object": lambda line: b"[%b]" % line,
    "not-finite": lambda line: b'{"a": NaN, ' + line[1:],
    "lone-surrogate": lambda line: b'{"a": "\\ud83d", ' + line[1:],
    "bad-utf8": lambda line: b'{"a": "\xe9", ' + line[1:],
    "too-deep": lambda line: b'{"a": ' + b"[" * 300 + b"]" * 300 + b", " + line[1:],
}
"""What spoils the JSON of any row; by the code that says so."""

BROKEN = b"\xff\xd8\xff\xe0 no image"


def clean_image(number: int) -> str:
    """Return the name of a sound image."""
    return f"bilder/é{number % CLEAN_IMAGES}.png"


def copy_of(name: str) -> str:
    """Return the name of another file with the same bytes."""
    return name.replace("bilder", "kopien")


def make_images(root: Path) -> Path:
    """Write sound images, each also as a copy, the hazards, a broken one, a short, a far too long and a large one."""
    (root / "bilder").mkdir()
    (root / "kopien").mkdir()
    for number in range(CLEAN_IMAGES):
        data = saved(noise(number))
        (root / clean_image(number)).write_bytes(data)
        (root / copy_of(clean_image(number))).write_bytes(data)
    for name, make in HAZARDS.items():
        (root / name).write_bytes(make())
    (root / "image-broken").write_bytes(BROKEN)
    (root / "short").write_bytes(saved(noise(100, SHORT_WH)))
    (root / "long").write_bytes(saved(noise(101, LONG_WH)))
    (root / "large").write_bytes(saved(Image.new("RGB", LARGE_WH, (9, 90, 200))))
    return root
