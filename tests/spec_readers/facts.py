"""What a row says about an image, read by the letter of a trainer's specification. Nothing here imports groundprep.

A fact knows its image by the SHA-256 of the encoded bytes: image bytes pass through a conversion untouched, so that names may
change and facts still find each other. Coordinates are pixels of the stored image, as an interval for each number: an integer
frame says no more than that.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

Kind = Literal["box", "point", "polygon", "mask", "absent", "candidate", "text"]


class RefusedError(Exception):
    """The trainer's loader would not take the row, or would die of it; the text names the rule of the specification."""


@dataclass(frozen=True)
class Fact:
    """One statement.

    Args:
        image: the first image of its row, by its bytes; empty if the row has none.
        phrase: the words.
        kind: what is stated.
        numbers: xyxy, xy or a flat ring: what the numbers mean, in the middle of what they may mean.
        low, high: what they may mean; equal to `numbers` where nothing was rounded.
        category: the object word, where the phrase says more than that.
    """

    image: str
    phrase: str | None
    kind: Kind
    numbers: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    category: str | None = field(default=None, compare=False)

    def may_be(self, numbers: Sequence[float]) -> bool:
        """Say whether these numbers lie in the intervals, a millionth of a pixel apart at most."""
        return len(numbers) == len(self.numbers) and all(
            a - 1e-6 <= number <= b + 1e-6 for a, number, b in zip(self.low, numbers, self.high, strict=True)
        )


@dataclass(frozen=True)
class SpecRow:
    """A row that the specification's loader takes: its 1-based number and all that it says."""

    number: int
    facts: tuple[Fact, ...]
    image: StoredImage | None = None
    said: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class StoredImage:
    """An image as it is stored."""

    key: str
    size_wh: tuple[int, int]


def stored_image(data: bytes) -> StoredImage:
    """Return an image's identity and size; raises RefusedError if it is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return StoredImage(hashlib.sha256(data).hexdigest()[:16], image.size)
    except OSError as error:
        raise RefusedError(f"the image cannot be decoded: {error}") from error


def file_image(path: str | Path) -> StoredImage:
    """Return the image in a file; raises RefusedError if there is none."""
    if not Path(path).is_file():
        raise RefusedError(f"there is no image {path}")
    return stored_image(Path(path).read_bytes())


def exact(image: str, phrase: str | None, kind: Kind, numbers: Sequence[float]) -> Fact:
    """Return a fact whose numbers were not rounded."""
    plain = tuple(map(float, numbers))
    return Fact(image, phrase, kind, plain, plain, plain)


@dataclass(frozen=True)
class Frame:
    """What integers mean: shares of `lengths_wh`, made of real numbers by rounding or by truncation.

    Args:
        lengths_wh: what the image's full width and height measure in this frame.
        how: `truncate` drops the fraction, `round` rounds it, `real` keeps it.
        clamp: numbers below 0 and above length - 1 were set to those.
    """

    lengths_wh: tuple[int, int]
    how: Literal["truncate", "round", "real"]
    clamp: bool = False

    def fact(self, image: StoredImage, phrase: str | None, kind: Kind, numbers: Sequence[float]) -> Fact:
        """Return what the numbers say, in pixels of the stored image; raises RefusedError for a number that is no integer."""
        middle, low, high = [], [], []
        for place, number in enumerate(numbers):
            length, side = self.lengths_wh[place % 2], image.size_wh[place % 2]
            if self.how != "real" and type(number) is not int:
                raise RefusedError(f"{number!r} is no integer")
            below, above = {"truncate": (0.0, 1.0), "round": (-0.5, 0.5), "real": (0.0, 0.0)}[self.how]
            scale = side / length
            # No number inside the image is larger: it is the border.
            at_border = self.how == "truncate" and not self.clamp and number == length
            middle.append(float(side) if at_border else (number + (below + above) / 2) * scale)
            low.append(-math.inf if self.clamp and number == 0 else (number + below) * scale)
            high.append(math.inf if self.clamp and number == length - 1 else (number + above) * scale)
        return Fact(image.key, phrase, kind, tuple(middle), tuple(low), tuple(high))
