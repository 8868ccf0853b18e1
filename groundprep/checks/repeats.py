"""One question about one picture, answered in two ways: the model cannot be right, and its reward is noise.

Within a row a phrase may be said to be there and not to be there. Between rows, two of them may ask the same of the same image
file, or of two files with the same bytes. An answer is the set of places that a phrase is said to have, in whole pixels. A box in
one row and a point in another are two ways to say where something is, no conflict; a place and "not there" are one.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.record import Record, Region
from groundprep.source import Source

PHRASE_CONTRADICTED = Rule(
    "phrase-contradicted", Severity.ERROR, "the row says that a phrase is in the image and that it is not"
)
EXPRESSION_CONFLICT = Rule(
    "same-expression-different-answers",
    Severity.WARNING,
    "rows of one image answer the same expression differently",
)
IMAGE_CONFLICT = Rule(
    "same-image-different-answers",
    Severity.WARNING,
    "two image files have the same bytes, and rows of them answer the same expression differently",
)

WATCHED = (EXPRESSION_CONFLICT, IMAGE_CONFLICT)

KIND_BITS, ANSWER_BITS = 3, 29
KINDS = 1 << KIND_BITS
_MAX_32 = (1 << 32) - 1
_MAX_16 = (1 << 16) - 1


class Asked(NamedTuple):
    """What is remembered of a question.

    Args:
        question: 64 bits of the image's content and the words, in small letters and without needless blanks.
        answer: the kind of its places (3 bits; 0: absent) and 29 bits of their set.
        image: 16 bits of where the image is.
        row, part: where the question is; 0 for none.
    """

    question: int
    answer: int
    image: int
    row: int
    part: int


class ConflictWatch:
    """Remembers 20 bytes for every question: an expression, or each phrase of an image.

    Among a million questions a false alarm has a probability of 3e-8, and a conflict is missed with one of 2e-9. Whether it is
    between two files of the same bytes is known where images are decoded (`--verify decode`); else every file is one image.
    """

    def __init__(self) -> None:
        self._questions, self._answers, self._rows = array("Q"), array("I"), array("I")
        self._images, self._parts = array("H"), array("H")
        self._starts: list[int] = []
        self._paths: list[str] = []

    def note(self, subjects: Sequence[Subject]) -> list[tuple[str, list[Asked]]] | None:
        """Return the questions of some rows, by file."""
        notes: list[tuple[str, list[Asked]]] = []
        for subject in subjects:
            path = subject.record.source.path
            if not notes or notes[-1][0] != path:
                notes.append((path, []))
            notes[-1][1].extend(_asked(subject))
        return notes or None

    def see(self, note: list[tuple[str, list[Asked]]] | None) -> Iterable[Finding]:
        """Remember them."""
        for path, questions in note or ():
            if not self._paths or self._paths[-1] != path:
                self._paths.append(path)
                self._starts.append(len(self._questions))
            for asked in questions:
                self._questions.append(asked.question)
                self._answers.append(asked.answer)
                self._images.append(asked.image)
                self._rows.append(asked.row)
                self._parts.append(asked.part)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield a warning for every question that is answered otherwise than where it first stands, in the order of the rows."""
        if not self._questions:
            return
        import numpy as np

        questions_N = np.frombuffer(self._questions, np.uint64)
        answers_N = np.frombuffer(self._answers, np.uint32)
        kinds_N = answers_N >> ANSWER_BITS
        _, starts_N, groups_N = np.unique(questions_N, return_index=True, return_inverse=True)
        first_N = starts_N[groups_N]
        _, starts_N, groups_N = np.unique(
            groups_N.astype(np.uint64) * KINDS + kinds_N, return_index=True, return_inverse=True
        )
        first_of_kind_N = starts_N[groups_N]
        is_other_N = answers_N != answers_N[first_of_kind_N]
        is_denied_N = (kinds_N == 0) != (kinds_N[first_N] == 0)
        for place in np.flatnonzero(is_other_N | is_denied_N):
            earlier = first_N[place] if is_denied_N[place] else first_of_kind_N[place]
            yield self._finding(int(place), int(earlier))

    def _finding(self, place: int, first: int) -> Finding:
        is_one_file = self._images[place] == self._images[first]
        rule = EXPRESSION_CONFLICT if is_one_file else IMAGE_CONFLICT
        source = self._source(place)
        what = "the same image" if is_one_file else "an image file with the same bytes"
        return Finding(
            code=rule.code,
            severity=rule.severity,
            record=source.row,
            source=str(source),
            message=f"an earlier row asks the same of {what}, and its answer is another",
            found=f"the earlier row is {self._source(first)}",
            expected="one answer to one question",
            fix="correct one of the rows, or make the expressions differ; several answers belong into one row",
        )

    def _source(self, place: int) -> Source:
        path = self._paths[bisect_right(self._starts, place) - 1]
        return Source(path, self._rows[place] or None, self._parts[place] or None)


