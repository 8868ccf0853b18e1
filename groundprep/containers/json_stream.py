"""A JSON text taken value by value from a file of any size; memory does not grow with the file.

It finds where values end and never interprets them: strings are skipped as a whole, brackets are counted. What is wrong
inside a value is found by whoever decodes it, so one bad element never hides the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from groundprep.config import MAX_ROW_BYTES
from groundprep.containers.json_text import decode_value
from groundprep.errors import FormatError, RecordError

CHUNK_BYTES = 1 << 20
END = -1

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(_STRING + rb'|[^ \t\r\n,\[\]{}":]++', re.DOTALL)
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+[\[\]{}]', re.DOTALL)


class Element(NamedTuple):
    """A value of a document.

    Args:
        key: the top-level key that it belongs to.
        number: 1-based place in the key's array; 0: the array itself begins here; None: the key's value is no array.
        offset: its first byte in the file.
        text: the value, verbatim; of an array that begins, nothing.
    """

    key: str
    number: int | None
    offset: int
    text: bytes


class JsonText:
    """A JSON text with a position.

    Args:
        file: read from `offset` on.
        name: the file in messages.
    """

    def __init__(self, file: IO[bytes], name: str, *, offset: int = 0) -> None:
        file.seek(offset)
        self.name = name
        self._file = file
        self._buffer = b""
        self._position = 0
        self._base = offset

    @property
    def offset(self) -> int:
        """The position: bytes from the start of the file."""
        return self._base + self._position

    def peek(self) -> int:
        """Return the next byte that is not white space, without taking it; END at the end of the text."""
        while True:
            match = _SPACE.match(self._buffer, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._read_on():
                return END

    def take(self, wanted: bytes) -> bool:
        """Take the next byte if it is one of these; say whether it was."""
        found = self.peek()
        if found == END or found not in wanted:
            return False
        self._position += 1
        return True

    def require(self, wanted: bytes) -> None:
        """Take the next byte; raises FormatError (`truncated`, `bad-json`) if it is another."""
        if not self.take(wanted):
            raise self._broken(wanted.decode())

    def value(self) -> bytes:
        """Take one value; raises FormatError (`truncated`, `row-too-long`, `bad-json`)."""
        first = self.peek()
        if first == END:
            raise self.cut_off()
        return self._nested() if first in b"[{" else self._scalar()

    def elements(self) -> Iterator[tuple[int, bytes]]:
        """Take an array; yield the offset and the text of every element."""
        self.require(b"[")
        if self.take(b"]"):
            return
        while True:
            self.peek()
            yield self.offset, self.value()
            if self.take(b"]"):
                return
            self.require(b",")

    def _scalar(self) -> bytes:
        while True:
            match = _SCALAR.match(self._buffer, self._position)
            complete = match is not None and (match.end() < len(self._buffer) or match[0].startswith(b'"'))
            if not complete and self._read_on():
                continue
            if match is None:
                raise self._broken("a value")
            self._position = match.end()
            return match[0]

    def _nested(self) -> bytes:
        depth, scanned = 0, 0  # scanned: bytes after the position
        while True:
            match = _TO_BRACKET.match(self._buffer, self._position + scanned)
            if match is None:
                if not self._read_on():
                    raise self.cut_off()
                continue
            scanned = match.end() - self._position
            depth += 1 if self._buffer[match.end() - 1] in b"[{" else -1
            if depth == 0:
                text = self._buffer[self._position : match.end()]
                self._position = match.end()
                return text

    def _read_on(self) -> bool:
        """Read more and forget what was taken; say whether there was more."""
        rest = self._buffer[self._position :]
        if len(rest) > MAX_ROW_BYTES:
            raise FormatError(
                "a value of the document is too long",
                code="row-too-long",
                source=self.name,
                found=f"over {MAX_ROW_BYTES} bytes from byte {self.offset}",
                expected=f"at most {MAX_ROW_BYTES}",
            )
        more = self._file.read(max(CHUNK_BYTES, len(rest)))  # doubled, so that a long value is scanned a few times only
        self._base += self._position
        self._buffer = rest + more
        self._position = 0
        return bool(more)

    def _broken(self, expected: str) -> FormatError:
        found = self.peek()
        if found == END or (found == ord('"') and expected == "a value"):  # a string without its end
            return self.cut_off()
        ahead = self._buffer[self._position : self._position + 40].decode("utf-8", "replace")
        return FormatError(
            "the JSON is broken",
            code="bad-json",
            source=self.name,
            found=f"{ahead} at byte {self.offset}",
            expected=expected,
            fix="write the file again",
        )

    def cut_off(self) -> FormatError:
        """Return the error for a text that ends too early."""
        return FormatError(
            "the JSON is cut off",
            code="truncated",
            source=self.name,
            found=self._buffer[-40:].decode("utf-8", "replace"),
            expected="a closing bracket",
            fix="copy or write the file again",
        )


def iter_document(text: JsonText) -> Iterator[Element]:
    """Yield what an object's keys hold: of an array first that it begins, then every element; of another value the value.

    Raises:
        FormatError: `not-an-object`, `truncated`, `bad-json`, `row-too-long`.
    """
    if text.peek() not in (ord("{"), END):
        raise FormatError(
            "the file is not one JSON object",
            code="not-an-object",
            source=text.name,
            expected='a document such as {"images": […], "annotations": […]}',
        )
    text.require(b"{")
    more = not text.take(b"}")
    while more:
        key = _key(text)
        text.require(b":")
        if text.peek() == ord("["):
            yield Element(key, 0, text.offset, b"")
            for number, (offset, value) in enumerate(text.elements(), start=1):
                yield Element(key, number, offset, value)
        else:
            yield Element(key, None, text.offset, text.value())
        more = text.take(b",")
        if not more:
            text.require(b"}")
    if text.peek() != END:
        raise FormatError("there is text after the document's end", code="truncated", source=text.name)


def _key(text: JsonText) -> str:
    if text.peek() != ord('"'):
        text.require(b'"')
    try:
        return str(decode_value(text.value()))
    except RecordError as error:
        raise FormatError(
            "a key of the document cannot be read", code=error.code, source=text.name, found=error.found
        ) from error
