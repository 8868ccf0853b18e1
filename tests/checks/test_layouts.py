from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.files import FileFrame
from groundprep.checks.layouts import layout_findings
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile


def codes(dialect: str, profile: str, metadata: dict[str, Any] | None = None) -> list[str]:
    file = FileFrame("é.jsonl", dialect, "jsonl", RowFrame(PIXELS), "nobody", metadata)
    return [f"{finding.code} {finding.severity}" for finding in layout_findings(file, get_profile(profile))]


@pytest.mark.parametrize(
    ("dialect", "profile"),
    [
        ("vlmr1-ovd", "vlmr1"),
        ("vlmr1", "vlmr1-ovd"),
        ("vlmr1", "vlmr1-seg"),
        ("vlmr1-seg", "vlmr1-internvl"),
        ("qwen-vl", "vlmr1"),
        ("vlmr1", "qwen2.5-vl"),
        ("easydistill", "easydistill-single"),
    ],
)
def test_rows_with_the_keys_of_the_trainers_own_are_told_to_be_others(dialect: str, profile: str) -> None:
    assert codes(dialect, profile) == ["layout-differs warning"]


@pytest.mark.parametrize(
    ("dialect", "profile"),
    [
        ("vlmr1", "vlmr1"),
        ("vlmr1", "vlmr1-internvl"),
        ("rexthinker", "vlmr1"),
        ("vlmr1", "easydistill"),
        ("trl", "trl"),
    ],
)
def test_the_trainers_own_rows_and_those_that_it_cannot_take_are_not(dialect: str, profile: str) -> None:
    assert codes(dialect, profile) == []


def test_a_file_that_names_its_trainer_is_left_to_the_frame() -> None:
    assert codes("vlmr1-ovd", "vlmr1", {"profile": "vlmr1-ovd"}) == []
