"""Rows of a batch that say the same words, but for their expressions: most rows of a file name one of a few categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from groundprep.checks.base import Batch, Subject
from groundprep.record import Record

Words: TypeAlias = tuple[str | None, ...]
"""A row's category and its candidates' phrases."""

_ROWS = "labelled-rows"


class LabelledRows:
    """The rows of a batch by their words.

    Attributes:
        places: words → the places of the rows whose other words are their expressions alone; the first is the first in the batch.
        others: the places of the rows that say more.
    """

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self.places: dict[Words, list[int]] = {}
        self.others: list[int] = []
        places = self.places
        for place, subject in enumerate(subjects):
            record = subject.record
            if record.regions or record.referring is None or _says_more(record):
                self.others.append(place)
                continue
            words = (record.category, *[candidate.phrase for candidate in record.candidates or ()])
            if words in places:
                places[words].append(place)
            else:
                places[words] = [place]


def labelled_rows(subjects: Sequence[Subject]) -> LabelledRows:
    """Return the rows by their words; made once for a batch."""
    memo: dict[str, Any] = subjects.memo if isinstance(subjects, Batch) else {}
    rows: LabelledRows | None = memo.get(_ROWS)
    if rows is None:
        rows = memo[_ROWS] = LabelledRows(subjects)
    return rows


def _says_more(record: Record) -> bool:
    """Say whether an answer has words of its own."""
    referring = record.referring
    for region in record.answers:
        phrase = region.phrase
        if region.category is not None or (phrase is not referring and phrase is not None and phrase != referring):
            return True
    return False
