"""Image bytes: where they are, how to get them, and proof that they are an image.

Bytes are data that passes through: nothing here re-encodes. Pixels are decoded only by `decode`.
Refuses: formats outside the allow-list, images above the caps of `config`. `image_names` refuses names.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import zlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import msgspec
import pybase64
from msgspec import Struct

from groundprep.config import IMAGE_FORMATS, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from groundprep.errors import LineIndexError, PayloadError, shown
from groundprep.geometry.frames import SizeWH
from groundprep.jpeg import ImageInfo, jpeg_header
from groundprep.source import replaceable

if TYPE_CHECKING:
    from PIL import Image

EXIF_ORIENTATION_TAG = 0x0112
LINE_FEED = 10


MISSING = (FileNotFoundError, NotADirectoryError)
"""No file of that name; any other refusal means that there is one."""


class FileImage(Struct, frozen=True, gc=False):
    """An image file of its own."""

    path: str

    def read(self) -> bytes:
        """Return the file's bytes; raises PayloadError (`image-missing`, `image-too-large`)."""
        try:
            number = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _read_all(number, self.path)
            finally:
                os.close(number)
        except OSError as error:
            raise unreadable_file(self.path, error) from error

    @property
    def key(self) -> Hashable:
        """What makes two references the same image."""
        return self.path


@dataclass(frozen=True, slots=True)
class TsvImage:
    """A line `<anything>TAB<base64>` of an images TSV, found by its byte offset."""

    path: str
    offset_bytes: int

    def read(self) -> bytes:
        """Return the decoded payload; raises LineIndexError or PayloadError (`image-base64`)."""
        line = _TSV_LINES.line_at(self.path, self.offset_bytes)
        start = line.find(b"\t") + 1
        if not start:
            raise PayloadError(
                "an images TSV line needs two fields",
                code="tsv-fields",
                found=f"1 field at byte {self.offset_bytes} of {self.path}",
                expected="<offset>TAB<base64>",
            )
        end = line.find(b"\t", start)
        return decode_base64(line[start : end if end >= 0 else len(line)].strip())

    @property
    def key(self) -> Hashable:
        """What makes two references the same image."""
        return self.path, self.offset_bytes


@dataclass(frozen=True, slots=True, eq=False)
class BytesImage:
    """Bytes that lie in the row itself."""

    data: bytes

    def read(self) -> bytes:
        """Return the bytes."""
        require_size_in_bytes(len(self.data), "the embedded image")
        return self.data

    @property
    def key(self) -> Hashable:
        """What makes two references the same image."""
        return hashlib.blake2b(self.data, digest_size=16).digest()


Location: TypeAlias = FileImage | TsvImage | BytesImage


@replaceable
class ImageRef(Struct, frozen=True, gc=False):
    """One image of a record.

    Args:
        name: the name that the row gives it, verbatim; None if the row gives none.
        location: where the bytes are.
        declared_size_wh: the (width, height) that the data claims; never trusted, only checked.
        extra: further keys of the row about this image.
    """

    name: str | None
    location: Location
    declared_size_wh: SizeWH | None = None
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)


def _read_all(number: int, path: str) -> bytes:
    """Return all bytes of an open file, in as few calls as can be: at each, other threads may take Python's lock away."""
    size = os.fstat(number).st_size
    require_size_in_bytes(size, path)
    data = os.read(number, size + 1)
    if len(data) == size:
        return data
    parts = [data]  # the file has grown or shrunk meanwhile, or is no plain file
    while part := os.read(number, 1 << 20):
        parts.append(part)
        size += len(part)
        require_size_in_bytes(size, path)
    return b"".join(parts)


def require_size_in_bytes(size: int, what: str) -> None:
    """Raise PayloadError (`image-too-large`) if an encoded image is above the cap."""
    if size > MAX_IMAGE_BYTES:
        raise PayloadError(
            "the encoded image is too large",
            code="image-too-large",
            found=f"{what}: {size} bytes",
            expected=f"at most {MAX_IMAGE_BYTES} bytes",
        )


def unreadable_file(path: str, error: OSError) -> PayloadError:
    """Return what is said of an image file that cannot be read."""
    return PayloadError(
        "the image file cannot be read",
        code="image-missing",
        found=f"{path}: {error.strerror}",
        fix="check --image-root and the name in the row",
    )


