"""Rows that say the same words are one group, and no word of the others is passed over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.base import Batch, Subject
from groundprep.checks.labelled_rows import labelled_rows
from groundprep.checks.labels import LabelWatch, labels_of
from groundprep.checks.text import text_findings, text_screen, texts_of
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source

BOX = Box((7.5, 3.0, 40.0, 21.0))
words = st.sampled_from([None, "", " ", "garçon", "Garçon ", "<image>", "cafÃ©", "chien\t", "犬"])
region = st.builds(Region, words, st.just(BOX), category=words)


@st.composite
def records(draw: st.DrawFn) -> Record:
    referring = draw(words)
    own = st.builds(Region, st.just(referring), st.just(BOX))
    return Record(
        Source("é.jsonl", draw(st.integers(1, 9))),
        referring=referring,
        category=draw(words),
        answers=tuple(draw(st.lists(own | region, max_size=2))),
        regions=tuple(draw(st.lists(region, max_size=1))),
        candidates=draw(st.none() | st.builds(tuple, st.lists(st.builds(Candidate, st.just(BOX), words), max_size=2))),
    )


batches = st.lists(records(), max_size=8).map(lambda found: Batch(map(Subject, found)))


@given(batches)
def test_every_row_is_in_one_place_and_says_its_groups_words_beside_its_expression(batch: Batch) -> None:
    rows = labelled_rows(batch)
    placed = [*rows.others, *(place for places in rows.places.values() for place in places)]
    assert sorted(placed) == list(range(len(batch)))
    for said, places in rows.places.items():
        for place in places:
            record = batch[place].record
            assert set(texts_of(record)) == {*said, record.referring} - {None}
            assert set(labels_of(record)) == {*said} - {None}


@given(batches)
def test_no_row_with_damaged_words_is_passed_over(batch: Batch) -> None:
    found = [place for place, subject in enumerate(batch) if list(text_findings(subject))]
    assert set(found) <= set(text_screen(batch))


@given(batches)
def test_labels_are_counted_as_they_are_one_row_at_a_time(batch: Batch) -> None:
    whole, alone = LabelWatch(), LabelWatch()
    whole.see(LabelWatch().note(batch))
    for subject in batch:
        alone.see(LabelWatch().note(Batch([subject])))
    assert list(whole.findings()) == list(alone.findings())
