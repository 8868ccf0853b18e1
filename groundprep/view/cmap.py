"""Which characters a font file covers: its `cmap` table, and nothing else of it.

Reads TrueType, OpenType and the first face of a collection; formats 4 and 12, which are the Unicode ones in use.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

UNICODE_TABLES = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0))
"""(platform, encoding) of Unicode tables, the most complete first. Source: OpenType specification, cmap."""
OUTLINES = (b"glyf", b"CFF ", b"CFF2")


@dataclass(frozen=True, slots=True)
class Coverage:
    """A parsed cmap: inclusive ranges in order; `glyphs` is set where a range does not prove that there is a glyph."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    glyphs: frozenset[int] | None = None

    def __contains__(self, character: str) -> bool:
        code = ord(character)
        position = bisect_left(self.ends, code)
        if position == len(self.ends) or self.starts[position] > code:
            return False
        return self.glyphs is None or code in self.glyphs


NOTHING = Coverage((), ())


def read_coverage(path: Path) -> Coverage:
    """Return what the font covers; a file that is no font with outlines covers nothing."""
    try:
        data = path.read_bytes()
        start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
        tables = _tables(data, start)
        if b"cmap" not in tables or not any(outline in tables for outline in OUTLINES):
            return NOTHING
        return _best_table(data, tables[b"cmap"])
    except (OSError, struct.error, IndexError):
        return NOTHING


def _tables(data: bytes, start: int) -> dict[bytes, int]:
    count = struct.unpack_from(">H", data, start + 4)[0]
    records = (struct.unpack_from(">4sIII", data, start + 12 + 16 * i) for i in range(count))
    return {tag: offset for tag, _, offset, _ in records}


def _best_table(data: bytes, cmap: int) -> Coverage:
    count = struct.unpack_from(">H", data, cmap + 2)[0]
    offsets = {}
    for i in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", data, cmap + 4 + 8 * i)
        offsets[platform, encoding] = cmap + offset
    for key in UNICODE_TABLES:
        if key in offsets:
            kind = struct.unpack_from(">H", data, offsets[key])[0]
            if kind == 12:
                return _format_12(data, offsets[key])
            if kind == 4:
                return _format_4(data, offsets[key])
    return NOTHING


def _format_12(data: bytes, start: int) -> Coverage:
    count = struct.unpack_from(">I", data, start + 12)[0]
    numbers = struct.unpack_from(f">{3 * count}I", data, start + 16)
    return Coverage(numbers[0::3], numbers[1::3])


def _format_4(data: bytes, start: int) -> Coverage:
    segments = struct.unpack_from(">H", data, start + 6)[0] // 2
    ends = struct.unpack_from(f">{segments}H", data, start + 14)
    starts = struct.unpack_from(f">{segments}H", data, start + 16 + 2 * segments)
    deltas = struct.unpack_from(f">{segments}H", data, start + 16 + 4 * segments)
    offsets_at = start + 16 + 6 * segments
    offsets = struct.unpack_from(f">{segments}H", data, offsets_at)
    glyphs: set[int] = set()
    for i in range(segments):
        for code in range(starts[i], min(ends[i], 0xFFFE) + 1):
            if offsets[i] == 0:
                glyph = (code + deltas[i]) & 0xFFFF
            else:
                glyph = struct.unpack_from(">H", data, offsets_at + 2 * i + offsets[i] + 2 * (code - starts[i]))[0]
            if glyph:
                glyphs.add(code)
    return Coverage(starts, ends, frozenset(glyphs))