def decode_base64(payload: bytes) -> bytes:
    """Return the bytes of a base64 payload, with or without the legacy `b'…'` wrapper.

    Source: Rex-Omni @478e44f tsv_dataset.py (specs/rexomni.md §2.1 step 3): the wrapper is cut; unlike the trainer's
    non-strict decoder, characters outside the alphabet are an error here, because they mean a damaged file.
    """
    if payload[:2] in (b"b'", b'b"'):
        payload = payload[2:].rstrip(b"'\"")
    require_size_in_bytes(len(payload) * 3 // 4, "a base64 payload")
    try:
        return bytes(pybase64.b64decode(payload, validate=True))
    except ValueError as error:
        raise PayloadError(
            "the image payload is not base64", code="image-base64", found=payload[:40].decode("latin-1")
        ) from error


class _Descriptor:
    """An open file that is closed with its last reference: a thread's files go with the thread."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class _TsvLines:
    """Open images files, kept per thread, read by position so that threads and forks never share a cursor."""

    FIRST_READ_BYTES = 256 * 1024

    def __init__(self) -> None:
        self._local = threading.local()

    def line_at(self, path: str, offset_bytes: int, first_read_bytes: int = FIRST_READ_BYTES) -> bytes:
        """Return the line that starts at the offset, without its LF; raises LineIndexError if no line starts there."""
        fd = self._descriptor(path)
        before = min(1, offset_bytes)  # the line end before it is read as well: it proves that a line starts here
        start = offset_bytes - before
        buffer = self._buffer(first_read_bytes)
        filled = os.preadv(fd, [memoryview(buffer)[:first_read_bytes]], start)
        if filled <= before or (before and buffer[0] != LINE_FEED):
            raise self._misplaced(path, offset_bytes)
        end = buffer.find(b"\n", before, filled)
        if end >= 0 or filled < first_read_bytes:
            return bytes(memoryview(buffer)[before : end if end >= 0 else filled])
        parts = [bytes(memoryview(buffer)[before:filled])]
        position = start + filled
        while chunk := os.pread(fd, 4 * self.FIRST_READ_BYTES, position):
            end = chunk.find(b"\n")
            parts.append(chunk if end < 0 else chunk[:end])
            position += len(chunk)
            require_size_in_bytes((position - start) * 3 // 4, path)
            if end >= 0:
                break
        return b"".join(parts)

    def _buffer(self, size: int) -> bytearray:
        """Return this thread's own buffer of at least `size` bytes: a new one for every read would cost more than the read."""
        buffer: bytearray | None = self._local.__dict__.get("buffer")
        if buffer is None or len(buffer) < size:
            buffer = self._local.buffer = bytearray(size)
        return buffer

    def _descriptor(self, path: str) -> int:
        handles: dict[str, tuple[tuple[int, int], _Descriptor]] = self._local.__dict__.setdefault("handles", {})
        try:
            stat = os.stat(path)  # noqa: PTH116 (called once a row)
            identity = (stat.st_ino, stat.st_mtime_ns)
            known = handles.get(path)
            if known is None or known[0] != identity:
                handles[path] = known = (identity, _Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
        except OSError as error:
            raise PayloadError(
                "the TSV cannot be read", code="image-missing", found=f"{path}: {error.strerror}"
            ) from error
        return known[1].number

    @staticmethod
    def _misplaced(path: str, offset_bytes: int) -> LineIndexError:
        return LineIndexError(
            "no line starts at this byte offset of the TSV",
            found=f"byte {offset_bytes} of {path}",
            expected="the offset of a line start",
            fix="write the TSV again; offsets count bytes, not characters",
        )


_TSV_LINES = _TsvLines()


def read_line(path: str, offset_bytes: int, *, first_read_bytes: int = _TsvLines.FIRST_READ_BYTES) -> bytes:
    """Return the line of a TSV that starts at a byte offset, without its LF.

    `first_read_bytes` is how long a line mostly is. Any thread may call, and any process after a fork: nothing is shared
    but the open file. Raises LineIndexError if no line starts there, PayloadError if the file cannot be read.
    """
    return _TSV_LINES.line_at(path, offset_bytes, first_read_bytes)


def _broken_image_errors() -> tuple[type[BaseException], ...]:
    from PIL import Image

    return (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        struct.error,
        zlib.error,
        OverflowError,
        MemoryError,
        Image.DecompressionBombError,
    )


def open_image(data: bytes | IO[bytes]) -> Image.Image:
    """Open an image lazily: the header is parsed, pixels are not; raises PayloadError (`image-broken`).

    `data` may be an open file, of which no more is read than the header; it must stay open as long as the image is used.
    """
    from PIL import Image

    file = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(str(error)) from error
    except _broken_image_errors() as error:
        raise PayloadError(
            "the image cannot be opened",
            found=_shown_start(file),
            expected="an image in one of " + ", ".join(IMAGE_FORMATS),
        ) from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels(f"{image.width}x{image.height}")
    return image


def _shown_start(file: IO[bytes]) -> str:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return f"{size} bytes starting {file.read(8)!r}"


def _too_many_pixels(found: str) -> PayloadError:
    return PayloadError(
        "the image has too many pixels",
        code="image-too-large",
        found=found,
        expected=f"at most {MAX_IMAGE_PIXELS} pixels",
    )


def probe(data: bytes) -> ImageInfo:
    """Return size, format and mode from the header; raises PayloadError."""
    header = jpeg_header(data)
    if header is not None:
        return header.info
    image = open_image(data)
    return ImageInfo((image.width, image.height), image.format or "", image.mode)


def decode(data: bytes) -> Image.Image:
    """Return the decoded image in the orientation that it is stored in; raises PayloadError."""
    image = open_image(data)
    try:
        image.load()
    except _broken_image_errors() as error:
        raise PayloadError(
            "the image cannot be decoded", found=shown(str(error)), fix="replace the file: it is truncated or damaged"
        ) from error
    return image


def decode_rgb(data: bytes) -> Image.Image:
    """Return the decoded image as RGB; alpha is dropped, not composited, as every trainer's reader does."""
    return decode(data).convert("RGB")


def exif_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 when there is none or it cannot be parsed."""
    try:
        return orientation_of(open_image(data))
    except PayloadError:
        return 1


def orientation_of(image: Image.Image) -> int:
    """Return an opened image's EXIF orientation, 1 to 8; 1 when there is none or it cannot be parsed."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION_TAG, 1)
    except _broken_image_errors():
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def frames_of(image: Image.Image) -> int:
    """Return the number of frames or pages of an opened image; 1 where it cannot be told."""
    try:
        return int(getattr(image, "n_frames", 1))
    except _broken_image_errors():
        return 1
