"""Boxes after the trainer's rounding: gone, or not to be told apart."""

from __future__ import annotations

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.rounding import rounding_findings, rounds
from groundprep.checks.verdicts import Verdict
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, BoxXYXY, Record, Region
from groundprep.source import Source
from groundprep.trainers import PROFILES, get_profile

SIZE_WH = (4000, 3000)


def codes(profile: str, *boxes: tuple[str, BoxXYXY], size_wh: tuple[int, int] | None = SIZE_WH) -> list[str]:
    regions = tuple(Region(phrase, Box(box)) for phrase, box in boxes)
    record = Record(Source("é.jsonl", 1), images=(ImageRef("é.jpg", FileImage("é.jpg")),), regions=regions)
    subject = Subject(record, (Verdict(size_wh),), get_profile(profile))
    return [finding.code for finding in rounding_findings(subject)]


def test_a_box_smaller_than_a_bin_has_no_area_for_rex_omni() -> None:
    assert codes("rexomni-sft", ("狗", (1002.0, 500.0, 1004.0, 620.0))) == ["box-collapsed"]
    assert codes("rexomni-sft", ("狗", (1001.0, 500.0, 1011.0, 620.0))) == []


def test_boxes_that_had_no_area_before_are_another_finding() -> None:
    assert codes("rexomni-sft", ("狗", (1001.0, 500.0, 1001.0, 620.0)), ("狗", (30.0, 20.0, 10.0, 40.0))) == []


def test_two_boxes_of_one_phrase_that_become_one_are_found() -> None:
    one, other = (1002.0, 500.0, 1200.0, 620.0), (1003.5, 501.0, 1201.0, 620.5)
    assert codes("rexomni-sft", ("狗", one), ("狗", other)) == ["box-indistinct"]
    assert codes("rexomni-sft", ("狗", one), ("猫", other)) == []
    assert codes("rexomni-sft", ("狗", one), ("狗", one)) == []
    assert codes("rexomni-sft", ("狗", one), ("狗", (1012.5, 501.0, 1201.0, 620.5))) == []


@pytest.mark.parametrize("profile", ["easydistill", "vlmr1-ovd", "vlmr1", "qwen2.5-vl", "qwen3-vl", "vlmr1-internvl"])
def test_every_trainer_that_rounds_is_looked_at(profile: str) -> None:
    assert rounds(get_profile(profile))
    assert codes(profile, ("狗", (1001.1, 500.1, 1001.2, 620.0))) == ["box-collapsed"]
    assert codes(profile, ("狗", (1001.1, 500.1, 1101.2, 620.0))) == []


def test_rows_with_hints_and_trainers_that_do_not_round_are_left_to_others() -> None:
    left = {profile.name for profile in PROFILES.values() if not rounds(profile)}
    assert left == {"rexthinker", "easyr1", "trl", "vlmr1-seg"}


def test_an_image_of_unknown_size_says_nothing() -> None:
    assert codes("vlmr1", ("狗", (1.1, 5.1, 1.2, 9.0)), size_wh=None) == []
