"""Drawing text in any script: the bundled font, then whatever is installed, then a visible stand-in.

The bundled DejaVu Sans (fonts/, a subset) covers Latin, Greek, Cyrillic, punctuation, arrows and mathematics, so that
pictures of such data look the same on every machine. Installed fonts are searched only for characters that it lacks.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from groundprep.view.cmap import read_coverage
from groundprep.view.text import SHAPING

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

BUNDLED = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
FONT_SUFFIXES = (".ttf", ".otf", ".ttc")
SPECIAL_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "serif", "medium")
STAND_IN_WIDTH = 0.62
"""Width of the box that stands for a character without a font, in em."""

PACKAGES = (
    (0x1100, 0x11FF, "fonts-noto-cjk"),
    (0x2E80, 0x9FFF, "fonts-noto-cjk"),
    (0xA960, 0xD7FF, "fonts-noto-cjk"),
    (0xF900, 0xFAFF, "fonts-noto-cjk"),
    (0xFF00, 0xFFEF, "fonts-noto-cjk"),
    (0x20000, 0x3FFFF, "fonts-noto-cjk"),
    (0x2300, 0x2BFF, "fonts-symbola"),
    (0x1F000, 0x1FAFF, "fonts-symbola"),
)
"""First and last code point, and the Debian package of a font with outlines for them; all others: OTHER_PACKAGE."""
OTHER_PACKAGE = "fonts-noto-core"
NAMED_CHARACTERS = 12


class Run(NamedTuple):
    """A piece of a line in one font and direction; no font: characters to be drawn as stand-ins."""

    text: str
    font: Path | None
    is_rtl: bool


class _Piece(NamedTuple):
    """A run in reading order, with its embedding level."""

    text: str
    font: Path | None
    level: int


def font_directories() -> list[Path]:
    """Return where fonts are installed on this system."""
    home = Path.home()
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:\\Windows")) / "Fonts"]
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), data / "fonts", home / ".fonts"]


def installed_fonts(directories: Iterable[Path]) -> list[Path]:
    """Return the font files, plain sans-serif styles and wide-coverage families first; the order does not depend on the disk."""
    found = {
        Path(folder, name)
        for directory in directories
        for folder, _, names in os.walk(directory)
        for name in names
        if name.lower().endswith(FONT_SUFFIXES)
    }
    return sorted(found, key=_preference)


def _preference(path: Path) -> tuple[int, bool, str, str]:
    name = path.name.lower()
    return sum(style in name for style in SPECIAL_STYLES), "noto" not in name and "dejavu" not in name, name, str(path)


_coverage = cache(read_coverage)


@cache
def _can_be_loaded(path: Path) -> bool:
    """Say whether FreeType takes the file: an installed font may be damaged, and the next one may do."""
    from PIL import ImageFont

    try:
        ImageFont.truetype(str(path), 16)
    except OSError:
        return False
    return True


class Typeface:
    """Measures and draws lines of text.

    Args:
        directories: where to look for further fonts; None: where this system keeps them.

    `missing` collects the characters that no font covers.
    """

    def __init__(self, directories: Iterable[Path] | None = None) -> None:
        from PIL import features

        self.directories = list(font_directories() if directories is None else directories)
        self.missing: set[str] = set()
        self.shapes = bool(features.check_feature("raqm"))
        self._installed: list[Path] | None = None
        self._fonts_of: dict[str, Path | None] = {}
        self._loaded: dict[tuple[Path, int], ImageFont.FreeTypeFont] = {}
        self._advances: dict[tuple[str, int], float] = {}

    def line_height(self, px: int) -> int:
        """Return the distance of baselines."""
        return round(px * 1.35)

    def advance(self, character: str, px: int) -> float:
        """Return the width of one character in pixels."""
        key = (character, px)
        if key not in self._advances:
            path = self._font_of(character)
            self._advances[key] = STAND_IN_WIDTH * px if path is None else self._font(path, px).getlength(character)
        return self._advances[key]

    def width(self, text: str, px: int) -> int:
        """Return the width of a line in pixels, rounded up."""
        return int(sum(self._run_width(run, px) for run in self.runs(text))) + 1

    def draw(self, draw: ImageDraw.ImageDraw, xy: tuple[int, int], text: str, *, px: int, fill: str) -> None:
        """Draw a line whose line box starts at xy, its top left corner."""
        x, baseline = float(xy[0]), xy[1] + round(px * 1.06)
        for run in self.runs(text):
            if run.font is None:
                _draw_stand_ins(draw, x, baseline, _stand_ins(run), px=px, fill=fill)
            else:
                shown, how = self._shaped(run)
                draw.text((x, baseline), shown, font=self._font(run.font, px), fill=fill, anchor="ls", **how)
            x += self._run_width(run, px)

    def runs(self, text: str) -> list[Run]:
        """Return the pieces of a line from left to right."""
        pieces: list[_Piece] = []
        for character, level, font in zip(text, _levels(text), self._fonts(text), strict=True):
            last = pieces[-1] if pieces else None
            if last is not None and (last.font, last.level) == (font, level):
                pieces[-1] = _Piece(last.text + character, font, level)
            else:
                pieces.append(_Piece(character, font, level))
        return [Run(piece.text, piece.font, piece.level % 2 == 1) for piece in _visual_order(pieces)]

    def hint(self) -> str | None:
        """Return what to install so that every character can be drawn, or None if every one was."""
        if not self.missing:
            return None
        characters = sorted(self.missing)
        named = "".join(characters[:NAMED_CHARACTERS]) + ("…" if len(characters) > NAMED_CHARACTERS else "")
        packages = sorted({_package(character) for character in characters})
        count = len(characters)
        return (
            f"no installed font has {'the character' if count == 1 else f'{count} characters'} {named}: drawn as boxes; "
            f"install a font that has them, such as {' and '.join(packages)}"
        )

    def _fonts(self, text: str) -> Iterator[Path | None]:
        previous: Path | None = BUNDLED
        for character in text:
            if _joins(character) or (
                not character.isalnum() and previous is not None and character in _coverage(previous)
            ):
                yield previous
                continue
            previous = self._font_of(character)
            yield previous

    def _font_of(self, character: str) -> Path | None:
        if character not in self._fonts_of:
            covering = (path for path in self._candidates() if character in _coverage(path))
            self._fonts_of[character] = next(filter(_can_be_loaded, covering), None)
        if self._fonts_of[character] is None:
            self.missing.add(character)
        return self._fonts_of[character]

    def _candidates(self) -> Iterator[Path]:
        yield BUNDLED
        if self._installed is None:
            self._installed = installed_fonts(self.directories)
        yield from self._installed

    def _font(self, path: Path, px: int) -> ImageFont.FreeTypeFont:
        from PIL import ImageFont

        key = (path, px)
        if key not in self._loaded:
            self._loaded[key] = ImageFont.truetype(str(path), px)
        return self._loaded[key]

    def _run_width(self, run: Run, px: int) -> float:
        if run.font is None:
            return _stand_ins(run) * STAND_IN_WIDTH * px
        shown, how = self._shaped(run)
        return float(self._font(run.font, px).getlength(shown, **how))

    def _shaped(self, run: Run) -> tuple[str, dict[str, Any]]:
        """Return the text and options for Pillow; without a shaping engine, right-to-left text is reversed by hand."""
        if self.shapes:
            return run.text, {"direction": "rtl" if run.is_rtl else "ltr"}
        return (run.text[::-1] if run.is_rtl else run.text), {}


def _joins(character: str) -> bool:
    """Say whether a character is drawn on its neighbour and not beside it."""
    return character in SHAPING or unicodedata.category(character) in ("Mn", "Me", "Mc")


def _stand_ins(run: Run) -> int:
    return sum(not _joins(character) for character in run.text)


def _draw_stand_ins(draw: ImageDraw.ImageDraw, x: float, baseline: int, count: int, *, px: int, fill: str) -> None:
    """Draw boxes in place of characters."""
    for i in range(count):
        left = round(x + i * STAND_IN_WIDTH * px) + 1
        right = round(x + (i + 1) * STAND_IN_WIDTH * px) - 2
        draw.rectangle((left, baseline - round(px * 0.72), max(left + 2, right), baseline), outline=fill, width=1)


def _package(character: str) -> str:
    code = ord(character)
    return next((package for first, last, package in PACKAGES if first <= code <= last), OTHER_PACKAGE)


def _levels(text: str) -> list[int]:
    """Return the embedding level of each character: odd levels are set right to left.

    This is the Unicode Bidirectional Algorithm without explicit embeddings and paired brackets, which labels do not need.
    Source: UAX #9, rules P2, W2, W4, W7, N1, N2, I1, I2.
    """
    kinds = [_KINDS.get(unicodedata.bidirectional(character), "?") for character in text]
    for i in range(1, len(kinds) - 1):
        if unicodedata.bidirectional(text[i]) in ("CS", "ES") and kinds[i - 1] == kinds[i + 1] == "N":
            kinds[i] = "N"
    base = next((kind for kind in kinds if kind in "LR"), "L")
    strong = base
    for i, kind in enumerate(kinds):
        if kind in "LR":
            strong = kind
        elif kind == "N" and strong == "L":
            kinds[i] = "L"
    levels = {"L": 0 if base == "L" else 2, "R": 1, "N": 2}
    return [levels[kind] for kind in _settle_neutrals(kinds, base)]


_KINDS = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N"}


def _settle_neutrals(kinds: list[str], base: str) -> list[str]:
    """Give each run of neutrals the direction that both of its neighbours have, else the line's; numbers count as R."""
    settled = list(kinds)
    start = 0
    while start < len(kinds):
        end = start
        while end < len(kinds) and kinds[end] == "?":
            end += 1
        before = base if start == 0 else kinds[start - 1].replace("N", "R")
        after = base if end == len(kinds) else kinds[end].replace("N", "R")
        settled[start:end] = [before if before == after else base] * (end - start)
        start = max(end, start) + 1
    return settled


def _visual_order(pieces: list[_Piece]) -> list[_Piece]:
    """Return the pieces from left to right: every stretch of a level or above is turned, the highest level first.

    Source: UAX #9, rule L2.
    """
    ordered = list(pieces)
    for level in range(max((piece.level for piece in pieces), default=0), 0, -1):
        start = 0
        while start < len(ordered):
            end = start
            while end < len(ordered) and ordered[end].level >= level:
                end += 1
            ordered[start:end] = reversed(ordered[start:end])
            start = max(end, start) + 1
    return ordered
