"""Contamination: rows to train on whose image or expression is also in the data that shall measure the training.

The evaluation data is read once into an index; every row to train on is then looked up in it. An image is the same one if its
bytes are, if it looks the same (a resized or recompressed copy), or, where pixels cannot be compared, if its name says so.
The splits of one data set are compared in the same way: each with those after it, so that a leak is told once.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from groundprep.checks.base import Rule, Split, Subject
from groundprep.checks.perceptual import SIMILAR_BITS, Hash, HashIndex, perceptual_hash
from groundprep.errors import LineIndexError, PayloadError
from groundprep.finding import Finding, Severity
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef, decode_rgb
from groundprep.record import Record

LEAKED_SIMILAR = Rule(
    "leaked-similar-image", Severity.WARNING, "an image to train on looks the same as one of the evaluation data"
)
LEAKED_EXPRESSION = Rule(
    "leaked-expression", Severity.WARNING, "an expression to train on is word for word in the evaluation data"
)
LEAKED_IMAGE = Rule("leaked-image", Severity.ERROR, "an image to train on is in the evaluation data")
LEAKED_ROW = Rule(
    "leaked-row",
    Severity.ERROR,
    "an image to train on is in the evaluation data with the same expression",
    suppresses=(LEAKED_IMAGE.code, LEAKED_SIMILAR.code, LEAKED_EXPRESSION.code),
)

EVALUATION_UNREAD = Rule(
    "evaluation-unread",
    Severity.WARNING,
    "rows or images of the evaluation data cannot be read, and were not compared fully",
)

RULES = (LEAKED_ROW, LEAKED_IMAGE, LEAKED_SIMILAR, LEAKED_EXPRESSION, EVALUATION_UNREAD)

EVALUATION_DATA = "the evaluation data"

TELLING_WORDS = 5
"""Shorter expressions, such as "man on the left", are found in every two data sets; longer ones are rarely said twice."""

REMEMBERED_FINGERPRINTS = 65_536

ID_DIGITS = re.compile(r"(\d{6,})$")
"""COCO's file names end with the image id in twelve digits, whatever stands before; other data sets' in six or more."""


class Fingerprint(NamedTuple):
    """What tells an image: the digest of its bytes (16 bytes) and, if pixels are compared, its perceptual hash."""

    digest: bytes
    hash: Hash | None


class Fingerprints:
    """Fingerprints of images, each taken once; any thread may ask.

    Args:
        loader: reads the bytes.
        pixels: decode each image and hash how it looks.
    """

    def __init__(self, loader: ImageLoader, *, pixels: bool) -> None:
        self.loader = loader
        self.pixels = pixels
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Fingerprint | None] = OrderedDict()

    def of(self, ref: ImageRef) -> Fingerprint | None:
        """Return an image's fingerprint; None if it is missing or broken, which the checks of images tell."""
        key = ref.location.key
        with self._lock:
            if key in self._known:
                return self._known[key]
        fingerprint = self._take(ref)
        with self._lock:
            self._known[key] = fingerprint
            while len(self._known) > REMEMBERED_FINGERPRINTS:
                self._known.popitem(last=False)
        return fingerprint

    def _take(self, ref: ImageRef) -> Fingerprint | None:
        try:
            data = self.loader.read(ref)
            image = decode_rgb(data) if self.pixels else None
        except (PayloadError, LineIndexError):
            return None
        digest = hashlib.blake2b(data, digest_size=16).digest()
        return Fingerprint(digest, None if image is None else perceptual_hash(image))


class Match(NamedTuple):
    """An image of the evaluation data: its number there, how it was recognised, and in how many of 256 bits it differs."""

    image: int
    how: Literal["bytes", "look", "name"]
    bits: int = 0


