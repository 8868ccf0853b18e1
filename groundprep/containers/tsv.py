"""Rex-Omni's TSV: base64 images, annotations that point at them by byte offset, and an index of annotation lines.

Layout, to the byte (source: Rex-Omni @478e44f convert_json_data_to_tsv.py, specs/rexomni.md §1.2); binary, LF, UTF-8:
  X.images.tsv               <own byte offset>TAB<base64>LF
  X.annotations.tsv          <byte offset of the image line>TAB<json>LF
  X.annotations.tsv.lineidx  <byte offset of the annotation line>LF
Payloads are the source bytes (law 3), and an image is stored once however many rows share it: readers only seek.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import pybase64

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import LOAD, ImagePlan, OutRow, Reader, Row, TableSpec, Writer, require_readable
from groundprep.containers.behind import FileBehind
from groundprep.containers.json_text import BOM, decode_object, encode_exact
from groundprep.containers.key_paths import first_place, has_lone_surrogate
from groundprep.containers.offsets import IS_PENDING, OffsetIndex, digest_of
from groundprep.errors import FormatError, LineIndexError, RecordError, shown
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef, TsvImage
from groundprep.record import Dropped
from groundprep.source import Source

IMAGES = ".images.tsv"
ANNOTATIONS = ".annotations.tsv"
LINEIDX = ".annotations.tsv.lineidx"
LINE_INDEX = ".lineidx"
SHOWN_ROW_CHARACTERS = 2_000
OFFSET_DIGITS = 18
"""As many decimal digits as always fit the 63 bits of a file offset."""


class Triple(NamedTuple):
    """The three files of a TSV data set."""

    images: Path
    annotations: Path
    lineidx: Path


def find_triple(path: str) -> Triple:
    """Return the files that a prefix, an annotations file or a line index belongs to; raises FormatError."""
    name = path.removesuffix(LINE_INDEX)
    if name.endswith(ANNOTATIONS):
        prefix = name.removesuffix(ANNOTATIONS)
    elif name.endswith(IMAGES):
        prefix = name.removesuffix(IMAGES)
    elif name.endswith(".tsv") and not Path(name + ANNOTATIONS).exists():
        raise FormatError(
            "the other files of this TSV cannot be found from its name",
            code="tsv-names",
            source=path,
            expected=f"X{IMAGES}, X{ANNOTATIONS}, X{LINEIDX}",
            fix="rename the files, then pass the prefix X",
        )
    else:
        prefix = path
    return Triple(
        Path(prefix + IMAGES), Path(prefix + ANNOTATIONS), Path(path if path.endswith(LINE_INDEX) else prefix + LINEIDX)
    )


class TsvReader(Reader):
    """Reads the rows that a line index lists, in its order: it may list a part, repeat and reorder."""

    container = "tsv"

    def __init__(self, path: str, triple: Triple | None = None) -> None:
        super().__init__(path)
        self.triple = triple or find_triple(path)
        require_readable(self.triple.annotations)
        require_readable(self.triple.images)
        if self.triple.lineidx.exists():
            require_readable(self.triple.lineidx)

    @property
    def files(self) -> list[Path]:
        """Annotations, line index and images."""
        return [file for file in (self.triple.annotations, self.triple.lineidx, self.triple.images) if file.exists()]

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield a row per index entry; without an index, per annotation line, with a warning."""
        self._warn_of_cut_files()
        is_part = self.path.endswith(
            LINE_INDEX
        )  # its entries are what is counted, and several parts share the annotations
        counted = str(self.triple.lineidx if is_part else self.triple.annotations)
        with self.triple.annotations.open("rb", 1 << 20) as annotations:
            for number, entry in self._numbered_entries():
                source = Source(counted, number)
                line = b""
                try:
                    line = self._line_at(annotations, self._offset(entry, number))
                    if line.endswith(b"\r\n"):
                        self._warn_of_crlf(number)
                    yield parse_line(line, self.triple.images, source)
                except (RecordError, LineIndexError) as error:
                    error.at(source)
                    text = line[:SHOWN_ROW_CHARACTERS].decode("utf-8", "backslashreplace")
                    yield Dropped(source, error.code, error.message, text, error)

    def _warn_of_crlf(self, number: int) -> None:
        self.warn("crlf", "lines end with CRLF", row=number, fix="write the TSV again: CRLF makes offsets wrong")

    def _warn_of_cut_files(self) -> None:
        """Warn of files that do not end with a line end: a cut payload may still be base64, and open as an image."""
        cut = [file.name for file in self.files if not _ends_with_line(file)]
        if cut:
            self.warn(
                "no-line-end",
                f"the last line has no line end, so that it may be cut off: {', '.join(map(shown, cut))}",
                fix="copy or write the TSV again; a complete last line only needs its line end",
            )

    def iter_offsets(self) -> Iterator[tuple[int, int]]:
        """Yield (1-based entry number, byte offset of its annotation line); entries that are no offsets are left out."""
        for number, entry in self._numbered_entries():
            try:
                yield number, self._offset(entry, number)
            except LineIndexError:
                continue  # whoever reads the row of this entry is told

    def _numbered_entries(self) -> Iterator[tuple[int, bytes | int]]:
        return enumerate(self._entries(), start=1)

    def _entries(self) -> Iterator[bytes | int]:
        if not self.triple.lineidx.exists():
            self.warn(
                "no-lineidx",
                "the line index is missing; lines are read in file order",
                fix="write it: trainers cannot read the TSV without it",
            )
            offset = 0
            with self.triple.annotations.open("rb", 1 << 20) as annotations:
                for line in annotations:
                    yield offset
                    offset += len(line)
            return
        with self.triple.lineidx.open("rb") as lineidx:
            yield from lineidx

    def _offset(self, entry: bytes | int, number: int) -> int:
        if isinstance(entry, int):
            return entry
        text = entry.strip()
        if number == 1 and text.startswith(BOM):
            self.warn("bom", "the line index starts with a byte order mark", row=1)
            text = text[len(BOM) :]
        if entry.endswith(b"\r\n"):
            self._warn_of_crlf(number)
        if not is_offset(text):
            raise LineIndexError(
                "a line index entry is not a byte offset",
                found=text[:40].decode("latin-1"),
                expected=f"at most {OFFSET_DIGITS} decimal digits",
            )
        return int(text)

    def _line_at(self, annotations: IO[bytes], offset_bytes: int) -> bytes:
        annotations.seek(max(0, offset_bytes - 1))  # cheap while the line before it is still buffered
        if offset_bytes > 0 and annotations.read(1) != b"\n":
            raise self._misplaced(offset_bytes)
        line = annotations.readline(MAX_ROW_BYTES + 2)
        if not line:
            raise self._misplaced(offset_bytes)
        return line

    def _misplaced(self, offset_bytes: int) -> LineIndexError:
        return LineIndexError(
            "no annotation line starts at this byte offset",
            found=offset_bytes,
            expected="the offset of a line start",
            fix="write the TSV again; offsets count bytes, not characters",
        )


