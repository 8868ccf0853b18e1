from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundprep.checks.attainability import attainability_findings, attained_of
from groundprep.checks.base import Subject
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile
from tests.checks.trainer_rows import Bench

HINTS = [[402, 95, 526, 198], [94, 46, 451, 276], [202, 276, 323, 407]]
LABELLED: dict[str, Any] = {"0": [], "1": [[5, 6, 70, 80]], "2": [], "3": []}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def codes(subject: Subject) -> list[str]:
    return [f"{finding.severity}[{finding.code}]" for finding in attainability_findings(subject)]


def test_a_right_answer_among_the_hints_gives_no_finding(bench: Bench) -> None:
    assert codes(bench.subject(bench.hints(HINTS, HINTS[:1]), "easyr1")) == []
    assert codes(bench.subject(bench.hints(HINTS, []), "easyr1")) == []
    assert codes(bench.subject(bench.hints([], HINTS[:1]), "easyr1")) == []  # no hint to copy: `no-candidates` says it


def test_an_answer_beside_every_hint_is_unreachable_for_a_trainer_of_copies_only(bench: Bench) -> None:
    row = bench.hints(HINTS, [[94, 45, 445, 271]])
    assert codes(bench.subject(row, "easyr1")) == ["error[reward-unreachable]"]
    assert codes(bench.subject(row, "easyr1", reward="iou")) == []
    assert codes(bench.subject(row, "easyr1", needs_answer_in_hint=False)) == []


def test_a_tiny_object_has_a_low_ceiling_and_the_limit_can_be_moved(bench: Bench) -> None:
    row = bench.omni((1920, 1080), chien=[[700, 300, 708, 308]])
    (finding,) = attainability_findings(bench.subject(row, "rexomni-grpo"))
    assert (finding.code, finding.severity) == ("reward-ceiling-low", "warning")
    assert (finding.found or "").startswith("rexomni:box_iou: 0.")
    assert (finding.expected or "").startswith("at least 0.8")
    assert codes(bench.subject(row, "rexomni-grpo", min_ceiling=0.3)) == []


def test_a_row_on_which_the_reward_raises_is_unreachable_and_says_why(bench: Bench) -> None:
    (finding,) = attainability_findings(bench.subject(bench.asked("B"), "vlmr1"))
    assert (finding.code, finding.found) == ("reward-unreachable", "raises JSONDecodeError")


def test_an_answer_that_knows_nothing_and_earns_nearly_as_much_is_named_with_its_score(bench: Bench) -> None:
    (nothing,) = attainability_findings(bench.subject(bench.labelled(LABELLED), "easydistill"))
    assert (nothing.code, nothing.severity, nothing.found) == ("useless-answer-scores", "warning", "empty 1")
    (whole,) = attainability_findings(bench.subject(bench.asked([1, 1, 639, 479]), "vlmr1"))
    assert (whole.code, (whole.found or "")[:10]) == ("useless-answer-scores", "full_image")
    assert codes(bench.subject(bench.asked([100, 1, 539, 479]), "vlmr1")) == []


def test_naming_every_hint_is_found_only_where_it_is_not_the_right_answer(bench: Bench) -> None:
    assert codes(bench.subject(bench.hints(HINTS, HINTS[:2]), "easyr1")) == ["warning[useless-answer-scores]"]
    assert codes(bench.subject(bench.hints(HINTS, HINTS), "easyr1")) == []


def test_copying_the_first_hint_is_right_by_chance_and_no_finding_on_a_row(bench: Bench) -> None:
    subject = bench.subject(bench.hints(HINTS, HINTS[:1]), "easyr1")
    assert attained_of(subject).useless["first_hint"] == 1.0  # type: ignore[union-attr]
    assert codes(subject) == []


def test_a_row_in_another_frame_is_its_files_defect(bench: Bench) -> None:
    row = bench.hints(HINTS, HINTS[:1], (1920, 1080))
    subject = bench.subject(row, "easyr1", frame=RowFrame.of_profile(get_profile("rexthinker")))
    attained = attained_of(subject)
    assert attained.ceiling == pytest.approx(0.1)  # type: ignore[union-attr]
    assert codes(subject) == []


def test_a_row_that_another_reward_scores_gives_no_finding(bench: Bench) -> None:
    assert codes(bench.subject(bench.asked("B", accu_reward_method="mcq"), "vlmr1-ovd")) == []


def test_a_subject_is_scored_once(bench: Bench) -> None:
    subject = bench.subject(bench.hints(HINTS, HINTS[:1]), "easyr1")
    assert attained_of(subject) is attained_of(subject)
