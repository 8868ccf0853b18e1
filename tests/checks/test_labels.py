"""Labels that differ only by case or blanks are found where the rarer one first stands."""

from __future__ import annotations

import pytest

from groundprep.checks import labels
from groundprep.checks.base import Subject
from groundprep.checks.labels import LabelWatch
from groundprep.finding import Finding
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source
from tests.checks.watching import watched

BOX = Box((7.5, 3.0, 40.0, 21.0))


def image(row: int, *phrases: str) -> Subject:
    return Subject(Record(Source("é.jsonl", row), regions=tuple(Region(phrase, BOX) for phrase in phrases)))


def found(*subjects: Subject) -> list[tuple[str, str | None, str | None]]:
    findings: list[Finding] = watched(LabelWatch(), subjects)
    assert {finding.code for finding in findings} <= {"labels-differ"}
    return [(finding.source, finding.found, finding.expected) for finding in findings]


@pytest.mark.parametrize(("usual", "rare"), [("Straße", "strasse"), ("teddy bear", "teddybear"), ("狗 A", "狗 a")])
def test_the_rarer_spelling_is_reported_with_both_counts(usual: str, rare: str) -> None:
    rows = [image(1, usual, "vélo"), image(2, usual), image(3, rare), image(4, "vélo"), image(5, rare), image(6, usual)]
    assert found(*rows) == [("é.jsonl:3", f"{rare} (2 rows)", f"{usual} (3 rows)")]


def test_labels_that_differ_by_more_are_different_labels() -> None:
    assert found(image(1, "dog", "dogs"), image(2, "hound"), image(3, "dög")) == []


def test_blanks_around_a_label_are_another_check_s_business() -> None:
    assert found(image(1, "dog"), image(2, "dog "), image(3, " dog")) == []


def test_single_expressions_are_sentences_and_their_categories_are_labels() -> None:
    def row(number: int, referring: str, category: str) -> Subject:
        return Subject(
            Record(
                Source("é.jsonl", number),
                referring=referring,
                category=category,
                answers=(Region(referring, BOX),),
                candidates=(Candidate(BOX, category),),
            )
        )

    assert found(row(1, "The dog", "Hund"), row(2, "the dog", "Hund")) == []
    assert [source for source, *_ in found(row(1, "a", "Hund"), row(2, "b", "hund"), row(3, "c", "Hund"))] == [
        "é.jsonl:2"
    ]


def test_memory_is_bounded_and_known_labels_are_still_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_LABELS", 2)
    rows = [image(1, "un", "deux"), image(2, "trois"), image(3, "Trois"), image(4, "Un"), image(5, "UN", "uN", "u n")]
    watch = LabelWatch()
    assert [finding.source for finding in watched(watch, rows)] == ["é.jsonl:4"]
    assert sum(map(len, watch._spellings.values())) == 3
    long = "ein sehr langer Satz, der kein Name mehr ist, sondern eine Beschreibung"
    assert found(image(1, long), image(2, long.upper())) == []
