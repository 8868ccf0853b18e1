"""Labels that differ from one another only by case or by blanks: to a model and to an exact comparison they are two things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from groundprep.checks.base import Rule, Subject
from groundprep.checks.labelled_rows import labelled_rows
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.record import Record

LABELS_DIFFER = Rule(
    "labels-differ", Severity.WARNING, "two labels of the data differ only by case or blanks, and are scored as two"
)

MAX_LABELS = 65_536
"""Labels beyond so many different ones are compared with these, and not remembered. With `LONGEST_LABEL` about 25 MB."""

LONGEST_LABEL = 64
"""Longer phrases are sentences, not labels."""

Count = tuple[int, str, str | int | None]
"""How often, and source and record of the first."""


class LabelWatch:
    """Counts the spellings of every label; see `MAX_LABELS` for what it remembers."""

    def __init__(self) -> None:
        self._spellings: dict[str, dict[str, Count]] = {}
        self._known = 0

    def note(self, subjects: Sequence[Subject]) -> dict[str, Count] | None:
        """Return how often each label comes, blanks at its ends and in a row left out: those are `text-spaces`."""
        rows = labelled_rows(subjects)
        places: dict[str, int] = {}
        numbers: Counter[str] = Counter()
        for group in (*rows.places.values(), *([place] for place in rows.others)):
            for label in _to_compare(subjects[group[0]].record):
                numbers[label] += len(group)
                places[label] = min(group[0], places.get(label, group[0]))
        firsts = {label: subjects[place].record for label, place in sorted(places.items(), key=lambda item: item[1])}
        counts: dict[str, Count] = {}
        for label, record in firsts.items():
            text = " ".join(label.split())
            if text and len(text) <= LONGEST_LABEL:
                count, source, name = counts.get(text) or (0, str(record.source), record.label)
                counts[text] = (count + numbers[label], source, name)
        return counts or None

    def see(self, note: dict[str, Count] | None) -> Iterable[Finding]:
        """Add the counts."""
        for text, (added, source, name) in (note or {}).items():
            key = "".join(text.split()).casefold()
            spellings = self._spellings.get(key)
            if spellings is None:
                if self._known >= MAX_LABELS:
                    continue
                spellings = self._spellings[key] = {}
            known = spellings.get(text)
            if known is not None:
                spellings[text] = (known[0] + added, *known[1:])
            elif self._known < MAX_LABELS or len(spellings) < 2:
                spellings[text] = (added, source, name)
                self._known += 1
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield one warning for each spelling but the most frequent one, where it first stands."""
        for spellings in self._spellings.values():
            if len(spellings) < 2:
                continue
            usual = max(spellings, key=lambda text: spellings[text][0])
            for text, (count, source, name) in spellings.items():
                if text != usual:
                    yield Finding(
                        code=LABELS_DIFFER.code,
                        severity=LABELS_DIFFER.severity,
                        record=name,
                        source=source,
                        message="a label differs from a more frequent one only by case or blanks",
                        found=f"{shown(text)} ({_rows(count)})",
                        expected=f"{shown(usual)} ({_rows(spellings[usual][0])})",
                        fix="write both the same way",
                    )


def labels_of(record: Record) -> dict[str, None]:
    """Return a record's categories and, unless it is a row of one expression, its phrases; each once, in order."""
    labels = {} if record.category is None else {record.category: None}
    for region in (*record.answers, *record.regions):
        if record.referring is None and region.phrase is not None:
            labels[region.phrase] = None
        if region.category is not None:
            labels[region.category] = None
    for candidate in record.candidates or ():
        if candidate.phrase is not None:
            labels[candidate.phrase] = None
    return labels


def _to_compare(record: Record) -> Iterable[str]:
    """Return a record's labels, but for those of a VLM-R1 row that spells one of them in two ways.

    Its question lists what it asks for, and its answer differs from that: `label-not-asked` says so.
    """
    labels = labels_of(record)
    if record.origin is None or record.origin.dialect != "vlmr1-ovd":
        return labels
    spelled = Counter("".join(label.split()).casefold() for label in labels)
    return [label for label in labels if spelled["".join(label.split()).casefold()] == 1]


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
