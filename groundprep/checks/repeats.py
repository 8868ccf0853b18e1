"""One question about one picture, answered in two ways: the model cannot be right, and its reward is noise.

Within a row a phrase may be said to be there and not to be there. Between rows, two of them may ask the same of the same image
file, or of two files with the same bytes. An answer is the set of places that a phrase is said to have, in whole pixels. A box in
one row and a point in another are two ways to say where something is, no conflict; a place and "not there" are one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.record import Record, Region
from groundprep.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PHRASE_CONTRADICTED = Rule(
    "phrase-contradicted",
    Severity.ERROR,
    "the row says that a phrase is in the image and that it is not",
    suppresses=REWARD_VERDICTS,
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

ASKED = Struct("<QIIHH")
"""What is remembered of a question: 64 bits of the image's content and the words; kind (0: absent) and 29 bits of the places; row
and part, 0 for none; 16 bits of where the image is."""

FIELDS = [("question", "<u8"), ("answer", "<u4"), ("row", "<u4"), ("part", "<u2"), ("image", "<u2")]
MAX_ROW, MAX_PART = (1 << 32) - 1, (1 << 16) - 1

_ASKED_AFTER = Struct("<IIHH")
_BOX = Struct("<I4i")


class ConflictWatch:
    """Remembers 20 bytes for every question: an expression, or each phrase of an image.

    Among a million questions a false alarm has a probability of 3e-8, and a conflict is missed with one of 2e-9. Whether it is
    between two files of the same bytes is known where images are decoded (`--verify decode`); else every file is one image.
    """

    def __init__(self) -> None:
        self._asked = bytearray()
        self._starts: list[int] = []
        self._paths: list[str] = []

    def note(self, subjects: Sequence[Subject]) -> list[tuple[str, bytes]] | None:
        """Return the questions of some rows, by file."""
        notes: list[tuple[str, list[bytes]]] = []
        for subject in subjects:
            path = subject.record.source.path
            if not notes or notes[-1][0] != path:
                notes.append((path, []))
            asked = _asked_plainly(subject)
            if asked is not None:
                notes[-1][1].append(asked)
            else:
                notes[-1][1].extend(_asked(subject))
        return [(path, b"".join(asked)) for path, asked in notes] or None

    def see(self, note: list[tuple[str, bytes]] | None) -> Iterable[Finding]:
        """Remember them."""
        for path, asked in note or ():
            if not self._paths or self._paths[-1] != path:
                self._paths.append(path)
                self._starts.append(len(self._asked) // ASKED.size)
            self._asked += asked
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield a warning for every question that is answered otherwise than where it first stands, in the order of the rows."""
        if not self._asked:
            return
        import numpy as np

        asked_N = np.frombuffer(self._asked, np.dtype(FIELDS))
        places_N = _asked_again(asked_N["question"])
        asked_N = asked_N[places_N]
        answers_N = asked_N["answer"]
        kinds_N = answers_N >> ANSWER_BITS
        _, starts_N, groups_N = np.unique(asked_N["question"], return_index=True, return_inverse=True)
        first_N = starts_N[groups_N]
        _, starts_N, groups_N = np.unique(
            groups_N.astype(np.uint64) * KINDS + kinds_N, return_index=True, return_inverse=True
        )
        first_of_kind_N = starts_N[groups_N]
        is_other_N = answers_N != answers_N[first_of_kind_N]
        is_denied_N = (kinds_N == 0) != (kinds_N[first_N] == 0)
        for place in np.flatnonzero(is_other_N | is_denied_N):
            earlier = first_N[place] if is_denied_N[place] else first_of_kind_N[place]
            yield self._finding(int(places_N[place]), int(places_N[earlier]))

    def _finding(self, place: int, first: int) -> Finding:
        source, image = self._place(place)
        earlier, earlier_image = self._place(first)
        rule = EXPRESSION_CONFLICT if image == earlier_image else IMAGE_CONFLICT
        what = "the same image" if image == earlier_image else "an image file with the same bytes"
        return Finding(
            code=rule.code,
            severity=rule.severity,
            record=source.row,
            source=str(source),
            message=f"an earlier row asks the same of {what}, and its answer is another",
            found=f"the earlier row is {earlier}",
            expected="one answer to one question",
            fix="correct one of the rows, or make the expressions differ; several answers belong into one row",
        )

    def _place(self, place: int) -> tuple[Source, int]:
        path = self._paths[bisect_right(self._starts, place) - 1]
        _, _, row, part, image = ASKED.unpack_from(self._asked, place * ASKED.size)
        return Source(path, row or None, part or None), image


