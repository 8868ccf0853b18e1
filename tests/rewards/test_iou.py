from __future__ import annotations

import pytest

from groundprep.rewards.iou import boxes_of, iou_reward, matched_overlap

TRUTH = '```json\n[{"bbox_2d": [10, 20, 50, 40], "label": "étoile"}]\n```'
TWO = '[{"bbox_2d": [10, 20, 50, 40]}, {"bbox_2d": [60, 7, 90, 27]}]'


@pytest.mark.parametrize(
    ("completion", "truth", "overall"),
    [
        pytest.param(TRUTH, TRUTH, 1.0, id="the true box earns 1"),
        pytest.param("[10, 20, 50, 30]", TRUTH, 0.5, id="half of the box earns one half"),
        pytest.param(
            "[10, 20, 30, 40] [30, 20, 50, 40]", TRUTH, 1 / 3, id="a split box earns one half, shared by two boxes"
        ),
        pytest.param("[10, 20, 50, 40] [10, 20, 50, 40]", TRUTH, 2 / 3, id="a repeated box costs precision"),
        pytest.param("[10, 20, 50, 40]", TWO, 2 / 3, id="a missing box costs recall"),
        pytest.param(TWO, TWO, 1.0, id="both boxes earn 1"),
        pytest.param("[50, 40, 10, 20]", TRUTH, 0.0, id="an inverted box earns nothing"),
        pytest.param("[10, 20, 10, 40]", TRUTH, 0.0, id="an empty box earns nothing"),
        pytest.param("[ 10,\n20 , 50.0,40 ]", TRUTH, 1.0, id="spacing does not matter"),
        pytest.param(
            "<think>[1, 2, 3, 4]</think><answer>[10, 20, 50, 40]</answer>", TRUTH, 1.0, id="reasoning does not count"
        ),
        pytest.param("[]", "[]", 1.0, id="no box where there is none earns 1"),
        pytest.param("[10, 20, 50, 40]", "[]", 0.0, id="a box where there is none earns 0"),
        pytest.param("none", TRUTH, 0.0, id="no box where there is one earns 0"),
        pytest.param("[0, 0, 100, 80]", TRUTH, 0.1, id="a box over everything earns its share of the area"),
    ],
)
def test_overall_is_the_soft_f1_of_overlap(completion: str, truth: str, overall: float) -> None:
    assert iou_reward(completion, truth)["overall"] == pytest.approx(overall)


def test_precision_and_recall_are_told_apart() -> None:
    assert iou_reward("[10, 20, 50, 40]", TWO) == {"overall": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5}


def test_a_bracket_of_another_length_is_no_box() -> None:
    assert boxes_of("[1, 2] [1, 2, 3] [1, 2, 3, 4, 5] [7, 8, 9, 10]") == [(7.0, 8.0, 9.0, 10.0)]


def test_each_box_is_matched_once() -> None:
    wide, left, right = (0.0, 0.0, 20.0, 10.0), (0.0, 0.0, 10.0, 10.0), (10.0, 0.0, 20.0, 10.0)
    assert matched_overlap([wide], [left, right]) == pytest.approx(0.5)
    assert matched_overlap([wide, left], [left, right]) == pytest.approx(1.5)
