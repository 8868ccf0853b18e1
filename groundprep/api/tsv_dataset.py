"""`TsvDataset`: a Rex-Omni TSV as a map-style data set, for training loops of any framework.

It has the interface of `torch.utils.data.Dataset` without importing torch. Opening reads the line index in one piece, and
finds its lines in one step of numpy; an entry becomes a number when it is asked for. Files are opened lazily, per thread, and
read by position: a forked or spawned worker shares no cursor with its parent, and a pickle holds three paths.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from groundprep.api.line_index import triple_of
from groundprep.containers.base import require_readable
from groundprep.containers.json_text import BOM
from groundprep.containers.tsv import LINE_INDEX, OFFSET_DIGITS, Triple, find_triple, is_offset, parse_line
from groundprep.errors import LineIndexError
from groundprep.images import TsvImage, decode_rgb, read_line
from groundprep.source import Source

if TYPE_CHECKING:
    from PIL import Image

ANNOTATION_BYTES = 4096
"""How much of an annotations file is read at once: most lines are shorter."""
LINE_FEED = 10
PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TsvItem:
    """One sample.

    Args:
        annotation: the row as decoded.
        image: the image's bytes as stored, or with `decode=True` its pixels, RGB, in the orientation that they are stored in.
    """

    annotation: dict[str, Any]
    image: bytes | Image.Image


class TsvDataset:
    """The samples that a line index lists, in its order.

    Args:
        path: the prefix X of X.images.tsv, the annotations file, or a line index (also one written by sample or split).
        decode: give images as `PIL.Image.Image`, RGB, instead of bytes.
        annotations, images: the other two files, where `path` is a line index that does not say where they are.

    Raises FormatError if a file is missing or empty. A damaged sample raises when it is asked for: LineIndexError,
    RecordError or PayloadError.
    """

    def __init__(
        self, path: str, *, decode: bool = False, annotations: str | None = None, images: str | None = None
    ) -> None:
        path = str(path)
        self.decode = decode
        self.triple = triple_of(path, annotations, images) if path.endswith(LINE_INDEX) else find_triple(path)
        for file in self.triple:
            require_readable(file)
        self._open()

    def _open(self) -> None:
        text = self.triple.lineidx.read_bytes().removeprefix(BOM)
        self._index = text if text.endswith(b"\n") else text + b"\n"
        self._ends = line_ends(self._index)

    def __getstate__(self) -> tuple[Triple, bool]:
        return self.triple, self.decode

    def __setstate__(self, state: tuple[Triple, bool]) -> None:
        self.triple, self.decode = state
        self._open()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._ends)

    def __getitem__(self, index: SupportsIndex) -> TsvItem:
        """Return a sample; negative indices count from the end. Raises IndexError beyond either end."""
        number = operator.index(index)
        count = len(self._ends)
        if not -count <= number < count:
            raise IndexError(f"sample {number} of {count}")
        number %= count
        source = Source(str(self.triple.lineidx), number + 1)
        line = read_line(str(self.triple.annotations), self.offset_bytes(number), first_read_bytes=ANNOTATION_BYTES)
        row = parse_line(line, self.triple.images, source)
        assert isinstance(row.image, TsvImage)
        data = row.image.read()
        return TsvItem(row.value, decode_rgb(data) if self.decode else data)

    def __iter__(self) -> Iterator[TsvItem]:
        """Yield every sample in order."""
        return (self[number] for number in range(len(self)))

    def offset_bytes(self, number: int) -> int:
        """Return the byte offset of the annotation line of sample `number`, 0 to len - 1; raises LineIndexError."""
        start = int(self._ends[number - 1]) + 1 if number else 0
        text = self._index[start : int(self._ends[number])].strip()
        if not is_offset(text):
            raise LineIndexError(
                "a line index entry is not a byte offset",
                source=Source(str(self.triple.lineidx), number + 1),
                found=text[:40].decode("latin-1"),
                expected=f"at most {OFFSET_DIGITS} decimal digits",
            )
        return int(text)


def line_ends(text: bytes) -> NDArray[Any]:
    """Return where each line feed is, in order.

    A piece of the text at a time, into memory that only this uses: new arrays of the size of the text cost twice the search.
    """
    characters: NDArray[np.uint8] = np.frombuffer(text, dtype=np.uint8)
    # What is not used of it is never touched.
    ends: NDArray[Any] = np.empty(len(text), np.uint32 if len(text) < 1 << 32 else np.uint64)
    is_end = np.empty(PIECE_BYTES, np.bool_)
    count = 0
    for start in range(0, len(text), PIECE_BYTES):
        piece = characters[start : start + PIECE_BYTES]
        (found,) = np.equal(piece, LINE_FEED, out=is_end[: len(piece)]).nonzero()
        np.add(found, start, out=ends[count : count + len(found)], casting="unsafe")
        count += len(found)
    return ends[:count]
