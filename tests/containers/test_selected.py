"""Part of a source, or a source more than once: exact counts, file order, seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from groundprep.containers import Reader, Row
from groundprep.containers.choice import ALL, Strategy
from groundprep.containers.selected import SelectedReader, Selection
from groundprep.record import Dropped
from groundprep.source import Source


class Numbers(Reader):
    """Rows 1 to `total`."""

    container = "jsonl"

    def __init__(self, total: int) -> None:
        super().__init__("zahlen.jsonl")
        self.total = total

    def __iter__(self) -> Iterator[Row | Dropped]:
        for number in range(1, self.total + 1):
            yield Row(Source(self.path, number), {"n": number})


def read(total: int, selection: Selection) -> tuple[list[int], SelectedReader]:
    reader = SelectedReader(Numbers(total), selection)
    return [row.source.row or 0 for row in reader], reader


@given(
    total=st.integers(0, 40),
    strategy=st.sampled_from([ALL, Strategy("first", 7), Strategy("end", 30, True), Strategy("random", 9)]),
    weight=st.fractions(Fraction(1, 20), 4, max_denominator=20),
    seed=st.integers(0, 50),
)
def test_the_counts_are_exact_and_every_pass_keeps_the_order_of_the_file(
    total: int, strategy: Strategy, weight: Fraction, seed: int
) -> None:
    rows, reader = read(total, Selection(strategy, weight, seed))
    chosen = strategy.size(total)
    assert len(rows) == math.ceil(weight * chosen)
    assert total + reader.repeated - reader.not_selected == len(rows)
    passes = [rows[start : start + chosen] for start in range(0, len(rows), chosen)] if chosen else []
    for one in passes:
        assert one == sorted(set(one))
        assert set(one) <= set(passes[0])
    if weight >= 1:
        assert reader.not_selected == total - chosen
    assert read(total, Selection(strategy, weight, seed))[0] == rows


def test_a_weight_of_a_half_is_a_random_half_that_follows_the_seed() -> None:
    halves = {tuple(read(30, Selection(ALL, Fraction(1, 2), seed))[0]) for seed in range(20)}
    assert all(len(half) == 15 for half in halves)
    assert len(halves) > 10


def test_a_reader_of_a_selection_can_be_read_again_and_counts_anew() -> None:
    rows, reader = read(10, Selection(Strategy("random", 4), Fraction(2), 1))
    assert [row.source.row for row in reader] == rows
    assert (reader.not_selected, reader.repeated) == (6, 4)
    assert (reader.container, reader.path) == ("jsonl", "zahlen.jsonl")
