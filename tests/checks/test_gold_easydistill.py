"""Values are those of specs/vlmr1_easydistill.md §3.2 and §3.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundprep.checks.attainability import Attained, attain
from groundprep.checks.gold import Example
from groundprep.checks.gold_easydistill import NO_ABS_BOX, multi_box_example, single_box_example
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from tests.checks.trainer_rows import Bench

SAMPLE = {"0": [[10, 20, 90, 110]], "1": [], "2": [[619, 264, 723, 332], [961, 479, 1104, 557]], "3": []}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def attained_of(bench: Bench, boxes: Any, profile: str = "easydistill", **more: Any) -> Attained:
    attained = attain(bench.subject(bench.labelled(boxes), profile, **more))
    assert isinstance(attained, Attained)
    return attained


def test_boxes_are_said_as_a_python_dict_with_whole_numbers_as_keys(bench: Bench) -> None:
    example = multi_box_example(bench.subject(bench.labelled(SAMPLE), "easydistill"))
    assert isinstance(example, Example)
    assert example.gold == ("{0: [[10, 20, 90, 110]], 1: [], 2: [[619, 264, 723, 332], [961, 479, 1104, 557]], 3: []}")
    assert example.truth == SAMPLE
    assert attained_of(bench, SAMPLE).ceiling == 1.0


def test_a_box_without_area_caps_the_score(bench: Bench) -> None:
    """Source: §3.5: the shipped sample record 360.jpg contains [641, 422, 643, 422]."""
    capped = attained_of(bench, SAMPLE | {"0": [[641, 422, 643, 422], [5, 6, 70, 80]]})
    assert capped.ceiling == 0.5


def test_only_label_0_counts_so_that_nothing_is_as_good_where_it_is_empty(bench: Bench) -> None:
    attained = attained_of(bench, SAMPLE | {"0": []})
    assert (attained.ceiling, attained.useless["empty"], attained.right) == (1.0, 1.0, frozenset())
    nothing = attained_of(bench, {label: [] for label in "0123"})
    assert nothing.right == {"empty"}


def test_labels_that_are_no_numbers_and_lists_earn_nothing(bench: Bench) -> None:
    assert attained_of(bench, {"chien": [[10, 20, 90, 110]]}).ceiling == 0.0
    attained = attained_of(bench, [10, 20, 90, 110])
    assert attained.ceiling is None
    assert "AttributeError" in (attained.reason or "")


def test_a_single_box_is_said_bare(bench: Bench) -> None:
    example = single_box_example(bench.subject(bench.labelled([850, 720, 1070, 780]), "easydistill-single"))
    assert isinstance(example, Example)
    assert (example.gold, example.truth) == ("[850, 720, 1070, 780]", [850, 720, 1070, 780])
    assert attained_of(bench, [850, 420, 1070, 480], "easydistill-single").ceiling == 1.0


def test_the_documented_row_without_abs_box_stops_the_loader(bench: Bench) -> None:
    row = bench.labelled([850, 420, 1070, 480])
    row["bbox"] = row.pop("abs_box")
    assert single_box_example(bench.subject(row, "easydistill-single")) is NO_ABS_BOX
    attained = attain(bench.subject(row, "easydistill-single"))
    assert isinstance(attained, Attained)
    assert attained.ceiling is None


def test_a_reward_that_is_infinite_is_no_ceiling(bench: Bench) -> None:
    attained = attained_of(bench, [850, 420, 1070, 420], "easydistill-single")
    assert (attained.ceiling, attained.reason) == (None, "the score is inf")


def test_boxes_in_stored_pixels_are_beside_what_the_model_sees(bench: Bench) -> None:
    row = bench.labelled(SAMPLE | {"0": [[1000, 500, 1040, 520]]})  # 1280x720 is seen as 1288x728
    example = multi_box_example(bench.subject(row, "easydistill", frame=RowFrame(PIXELS)))
    assert isinstance(example, Example)
    assert example.gold.startswith("{0: [[1006, 506, 1046, 526]]")
    attained = attain(bench.subject(row, "easydistill", frame=RowFrame(PIXELS)))
    assert isinstance(attained, Attained)
    assert attained.is_adrift
    assert (attained.ceiling or 0) < 1
