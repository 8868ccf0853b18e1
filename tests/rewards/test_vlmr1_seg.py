"""What was measured on the Chebyshev fork's rewards (specs/vlmr1_easydistill.md §2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from groundprep.errors import RecordError
from groundprep.rewards.vlmr1_seg import vlmr1_seg_score

SHAPE: dict[str, Any] = {
    "centre": [17.0, 19.0],
    "coeffs": [14.3025, 6.9726, 5.1588, 4.2442, 1.1694, 1.1416, 0.4077, -0.3971],
}
SOLUTION = "<answer> " + json.dumps(SHAPE | {"size": [48, 64]}) + " </answer>"
SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 40.0, 10.0, 40.0]


def said(value: Any) -> str:
    return f"<think>é</think><answer>{value if isinstance(value, str) else json.dumps(value)}</answer>"


def truth(**value: Any) -> str:
    return f"<answer>{json.dumps(value)}</answer>"


@pytest.mark.parametrize(
    ("completion", "solution", "iou", "form"),
    [
        pytest.param(said(SHAPE), SOLUTION, 1.0, 1.0, id="the solution itself"),
        pytest.param(
            said(f"```json\n{json.dumps(SHAPE)}\n```"), SOLUTION, 0.0, 1.0, id="a fence costs the overlap alone"
        ),
        pytest.param(said(SHAPE | {"note": {}}), SOLUTION, 1.0, 0.0, id="nested braces cost the format alone"),
        pytest.param(
            said({"centre": [17, 19], "coeffs": 14}),
            truth(centre=[17, 19], coeffs=[14], size=[48, 64]),
            1.0,
            0.0,
            id="a bare coefficient",
        ),
        pytest.param(said({"polygon": SQUARE}), truth(polygon=SQUARE, size=[48, 64]), 1.0, 0.0, id="a polygon"),
        pytest.param(
            said({"polygons": [str(n) for n in SQUARE]}),
            truth(polygon=SQUARE, sizeHW=[48, 64]),
            1.0,
            0.0,
            id="a polygon of text, the other size key",
        ),
        pytest.param(
            said({"polygons": [SQUARE]}), truth(polygon=SQUARE, size=[48, 64]), 0.0, 0.0, id="a list of polygons"
        ),
        pytest.param(said({"polygon": SQUARE[:4]}), truth(polygon=SQUARE, size=[48, 64]), 0.0, 0.0, id="four numbers"),
        pytest.param(said(SHAPE), truth(**SHAPE), 0.0, 1.0, id="a solution without its size"),
        pytest.param(said({"centre": [17], "coeffs": [14]}), SOLUTION, 0.0, 0.0, id="a centre of one number"),
        pytest.param(said({"centre": [17, 19], "coeffs": []}), SOLUTION, 0.0, 0.0, id="no coefficients"),
        pytest.param(said({"centre": [17, 19], "coeffs": ["1"]}), SOLUTION, 0.0, 0.0, id="coefficients of text"),
        pytest.param("no answer", SOLUTION, 0.0, 0.0, id="no answer"),
        pytest.param(said("(17, 19)"), SOLUTION, 0.0, 0.0, id="no JSON"),
        pytest.param(said(SHAPE), "no tags", 0.0, 1.0, id="a solution without an answer never raises"),
        pytest.param(said('{"centre": [NaN, 3], "coeffs": [5]}'), SOLUTION, 0.0, 1.0, id="not a number"),
    ],
)
def test_overlap_and_format_are_those_of_the_fork(completion: str, solution: str, iou: float, form: float) -> None:
    assert vlmr1_seg_score(completion, solution).parts == {"mask_iou": pytest.approx(iou), "format": form}


def test_a_smaller_shape_earns_its_share() -> None:
    score = vlmr1_seg_score(said({"polygon": [10, 10, 20, 10, 20, 40, 10, 40]}), truth(polygon=SQUARE, size=[48, 64]))
    assert score.parts["mask_iou"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("coeffs", "reason"), [("[" * 100_000, "raises RecursionError"), ("[" + "9" * 5_000 + "]", "raises ValueError")]
)
def test_the_format_forgives_broken_json_alone(coeffs: str, reason: str) -> None:
    score = vlmr1_seg_score(said(f'{{"centre": [17, 19], "coeffs": {coeffs}}}'), SOLUTION)
    assert (score.parts, score.reason) == ({"mask_iou": 0.0, "format": None}, reason)


def test_a_ground_truth_that_is_no_text_is_refused() -> None:
    with pytest.raises(RecordError, match="ground truth"):
        vlmr1_seg_score("", SHAPE)
