"""Values are those of specs/rexomni.md §3.5, §5 and §11."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from groundprep.checks.attainability import Attained, attain
from groundprep.checks.gold import Example, Unscored
from groundprep.checks.gold_rexomni import rexomni_example
from groundprep.geometry.frames import FRAMES
from groundprep.profile import RowFrame
from tests.checks.trainer_rows import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def example_of(bench: Bench, row: dict[str, Any], **more: Any) -> Example:
    example = rexomni_example(bench.subject(row, "rexomni-grpo", **more))
    assert isinstance(example, Example)
    return example


def ceiling(bench: Bench, row: dict[str, Any], **more: Any) -> float | None:
    attained = attain(bench.subject(row, "rexomni-grpo", **more))
    assert isinstance(attained, Attained)
    return attained.ceiling


def test_the_right_answer_names_floored_bins_sorted_by_the_left_border(bench: Bench) -> None:
    row = bench.omni((1000, 500), chien=[[500, 10, 700, 90], [100, 100, 300, 400]], chat=[[0, 0, 1000, 500]])
    assert example_of(bench, row).gold == (
        "<|object_ref_start|>chien<|object_ref_end|><|box_start|><99><199><299><799>,<499><19><699><179><|box_end|>, "
        "<|object_ref_start|>chat<|object_ref_end|><|box_start|><0><0><999><999><|box_end|>"
    )


def test_the_right_answer_uses_the_rewritten_phrase_and_the_truth_the_raw_one(bench: Bench) -> None:
    row = bench.omni((1000, 500), feu_rouge=[[100, 100, 300, 400]])
    example = example_of(bench, row)
    assert "<|object_ref_start|>feu rouge<|object_ref_end|>" in example.gold
    assert example.truth["answer"] == {"feu_rouge": {"boxes": [[100, 100, 300, 400]]}}
    assert example.truth["resized_image_size"] == example.truth["raw_image_size"] == [1000, 500]
    assert ceiling(bench, row) == 0.0


def test_the_score_of_a_right_box_is_that_of_the_specification(bench: Bench) -> None:
    assert ceiling(bench, bench.omni((1000, 500), chien=[[100, 100, 300, 400]])) == pytest.approx(0.98677, abs=1e-5)


@pytest.mark.parametrize(
    ("size_wh", "side", "mean"),
    [
        ((640, 480), 8, 0.77),
        ((640, 480), 64, 0.97),
        ((1920, 1080), 8, 0.49),
        ((1920, 1080), 32, 0.83),
        ((4000, 3000), 16, 0.45),
        ((4000, 3000), 64, 0.81),
    ],
)
def test_the_ceiling_of_small_squares_is_that_of_the_specification(
    size_wh: tuple[int, int], side: int, mean: float, bench: Bench
) -> None:
    draw = random.Random(5)
    total = 0.0
    for _ in range(400):
        x, y = draw.uniform(0, size_wh[0] - side), draw.uniform(0, size_wh[1] - side)
        total += ceiling(bench, bench.omni(size_wh, chien=[[x, y, x + side, y + side]])) or 0.0
    assert total / 400 == pytest.approx(mean, abs=0.025)


def test_an_annotation_of_a_tsv_is_a_row_of_its_own(bench: Bench) -> None:
    row = bench.omni((61, 37), chien=[[7.5, 3.0, 40.0, 21.0]])
    subject = bench.subject(row, "rexomni-grpo")
    alone = rexomni_example(type(subject)(subject.record, subject.verdicts, subject.profile, row["annotation"]))
    assert alone == rexomni_example(subject)


def test_a_caption_stands_in_for_a_phrase(bench: Bench) -> None:
    row = bench.omni((61, 37))
    row["annotation"]["boxes"] = [{"bbox": [7, 3, 40, 21], "caption": "chien"}]
    assert set(example_of(bench, row).truth["answer"]) == {"chien"}


def test_without_boxes_every_answer_without_boxes_is_right(bench: Bench) -> None:
    example = example_of(bench, bench.omni((61, 37)))
    assert (example.gold, example.right) == ("", {"empty", "full_image"})
    assert ceiling(bench, bench.omni((61, 37))) == 1.0


def test_null_boxes_stop_the_trainer(bench: Bench) -> None:
    for boxes, error in (([None], "TypeError"), ([None, [1, 2, 30, 20]], "ValueError")):
        unscored = rexomni_example(bench.subject(bench.omni((61, 37), chien=boxes), "rexomni-grpo"))
        assert isinstance(unscored, Unscored)
        assert unscored.is_fatal
        assert error in unscored.reason


@pytest.mark.parametrize("reward", ["rexomni:point_in_box", "rexomni:point_in_mask"])
def test_the_point_rewards_cannot_be_earned_because_the_loader_has_no_points(reward: str, bench: Bench) -> None:
    row = bench.omni((1000, 500), chien=[[100, 100, 300, 400]])
    assert "<199><499>" in example_of(bench, row, reward=reward).gold
    attained = attain(bench.subject(row, "rexomni-grpo", reward=reward))
    assert isinstance(attained, Attained)
    assert (attained.ceiling, attained.useless["empty"], attained.useless["image_centre"]) == (0.0, 1.0, 0.0)


def test_a_file_of_another_box_layout_is_right_in_stored_pixels_and_wrong_for_the_loader(bench: Bench) -> None:
    row = bench.omni((1000, 500), chien=[[100, 100, 200, 300]])
    example = example_of(bench, row, frame=RowFrame(FRAMES["pixels-xywh"]))
    assert "<99><199><299><799>" in example.gold
    assert example.truth["answer"] == {"chien": {"boxes": [[100, 100, 200, 300]]}}
