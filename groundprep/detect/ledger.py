"""The ledger: what the detector said, one line per finished batch, on disk before the next batch begins.

A killed run loses at most the batch that was under way; a torn last line is cut off. Boxes and scores are stored with all
their digits, so that a finished ledger always gives the same output. A pair is known by the content of the image and
the prompt: renamed images are found again, changed ones are not.

    {"groundprep_ledger": 1, "detector": {…fingerprint…}}
    {"pairs": [{"image": "<sha256>", "prompt": "person.", "boxes": [[x0, y0, x1, y1], …], "scores": […]}, …], "splits": 0}
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import msgspec
import numpy as np

from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.detect.base import Detections
from groundprep.errors import FormatError
from groundprep.geometry.boxes import as_boxes

LEDGER_FORMAT = 1
REMEMBERED_LINES = 64


class PairKey(NamedTuple):
    """One thing to detect: the SHA-256 of the image's bytes, and the prompt."""

    image: str
    prompt: str

    @property
    def digest(self) -> bytes:
        """96 bits that stand for the pair."""
        return digest_of(f"{self.image}\0{self.prompt}".encode("utf-8", "surrogatepass"))


class _Head(msgspec.Struct):
    groundprep_ledger: int
    detector: dict[str, Any]


class _Pair(msgspec.Struct):
    image: str
    prompt: str
    boxes: list[tuple[float, float, float, float]]
    scores: list[float]


class _Batch(msgspec.Struct):
    pairs: list[_Pair]
    splits: int = 0


_head_decoder = msgspec.json.Decoder(_Head)
_batch_decoder = msgspec.json.Decoder(_Batch)


class Ledger:
    """Finished detections in a file; in memory, 24 to 48 bytes a pair: the digest, the line's offset, one mark.

    A ledger in which nothing was ever written leaves no file.

    Args:
        path: where it lies; created with its header if it is absent or belongs to another detector.
        fingerprint: the detector's.
        fresh: forget what is there.

    Attributes:
        replaced: what was there belonged to another detector, threshold or precision, and was not reused.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.replaced = False
        self._index = OffsetIndex()
        self._lines: OrderedDict[int, _Batch] = OrderedDict()
        head = msgspec.json.encode(_Head(LEDGER_FORMAT, fingerprint), order="deterministic") + b"\n"
        self._head_bytes = len(head)
        known = None if fresh else self._read_head()
        if known is not None and known != _head_decoder.decode(head):
            self.replaced = True
            known = None
        self._file: IO[bytes] = path.open("r+b" if known is not None else "w+b", buffering=0)
        if known is None:
            self._append(head)
            return
        try:
            self._scan()
        except FormatError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        empty = self._file.seek(0, os.SEEK_END) == self._head_bytes
        self._file.close()
        if empty:
            self.path.unlink()

    def __contains__(self, key: PairKey) -> bool:
        return self._offset(key) is not None

    def mark(self, key: PairKey) -> bool:
        """Note that the input holds the pair; return whether this is the first time."""
        digest = key.digest
        code = self._index.get(digest) or 0
        if code & 1:
            return False
        self._index.set(digest, code | 1)
        return True

    def get(self, key: PairKey) -> Detections | None:
        """Return what was found, or None if the pair has not been detected."""
        offset_bytes = self._offset(key)
        if offset_bytes is None:
            return None
        for pair in self._batch_at(offset_bytes).pairs:
            if pair.image == key.image and pair.prompt == key.prompt:
                return Detections(as_boxes(pair.boxes), np.array(pair.scores, dtype=np.float64))
        return None

    def add(self, keys: list[PairKey], found: list[Detections], *, splits: int) -> None:
        """Write one finished batch and wait until it is on disk.

        Args:
            keys: the batch's pairs.
            found: what was found for each.
            splits: how often the batch had to be halved for memory.
        """
        pairs = [
            _Pair(key.image, key.prompt, d.boxes_N4.tolist(), d.scores_N.tolist())
            for key, d in zip(keys, found, strict=True)
        ]
        offset_bytes = self._append(msgspec.json.encode(_Batch(pairs, splits)) + b"\n")
        for key in keys:
            digest = key.digest
            self._index.set(digest, offset_bytes * 2 | (self._index.get(digest) or 0) & 1)

    def splits(self, key: PairKey) -> int:
        """Return how often the pair's batch had to be halved."""
        offset_bytes = self._offset(key)
        return 0 if offset_bytes is None else self._batch_at(offset_bytes).splits

    def _offset(self, key: PairKey) -> int | None:
        """Return where the pair's line starts; the index holds twice that (0: no line yet), plus 1 if it is marked."""
        code = self._index.get(key.digest)
        return None if code is None or code < 2 else code >> 1

    def _append(self, line: bytes) -> int:
        offset_bytes = self._file.seek(0, os.SEEK_END)
        view = memoryview(line)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())
        return offset_bytes

    def _read_head(self) -> _Head | None:
        """Return the header of the file that is there; None if there is none or it is torn."""
        try:
            with self.path.open("rb") as file:
                line = file.readline()
            return _head_decoder.decode(line) if line.endswith(b"\n") else None
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _scan(self) -> None:
        """Index every finished batch and cut off a torn last line; raises FormatError if another line is damaged."""
        with self.path.open("rb") as file:
            file.readline()
            offset_bytes = file.tell()
            while line := file.readline():
                batch = _decode(line)
                if batch is None:
                    if file.readline():
                        raise FormatError(
                            "the detection ledger is damaged",
                            code="ledger-damaged",
                            source=str(self.path),
                            found=f"byte {offset_bytes}",
                            expected="a line per finished batch",
                            fix="pass --fresh to detect again",
                        )
                    self._file.truncate(offset_bytes)
                    return
                for pair in batch.pairs:
                    self._index.set(PairKey(pair.image, pair.prompt).digest, offset_bytes * 2)
                offset_bytes += len(line)

    def _batch_at(self, offset_bytes: int) -> _Batch:
        batch = self._lines.get(offset_bytes)
        if batch is None:
            with self.path.open("rb") as file:
                file.seek(offset_bytes)
                batch = _batch_decoder.decode(file.readline())
            self._lines[offset_bytes] = batch
            while len(self._lines) > REMEMBERED_LINES:
                self._lines.popitem(last=False)
        return batch


def _decode(line: bytes) -> _Batch | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return _batch_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
