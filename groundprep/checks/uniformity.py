"""Are columns and types the same in all rows and files, as a loader needs that makes one table of them?

VLM-R1 takes the columns from the first row of the first file: what that row lacks is dropped for all. It, and the loader of JSON
Lines that EasyR1 and TRL use, stop at a column that is text in one row and a number in another. Integers and other numbers mix;
null fits anything. Source: specs/vlmr1_easydistill.md §1.2, whole-corpus constraints 1 and 2 (measured, datasets 5.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity

COLUMN_TYPES = Rule(
    "column-types", Severity.ERROR, "a column has one type in some rows and another in others, which no table holds"
)
FIRST_ROW_LACKS = Rule(
    "first-row-lacks", Severity.ERROR, "the first row lacks a key that later rows have: the loader drops it for all"
)

RULES = (COLUMN_TYPES, FIRST_ROW_LACKS)

_VLMR1 = frozenset({"conversations", "image", "problem", "solution", "image_path", "accu_reward_method"})
"""Keys that the loader replaces before it makes a table; `image` becomes `image_path`, a list, whatever it was (§1.2)."""

TABLES: Mapping[str, frozenset[str]] = {
    "vlmr1": _VLMR1,
    "vlmr1-ovd": _VLMR1,
    "vlmr1-seg": _VLMR1,
    "easyr1": frozenset(),
    "trl": frozenset(),
    "trl-sft": frozenset(),
}
"""Dialects whose rows become one table as they are → the keys that are replaced before."""

BY_FIRST_ROW = ("vlmr1", "vlmr1-ovd", "vlmr1-seg")
IMAGE = "image"

MAX_COLUMNS = 1_000
"""Columns beyond so many different ones, nested ones included, are not compared: such a file is no table at all."""

MAX_DEPTH = 6

Column: TypeAlias = tuple[str, str]
"""The path of a column, such as `id` or `images[].path`, and a type in it."""


class Place(NamedTuple):
    """How many rows, and the first of them."""

    rows: int
    source: str
    record: str | int | None


class Noted(NamedTuple):
    """What is remembered of a batch: its first row's keys, the rows with a key, those with a type in a column; and severity."""

    first: frozenset[str]
    keys: dict[str, Place]
    columns: dict[Column, Place]
    is_trainers: bool


class UniformityWatch:
    """Counts types by column, and keys that the first row lacks: memory for at most `MAX_COLUMNS` columns."""

    def __init__(self) -> None:
        self._first: frozenset[str] | None = None
        self._columns: dict[str, dict[str, Place]] = {}
        self._lacking: dict[str, Place] = {}
        self._is_trainers = False

    def note(self, subjects: Sequence[Subject]) -> Noted | None:
        """Return keys and types of the rows that become a table as they are."""
        first: frozenset[str] | None = None
        keys: dict[str, Place] = {}
        columns: dict[Column, Place] = {}
        is_trainers = False
        for subject in subjects:
            origin, part = subject.record.origin, subject.record.source.part
            if origin is None or origin.dialect not in TABLES or part not in (None, 1):
                continue
            if subject.profile is not None and subject.profile.dialect != origin.dialect:
                continue  # these rows are to be converted
            is_trainers = subject.profile is not None
            place = Place(1, str(subject.record.source), subject.record.label)
            replaced = TABLES[origin.dialect]
            if origin.dialect in BY_FIRST_ROW:
                own_keys = origin.value.keys() - (replaced - {IMAGE})
                first = frozenset(own_keys) if first is None else first
                _count(keys, own_keys, place)
            own = {key: value for key, value in origin.value.items() if key not in replaced}
            _count(columns, set(_types(own, "", 0)), place)
        return Noted(frozenset(first or ()), keys, columns, is_trainers) if columns or keys else None

    def see(self, note: Noted | None) -> Iterable[Finding]:
        """Add them up."""
        if note is None:
            return ()
        self._is_trainers = self._is_trainers or note.is_trainers
        if self._first is None and note.keys:
            self._first = note.first
        for key, place in note.keys.items():
            if self._first is not None and key not in self._first and _has_room(self._lacking, key):
                _add(self._lacking, key, place)
        for (path, kind), place in note.columns.items():
            if _has_room(self._columns, path):
                _add(self._columns.setdefault(path, {}), kind, place)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each key that the first row lacks, and for each type but the most frequent one of a column."""
        for key, place in self._lacking.items():
            yield self._lack(key, place)
        for path, kinds in self._columns.items():
            usual = max(kinds, key=lambda kind: kinds[kind].rows)
            for kind, place in kinds.items():
                if kind != usual:
                    yield Finding(
                        code=COLUMN_TYPES.code,
                        severity=Severity.ERROR if self._is_trainers else Severity.WARNING,
                        record=place.record,
                        source=place.source,
                        message=f"the column {path} holds another type than in most rows, and all rows become one table",
                        found=f"{kind} in {place.rows} of {sum(p.rows for p in kinds.values())} rows, here first",
                        expected=f"{usual}, as in {kinds[usual].source}",
                        fix="write the values of a column in one type",
                    )

    def _lack(self, key: str, place: Place) -> Finding:
        lost = "the run becomes one on text only" if key == IMAGE else "rewards do not get it"
        is_fatal = key == IMAGE and self._is_trainers
        return Finding(
            code=FIRST_ROW_LACKS.code,
            severity=Severity.ERROR if is_fatal else Severity.WARNING,
            record=place.record,
            source=place.source,
            message=f"the first row lacks a key that this one has: the loader drops it for all rows, and {lost}",
            found=f"{key} in {place.rows} later rows, here first",
            expected="the same keys in every row",
            fix="put a row with all keys first, or give every row the same keys",
        )


def _types(value: Any, path: str, depth: int) -> Iterator[Column]:
    """Yield (path, type) of a value and of what it holds; nothing for null."""
    if isinstance(value, dict) and depth < MAX_DEPTH:
        if path:
            yield path, "an object"
        for key, item in value.items():
            yield from _types(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        yield path, "a list"
        if all(type(item) in (int, float) for item in value):  # boxes, most often
            if value:
                yield path + "[]", "a number"
            return
        for item in value:
            yield from _types(item, path + "[]", depth + 1)
    elif value is not None:
        yield path, _kind(value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "bytes" if isinstance(value, bytes) else type(value).__name__


def _has_room(known: Mapping[str, Any], key: str) -> bool:
    return key in known or len(known) < MAX_COLUMNS


def _count(counts: dict[Any, Place], names: Iterable[Any], place: Place) -> None:
    for name in names:
        _add(counts, name, place)


def _add(counts: dict[Any, Place], name: Any, place: Place) -> None:
    known = counts.get(name)
    counts[name] = place if known is None else known._replace(rows=known.rows + place.rows)
