"""Which pairs share a forward, and running them: a pure plan, then one ledger line per batch."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from groundprep.detect.base import Detections, Detector
from groundprep.detect.ledger import Ledger, PairKey
from groundprep.errors import GroundprepError, LineIndexError, OutOfMemoryError, PayloadError, RecordError
from groundprep.geometry.frames import SizeWH
from groundprep.images import ImageRef, decode_rgb

if TYPE_CHECKING:
    from PIL import Image

BATCH_SIZE = 4
LOOK_AHEAD_BATCHES = 32
"""How many batches' worth of pairs wait for others of their size: bounds memory, and how far order may be left."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair to detect, and where its image is."""

    key: PairKey
    image: ImageRef
    size_wh: SizeWH


@dataclass(slots=True)
class DetectionCounts:
    """What a detection run did.

    Args:
        pairs: distinct (image, prompt) pairs of the input.
        images: distinct images, by content.
        boxes: boxes above the threshold, over all pairs.
        split_batches: batches that had to be halved for memory, now or when the ledger was written.
        forwards: pairs that went through the detector in this run.
        reused: pairs that the ledger knew before this run.
        failed: pairs whose image cannot be decoded, or whose prompt the detector cannot read as a whole.
    """

    pairs: int = 0
    images: int = 0
    boxes: int = 0
    split_batches: int = 0
    forwards: int = 0
    reused: int = 0
    failed: int = 0

    def of_output(self) -> dict[str, int]:
        """Return what is a property of the output, whatever was resumed."""
        return {"pairs": self.pairs, "images": self.images, "boxes": self.boxes, "split_batches": self.split_batches}


@dataclass(slots=True)
class DetectionRun:
    """Detects every distinct pair once, in planned batches, into the ledger.

    Args:
        detector: finds boxes.
        ledger: what is known already, and where new batches go.
        batch_size: most pairs in a forward.

    Attributes:
        counts: what was done.
        failures: why a pair could not be detected: its image is broken or its prompt too long.
    """

    detector: Detector
    ledger: Ledger
    batch_size: int = BATCH_SIZE
    counts: DetectionCounts = field(default_factory=DetectionCounts)
    failures: dict[PairKey, GroundprepError] = field(default_factory=dict)

    def __call__(self, pairs: Iterable[Pair]) -> None:
        """Detect the pairs; equal ones are taken once. Raises DetectError.

        The batches are planned over all pairs, known ones included, so that a resumed run forms the same batches as an
        uninterrupted one; of a batch, only what the ledger does not know is detected.
        """
        for batch in plan_batches(self._distinct(pairs), self.batch_size):
            waiting = [pair for pair in batch if pair.key not in self.ledger]
            self.counts.reused += len(batch) - len(waiting)
            self._detect(waiting)
            self._count([pair.key for pair in batch])

    def _distinct(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        images = array("Q")
        for pair in pairs:
            if self.ledger.mark(pair.key):
                images.append(int(pair.key.image[:16], 16))
                yield pair
        self.counts.pairs = len(images)
        self.counts.images = len(np.unique(np.frombuffer(images, dtype=np.uint64)))

    def _detect(self, pairs: list[Pair]) -> None:
        keys, images = [], []
        for pair in pairs:
            try:
                self.detector.check_prompt(pair.key.prompt)
                images.append(decode_rgb(pair.image.location.read()))
                keys.append(pair.key)
            except (RecordError, PayloadError, LineIndexError) as error:
                self.failures[pair.key] = error
                self.counts.failed += 1
        if keys:
            found, splits = detect_halving(self.detector, images, [key.prompt for key in keys])
            self.ledger.add(keys, found, splits=splits)
            self.counts.forwards += len(keys)

    def _count(self, batch: list[PairKey]) -> None:
        found = [detections for key in batch if (detections := self.ledger.get(key)) is not None]
        self.counts.boxes += sum(map(len, found))
        self.counts.split_batches += any(self.ledger.splits(key) for key in batch)


def plan_batches(pairs: Iterable[Pair], batch_size: int) -> Iterator[list[Pair]]:
    """Yield batches of at most batch_size pairs of one image size and one prompt: nothing in a batch is padded.

    Padding would let the answer for a pair depend on its company: measured with transformers 5.23, a neighbour with
    another prompt moved a score of the toy detector by 5e-4 and a box by 0.008 pixels; one with the same prompt, by less
    than 1e-6 and 1e-4. A batch is given when it is full, or when too many pairs wait and it holds the oldest. The
    plan is a function of the pairs' order, sizes and prompts alone.
    """
    groups: OrderedDict[tuple[SizeWH, str], list[Pair]] = OrderedDict()
    waiting = 0
    for pair in pairs:
        kind = pair.size_wh, pair.key.prompt
        group = groups.setdefault(kind, [])
        group.append(pair)
        waiting += 1
        if len(group) == batch_size:
            yield groups.pop(kind)
            waiting -= batch_size
        elif waiting >= batch_size * LOOK_AHEAD_BATCHES:
            _, oldest = groups.popitem(last=False)
            waiting -= len(oldest)
            yield oldest
    yield from groups.values()


def detect_halving(detector: Detector, images: list[Image.Image], prompts: list[str]) -> tuple[list[Detections], int]:
    """Return what was found and how often the batch was halved because it did not fit the device's memory.

    Raises OutOfMemoryError if a single image does not fit.
    """
    try:
        return detector.detect(images, prompts), 0
    except OutOfMemoryError:
        if len(images) == 1:
            raise
    half = len(images) // 2
    first, splits_first = detect_halving(detector, images[:half], prompts[:half])
    second, splits_second = detect_halving(detector, images[half:], prompts[half:])
    return first + second, splits_first + splits_second + 1
