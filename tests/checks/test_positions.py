"""The place of the answer among the candidates: shuffled files pass, files that give it away do not."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from groundprep.checks.base import Subject
from groundprep.checks.positions import (
    PositionWatch,
    Tally,
    chi_square_tail,
    class_of,
    expectation,
    new_tally,
    tally_findings,
    verdict,
)
from groundprep.finding import Finding
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile


def subject(place: int, candidates: int, *, path: str = "é.jsonl", profile: str | None = None) -> Subject:
    boxes = [Box((3.0 + 40 * i, 7.5, 30.0 + 40 * i, 21.0)) for i in range(candidates)]
    record = Record(
        Source(path, 1), referring="x", answers=(Region("x", boxes[place]),), candidates=tuple(map(Candidate, boxes))
    )
    return Subject(record, profile=None if profile is None else get_profile(profile))


def watched(subjects: list[Subject], batch: int = 8) -> list[Finding]:
    watch = PositionWatch()
    for start in range(0, len(subjects), batch):
        note = watch.note(subjects[start : start + batch])
        assert list(watch.see(pickle.loads(pickle.dumps(note)))) == []
    return list(watch.findings())


def rows(count: int, place_of: Callable[[random.Random, int], int], seed: int = 0, **more: str) -> list[Subject]:
    rng = random.Random(seed)
    sizes = [rng.randint(2, 9) for _ in range(count)]
    return [subject(place_of(rng, n), n, **more) for n in sizes]


def test_a_file_whose_answers_are_all_last_is_reported_with_its_numbers() -> None:
    (finding,) = watched(rows(60, lambda _, n: n - 1))
    assert (finding.code, finding.severity, finding.record, finding.source) == (
        "answer-position",
        "warning",
        None,
        "é.jsonl",
    )
    assert "stands last too often" in finding.message
    assert str(finding.found).startswith("100% of the answers in 60 rows")


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_file_that_gives_only_some_answers_away_is_reported(share: float) -> None:
    leaky = rows(400, lambda rng, n: 0 if rng.random() < share else rng.randrange(n))
    assert [finding.code for finding in watched(leaky)] == ["answer-position"]


def test_shuffled_files_are_not_reported() -> None:
    for seed in range(40):
        assert watched(rows(150, lambda rng, n: rng.randrange(n), seed)) == []


def test_too_few_rows_give_no_verdict() -> None:
    assert watched(rows(49, lambda _, n: n - 1)) == []
    assert len(watched(rows(50, lambda _, n: n - 1))) == 1


def test_rows_without_a_choice_say_nothing() -> None:
    assert watched([subject(0, 1) for _ in range(200)]) == []
    all_right = new_tally()
    all_right.add_choice([0, 1, 2], 3)
    assert all_right == new_tally()


def test_the_smallest_bias_that_is_improbable_but_negligible_is_not_reported() -> None:
    total = Tally(Counter({0: 10_400, 3: 9_600}), Counter({(2, 1): 20_000}))
    result = verdict(total)
    assert result.probability < 1e-6
    assert result.effect == pytest.approx(0.04)
    assert list(tally_findings("big.jsonl", total)) == []
    assert len(list(tally_findings("big.jsonl", total._replace(seen=Counter({0: 11_100, 3: 8_900}))))) == 1


def test_each_file_is_judged_alone_and_shards_together() -> None:
    bad, good = (
        rows(60, lambda _, n: n - 1, path="bad.jsonl"),
        rows(900, lambda r, n: r.randrange(n), path="good.jsonl"),
    )
    assert [finding.source for finding in watched([*good, *bad])] == ["bad.jsonl"]
    shards = [subject(2, 3, path=f"part-{shard}.jsonl") for shard in range(6) for _ in range(20)]
    assert [finding.source for finding in watched(shards)] == ["part-0.jsonl and 5 more"]


def test_a_trainer_that_is_shown_no_candidates_learns_no_place() -> None:
    assert watched(rows(60, lambda _, n: n - 1, profile="vlmr1")) == []
    assert len(watched(rows(60, lambda _, n: n - 1, profile="easyr1"))) == 1


def test_places_are_first_last_and_two_halves() -> None:
    assert [[class_of(place, n) for place in range(n)] for n in (2, 3, 4, 5)] == [
        [0, 3],
        [0, 1, 3],
        [0, 1, 2, 3],
        [0, 1, 1, 2, 3],
    ]


@pytest.mark.parametrize(("candidates", "answers"), [(2, 1), (5, 1), (5, 2), (4, 3)])
def test_expectation_and_covariance_are_those_of_all_orders(candidates: int, answers: int) -> None:
    """Every order is equally likely under shuffling: the exact moments follow from listing them."""
    orders = [
        np.bincount([class_of(place, candidates) for place in order[:answers]], minlength=4)
        for order in permutations(range(candidates))
    ]
    expected_N, covariance_NM = expectation(Counter({(candidates, answers): 3}))
    np.testing.assert_allclose(expected_N, 3 * np.mean(orders, axis=0), atol=1e-12)
    np.testing.assert_allclose(covariance_NM, 3 * np.cov(np.array(orders).T, bias=True), atol=1e-12)


@pytest.mark.parametrize(
    ("value", "freedom", "tail"),
    [(3.841, 1, 0.05), (5.991, 2, 0.05), (7.815, 3, 0.05), (16.266, 3, 0.001), (0.0, 3, 1.0), (-1e-12, 1, 1.0)],
)
def test_the_tail_is_that_of_printed_tables(value: float, freedom: int, tail: float) -> None:
    assert chi_square_tail(value, freedom) == pytest.approx(tail, rel=2e-3)
