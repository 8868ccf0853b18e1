from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.checks.gold import drifts, full_box, said_box, thought
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from groundprep.record import Box
from groundprep.rewards.rexthinker import format_score, number_lists
from groundprep.trainers import get_profile
from tests.checks.trainer_rows import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_thinking_holds_nothing_that_a_reward_reads() -> None:
    assert number_lists(thought("")) == []
    assert format_score(thought("[1, 2, 3, 4]")) == 1.0


def test_a_row_drifts_where_its_frame_is_not_its_trainers(bench: Bench) -> None:
    row = bench.hints([[1, 2, 30, 40]], [])
    assert not drifts(bench.subject(row, "easyr1"))
    assert drifts(bench.subject(row, "easyr1", frame=RowFrame.of_profile(get_profile("rexthinker"))))
    assert drifts(
        bench.subject(
            row, get_profile("easyr1").with_limits(None, 400_000), frame=RowFrame.of_profile(get_profile("easyr1"))
        )
    )
    assert not drifts(bench.subject(bench.asked([1, 2, 30, 40]), "vlmr1", frame=RowFrame(PIXELS)))


@pytest.mark.parametrize(
    ("profile", "said", "whole"),
    [
        ("vlmr1", [1010, 546, 1932, 1092], [0, 0, 1932, 1092]),  # 1920x1080 is seen as 1932x1092 (§1.5)
        ("vlmr1-internvl", [522, 500, 1000, 1000], [0, 0, 1000, 1000]),
        ("rexomni-grpo", [522, 499, 999, 999], [0, 0, 999, 999]),
        ("rexthinker", [702, 378, 1343, 755], [0, 0, 1343, 755]),
    ],
)
def test_a_box_is_said_in_the_models_frame_and_inside_the_image(
    profile: str, said: list[int], whole: list[int], bench: Bench
) -> None:
    name = get_profile(profile).dialect
    rows = {"vlmr1": bench.asked([1, 2, 30, 40], (1920, 1080)), "rexomni": bench.omni((1920, 1080))}
    row = rows.get(name, bench.hints([], [], (1920, 1080)))
    subject = bench.subject(row, profile, dialect="easyr1" if name == "rexthinker-parquet" else None)
    box = Box((1004.0, 540.0, 1921.5, 1080.25))
    assert said_box(box, subject) == pytest.approx(said)
    assert full_box(subject) == pytest.approx(whole)
