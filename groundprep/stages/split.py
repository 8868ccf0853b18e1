"""Parts of a data set that share no image: what is trained on is not what is evaluated on.

Images are told apart by their bytes, so that one picture under two names is one image. Rows with several images tie these
together. Which part an image falls into depends on its bytes, the seed, and how many other images there are; not on names,
on the order of the rows or on the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.errors import FormatError, LineIndexError, PayloadError, RecordError
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Dropped, Record
from groundprep.stages.base import StreamStage

IDENTITY_BYTES = 6


def _hash_47(data: bytes, key: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=IDENTITY_BYTES, key=key).digest(), "little") >> 1


class ImageIdentities:
    """47 bits that stand for an image's bytes; every image is read once, and costs at most 60 bytes of memory.

    Among a million images two different ones are taken for the same with a probability of 0.4 %.
    """

    def __init__(self, loader: ImageLoader) -> None:
        self.loader = loader
        self._of_location = OffsetIndex()

    def of(self, ref: ImageRef) -> int:
        """Return the image's identity; raises PayloadError, LineIndexError."""
        if isinstance(ref.location, BytesImage):
            identity = _hash_47(self.loader.read(ref))
            self._of_location.set(digest_of(identity.to_bytes(IDENTITY_BYTES, "little")), identity)
            return identity
        place = digest_of(ref.location.key)
        known = self._of_location.get(place)
        if known is None:
            known = _hash_47(self.loader.read(ref))
            self._of_location.set(place, known)
        return known

    def __iter__(self) -> Iterator[int]:
        """Yield the identities seen, one for every place: an image with several names comes several times."""
        return self._of_location.values()


class ImageGroups:
    """Assigns images to parts; images of one row belong together.

    Args:
        loader: reads the images.
        seed: decides who falls where.
    """

    def __init__(self, loader: ImageLoader, *, seed: int) -> None:
        self._identities = ImageIdentities(loader)
        self._parents = OffsetIndex()
        self._key = str(seed).encode()[: hashlib.blake2b.MAX_KEY_SIZE]
        self._cuts: tuple[int, ...] = ()

    def see(self, record: Record) -> None:
        """Note a record's images; raises RecordError, PayloadError, LineIndexError."""
        first, *others = self._of(record)
        for other in others:
            self._unite(first, other)

    def cut(self, shares: Sequence[Fraction]) -> list[int]:
        """Fix the parts once every record was seen; returns how many images (or tied groups) each part has.

        Args:
            shares: of each part but the first, which gets the rest; each is rounded to whole images, at least one.

        Raises:
            FormatError: `split-too-small`: nothing is left for the first part.
        """
        import numpy as np

        orders = (self._order(identity) for identity in self._identities if self._root(identity) == identity)
        orders_N = np.unique(np.fromiter(orders, np.int64))
        sizes = [max(1, int(share * len(orders_N) + Fraction(1, 2))) for share in shares]
        if sum(sizes) >= len(orders_N):
            raise FormatError(
                "there are too few images to split",
                code="split-too-small",
                found=f"{len(orders_N)} different images",
                expected=f"at least {sum(sizes) + 1}",
                fix="ask for smaller shares, or split a larger data set",
            )
        ends = np.cumsum(sizes)
        self._cuts = tuple(int(orders_N[end]) for end in ends)
        return [len(orders_N) - int(ends[-1]), *sizes]

    def part_of(self, record: Record) -> int:
        """Return the number of the part that a record belongs to; raises as `see` does."""
        order = self._order(self._root(self._of(record)[0]))
        return next((number for number, cut in enumerate(self._cuts, start=1) if order < cut), 0)

    def _of(self, record: Record) -> list[int]:
        if not record.images:
            raise RecordError(
                "the row has no image to be split by",
                code="image-needed",
                found="a row without image",
                fix="leave such rows out with --on-error drop",
            )
        return [self._identities.of(ref) for ref in record.images]

    def _order(self, identity: int) -> int:
        return _hash_47(identity.to_bytes(IDENTITY_BYTES, "little"), self._key)

    def _root(self, identity: int) -> int:
        """Return the smallest identity of the group: whatever the order of the rows, it is the same one."""
        while (parent := self._parents.get(_node(identity))) is not None:
            identity = parent
        return identity

    def _unite(self, first: int, second: int) -> None:
        low, high = sorted((self._root(first), self._root(second)))
        if low != high:
            self._parents.set(_node(high), low)
        for identity in (first, second):
            if identity != low:
                self._parents.set(_node(identity), low)  # shortens the way for all who come later


def _node(identity: int) -> bytes:
    return digest_of(identity.to_bytes(IDENTITY_BYTES, "little"))


class SplitPart(StreamStage):
    """Keep the records of one part; a record whose images cannot be read is dropped."""

    name = "split"

    def __init__(self, groups: ImageGroups, part: int) -> None:
        super().__init__()
        self.groups = groups
        self.part = part

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the part's records in order."""
        for record in records:
            try:
                part = self.groups.part_of(record)
            except (RecordError, PayloadError, LineIndexError) as error:
                error.at(record.source)
                row = record.origin.value if record.origin else None
                yield Dropped(record.source, error.code, error.message, row, error)
                continue
            if part == self.part:
                yield record
            else:
                self.counts.not_selected += 1
