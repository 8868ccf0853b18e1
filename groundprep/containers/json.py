"""One JSON array of objects, read element by element: memory does not grow with the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO, Any

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.base import LOAD, ImagePlan, OutRow, Reader, Row, Writer
from groundprep.containers.json_text import BOM, decode_object, encode_compact
from groundprep.containers.jsonl import undecodable
from groundprep.errors import FormatError, RecordError
from groundprep.record import Dropped
from groundprep.source import Source

CHUNK_BYTES = 1 << 20
# A whole string, the start of a string that the buffer cuts off, or a character of structure.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[\[\]{},]', re.DOTALL)


class JsonReader(Reader):
    """Reads a JSON array of objects."""

    container = "json"

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every element; raises FormatError (`truncated`, `not-an-array`)."""
        with open(self.path, "rb") as file:  # noqa: PTH123
            for number, text in enumerate(self._elements(file), start=1):
                source = Source(self.path, number)
                try:
                    yield Row(source, decode_object(text))
                except RecordError as error:
                    yield undecodable(source, text, error)

    def _elements(self, file: IO[bytes]) -> Iterator[bytes]:
        """Split the array at its top-level commas; strings are skipped as a whole."""
        splitter = _ArraySplitter(self.path)
        buffer = file.read(CHUNK_BYTES)
        if buffer.startswith(BOM):
            self.warn("bom", "the file starts with a byte order mark", row=1, fix="save it as UTF-8 without BOM")
            buffer = buffer[len(BOM) :]
        if b"\r\n" in buffer:
            self.warn("crlf", "lines end with CRLF", row=1, fix="save it with LF line ends")
        while buffer:
            yield from splitter.feed(buffer)
            buffer = file.read(CHUNK_BYTES)
        splitter.finish()


class _ArraySplitter:
    """Finds the elements of one array in a stream of chunks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rest = b""  # the element that is not complete yet
        self.scanned = 0  # how much of rest has been tokenized
        self.depth = 0
        self.closed = False
        self.count = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        buffer = self.rest + chunk
        start, end = 0, len(buffer)
        for token in _TOKEN.finditer(buffer, self.scanned):
            kind = buffer[token.start() : token.end()]
            if kind == b'"':  # a string that is cut off: it is scanned again with the next chunk
                end = token.start()
                break
            if kind.startswith(b'"'):
                continue
            if self.closed:
                break
            if self.depth == 0:
                self._require_array(buffer[: token.end()])
            if self._is_boundary(kind):
                if not kind.startswith(b"["):
                    yield from self._element(buffer[start : token.start()], last=self.closed)
                start = token.end()
        self.rest = buffer[start:]
        self.scanned = end - start
        self._require_sound_rest()

    def _is_boundary(self, kind: bytes) -> bool:
        """Follow one character of structure; say whether it opens, divides or closes the array itself."""
        if kind in b"[{":
            self.depth += 1
            return self.depth == 1
        if kind in b"]}":
            self.depth -= 1
            self.closed = self.depth == 0
            return self.closed
        return self.depth == 1

    def _require_sound_rest(self) -> None:
        if self.closed and self.rest.strip():
            raise FormatError(
                "there is text after the array's end",
                code="truncated",
                source=self.path,
                found=self.rest.strip()[:40].decode("utf-8", "replace"),
            )
        if len(self.rest) > MAX_ROW_BYTES + CHUNK_BYTES:
            raise FormatError(
                "an element of the array is too long",
                code="row-too-long",
                source=Source(self.path, self.count + 1),
                found=f"over {MAX_ROW_BYTES} bytes",
                expected=f"at most {MAX_ROW_BYTES}",
            )

    def _require_array(self, opening: bytes) -> None:
        if opening.strip() != b"[":
            raise FormatError(
                "the file is not a JSON array",
                code="not-an-array",
                source=self.path,
                found=opening[:40].decode("utf-8", "replace"),
            )

    def _element(self, text: bytes, *, last: bool) -> Iterator[bytes]:
        text = text.strip()
        if last and not text and self.count == 0:
            return  # []
        self.count += 1
        yield text

    def finish(self) -> None:
        if not self.closed:
            raise FormatError(
                "the JSON array is cut off",
                code="truncated",
                source=Source(self.path, self.count + 1),
                found=self.rest[-40:].decode("utf-8", "replace"),
                expected="a closing ]",
                fix="copy or write the file again",
            )


class JsonWriter(Writer):
    """Writes a JSON array, one element a line."""

    container = "json"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.file: IO[bytes] = self.paths[0].open("wb", 1 << 20)
        self.empty = True

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> bytes:
        """Return the element."""
        del plan
        return encode_compact(row.value)

    def write(self, prepared: bytes) -> None:
        """Append the element."""
        self.file.write((b"[\n" if self.empty else b",\n") + prepared)
        self.empty = False

    def close(self) -> None:
        """Close the array and flush to disk."""
        self.file.write(b"[]\n" if self.empty else b"\n]\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def abort(self) -> None:
        """Close the file."""
        self.file.close()