def _asked_again(questions_N: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return, in order, the places of the questions that are asked more than once: in most files none, and little is kept."""
    import numpy as np

    ordered_N = np.sort(questions_N)
    again_M = np.unique(ordered_N[1:][ordered_N[1:] == ordered_N[:-1]])
    if not len(again_M):
        return np.zeros(0, np.intp)
    del ordered_N
    nearest_N = np.minimum(np.searchsorted(again_M, questions_N), len(again_M) - 1)
    return np.flatnonzero(again_M[nearest_N] == questions_N)


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


def _asked_plainly(subject: Subject) -> bytes | None:
    """Return what `_asked` yields of the rows that most files hold, in half of the time: one image, one expression, one box."""
    record = subject.record
    images, answers, words = record.images, record.answers, record.referring
    if record.regions or words is None or len(images) != 1 or len(answers) != 1 or answers[0].box is None:
        return None
    words = _as_compared(words)
    if not words:
        return None
    place = _bytes_of(images[0].location.key)
    content = (subject.verdicts[0].digest if subject.verdicts else None) or place
    question = blake2b(content + words.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    x0, y0, x1, y1 = answers[0].box.xyxy
    answer = (
        1 << ANSWER_BITS | crc32(_BOX.pack(answers[0].image, round(x0), round(y0), round(x1), round(y1))) >> KIND_BITS
    )
    source = record.source
    row, part = source.row or 0, source.part or 0
    if row > MAX_ROW or part > MAX_PART:
        row, part = min(row, MAX_ROW), min(part, MAX_PART)
    return question + _ASKED_AFTER.pack(answer, row, part, crc32(place) & MAX_PART)


def _as_compared(words: str) -> str:
    """Return words in small letters and without needless blanks; most have none."""
    if not words.isprintable() or "  " in words or words != words.strip():
        words = " ".join(words.split())
    return words.casefold()


def _asked(subject: Subject) -> Iterator[bytes]:
    record = subject.record
    if not record.images or not (record.regions or record.referring or (record.instruction and record.answers)):
        return
    place = b"".join([_bytes_of(ref.location.key) for ref in record.images])
    known = [verdict.digest for verdict in subject.verdicts if verdict.digest is not None]
    content = b"".join(known) if len(known) == len(record.images) else place
    image = crc32(place) & MAX_PART
    source = record.source
    row, part = min(source.row or 0, MAX_ROW), min(source.part or 0, MAX_PART)
    for words, regions in _questions(record):
        question = blake2b(content + words.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        yield ASKED.pack(int.from_bytes(question, "little"), _answer(regions), row, part, image)


def _bytes_of(key: Hashable) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode("utf-8", "surrogatepass")


def _questions(record: Record) -> Iterable[tuple[str, Sequence[Region]]]:
    """Return (words, regions that answer them) for a record; words in small letters and without needless blanks.

    Where an instruction says what the phrases stand for (labels such as `0` say nothing), it belongs to the question.
    """
    if not record.regions:
        words = " ".join((record.referring or record.instruction or "").split()).casefold()
        return [(words, record.answers)] if words else []
    questions: dict[str, list[Region]] = {}
    for phrase, regions in _by_phrase(record).items():
        questions.setdefault(_as_compared(phrase), []).extend(regions)
    questions.pop("", None)
    if record.instruction is None:
        return questions.items()
    instruction = " ".join(record.instruction.split()).casefold()
    return [(f"{instruction} {words}", regions) for words, regions in questions.items()]


def _answer(regions: Sequence[Region]) -> int:
    """Return kind and digest of the places; 0 if the phrase is absent."""
    if len(regions) == 1 and regions[0].box is not None:  # most rows of expressions
        kind, where = _place(regions[0])
        return kind << ANSWER_BITS | crc32(where) >> KIND_BITS
    places = sorted({_place(region) for region in regions if not region.is_absent})
    if not places:
        return 0
    return places[0][0] << ANSWER_BITS | crc32(b"".join([where for _, where in places])) >> KIND_BITS


def _place(region: Region) -> tuple[int, bytes]:
    """Return how (1 to 5) and where a region is, in whole pixels: its box if it has one, else what it has."""
    if region.box is not None:
        x0, y0, x1, y1 = region.box.xyxy
        return 1, _BOX.pack(region.image, round(x0), round(y0), round(x1), round(y1))
    if region.point is not None:
        kind, where = 2, repr([*map(round, region.point.xy)])
    elif region.polygon is not None:
        kind, where = 3, repr([[*map(round, ring)] for ring in region.polygon.rings])
    elif region.mask is not None:
        kind, where = 4, repr(region.mask)
    else:
        kind, where = 5, repr(region.keypoints and region.keypoints.points)
    return kind, f"{region.image} {where}".encode("utf-8", "surrogatepass")
