"""What an image file's header says, without reading the file behind it.

Of a JPEG whose markers are in order the first kilobytes are read (`jpeg`); anything else is left to Pillow, which reads as far as
it must.
"""

from __future__ import annotations

import os
from typing import IO

from groundprep.images import frames_of, open_image, orientation_of, require_size_in_bytes, unreadable_file
from groundprep.jpeg import JPEG_START, ImageHeader, ImageInfo, jpeg_header

READ_BYTES = 8 * 1024
MORE_BYTES = 512 * 1024
"""Read if the first bytes do not reach the picture: a camera's preview, or a colour profile."""

ROTATING_FORMATS = ("JPEG", "MPO", "WEBP", "TIFF")
"""Formats whose EXIF data can be read without the pixels (Pillow removes a TIFF's with them); a PNG's needs decoding."""

FORMATS_WITH_FRAMES = ("GIF", "TIFF", "WEBP")
"""Formats whose number of pictures can be told without decoding; an MPO's further ones are previews of the first."""


def read_header(path: str) -> ImageHeader:
    """Return what the header of an image file says; raises PayloadError as reading and opening the whole file would."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # measured: a file object costs as much as the rest of this
        try:
            size = os.fstat(number).st_size
            require_size_in_bytes(size, path)
            head = os.read(number, READ_BYTES)
            found = jpeg_header(head)
            if found is None and len(head) < size and head.startswith(JPEG_START):
                found = jpeg_header(head + os.read(number, MORE_BYTES))
            return found or _header_of_rest(number)
        finally:
            os.close(number)
    except OSError as error:
        raise unreadable_file(path, error) from error


def _header_of_rest(number: int) -> ImageHeader:
    os.lseek(number, 0, os.SEEK_SET)
    with open(number, "rb", closefd=False) as file:
        return header_of(file)


def header_of(data: bytes | IO[bytes]) -> ImageHeader:
    """Return what the header of an image says, as Pillow reads it; raises PayloadError."""
    image = open_image(data)
    info = ImageInfo((image.width, image.height), image.format or "", image.mode)
    orientation = orientation_of(image) if info.format in ROTATING_FORMATS else 1
    return ImageHeader(info, orientation, info.format in FORMATS_WITH_FRAMES and frames_of(image) > 1)
