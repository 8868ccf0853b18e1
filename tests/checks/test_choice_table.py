"""Looking at the choices of many rows at once finds what looking at one after the other finds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.base import Batch, Subject
from groundprep.checks.candidates import candidate_findings, choices, offers_choice
from groundprep.checks.choice_table import candidate_screen, choice_table_of
from groundprep.checks.positions import PositionWatch
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

words = st.sampled_from([None, "garçon", "Garçon ", "chien"])
side = st.sampled_from([0.0, 1.0, 3.5, 40.0, 41.0, 44.25])
numbers = st.tuples(side, side, side, side)
image = st.sampled_from([0, 0, 0, 0, 1])


def box(xyxy: tuple[float, float, float, float]) -> Box:
    return Box(xyxy)


candidate = st.builds(Candidate, st.builds(box, numbers), phrase=words, image=image)
region = st.builds(
    Region,
    words,
    st.none() | st.builds(box, numbers) | st.builds(box, numbers) | st.builds(box, numbers),
    image=image,
    candidate=st.sampled_from([None, None, None, 0, 7]),
    category=words,
)


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    record = Record(
        Source(draw(st.sampled_from(["é.jsonl", "ö.jsonl"])), draw(st.integers(1, 9))),
        referring=draw(st.sampled_from(["le garçon", "le garçon", "le garçon", None])),
        category=draw(words),
        answers=tuple(draw(st.lists(region, max_size=3))),
        regions=tuple(draw(st.lists(region, max_size=2))),
        candidates=draw(st.none() | st.builds(tuple, st.lists(candidate, max_size=5))),
    )
    return Subject(record)


def with_profile(rows: list[Subject], name: str | None) -> list[Subject]:
    return [Subject(row.record, profile=None if name is None else get_profile(name)) for row in rows]


profiles = st.sampled_from([None, "easyr1", "rexomni-sft"])
batches = st.builds(with_profile, st.lists(subjects(), max_size=12), profiles)


@given(batches)
def test_no_row_with_a_finding_is_passed_over(rows: list[Subject]) -> None:
    found = {place for place, subject in enumerate(rows) if list(candidate_findings(subject))}
    assert found <= set(candidate_screen(Batch(rows)))


@given(batches)
def test_the_chosen_candidates_are_the_same(rows: list[Subject]) -> None:
    table = choice_table_of(Batch(rows))
    assert sorted([*table.places, *table.others]) == [i for i, row in enumerate(rows) if offers_choice(row)]
    for place, chosen in zip(table.places, table.chosen_by_row(), strict=True):
        one_by_one = [None if index is None else index for choice in choices(rows[place]) for index in choice.chosen]
        assert [None if index < 0 else index for index in chosen] == one_by_one


@given(batches)
def test_the_places_that_are_counted_are_the_same_for_every_batch(rows: list[Subject]) -> None:
    counted: list[dict[str, tuple[Counter[int], Counter[tuple[int, int]]]]] = []
    for size in (1, 3, 100):
        watch = PositionWatch()
        for start in range(0, len(rows), size):
            watch.see(PositionWatch().note(Batch(rows[start : start + size])))
        counted.append({path: (tally.seen, tally.kinds) for path, tally in watch._files.items() if tally.kinds})
    alone = PositionWatch()
    for row in rows:  # not through the table
        alone.see(PositionWatch().note_of_others([row]))
    counted.append({path: (tally.seen, tally.kinds) for path, tally in alone._files.items() if tally.kinds})
    assert counted[0] == counted[1] == counted[2] == counted[3]


def test_rows_that_are_sound_are_passed_over() -> None:
    def row(answer: tuple[float, float, float, float]) -> Subject:
        boxes = [Candidate(Box(xyxy), "garçon") for xyxy in ((7.5, 3.0, 40.0, 21.0), (1.0, 2.0, 30.0, 33.0))]
        answers = (Region("le garçon", Box(answer)),)
        return Subject(Record(Source("é", 1), referring="x", category="garçon", answers=answers, candidates=(*boxes,)))

    batch = Batch([row((7.5, 3.0, 40.0, 21.0)), row((50.0, 3.0, 60.0, 21.0))])
    assert candidate_screen(batch) == []
    assert choice_table_of(batch).chosen_by_row() == [(0,), (-1,)]
