"""The header of a JPEG, read from its markers without Pillow: what nearly every image file of grounding data is.

Only a file whose markers follow each other as they should is judged. Whatever is otherwise (another format, several pictures in
one file, anything odd) gives None: Pillow is asked (`images.probe`, `image_header`). A test holds the two against each other.
"""

from __future__ import annotations

import struct
from typing import Literal

from msgspec import Struct

from groundprep.config import MAX_IMAGE_PIXELS
from groundprep.geometry.frames import SizeWH
from groundprep.source import replaceable

START_OF_SCAN, APP1, APP2, QUANTIZATION = 0xDA, 0xE1, 0xE2, 0xDB
FRAMES = frozenset((0xC0, 0xC1, 0xC2))
TELLING = FRAMES | {APP1, APP2, QUANTIZATION}
PASSED_OVER = TELLING | {*range(0xE0, 0xF0), 0xFE, 0xC4, 0xDD}
"""Application data, comments, Huffman and quantization tables, restart interval."""

JPEG_START = b"\xff\xd8\xff"

MODES = {1: "L", 3: "RGB", 4: "CMYK"}

ORIENTATION_TAG = 0x0112
SHORT = 3
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Kind of a value in a TIFF directory → its bytes. Source: TIFF 6.0, section 2."""

INLINE_BYTES = 4
ROTATED = range(1, 9)

_U16 = struct.Struct(">H").unpack_from


@replaceable
class ImageInfo(Struct, frozen=True, gc=False):
    """What an image's header says of its pixels."""

    size_wh: SizeWH
    format: str
    mode: str


class ImageHeader(Struct, frozen=True, gc=False):
    """What a header says.

    Args:
        info: size, format and mode.
        orientation: EXIF, 1 to 8; of formats that can say so without decoding (a PNG's is 1).
        is_animated: there is more than one picture; of GIF, TIFF and WebP.
    """

    info: ImageInfo
    orientation: int = 1
    is_animated: bool = False


def jpeg_header(data: bytes) -> ImageHeader | None:
    """Return what the header of a JPEG says whose markers are in order; None for anything else, or if it is not all there."""
    segments = _segments(data)
    if segments is None:
        return None
    info: ImageInfo | None = None
    orientation = 0
    for marker, segment in segments:
        if marker == APP1:
            found = _orientation_in(segment, is_first=not orientation)
            if found is None:
                return None
            orientation = found or orientation
        elif marker in FRAMES:
            info = _frame(segment) if info is None else None
            if info is None:
                return None
        elif not _is_sound(marker, segment):
            return None
    return None if info is None else ImageHeader(info, orientation or 1)


def _segments(data: bytes) -> list[tuple[int, bytes]] | None:
    """Return marker and content of the segments before the picture that tell anything; None if they are not in order."""
    if not data.startswith(JPEG_START):
        return None
    segments: list[tuple[int, bytes]] = []
    position, last = 2, len(data) - 4
    while position <= last and data[position] == 0xFF:
        marker = data[position + 1]
        start, position = position + 4, position + 2 + (data[position + 2] << 8 | data[position + 3])
        if position < start or position > len(data):
            return None
        if marker == START_OF_SCAN:
            return segments
        if marker not in PASSED_OVER:
            return None
        if marker in TELLING:
            segments.append((marker, data[start:position]))
    return None


def _is_sound(marker: int, segment: bytes) -> bool:
    """Say whether a segment is one that needs no second look: whole tables, and no sign of several pictures."""
    return _holds_tables(segment) if marker == QUANTIZATION else not segment.startswith(b"MPF\0")


def _frame(segment: bytes) -> ImageInfo | None:
    """Return what a frame header of 8-bit components says."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] not in MODES or len(segment) != 6 + 3 * segment[5]:
        return None
    (height,), (width,) = _U16(segment, 1), _U16(segment, 3)
    if not 0 < width * height <= MAX_IMAGE_PIXELS:
        return None
    return ImageInfo((width, height), "JPEG", MODES[segment[5]])


def _holds_tables(segment: bytes) -> bool:
    """Say whether a segment is whole quantization tables."""
    position = 0
    while position < len(segment):
        position += 65 if segment[position] < 16 else 129
    return position == len(segment)


def _orientation_in(segment: bytes, *, is_first: bool) -> int | None:
    """Return the orientation in application data; 0 if it says nothing of it, None if only Pillow can tell."""
    if not segment.startswith(b"Exif\0\0"):
        return None if b"Orientation" in segment else 0  # in XMP, which counts where EXIF says nothing
    if not is_first:
        return None
    tiff = segment[6:]
    order: Literal["<", ">"]
    if tiff.startswith(b"II*\0"):
        order = "<"
    elif tiff.startswith(b"MM\0*"):
        order = ">"
    else:
        return None
    return _orientation_of_directory(tiff, order)


def _orientation_of_directory(tiff: bytes, order: Literal["<", ">"]) -> int | None:
    """Return the orientation in the first directory of EXIF data whose every entry is sound."""
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        entries = [struct.unpack_from(order + "HHII", tiff, offset + 2 + 12 * index) for index in range(count)]
        struct.unpack_from(order + "I", tiff, offset + 2 + 12 * count)
    except struct.error:
        return None
    orientation = 0
    for index, (tag, kind, values, place) in enumerate(entries):
        size = VALUE_BYTES.get(kind, 0) * values
        if not size or (size > INLINE_BYTES and place + size > len(tiff)):
            return None
        if tag == ORIENTATION_TAG:
            if orientation or kind != SHORT or values != 1:
                return None
            (orientation,) = struct.unpack_from(order + "H", tiff, offset + 2 + 12 * index + 8)
            orientation = orientation if orientation in ROTATED else 1
    return orientation or (None if b"Orientation" in tiff else 1)
