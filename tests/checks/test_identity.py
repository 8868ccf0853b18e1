from __future__ import annotations

import pytest

from groundprep.checks.identity import IdentityWatch, ordinal
from groundprep.record import Record
from groundprep.source import Source


def watch(*ids: str | int | None) -> IdentityWatch:
    seen = IdentityWatch()
    for number, identity in enumerate(ids, start=1):
        seen.see_record(Record(Source("é.jsonl", number), id=identity))
    return seen


@pytest.mark.parametrize("ids", [(), (None, None), (1, 2, 3), (1, "1", None), ("a", "á", "à")])
def test_different_ids_are_fine(ids: tuple[str | int | None, ...]) -> None:
    assert list(watch(*ids).findings()) == []


def test_repeats_are_counted_and_the_first_is_named() -> None:
    ((finding, count),) = watch("a", "b", "c", "b", "a", "b").counted_findings()
    assert count == 3
    assert (finding.code, finding.severity, finding.source) == ("repeated-id", "warning", "é.jsonl")
    assert finding.message == "3 records repeat the id of an earlier one"
    assert finding.found == "the 4th id is the 2nd again"


def test_a_single_repeat_is_told_in_the_singular() -> None:
    ((finding, count),) = watch("a", "a").counted_findings()
    assert (count, finding.message) == (1, "a record repeats the id of an earlier one")


def test_a_lone_surrogate_in_an_id_is_no_obstacle() -> None:
    assert len(list(watch("\ud800", "\ud800").findings())) == 1


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (113, "113th"), (21, "21st")],
)
def test_ordinals(number: int, word: str) -> None:
    assert ordinal(number) == word