def contradiction_findings(subject: Subject) -> Iterator[Finding]:
    """Yield an error for every phrase that a row states both with a place and as absent."""
    for phrase, regions in _by_phrase(subject.record).items():
        absent = sum(region.is_absent for region in regions)
        if 0 < absent < len(regions):
            yield subject.finding(
                PHRASE_CONTRADICTED,
                "the row says that the phrase is in the image and that it is not",
                found=phrase,
                expected="a place, or null, not both",
                fix="remove the one that is wrong",
            )


def _by_phrase(record: Record) -> dict[str, list[Region]]:
    phrases: dict[str, list[Region]] = {}
    if record.referring is not None:
        phrases[record.referring] = list(record.answers)
    for region in record.regions:
        if region.phrase is not None:
            phrases.setdefault(region.phrase, []).append(region)
    return phrases


def _asked(subject: Subject) -> Iterator[Asked]:
    record = subject.record
    if not record.images or not (record.regions or record.referring):
        return
    places = [ref.location.key for ref in record.images]
    known = [verdict.digest for verdict in subject.verdicts]
    content = repr(places if None in known or not known else known)
    image = crc32(repr(places).encode("utf-8", "surrogatepass")) & _MAX_16
    source = record.source
    row, part = min(source.row or 0, _MAX_32), min(source.part or 0, _MAX_16)
    for words, regions in _questions(record):
        yield Asked(_digest(f"{content} {words}"), _answer(regions), image, row, part)


def _questions(record: Record) -> Iterable[tuple[str, Sequence[Region]]]:
    """Return (words, regions that answer them) for a record; words in small letters and without needless blanks."""
    if not record.regions and record.referring is not None:
        words = " ".join(record.referring.split()).casefold()
        return [(words, record.answers)] if words else []
    questions: dict[str, list[Region]] = {}
    for phrase, regions in _by_phrase(record).items():
        questions.setdefault(" ".join(phrase.split()).casefold(), []).extend(regions)
    questions.pop("", None)
    return questions.items()


def _answer(regions: Sequence[Region]) -> int:
    """Return kind and digest of the places; 0 if the phrase is absent."""
    places = sorted({(_kind(region), _place(region)) for region in regions if not region.is_absent})
    if not places:
        return 0
    return places[0][0] << ANSWER_BITS | crc32(repr(places).encode()) >> KIND_BITS


def _kind(region: Region) -> int:
    has = (region.box, region.point, region.polygon, region.mask, region.keypoints)
    return next(number for number, part in enumerate(has, start=1) if part is not None)


def _place(region: Region) -> str:
    """Return where a region is, in whole pixels: its box if it has one, else what it has."""
    if region.box is not None:
        return f"{region.image} {[*map(round, region.box.xyxy)]}"
    if region.point is not None:
        return f"{region.image} {[*map(round, region.point.xy)]}"
    if region.polygon is not None:
        return f"{region.image} {[[*map(round, ring)] for ring in region.polygon.rings]}"
    return f"{region.image} {region.mask!r} {region.keypoints and region.keypoints.points}"


def _digest(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
