"""Values are those of specs/vlmr1_easydistill.md §1.5, §1.6, §2.6 and §2.7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundprep.checks.attainability import Attained, attain
from groundprep.checks.gold import Example, Unscored
from groundprep.checks.gold_vlmr1 import od_example, rec_example, seg_example
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from tests.checks.trainer_rows import Bench

BOX = [103.93, 299.99, 238.15, 477.41]
OBJECT = '{"bbox_2d": [3, 218, 799, 533], "label": "chien"}'
FENCED = f"```json\n[{OBJECT}]\n```"
SHAPE = '{"centre":[17.0,19.0],"coeffs":[14.3025,6.9726,5.1588,4.2442,1.1694,1.1416,0.4077,-0.3971],"size":[48,64]}'  # §2.6 A


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def attained_of(
    bench: Bench, answer: Any, profile: str, size_wh: tuple[int, int] = (640, 480), **more: Any
) -> Attained:
    row = {key: more.pop(key) for key in ("accu_reward_method",) if key in more}
    attained = attain(bench.subject(bench.asked(answer, size_wh, **row), profile, **more))
    assert isinstance(attained, Attained)
    return attained


def test_a_box_is_said_in_whole_pixels_of_the_resized_image_in_braces(bench: Bench) -> None:
    example = rec_example(bench.subject(bench.asked(BOX), "vlmr1"))
    assert isinstance(example, Example)
    assert '<answer>{"bbox_2d": [105, 297, 240, 473]}</answer>' in example.gold  # 640x480 is seen as 644x476
    assert example.truth == {
        "solution": "<answer> [103.93, 299.99, 238.15, 477.41] </answer>",
        "image_size": [640, 480],
        "seen_size": [644, 476],
    }


def test_a_box_and_its_text_are_the_same_solution(bench: Bench) -> None:
    assert attained_of(bench, BOX, "vlmr1") == attained_of(bench, json.dumps(BOX), "vlmr1")
    assert 0.98 < (attained_of(bench, BOX, "vlmr1").ceiling or 0) < 1


def test_overlaps_of_a_pixel_and_objects_instead_of_a_list_earn_nothing(bench: Bench) -> None:
    assert attained_of(bench, [10, 10, 11, 11], "vlmr1").ceiling == 0.0
    assert attained_of(bench, '{"bbox_2d": [1, 2, 30, 40]}', "vlmr1").ceiling == 0.0


def test_text_that_is_no_json_stops_the_trainer(bench: Bench) -> None:
    attained = attained_of(bench, "B", "vlmr1", accu_reward_method="mcq")
    assert (attained.ceiling, attained.reason) == (None, "raises JSONDecodeError")


def test_a_row_of_several_images_stops_the_trainer(bench: Bench) -> None:
    row = bench.asked(BOX) | {"image": [bench.image((640, 480)), bench.image((61, 37))]}
    example = rec_example(bench.subject(row, "vlmr1"))
    assert isinstance(example, Unscored)
    assert example.is_fatal


def test_internvl_takes_several_images(bench: Bench) -> None:
    row = bench.asked([243, 468, 557, 745]) | {"image": [bench.image((640, 480)), bench.image((61, 37))]}
    attained = attain(bench.subject(row, "vlmr1-internvl"))
    assert isinstance(attained, Attained)
    assert attained.ceiling == 1.0


def test_internvl_says_the_numbers_of_the_row_and_nothing_is_mapped_back(bench: Bench) -> None:
    attained = attained_of(bench, [243, 468, 557, 745], "vlmr1-internvl")
    assert attained.ceiling == 1.0
    example = rec_example(bench.subject(bench.asked([243, 468, 557, 745]), "vlmr1-internvl"))
    assert isinstance(example, Example)
    assert "[243, 468, 557, 745]" in example.gold
    assert "[0, 0, 1000, 1000]" in example.useless["full_image"]


def test_labelled_boxes_are_said_as_they_stand(bench: Bench) -> None:
    attained = attained_of(bench, FENCED, "vlmr1-ovd", (1000, 600))
    assert attained.ceiling == pytest.approx(1.0)
    assert attained.useless == {"empty": 0.0, "full_image": 0.0}


def test_a_solution_without_a_fence_counts_as_empty_so_that_none_is_right(bench: Bench) -> None:
    attained = attained_of(bench, f"[{OBJECT}]", "vlmr1-ovd", (1000, 600))
    assert (attained.ceiling, attained.useless["empty"]) == (0.0, 1.0)


def test_where_nothing_is_there_none_is_the_right_answer(bench: Bench) -> None:
    attained = attained_of(bench, "None", "vlmr1-ovd")
    assert (attained.ceiling, attained.useless, attained.right) == (1.0, {"empty": 1.0}, {"empty"})


def test_an_empty_fence_says_that_nothing_is_there_as_well(bench: Bench) -> None:
    attained = attained_of(bench, "```json\n[]\n```", "vlmr1-ovd")
    assert (attained.ceiling, attained.useless, attained.right) == (1.0, {"empty": 1.0}, {"empty"})


def test_more_boxes_of_a_label_than_coco_looks_at_lower_the_ceiling(bench: Bench) -> None:
    """Source: §1.6 (e): 150 perfect boxes of one label earn 0.663."""
    boxes = [{"bbox_2d": [7 * n, 3, 7 * n + 5, 9], "label": "chien"} for n in range(150)]
    attained = attained_of(bench, f"```json\n{json.dumps(boxes)}\n```", "vlmr1-ovd", (1100, 600))
    assert attained.ceiling == pytest.approx(0.663, abs=1e-3)


def test_the_rows_own_method_chooses_the_part_and_another_reward_is_not_tried(bench: Bench) -> None:
    example = od_example(bench.subject(bench.asked(FENCED, accu_reward_method="weighted_sum"), "vlmr1-ovd"))
    assert isinstance(example, Example)
    assert example.part == "weighted_sum"
    other = od_example(bench.subject(bench.asked("B", accu_reward_method="mcq"), "vlmr1-ovd"))
    assert isinstance(other, Unscored)
    assert not other.is_fatal


def test_boxes_in_stored_pixels_earn_less_than_those_that_the_model_sees(bench: Bench) -> None:
    attained = attained_of(bench, FENCED, "vlmr1-ovd", (1000, 600), frame=RowFrame(PIXELS))
    assert attained.ceiling == pytest.approx(0.9)  # 1008x588 is seen: overlap .94, so one of ten thresholds fails
    assert attained.is_adrift


def test_a_shape_is_said_with_its_two_keys_and_compared_with_what_it_draws(bench: Bench) -> None:
    example = seg_example(bench.subject(bench.asked(f"<answer>{SHAPE}</answer>", (64, 48)), "vlmr1-seg"))
    answer = example.gold.split("<answer>")[1].removesuffix("</answer>")
    assert set(json.loads(answer)) == {"centre", "coeffs"}
    assert example.truth == f"<answer> {SHAPE} </answer>"
    attained = attained_of(bench, f"<answer>{SHAPE}</answer>", "vlmr1-seg", (64, 48))
    assert attained.ceiling == 1.0
    assert 0 < attained.useless["full_image"] < 0.5


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE.replace(',"size":[48,64]', ""),
        '{"polygons": [[3, 3, 40, 3, 40, 30]], "size": [48, 64]}',
        '{"mask_path": "é.png"}',
    ],
)
def test_shapes_that_the_reward_cannot_draw_earn_nothing(shape: str, bench: Bench) -> None:
    assert attained_of(bench, f"<answer>{shape}</answer>", "vlmr1-seg", (64, 48)).ceiling == 0.0


def test_a_shape_drawn_in_stored_pixels_is_beside_what_the_model_sees(bench: Bench) -> None:
    attained = attained_of(bench, f"<answer>{SHAPE}</answer>", "vlmr1-seg", (64, 48), frame=RowFrame(PIXELS))
    assert attained.is_adrift
    assert 0 < (attained.ceiling or 0) < 0.8
