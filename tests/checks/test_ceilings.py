from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from groundprep.checks.attainability import Attained
from groundprep.checks.base import ReportingWatch, Subject
from groundprep.checks.ceilings import LEAST_ROWS, Ceilings, CeilingWatch, no_ceilings, policy_findings
from groundprep.trainers import get_profile
from tests.checks.trainer_rows import Bench

EASYR1 = get_profile("easyr1")
HINTS = [[402, 95, 526, 198], [94, 46, 451, 276], [202, 276, 323, 407]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def of(*scores: float | None, **useless: float) -> Ceilings:
    ceilings = Ceilings()
    for score in scores:
        ceilings.add(Attained(score, score, useless=useless), 0.8)
    return ceilings


def watched(subjects: Iterable[Subject], batch: int) -> CeilingWatch:
    watch, rows = CeilingWatch(), list(subjects)
    for start in range(0, len(rows), batch):
        assert not list(watch.see(watch.note(rows[start : start + batch])))
    return watch


def test_the_distribution_counts_rows_below_the_limit_and_those_that_earn_nothing() -> None:
    data = of(1.0, 0.5, None, 0.85, 0.8).as_data(EASYR1)
    assert (data["rows"], data["below_min_ceiling"], data["unreachable"]) == (5, 2, 1)
    assert (data["min"], data["mean"]) == (0.0, 0.63)
    assert data["quantiles"] == {"0.05": 0.0, "0.25": 0.5, "0.5": 0.8, "0.75": 0.85, "0.95": 1.0}
    assert data["histogram"] == [1, 0, 0, 0, 0, 1, 0, 0, 2, 1]
    assert (data["reward"], data["part"], data["min_ceiling"]) == ("rexthinker", "overall", 0.8)


def test_scores_beyond_one_and_below_nothing_stay_in_the_last_and_first_bin() -> None:
    data = of(4.004, -1.0).as_data(EASYR1)
    assert (data["min"], data["histogram"][0], data["histogram"][-1]) == (-1.0, 1, 1)


def test_no_rows_have_no_numbers() -> None:
    data = Ceilings().as_data(EASYR1)
    assert (data["rows"], data["min"], data["mean"], data["quantiles"], data["useless"]) == (0, None, None, {}, {})


def test_rows_that_another_reward_scores_are_counted_apart() -> None:
    ceilings = of(1.0)
    ceilings.add(None, 0.8)
    assert (ceilings.as_data(EASYR1)["rows"], ceilings.as_data(EASYR1)["not_scored"]) == (1, 1)


def test_the_answer_appended_last_is_what_copying_the_last_hint_earns(bench: Bench) -> None:
    """Source: specs/rexthinker.md §1.4: the script appends the annotated box as the last candidate."""
    rows = [bench.subject(bench.hints([*HINTS, [n, 5, n + 9, 30]], [[n, 5, n + 9, 30]]), "easyr1") for n in range(30)]
    data = watched(rows, 8).results(EASYR1)["ceilings"]
    assert data["useless"] == {"empty": 0.1, "all_hints": 0.46, "first_hint": 0.1, "last_hint": 1.0}
    assert (data["best_hint"], data["mean"]) == (1.0, 1.0)


def test_a_file_that_was_not_snapped_has_a_ceiling_that_no_copy_reaches(bench: Bench) -> None:
    rows = [bench.subject(bench.hints(HINTS, [[94, 45, 445, 271]], row), "easyr1") for row in ((640, 480),) * 5]
    data = watched(rows, 2).results(EASYR1)["ceilings"]
    assert (data["mean"], data["best_hint"], data["unreachable"]) == (1.0, 0.1, 5)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_the_result_is_the_same_for_every_size_of_a_batch(batch: int, bench: Bench) -> None:
    rows = [bench.subject(bench.omni((640, 480), chien=[[n, 9, n + 7 + n / 3, 30]]), "rexomni-grpo") for n in range(40)]
    assert watched(rows, batch).results(EASYR1) == watched(rows, 16).results(EASYR1)
    assert isinstance(watched(rows, batch), ReportingWatch)


def test_a_useless_answer_that_earns_nearly_all_over_a_file_is_one_warning() -> None:
    rows = [1.0] * LEAST_ROWS
    (finding,) = policy_findings("é.jsonl", of(*rows, empty=0.85, all_hints=0.5))
    assert (finding.code, finding.severity, finding.record) == ("useless-policy-scores", "warning", None)
    assert finding.found == "empty 0.85"
    assert list(policy_findings("é.jsonl", of(*rows, empty=0.75))) == []
    assert list(policy_findings("é.jsonl", of(*rows[1:], empty=0.85))) == []


def test_what_is_right_by_chance_is_left_to_the_check_of_positions() -> None:
    assert list(policy_findings("é.jsonl", of(*[1.0] * 50, last_hint=1.0, first_hint=1.0))) == []


def test_saying_nothing_over_and_over_is_found_where_most_rows_have_no_object(bench: Bench) -> None:
    answers = [HINTS[n % 3 : n % 3 + 1] if n % 10 == 0 else [] for n in range(30)]
    rows = [bench.subject(bench.hints(HINTS, answer), "easyr1") for answer in answers]
    (finding,) = watched(rows, 8).findings()
    assert (finding.code, finding.found) == ("useless-policy-scores", "empty 0.91")


def test_a_trainer_without_a_reward_says_so() -> None:
    assert no_ceilings(None) == {}
    assert no_ceilings(EASYR1) == {}
    data = no_ceilings(get_profile("trl-sft"))["ceilings"]
    assert data["reward"] is None
    assert "trl-sft" in data["reason"]
