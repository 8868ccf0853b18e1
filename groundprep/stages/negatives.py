"""Phrases that are not in an image, from the phrases of the whole data set: what a model learns to say no to.

A phrase that any row says of an image is never a negative of it, in whatever upper and lower case and spacing, and images are
told apart by their bytes. What nobody annotated cannot be known: where phrases are free expressions rather than categories,
a negative may happen to be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random

from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.errors import LineIndexError, PayloadError
from groundprep.image_loader import ImageLoader
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage
from groundprep.stages.split import ImageIdentities


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of the data set as it was first written, and the category that its row gave it."""

    text: str
    category: str | None


class PhraseCorpus:
    """All phrases of a data set, and which image has which.

    Memory: every distinct phrase, and at most 60 bytes for each pair of an image and a phrase of it.
    """

    def __init__(self, loader: ImageLoader) -> None:
        self.identities = ImageIdentities(loader)
        self.phrases: list[Phrase] = []
        self._known: set[str] = set()
        self._present = OffsetIndex()

    def see(self, record: Record) -> None:
        """Note a record's phrases; raises PayloadError, LineIndexError."""
        for ref in record.images:
            identity = self.identities.of(ref)
            for said in _said_of(record):
                self._present.set(_pair(identity, _normal(said)), 0)
        for phrase in _offered_by(record):
            normal = _normal(phrase.text)
            if normal and normal not in self._known:
                self._known.add(normal)
                self.phrases.append(phrase)

    def absent_of(self, identity: int, count: int, random: Random) -> list[Phrase]:
        """Return `count` different phrases that no row says of the image, or all that there are, if fewer."""
        found: list[Phrase] = []
        moved: dict[int, int] = {}
        for place in range(len(self.phrases)):  # a shuffle that stops when enough are found
            other = random.randrange(place, len(self.phrases))
            chosen = self.phrases[moved.get(other, other)]
            moved[other] = moved.get(place, place)
            if self._present.get(_pair(identity, _normal(chosen.text))) is None:
                found.append(chosen)
                if len(found) == count:
                    break
        return found


class AddNegatives(StreamStage):
    """Add absent phrases to the first record of every image.

    A record of an image gets absent regions; one of an expression is followed by a record of its own for every absent
    phrase, with no answer and no candidates. Images that have no absent phrase left get fewer.

    Args:
        corpus: complete.
        count: of phrases an image, at least 1.
        seed: decides the choice, together with the image's bytes and the corpus.

    Attributes:
        added, missing: phrases that were added, and those that could not be.
    """

    name = "negatives"

    def __init__(self, corpus: PhraseCorpus, count: int, *, seed: int = 0) -> None:
        super().__init__()
        self.corpus = corpus
        self.count = count
        self.seed = seed
        self.added = 0
        self.missing = 0
        self._done = OffsetIndex()

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the records, with negatives."""
        for record in records:
            try:
                negatives = self._of(record)
            except (PayloadError, LineIndexError) as error:
                error.at(record.source)
                row = record.origin.value if record.origin else None
                yield Dropped(record.source, error.code, error.message, row, error)
                continue
            if record.referring is None:
                absent = tuple(Region(phrase=phrase.text) for phrase in negatives)
                yield replace(record, regions=(*record.regions, *absent)) if absent else record
                continue
            yield record
            self.counts.exploded += len(negatives)
            for part, phrase in enumerate(negatives, start=2):
                yield Record(
                    replace(record.source, part=part),
                    images=record.images,
                    referring=phrase.text,
                    category=phrase.category,
                )

    def _of(self, record: Record) -> list[Phrase]:
        if len(record.images) != 1 or (record.referring is None and record.instruction is not None):
            return []  # a negative is one of an image, and no answer to a free instruction
        identity = self.corpus.identities.of(record.images[0])
        digest = digest_of(identity.to_bytes(6, "little"))
        if self._done.get(digest) is not None:
            return []
        self._done.set(digest, 0)
        random = Random(f"{self.seed}:{identity}")  # noqa: S311 (a repeatable choice, no secret)
        negatives = self.corpus.absent_of(identity, self.count, random)
        self.added += len(negatives)
        self.missing += self.count - len(negatives)
        return negatives


def _said_of(record: Record) -> Iterator[str]:
    """Yield every phrase that the record says anything about, absent ones too: no need to say it twice."""
    for phrase in (record.referring, record.category):
        if phrase is not None:
            yield phrase
    for region in (*record.answers, *record.regions):
        if region.phrase is not None:
            yield region.phrase
    for candidate in record.candidates or ():
        if candidate.phrase is not None:
            yield candidate.phrase


def _offered_by(record: Record) -> Iterator[Phrase]:
    """Yield the phrases that may be absent elsewhere: those that have something in this image."""
    if record.referring is not None:
        if record.answers:
            yield Phrase(record.referring, record.category)
        return
    for region in record.regions:
        if region.phrase is not None and not region.is_absent:
            yield Phrase(region.phrase, record.category)


def _normal(phrase: str) -> str:
    return " ".join(phrase.split()).casefold()


def _pair(identity: int, phrase: str) -> bytes:
    return digest_of(identity.to_bytes(6, "little") + phrase.encode("utf-8", "surrogatepass"))
