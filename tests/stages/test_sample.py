"""Sampling: the words of the strategies, exact counts, a seed that decides, order and memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import CountError, UsageError
from groundprep.record import Record
from groundprep.source import Source
from groundprep.stages.sample import Sample, parse_strategy


def records(total: int) -> Iterator[Record]:
    for row in range(1, total + 1):
        yield Record(Source("boxes.jsonl", row), id=row)


def chosen(strategy: str, total: int, seed: int = 0) -> list[int]:
    parsed = parse_strategy(strategy)
    stage = Sample(parsed, total=total if parsed.needs_total else None, seed=seed)
    ids = [int(record.id or 0) for record in stage(records(total)) if isinstance(record, Record)]
    assert stage.counts.not_selected == total - len(ids)
    return ids


@pytest.mark.parametrize(
    ("strategy", "total", "ids"),
    [
        ("all", 4, [1, 2, 3, 4]),
        ("first:2", 4, [1, 2]),
        ("end:2", 4, [3, 4]),
        ("first:9", 4, [1, 2, 3, 4]),
        ("end:9", 4, [1, 2, 3, 4]),
        ("random:9", 4, [1, 2, 3, 4]),
        ("first:33%", 10, [1, 2, 3, 4]),  # rounded up, as EasyDistill does
        ("first:1%", 7, [1]),
        ("end:100%", 3, [1, 2, 3]),
        ("first: 2 ", 4, [1, 2]),  # int() there takes blanks around the number
        ("first:0", 4, []),  # from here on: slices of a Python list, records[:n] and records[-n:]
        ("random:0", 4, []),
        ("end:0", 4, [1, 2, 3, 4]),
        ("end:0%", 4, [1, 2, 3, 4]),
        ("first:0%", 4, []),
        ("first:-2", 5, [1, 2, 3]),
        ("first:-9", 5, []),
        ("first:-40%", 5, [1, 2, 3]),
        ("end:-2", 5, [3, 4, 5]),
        ("end:-9", 5, []),
        ("first:101%", 3, [1, 2, 3]),
    ],
)
def test_a_strategy_selects_exactly_what_it_says(strategy: str, total: int, ids: list[int]) -> None:
    assert chosen(strategy, total) == ids


@pytest.mark.parametrize(
    "strategy",
    ["last:5", "random", "first", "first:", ":", "all:5", "first :5", "first:--2", "first:2-", "first:+2",
     "random:12.5%", "random:5:5", "random:50%x", "Random:5", "", "first:٣"],
)  # fmt: skip
def test_what_the_reference_silently_misreads_is_refused_with_the_list(strategy: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_strategy(strategy)
    assert caught.value.code == "bad-strategy"
    assert "first:N" in str(caught.value.expected)


def test_the_count_may_stand_apart_but_not_twice() -> None:
    assert parse_strategy("random", "10%") == parse_strategy("random:10%")
    assert parse_strategy("end", 3) == parse_strategy("end:3")
    for strategy, count in (("end:3", 3), ("all", 3), ("end", "none")):
        with pytest.raises(UsageError):
            parse_strategy(strategy, count)


@given(total=st.integers(0, 60), wanted=st.integers(1, 80), seed=st.integers(0, 1000))
def test_a_random_choice_has_the_exact_size_keeps_the_order_and_follows_its_seed(
    total: int, wanted: int, seed: int
) -> None:
    ids = chosen(f"random:{wanted}", total, seed)
    assert len(ids) == min(wanted, total)
    assert ids == sorted(set(ids))
    assert ids == chosen(f"random:{wanted}", total, seed)


@given(total=st.integers(0, 30), amount=st.integers(-40, 40), is_percent=st.booleans())
def test_the_counts_are_those_of_the_slices_that_the_trainer_takes(total: int, amount: int, is_percent: bool) -> None:
    rows = list(range(1, total + 1))
    n = math.ceil(amount * total / 100) if is_percent else amount
    text = f"{amount}{'%' if is_percent else ''}"
    assert chosen(f"first:{text}", total) == rows[:n]
    assert chosen(f"end:{text}", total) == rows[-n:]
    assert len(chosen(f"random:{text}", total)) == len(rows[:n])


@given(total=st.integers(1, 60), percent=st.integers(1, 100))
def test_a_share_is_rounded_up(total: int, percent: int) -> None:
    expected = math.ceil(percent * total / 100 - 1e-9)
    assert len(chosen(f"random:{percent}%", total)) == len(chosen(f"end:{percent}%", total)) == expected


def test_every_record_is_as_likely_as_any_other_and_seeds_differ() -> None:
    counts = Counter(number for seed in range(1500) for number in chosen("random:3", 12, seed))
    assert set(counts) == set(range(1, 13))
    # 375 expected, standard deviation about 17
    assert all(290 < count < 460 for count in counts.values())
    assert len({tuple(chosen("random:3", 12, seed)) for seed in range(50)}) > 30


def test_a_wrong_total_is_an_error_and_not_a_wrong_sample() -> None:
    stage = Sample(parse_strategy("end:2"), total=5)
    with pytest.raises(CountError):
        list(stage(records(4)))
    with pytest.raises(ValueError, match="needs the number"):
        Sample(parse_strategy("random:2"))


def test_records_are_taken_one_at_a_time() -> None:
    taken = 0

    def source() -> Iterator[Record]:
        nonlocal taken
        for record in records(1000):
            taken += 1
            yield record

    stage = Sample(parse_strategy("random:500"), total=1000, seed=3)
    first = next(stage(source()))
    assert isinstance(first, Record)
    assert taken == first.id
