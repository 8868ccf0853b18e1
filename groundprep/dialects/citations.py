"""Candidate numbers in reasoning: `Person 3` is the third candidate; where candidates move, the numbers follow.

Rex-Thinker's reasoning names candidates by their category, capitalised, and their number from 1 in the order of the hint.
A record keeps such text in a turn of the role `think`. Text that names candidates in any other way cannot be rewritten with
certainty, and is refused as soon as a candidate moves.
Source: Rex-Thinker @5038b47 (specs/rexthinker.md §5: "Person 1", "Helmet 3", 1-based, in hint order).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundprep.errors import RecordError
from groundprep.record import Candidate, Record

THINK = "think"
"""The role of the turn that holds reasoning."""

_LIST_GOES_ON = r"\s*(?:,|/|&|-|–|\band\b|\bor\b|\bto\b|\bund\b)\s*#?\d"
_LOOSE_WORDS = "candidate|box|object|region"


def think_of(record: Record) -> str | None:
    """Return the record's reasoning with the numbers of its candidates as they are now, or None if it has none.

    Raises:
        RecordError: `citation-lost` if a candidate that is cited is gone, `citation-unclear` if candidates moved and the
            text cites them in a form that cannot be rewritten.
    """
    texts = [turn.text for turn in record.turns if turn.role == THINK]
    if not texts:
        return None
    text = "\n".join(texts)
    if record.origin is None or not record.unchanged("turns"):
        return text
    old, new = record.origin.record.candidates, record.candidates
    category = record.origin.record.category
    if old is None or new is old or category is None:
        return text
    places = new_places(old, new or ())
    return text if places == list(range(len(old))) else renumber(text, category, places)


def new_places(old: Sequence[Candidate], new: Sequence[Candidate]) -> list[int | None]:
    """Return for each old candidate its index in the new order, or None if it is gone.

    A candidate is known by its box: the very same object, or else the same numbers.
    """
    by_object = {id(candidate.box): place for place, candidate in enumerate(new)}
    places: list[int | None] = [by_object.get(id(candidate.box)) for candidate in old]
    taken = {place for place in places if place is not None}
    by_numbers: dict[tuple[float, ...], int] = {}
    for place, candidate in enumerate(new):
        if place not in taken:
            by_numbers.setdefault(candidate.box.xyxy, place)
    return [
        by_numbers.get(candidate.box.xyxy) if place is None else place
        for candidate, place in zip(old, places, strict=True)
    ]


def renumber(text: str, category: str, places: Sequence[int | None]) -> str:
    """Return the text with every `Category N` naming the candidate's new number.

    Args:
        text: reasoning.
        category: the word that candidates go by, in any case; the text capitalises it.
        places: the new index (from 0) of each candidate, by its old index; None: it is gone.
    Raises RecordError, see `think_of`.
    """
    word = category[:1].upper() + category[1:]
    cited = re.compile(rf"\b{re.escape(word)} (\d+)\b")
    _require_clear(text, category, cited)

    def moved(match: re.Match[str]) -> str:
        number = match[1]
        known = len(number) < 10 and 1 <= int(number) <= len(places)
        place = places[int(number) - 1] if known else None
        if place is None:
            raise RecordError(
                "the text cites a candidate that is not there",
                code="citation-lost",
                found=match[0],
                expected=f"one of {len(places)} candidates, still among the row's candidates",
                fix="keep the row's candidates (add-candidates --keep-existing), or leave the text out",
            )
        return f"{word} {place + 1}"

    return cited.sub(moved, text)


def _require_clear(text: str, category: str, cited: re.Pattern[str]) -> None:
    loose = re.compile(
        rf"\b(?:{re.escape(category)}|{_LOOSE_WORDS})(?:s|es)?\s*(?:no\.?|number|#)?\s*#?\d+", re.IGNORECASE
    )
    clear = {match.start() for match in cited.finditer(text)}
    strange = next((match for match in loose.finditer(text) if match.start() not in clear), None)
    strange = strange or re.search(cited.pattern + _LIST_GOES_ON, text)
    if strange is not None:
        raise RecordError(
            "candidates have moved, and the text cites them in a form that cannot be rewritten",
            code="citation-unclear",
            found=strange[0],
            expected=f"`{category[:1].upper() + category[1:]} 3`, one number at a time",
            fix="keep the order of the candidates (add-candidates --keep-existing --order detector), or leave the text out",
        )


def require_no_citations(record: Record) -> None:
    """Raise RecordError (`citation-unclear`) if a conversation without the known grammar cites candidate numbers."""
    words = "|".join(
        re.escape(word) for word in {record.category, *(c.phrase for c in record.candidates or ())} if word
    )
    loose = re.compile(rf"\b(?:{words + '|' if words else ''}{_LOOSE_WORDS})s?\s*#?\d+\b", re.IGNORECASE)
    for turn in record.turns:
        match = loose.search(turn.text) if turn.role != THINK else None
        if match is not None:
            raise RecordError(
                "the conversation cites candidates by number, and their order is about to change",
                code="citation-unclear",
                found=match[0],
                expected="a dialect that declares how it cites candidates, such as humanref-cot",
                fix="leave the row out, or keep its candidates as they are",
            )
