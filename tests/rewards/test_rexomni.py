"""Every value that was measured on Rex-Omni's own rewards (specs/rexomni.md §5)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from groundprep.errors import RecordError
from groundprep.geometry.masks import encode_rle
from groundprep.rewards.rexomni import box_iou_score, point_in_box_score, point_in_mask_score

SIZE_WH = [640, 480]
LABEL = "étoile du nord"


def said(*pairs: tuple[str, str]) -> str:
    return ", ".join(
        f"<|object_ref_start|>{name}<|object_ref_end|><|box_start|>{body}<|box_end|>" for name, body in pairs
    )


def truth(size_wh: list[int] = SIZE_WH, **labels: Any) -> dict[str, Any]:
    return {"answer": labels, "resized_image_size": size_wh, "raw_image_size": size_wh}


def boxes(*boxes_xyxy: list[float], label: str = LABEL, size_wh: list[int] = SIZE_WH) -> dict[str, Any]:
    return truth(size_wh, **{label: {"boxes": list(boxes_xyxy)}})


def overall(score: Any) -> float | None:
    assert score.parts.keys() == {"overall"}
    return score.parts["overall"]


RIGHT = "<100><250><500><750>"
BOX = [64.0, 120.0, 320.0, 360.0]


@pytest.mark.parametrize(
    ("completion", "ground_truth", "reward"),
    [
        pytest.param(said((LABEL, RIGHT)), boxes(BOX), 1.0, id="the right box earns 1"),
        pytest.param(said((LABEL, ",".join([RIGHT] * 5))), boxes(BOX), 1.0, id="five copies cost nothing"),
        pytest.param("garbage", truth(), 1.0, id="garbage earns 1 where there is nothing"),
        pytest.param(said((LABEL, "None")), boxes(), 1.0, id="None for no box earns 1"),
        pytest.param(said((LABEL, RIGHT)), truth(), 0.0, id="a box where there is none earns 0"),
        pytest.param(said((LABEL, "None")), boxes(BOX), 0.0, id="None for a box earns 0"),
        pytest.param(said((LABEL.upper(), RIGHT)), boxes(BOX), 0.0, id="names compare case by case"),
        pytest.param(
            said(("traffic light", RIGHT)), boxes(BOX, label="traffic_light"), 0.0, id="an underscore is another name"
        ),
        pytest.param(said(("a / b", RIGHT)), boxes(BOX, label="a / b"), 0.0, id="a slash loses its spaces"),
        pytest.param(said(("x", RIGHT)), boxes(BOX, label=" x"), 0.0, id="a leading space is another name"),
        pytest.param(said((" x ", RIGHT)), boxes(BOX, label="x"), 1.0, id="the name that is said is stripped"),
        pytest.param(said((LABEL, "<500><750><100><250>")), boxes(BOX), 1.0, id="corners are put in order"),
        pytest.param(said((LABEL, RIGHT + "<1><2><3>")), boxes(BOX), 1.0, id="numbers left over are dropped"),
        pytest.param(said((LABEL, RIGHT + "<5><5><5><9>")), boxes(BOX), 1.0, id="a box without area is dropped"),
        pytest.param(
            said((LABEL, RIGHT + ",<0><0><10><10>")), boxes(BOX), 2 / 3, id="a wrong box halves the precision"
        ),
        pytest.param(said((LABEL, RIGHT), ("dog", RIGHT)), boxes(BOX), 2 / 3, id="a box of no label costs precision"),
        pytest.param(
            said((LABEL, RIGHT)), boxes(BOX, [400.0, 0.0, 500.0, 90.0]), 2 / 3, id="a missed box costs recall"
        ),
        pytest.param(said((LABEL, "<100><250><300><750>")), boxes(BOX), 0.5, id="half of the box earns a half"),
        pytest.param(said((LABEL, RIGHT), (LABEL, RIGHT)), boxes(BOX), 1.0, id="a repeated name goes on"),
        pytest.param(
            said((LABEL, RIGHT)).replace("><", ">  <").replace("<250>", "\n<250>"),
            boxes(BOX),
            1.0,
            id="spaces between tokens",
        ),
        pytest.param(
            said((LABEL, RIGHT)).removesuffix("<|box_end|>"), boxes(BOX), 0.0, id="a body without end is none"
        ),
        pytest.param(
            f"<|object_ref_start|>dog<|object_ref_end|> and {said((LABEL, RIGHT))}",
            boxes(BOX),
            0.0,
            id="a reference without a box swallows the next name",
        ),
        pytest.param(said((LABEL, "<١٠٠><٢٥٠><٥٠٠><٧٥٠>")), boxes(BOX), 1.0, id="digits of any script count"),
    ],
)
def test_box_iou_is_what_rex_omni_gives(completion: str, ground_truth: dict[str, Any], reward: float) -> None:
    assert overall(box_iou_score(completion, ground_truth)) == pytest.approx(reward)


@pytest.mark.parametrize("digits", [309, 400])
def test_a_number_too_long_for_a_float_ends_box_iou_and_earns_0_as_a_point(digits: int) -> None:
    completion = said((LABEL, f"<{'9' * digits}><1><2><3>"))
    score = box_iou_score(completion, boxes(BOX))
    assert (score.parts, score.reason) == ({"overall": None}, "raises AttributeError")
    points = truth(**{LABEL: {"points": [[1, 1]], "boxes": [BOX]}})
    assert overall(point_in_box_score(completion, points)) == 0.0


def test_a_number_too_long_for_python_costs_its_own_group_alone() -> None:
    too_long = "9" * 5000
    assert overall(box_iou_score(said((LABEL, f"<{too_long}><1><2><3>{RIGHT}")), boxes(BOX))) == 1.0
    points = truth(**{LABEL: {"points": [[1, 1]], "boxes": [BOX]}})
    assert overall(point_in_box_score(said((LABEL, f"<{too_long}><1><300><500>")), points)) == 1.0


def test_a_number_that_is_left_over_is_not_even_read() -> None:
    assert overall(box_iou_score(said((LABEL, f"{RIGHT}<{'9' * 400}>")), boxes(BOX))) == 1.0


def test_overlaps_are_added_in_the_order_in_which_boxes_are_said() -> None:
    ground_truth = truth([1000, 1000], a={"boxes": [[0, 0, 100, 100]]}, b={"boxes": [[0, 0, 100, 100]]})
    completion = said(("b", "<0><0><100><100>"), ("a", "<0><0><100><100><0><0><300><100>"))
    precision = (1.0 + 1.0 + 1 / 3) / 3
    assert overall(box_iou_score(completion, ground_truth)) == 2 * precision / (precision + 1.0)


@pytest.mark.parametrize(
    ("completion", "reward", "reason"),
    [
        ("None", 0.0, None),
        (said(("dog", RIGHT)), 0.0, None),
        (said((LABEL, RIGHT)), None, "raises TypeError"),
    ],
)
def test_a_null_box_cannot_be_earned(completion: str, reward: float | None, reason: str | None) -> None:
    score = box_iou_score(completion, truth(**{LABEL: {"boxes": [None]}}))
    assert (overall(score), score.reason) == (reward, reason)


@pytest.mark.parametrize(
    ("size_wh", "side", "mean"),
    [
        ([640, 480], 8, 0.77),
        ([640, 480], 16, 0.88),
        ([640, 480], 32, 0.93),
        ([640, 480], 64, 0.97),
        ([1920, 1080], 8, 0.49),
        ([1920, 1080], 16, 0.70),
        ([1920, 1080], 32, 0.83),
        ([1920, 1080], 64, 0.91),
        ([4000, 3000], 8, 0.20),
        ([4000, 3000], 16, 0.45),
        ([4000, 3000], 32, 0.66),
        ([4000, 3000], 64, 0.81),
    ],
)
def test_a_perfect_answer_reaches_the_measured_ceiling(size_wh: list[int], side: int, mean: float) -> None:
    rng, rewards = random.Random(7), []
    for _ in range(600):
        x, y = rng.uniform(0, size_wh[0] - side), rng.uniform(0, size_wh[1] - side)
        box = [x, y, x + side, y + side]
        bins = "".join(f"<{min(999, int(v / size_wh[i % 2] * 999))}>" for i, v in enumerate(box))
        rewards.append(overall(box_iou_score(said((LABEL, bins)), boxes(box, size_wh=size_wh))))
    assert float(np.mean(rewards)) == pytest.approx(mean, abs=0.03)


def test_a_null_box_ends_point_in_box_if_a_point_is_left_for_it() -> None:
    held = {LABEL: {"points": [[1, 1], [1, 1]], "boxes": [BOX, None]}}
    assert overall(point_in_box_score(said((LABEL, "<300><500>")), truth(**held))) == pytest.approx(2 / 3)
    score = point_in_box_score(said((LABEL, "<300><500>"), ("dog", "<1><1>")), truth(**held))
    assert (overall(score), score.reason) == (None, "raises TypeError")


TWO_BOXES = truth(**{LABEL: {"points": [[0, 0], [0, 0]], "boxes": [BOX, [400, 0, 500, 90]]}})


@pytest.mark.parametrize(
    ("completion", "ground_truth", "reward"),
    [
        pytest.param(said((LABEL, "<300><500>,<700><100>")), TWO_BOXES, 1.0, id="a point in each box earns 1"),
        pytest.param(said((LABEL, "<100><250>,<700><100>")), TWO_BOXES, 1.0, id="edges count"),
        pytest.param(
            said((LABEL, "<300><500>")),
            truth(**{LABEL: {"points": [[1, 1]], "boxes": [[320, 120, 64, 360]]}}),
            1.0,
            id="corners of a true box are put in order",
        ),
        pytest.param(said((LABEL, "<300><500>,<301><501>")), TWO_BOXES, 0.5, id="a box is found once"),
        pytest.param(said((LABEL, "<300><500>")), TWO_BOXES, 2 / 3, id="a missed box costs recall"),
        pytest.param(said(("dog", "<300><500>")), TWO_BOXES, 0.0, id="another name finds nothing"),
        pytest.param("", TWO_BOXES, 0.0, id="no point earns 0"),
        pytest.param(
            said((LABEL, "<300><500>")), boxes(BOX), 0.0, id="boxes without points do not exist, a point earns 0"
        ),
        pytest.param("", boxes(BOX), 1.0, id="boxes without points do not exist, silence earns 1"),
        pytest.param(
            "", truth(**{LABEL: {"points": [[1, 1]], "boxes": [BOX, BOX]}}), 1.0, id="unequal numbers do not exist"
        ),
    ],
)
def test_point_in_box_is_what_rex_omni_gives(completion: str, ground_truth: dict[str, Any], reward: float) -> None:
    assert overall(point_in_box_score(completion, ground_truth)) == pytest.approx(reward)


def mask() -> np.ndarray:
    picture = np.zeros((37, 61), dtype=np.uint8)
    picture[5:20, 30:50] = 1
    return picture


@pytest.mark.parametrize(
    ("value", "reward"),
    [
        pytest.param({"size": [37, 61], "counts": encode_rle(mask())}, 1.0, id="compressed run lengths"),
        pytest.param(mask().tolist(), 1.0, id="rows of pixels"),
        pytest.param({"size": [61, 37], "counts": encode_rle(mask())}, 0.0, id="another size is missed"),
        pytest.param({"size": [37, 61], "counts": [37 * 61]}, 0.0, id="plain run lengths are missed"),
        pytest.param(mask()[:30].tolist(), 0.0, id="too few rows are missed"),
        pytest.param((-mask().astype(int)).tolist(), 1.0, id="any pixel but zero is inside"),
        pytest.param(mask()[:, :, None].tolist(), 1.0, id="one channel"),
        pytest.param(np.stack([mask()] * 2, axis=2).tolist(), 0.0, id="two channels are missed"),
        pytest.param([*mask().tolist()[:-1], [1]], 0.0, id="ragged rows are missed"),
        pytest.param([[None] * 61] * 37, 0.0, id="rows of nothing are missed"),
        pytest.param(5, 0.0, id="a number is missed"),
    ],
)
def test_point_in_mask_reads_two_forms(value: Any, reward: float) -> None:
    ground_truth = truth([61, 37], **{LABEL: {"points": [[1, 1]], "masks": [value]}})
    assert overall(point_in_mask_score(said((LABEL, "<600><300>")), ground_truth)) == reward


def test_a_point_beside_the_mask_or_the_image_is_a_miss() -> None:
    ground_truth = truth([61, 37], **{LABEL: {"points": [[1, 1]], "masks": [mask().tolist()]}})
    for body in ("<100><300>", "<1000><300>", "<600><2000>", f"<{'9' * 308}><300>"):
        assert overall(point_in_mask_score(said((LABEL, body)), ground_truth)) == 0.0


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        {"answer": []},
        {"answer": {}, "resized_image_size": [0, 5]},
        {"answer": {"x": []}, "resized_image_size": [5, 5]},
        {"answer": {"x": {"boxes": [[1, 2, 3]]}}, "resized_image_size": [5, 5]},
        {"answer": {"x": {"boxes": 3}}, "resized_image_size": [5, 5]},
        {"answer": {"x": {"boxes": [[1, 2, 3, None]]}}, "resized_image_size": [5, 5]},
    ],
)
def test_a_ground_truth_of_another_form_is_refused(broken: Any) -> None:
    with pytest.raises(RecordError, match="ground truth") as caught:
        box_iou_score("", broken)
    assert caught.value.code == "ground-truth"
