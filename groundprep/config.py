"""Limits on hostile or broken input. Each is a documented cap (docs/limits.md), not a tuning knob."""

from __future__ import annotations

MAX_ROW_BYTES = 64 * 1024 * 1024
"""Longest annotation line or JSON array element."""

MAX_JSON_DEPTH = 200
"""Deepest nesting of a row; far below what the interpreter's stack holds, so that every later step can walk the row."""

MAX_COORDINATE = 1e9
"""Largest absolute coordinate; beyond it nothing is a pixel, and arithmetic loses the pixels."""

MAX_IMAGE_BYTES = 256 * 1024 * 1024
"""Largest encoded image; a base64 payload may be 4/3 of it."""

MAX_IMAGE_PIXELS = 178_956_970
"""Largest image that is decoded; Pillow's own decompression-bomb limit."""

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "MPO")
"""Pillow formats that are opened; every other is refused. PPM covers PGM and PBM; MPO is a camera's JPEG."""

MAX_PICKLE_BYTES = 256 * 1024 * 1024
"""Largest pickle; it is loaded as a whole. RefCOCO's are under 50 MB."""

PARQUET_ROW_GROUP_ROWS = 100
PARQUET_ROW_GROUP_BYTES = 100_000_000
"""Source: specs/rexthinker.md §4.3: `datasets` reads by row group, and huge ones with nested lists fail."""
