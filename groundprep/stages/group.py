"""One record per image, from records of single expressions: the inverse of explode.

The records of an image may lie anywhere in the stream, so all of them are written to a nameless file first and read back
image by image. In memory stay at most 48 bytes per distinct image, and the records of one image.
"""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from struct import Struct
from tempfile import TemporaryFile
from typing import IO, Any

from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage
from groundprep.stages.explode import IMAGE_ID

ORIGIN = "group"
"""The dialect of a merged record's origin, `{"rows": […]}`: that of no writer, so that the row is made anew."""


class GroupByImage(StreamStage):
    """Merge the records of each image into one that holds all their regions, in order of the images' first appearance.

    An expression becomes the phrase of its answers, and an absent region if nothing answers it. A region that is there
    twice is written once. Where one row says that a phrase is there and another that it is not, the former is believed;
    both that, and a phrase to which two rows give different answers, are findings.

    Args:
        directory: where the nameless file lies; None: the system's directory for such files.
        keep_questions: questions of their own and free conversations stay rows of their own: the target can hold them, and
            other phrases of the image would be no answer to them.
    """

    name = "group"

    def __init__(self, directory: Path | None = None, *, keep_questions: bool = False) -> None:
        super().__init__()
        self.directory = directory
        self.keep_questions = keep_questions

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield one record per image."""
        with TemporaryFile("w+b", dir=self.directory) as file, TemporaryFile("w+b", dir=self.directory) as heads:
            spool = _Spool(file, heads)
            for number, record in enumerate(records):
                images = tuple(ref.location.key for ref in record.images)
                is_alone = not images or (self.keep_questions and _has_own_question(record))
                spool.add(("alone", number) if is_alone else images, record)
            for group in spool:
                self.counts.merged += len(group) - 1
                yield self._merged(group)

    def _merged(self, group: list[Record]) -> Record:
        first = group[0]
        if len(group) == 1 and first.referring is None and not first.answers:
            return first
        group = [_in_frame_of(record, first) for record in group]
        extra = self._common_extra(group)
        alone = len(group) == 1 or first.referring is None
        keeps_id = alone and IMAGE_ID not in extra
        identity = first.id if keeps_id else extra.pop(IMAGE_ID, None)
        if not keeps_id and identity is not None:
            is_id = isinstance(identity, str | int)
            (self.losses.renamed if is_id else self.losses.lost)(f"extra.{IMAGE_ID}", len(group))
        self._report(group, identity)
        merged = replace(
            first,
            id=identity if isinstance(identity, str | int) else None,
            referring=None,
            instruction=next((record.instruction for record in group if record.instruction is not None), None),
            category=None,
            answers=(),
            regions=tuple(self._regions(group)),
            candidates=None,
            turns=first.turns if len(group) == 1 else (),
            extra=extra,
            origin=None,
        )
        if first.origin is None:
            return merged
        rows = [None if record.origin is None else record.origin.value for record in group]
        return merged.with_origin(ORIGIN, {"rows": rows}, first.origin.row_frame)

    def _common_extra(self, group: list[Record]) -> dict[str, Any]:
        """Return the keys that all records have with one value; count the others as lost."""
        first = group[0].extra
        common = {
            key: value
            for key, value in first.items()
            if all(key in record.extra and record.extra[key] == value for record in group)
        }
        for record in group:
            for key in record.extra.keys() - common.keys():
                self.losses.lost(f"extra.{key}")
        return common

    def _report(self, group: list[Record], identity: Any) -> None:
        """Count what a row of an expression has and a row of an image has no place for."""
        for record in group:
            if record.referring is not None:
                self.losses.renamed("referring")
            self.losses.lost("id", int(record.id not in (None, identity)))
            if record.candidates is not None:
                self.losses.lost("candidates", len(record.candidates) or 1)
            if len(group) > 1:
                self.losses.lost("turns", len(record.turns))
        self.losses.lost("instruction", max(sum(record.instruction is not None for record in group) - 1, 0))
        for record in group[1:]:
            for ref, other in zip(record.images, group[0].images, strict=True):
                if ref.extra != other.extra:
                    self.losses.lost("images.extra", len(ref.extra))

    def _regions(self, group: list[Record]) -> Iterator[Region]:
        """Yield the regions of all records; each once, and none that another row contradicts."""
        answers: dict[str | None, list[tuple[Record, list[Region]]]] = {}
        for record in group:
            for phrase, regions in _by_phrase(record).items():
                answers.setdefault(phrase, []).append((record, regions))
        for phrase, given in answers.items():
            kept: dict[Hashable, Region] = {}
            for _, regions in given:
                for region in regions:
                    if kept.setdefault(_place(region), region) is not region:
                        self.losses.renamed("regions.repeated")
            present = [region for region in kept.values() if not region.is_absent]
            absent = [region for region in kept.values() if region.is_absent]
            if present and absent:
                self.losses.lost("regions.absent", len(absent))
                self._find(
                    "group-contradiction",
                    "rows of one image say that a phrase is there and that it is not",
                    phrase,
                    given,
                )
            elif len({frozenset(map(_place, regions)) for _, regions in given}) > 1:
                self._find("group-ambiguous", "rows of one image answer one phrase differently", phrase, given)
            yield from present or absent

    def _find(self, code: str, message: str, phrase: str | None, given: list[tuple[Record, list[Region]]]) -> None:
        first, second = given[0][0], given[-1][0]
        self.findings.append(
            Finding(
                code=code,
                severity=Severity.WARNING,
                record=second.label,
                source=str(second.source),
                message=message,
                found=f"{shown(phrase)}, also {shown(str(first.source))}",
                expected="one answer for a phrase of an image",
                fix="correct one of the rows, or make the expressions differ",
            )
        )


def _has_own_question(record: Record) -> bool:
    """Say whether the record asks something else than where its phrases are, or asks that in words of its own."""
    is_conversation = bool(record.turns) and not (record.regions or record.answers)
    return record.referring is None and (record.instruction is not None or is_conversation)


class _Spool:
    """Records on disk, chained by key: each starts with the offset of the record before it of the same key."""

    LINK = Struct("<QQ")
    HEAD = Struct("<Q")
    NONE = (1 << 64) - 1

    def __init__(self, file: IO[bytes], heads: IO[bytes]) -> None:
        self._file = file
        self._heads = heads  # offset of the last record of each key, keys in order of first appearance
        self._places = OffsetIndex()
        self._end = 0

    def add(self, key: Hashable, record: Record) -> None:
        """Append a record."""
        digest = digest_of(key)
        place = self._places.get(digest)
        before = self.NONE
        if place is None:
            place = len(self._places)
            self._places.set(digest, place)
        else:
            self._heads.seek(place * self.HEAD.size)
            (before,) = self.HEAD.unpack(self._heads.read(self.HEAD.size))
        self._heads.seek(place * self.HEAD.size)
        self._heads.write(self.HEAD.pack(self._end))
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        self._file.write(self.LINK.pack(before, len(data)) + data)
        self._end += self.LINK.size + len(data)

    def __iter__(self) -> Iterator[list[Record]]:
        """Yield the records of each key, keys and records in order of appearance."""
        for place in range(len(self._places)):
            self._heads.seek(place * self.HEAD.size)
            (offset,) = self.HEAD.unpack(self._heads.read(self.HEAD.size))
            group: list[Record] = []
            while offset != self.NONE:
                self._file.seek(offset)
                offset, size = self.LINK.unpack(self._file.read(self.LINK.size))
                group.append(pickle.loads(self._file.read(size)))  # noqa: S301 (what this process wrote, from a file that has no name)
            yield group[::-1]


def _by_phrase(record: Record) -> dict[str | None, list[Region]]:
    """Return the regions of a record by phrase; an expression is the phrase of its answers, absent if it has none."""
    regions = list(record.regions)
    if record.referring is None:
        regions += record.answers
    else:
        category = record.category if record.category != record.referring else None
        said = record.answers or (Region(),)
        regions += [
            replace(region, phrase=record.referring, category=region.category or category, candidate=None)
            for region in said
        ]
    phrases: dict[str | None, list[Region]] = {}
    for region in regions:
        phrases.setdefault(region.phrase, []).append(region)
    return phrases


def _place(region: Region) -> Hashable:
    """Return what makes two regions of one phrase the same."""
    return (
        region.image,
        region.box and region.box.xyxy,
        region.point and region.point.xy,
        region.polygon and region.polygon.rings,
        region.keypoints and region.keypoints.points,
        region.mask,
    )


def _in_frame_of(record: Record, first: Record) -> Record:
    """Return the record without the numbers that it was read from, if they are in another frame than the first one's."""
    frames = [None if r.origin is None else r.origin.row_frame for r in (record, first)]
    if frames[0] == frames[1]:
        return record
    return replace(
        record,
        regions=tuple(map(_without_native, record.regions)),
        answers=tuple(map(_without_native, record.answers)),
    )


def _without_native(region: Region) -> Region:
    changes = {
        part: replace(getattr(region, part), native=None)
        for part in ("box", "point", "polygon", "keypoints")
        if getattr(region, part) is not None
    }
    return replace(region, **changes)
