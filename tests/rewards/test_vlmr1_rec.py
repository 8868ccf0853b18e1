"""What was measured on VLM-R1's REC rewards (specs/vlmr1_easydistill.md §1.6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from groundprep.errors import RecordError
from groundprep.rewards.vlmr1_rec import has_rec_format, iou_above_one_pixel, vlmr1_rec_score


def truth(
    box: Any = (10, 20, 50, 40), image: tuple[int, int] = (640, 427), seen: tuple[int, int] = (640, 427)
) -> dict[str, Any]:
    return {"solution": f"<answer> {json.dumps(box)} </answer>", "image_size": list(image), "seen_size": list(seen)}


def said(box: str) -> str:
    return f'<think>é</think>\n<answer>{{"bbox_2d": {box}}}</answer>'


@pytest.mark.parametrize(
    ("completion", "ground_truth", "accuracy", "form"),
    [
        pytest.param(said("[10,20, 50,  40]"), truth(), 1.0, 1.0, id="the right box"),
        pytest.param(said("[10, 20, 30, 40]"), truth(), 0.5, 1.0, id="half of it"),
        pytest.param(said("[11, 20, 51, 40]"), truth(seen=(1280, 854)), 0.0, 1.0, id="not scaled, not there"),
        pytest.param(said("[20, 40, 100, 80]"), truth(seen=(1280, 854)), 1.0, 1.0, id="scaled from the size seen"),
        pytest.param(said("[10, 20, 50, 40]"), truth((10.5, 20.0, 50.0, 40.0)), 39.5 / 40, 1.0, id="a float solution"),
        pytest.param(said("[10.0, 20, 50, 40]"), truth(), 0.0, 0.0, id="a float is no box"),
        pytest.param(said("[ 10, 20, 50, 40]"), truth(), 0.0, 0.0, id="a space after the bracket"),
        pytest.param(said("[10 , 20, 50, 40]"), truth(), 0.0, 0.0, id="a space before a comma"),
        pytest.param(said("[-10, 20, 50, 40]"), truth(), 0.0, 0.0, id="a sign"),
        pytest.param(said("[٣,1,2,3] [10,20,50,40]"), truth(), 0.0, 1.0, id="the first box counts, in any script"),
        pytest.param("<answer>[10,20,50,40]</answer>", truth(), 1.0, 0.0, id="without braces the format is lost"),
        pytest.param("[10,20,50,40]", truth(), 0.0, 0.0, id="without an answer nothing is found"),
        pytest.param("<answer></answer>" + said("[10,20,50,40]"), truth(), 0.0, 1.0, id="the first answer counts"),
        pytest.param(said("[10,20,11,21]"), truth((10, 20, 11, 21)), 0.0, 1.0, id="an equal 1x1 box earns 0"),
        pytest.param(
            said("[10,20,50,40]"), truth({"bbox_2d": [10, 20, 50, 40]}), 0.0, 1.0, id="a solution that is a dict"
        ),
        pytest.param(said("[5,5,5,5]"), truth((5, 5, 5, 5)), 0.0, 1.0, id="two boxes without area"),
        pytest.param(said(f"[{'9' * 5000},1,2,3]"), truth(), 0.0, 1.0, id="a number too long for Python"),
        pytest.param(said(f"[{'9' * 400},1,2,3]"), truth(), 0.0, 1.0, id="a number too long for a float"),
    ],
)
def test_accuracy_and_format_are_those_of_vlm_r1(
    completion: str, ground_truth: dict[str, Any], accuracy: float, form: float
) -> None:
    assert vlmr1_rec_score(completion, ground_truth).parts == {"accuracy": pytest.approx(accuracy), "format": form}


@pytest.mark.parametrize(
    ("solution", "error"), [("no tags", "IndexError"), ("<answer> (1, 2) </answer>", "JSONDecodeError")]
)
def test_a_solution_that_is_no_json_ends_the_trainer(solution: str, error: str) -> None:
    score = vlmr1_rec_score(said("[10,20,50,40]"), truth() | {"solution": solution})
    assert score.as_data() == {"accuracy": None, "format": 1.0, "reason": f"raises {error}"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("x <think>a</think><answer>b {c [1,2,3,4] d} e</answer> y", True),
        ("<think>a</think> \n <answer>{[1, 2,\n3, 4]}</answer>", True),
        ("<think>a</think>, <answer>{[1,2,3,4]}</answer>", False),
        ("<think>a</think><answer>[1,2,3,4]{}</answer>", False),
        ("<think>a</think><answer>{[1,2,3,4]</answer>", False),
        ("<think>a</think><answer>{[1,2,3,4]}", False),
        ("<think>a</think><answer>None</answer></think><answer>{[1,2,3,4]}</answer>", True),
    ],
)
def test_the_format_is_searched_for(text: str, holds: bool) -> None:
    assert has_rec_format(text) is holds


def test_an_overlap_of_at_most_one_pixel_is_none() -> None:
    assert iou_above_one_pixel((0, 0, 10, 10), (9, 0, 19, 10)) == 0.0
    assert iou_above_one_pixel((0, 0, 10, 10), (8, 0, 18, 10)) == pytest.approx(20 / 180)


@pytest.mark.parametrize("broken", ["text", {}, truth() | {"solution": [1, 2, 3, 4]}, truth() | {"seen_size": [0, 28]}])
def test_a_ground_truth_of_another_form_is_refused(broken: Any) -> None:
    with pytest.raises(RecordError, match="ground truth"):
        vlmr1_rec_score("", broken)