@dataclass(slots=True)
class EvaluationIndex:
    """The images and expressions of the evaluation data; about 200 bytes an image and 100 an expression.

    Args:
        fingerprints: takes those of the images; None: only names are compared.
    """

    fingerprints: Fingerprints | None
    images: int = 0
    records: int = 0
    _labels: list[str] = field(default_factory=list)
    _by_digest: dict[bytes, int] = field(default_factory=dict)
    _by_name: dict[str, int] = field(default_factory=dict)
    _hashes: list[Hash] = field(default_factory=list)
    _hash_owners: list[int] = field(default_factory=list)
    _unread: set[int] = field(default_factory=set)
    _expressions: dict[str, str] = field(default_factory=dict)
    _asked: set[tuple[int, str]] = field(default_factory=set)
    _index: HashIndex | None = None

    def add(self, record: Record) -> list[ImageRef]:
        """Take in a record of the evaluation data; return its images that cannot be read: they are known by their names."""
        self.records += 1
        numbers, unread = [], []
        for ref in record.images:
            fingerprint = None if self.fingerprints is None else self.fingerprints.of(ref)
            numbers.append(self._number_of(ref, fingerprint, f"{record.source}"))
            if fingerprint is None and self.fingerprints is not None:
                unread.append(ref)
        for words in expressions_of(record):
            self._expressions.setdefault(words, str(record.source))
            self._asked.update((number, words) for number in numbers)
        return unread

    def _number_of(self, ref: ImageRef, fingerprint: Fingerprint | None, place: str) -> int:
        name = image_id(ref.name)
        if fingerprint is not None:
            number = self._by_digest.get(fingerprint.digest)
        else:
            number = self._by_name.get(name) if name is not None else None
        if number is None:
            number = self.images
            self.images += 1
            self._labels.append(f"{ref.name or 'image'} ({place})")
        if fingerprint is None:
            self._unread.add(number)
        else:
            self._by_digest.setdefault(fingerprint.digest, number)
            if fingerprint.hash is not None:
                self._hashes.append(fingerprint.hash)
                self._hash_owners.append(number)
        if name is not None:
            self._by_name.setdefault(name, number)
        return number

    def finish(self) -> None:
        """Make the index ready to be searched."""
        self._index = HashIndex(self._hashes)
        self._hashes = []

    def match(self, ref: ImageRef) -> Match | None:
        """Return the image of the evaluation data that an image is, or None."""
        fingerprint = None if self.fingerprints is None else self.fingerprints.of(ref)
        if fingerprint is not None and (number := self._by_digest.get(fingerprint.digest)) is not None:
            return Match(number, "bytes")
        if fingerprint is not None and fingerprint.hash is not None and self._index is not None:
            near = self._index.nearest(fingerprint.hash)
            if near is not None:
                return Match(self._hash_owners[near[0]], "look", near[1])
        name = image_id(ref.name)
        named = None if name is None else self._by_name.get(name)
        if named is None:
            return None
        compared = fingerprint is not None and fingerprint.hash is not None and named not in self._unread
        return None if compared else Match(named, "name")

    def label(self, image: int) -> str:
        """Return the name of an image of the evaluation data and the first place that names it."""
        return self._labels[image]

    def place_of(self, expression: str) -> str | None:
        """Return where the evaluation data has an expression, or None."""
        return self._expressions.get(expression)

    def asks(self, image: int, expression: str) -> bool:
        """Say whether the evaluation data has this expression for this image."""
        return (image, expression) in self._asked


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """Looks every record up in the evaluation data.

    Args:
        index: that data.
        called: what messages call it.
        is_trained: the records are to be trained on; otherwise they are held out themselves, and nothing is an error.
    """

    index: EvaluationIndex
    called: str = EVALUATION_DATA
    is_trained: bool = True

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        """Yield what of a record is in the evaluation data."""
        words = expressions_of(subject.record)
        for number, ref in enumerate(subject.record.images):
            match = self.index.match(ref)
            if match is not None:
                yield self._image_finding(subject, number, match, words)
        for expression in words:
            place = self.index.place_of(expression)
            if place is not None and len(expression.split()) >= TELLING_WORDS:
                yield subject.finding(
                    LEAKED_EXPRESSION,
                    f"the expression is word for word in {self.called}",
                    found=expression,
                    expected=f"not the words of {place}",
                    fix="leave the row out of the training data, or make sure that the images are not the same",
                )

    def _image_finding(self, subject: Subject, number: int, match: Match, words: list[str]) -> Finding:
        how = {
            "bytes": "has the bytes of",
            "look": f"looks the same ({match.bits} of 256 bits differ, at most {SIMILAR_BITS} may) as",
            "name": "has the name of",
        }[match.how]
        rule = LEAKED_SIMILAR if match.how == "look" else LEAKED_IMAGE
        message = f"the image {how} an image of {self.called}"
        if any(self.index.asks(match.image, expression) for expression in words):
            rule, message = LEAKED_ROW, f"{message}, which asks for the same expression"
        return subject.finding(
            rule,
            message,
            found=subject.record.images[number].name,
            expected=f"not {self.index.label(match.image)}",
            fix="leave the row out of the training data; `groundprep split --by image` keeps images apart",
            severity=Severity.WARNING if match.how == "name" or not self.is_trained else None,
            about=f"image {number}",
        )


@dataclass(frozen=True, slots=True)
class SplitLeakCheck:
    """Looks every record up in the splits of its data set that come after its own.

    Args:
        order: the splits, of every data set the one that is trained on first.
        indexes: those of them that another one comes before.
    """

    order: Sequence[Split]
    indexes: Mapping[Split, EvaluationIndex]

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        """Yield what of a record is in a later split."""
        own = subject.split or split_of_record(subject.record)
        if own is None or own not in self.order:
            return
        mates = [split for split in self.order if split.data_set == own.data_set]
        place = mates.index(own)
        for other in mates[place + 1 :]:
            yield from LeakCheck(self.indexes[other], f"the split {other.name}", place == 0)(subject)


def split_of_record(record: Record) -> Split | None:
    """Return the split that a row names itself, as those of RefCOCO do, or None."""
    name = record.extra.get("split")
    return Split(record.source.path, name) if isinstance(name, str) else None


def expressions_of(record: Record) -> list[str]:
    """Return a record's expressions, each in lower case with single spaces and no closing full stop."""
    given: Iterable[str | None] = (record.referring,)
    return [" ".join(text.casefold().split()).rstrip(".") for text in given if text is not None and text.strip()]


def image_id(name: str | None) -> str | None:
    """Return what names an image in every copy of its data set: a final number of six digits or more, else the base name.

    `train2014/COCO_train2014_000000581857.jpg` and `000000581857.png` are `581857`.
    """
    if not name:
        return None
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
    base = stem[0] or stem[2]
    digits = ID_DIGITS.search(base)
    return str(int(digits.group(1))) if digits else base.casefold()