def parse_line(line: bytes, images: Path, source: Source) -> Row:
    """Return the row of an annotation line, its image as a place in `images`; raises RecordError."""
    fields = line.strip(b"\r\n").split(b"\t")
    if len(fields) != 2:
        raise RecordError(
            "an annotation line needs exactly two fields",
            code="tsv-fields",
            found=f"{len(fields)} fields",
            expected="<image offset>TAB<json>",
        )
    if not is_offset(fields[0].strip()):
        raise RecordError(
            "the image offset is not a number",
            code="tsv-fields",
            found=fields[0][:40].decode("latin-1"),
            expected=f"at most {OFFSET_DIGITS} decimal digits",
        )
    return Row(source, decode_object(fields[1]), TsvImage(str(images), int(fields[0])))


def is_offset(text: bytes) -> bool:
    """Say whether text is a byte offset: at most 18 decimal digits."""
    return text.isdigit() and len(text) <= OFFSET_DIGITS


def _ends_with_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class PreparedTsvRow(NamedTuple):
    """An annotation as JSON bytes, its image, what becomes of that, and its base64 payload if it was loaded."""

    annotation: bytes
    image: ImageRef
    plan: ImagePlan
    payload: bytes | None


class TsvWriter(Writer):
    """Writes the three files; counters advance only after all writes of a row succeeded."""

    container = "tsv"
    embeds_images = True
    suffixes = (IMAGES, ANNOTATIONS, LINEIDX)

    def __init__(self, paths: Sequence[Path], table: TableSpec, loader: ImageLoader) -> None:
        super().__init__(paths, table, loader)
        self.dedupe = True
        self.images, self.annotations, self.lineidx = map(FileBehind, self.paths)
        self.image_offset = 0
        self.annotation_offset = 0
        self.stored = OffsetIndex()

    def plan(self, row_image: ImageRef | None) -> ImagePlan:
        """Have the image loaded for the first row that shows it."""
        if row_image is None or not self.dedupe:
            return LOAD
        digest = digest_of(row_image.location.key)
        return ImagePlan(self.stored.reserve(digest), digest)

    def use_thread(self) -> None:
        """Write images, which are nearly all of the bytes, behind the rows."""
        self.images.behind.threaded = True

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> PreparedTsvRow:
        """Return annotation and payload as bytes; raises RecordError for a row without image or with a lone surrogate."""
        if row.image is None:
            raise RecordError(
                "a TSV row needs exactly one image", code="image-needed", found="a row without image, or with several"
            )
        try:
            annotation = encode_exact(row.value).encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(
                "a string holds half of a surrogate pair",
                code="lone-surrogate",
                found=first_place(row.value, has_lone_surrogate),
                fix="correct the text",
            ) from error
        payload = pybase64.b64encode(self.loader.read(row.image)) if plan.load else None
        return PreparedTsvRow(annotation, row.image, plan, payload)

    def write(self, prepared: PreparedTsvRow) -> None:
        """Append one annotation, and its image if it is new."""
        annotation, image, (is_first, digest), payload = prepared
        known = None if is_first or digest is None else self.stored.get(digest)
        if known is None or known == IS_PENDING:
            if payload is None:  # the row that should have stored this image was dropped
                payload = pybase64.b64encode(self.loader.read(image))
            known = self.image_offset
            written = self.images.write(b"%d\t" % known, payload, b"\n")
        else:
            written = 0
        annotation_line = b"%d\t%b\n" % (known, annotation)
        self.annotations.write(annotation_line)
        self.lineidx.write(b"%d\n" % self.annotation_offset)
        self.image_offset += written
        self.annotation_offset += len(annotation_line)
        if written and digest is not None:
            self.stored.set(digest, known)

    def close(self) -> None:
        """Flush all three files to disk."""
        for file in (self.images, self.annotations, self.lineidx):
            file.close()

    def abort(self) -> None:
        """Close all three files."""
        for file in (self.images, self.annotations, self.lineidx):
            file.abort()
