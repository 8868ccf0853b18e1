"""Our average precision is pycocotools' own, to the bit."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from groundprep.rewards.coco_ap import BoxXYWH, average_precision

Classes = list[tuple[list[BoxXYWH], list[BoxXYWH]]]

side = st.integers(-2, 12) | st.sampled_from([0.5, 3.25, 2e5])
boxes = st.tuples(st.integers(0, 8), st.integers(0, 8), side, side).map(lambda box: tuple(map(float, box)))


def with_pycocotools(classes: Classes) -> tuple[float, float]:
    truth, found = COCO(), []
    truth.dataset = {
        "images": [{"id": 0, "width": 2048, "height": 2048}],
        "categories": [{"id": place} for place in range(len(classes))],
        "annotations": [],
    }
    for place, (targets, guesses) in enumerate(classes):
        for box in targets:
            number = len(truth.dataset["annotations"]) + 1
            area = box[2] * box[3]
            truth.dataset["annotations"].append(
                {"id": number, "image_id": 0, "category_id": place, "bbox": list(box), "area": area, "iscrowd": 0}
            )
        found += [{"image_id": 0, "category_id": place, "bbox": list(box), "score": 1.0} for box in guesses]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, max_size=6)), min_size=1, max_size=3
    ).filter(lambda classes: any(found for _, found in classes))
)
@example([([(7.5, 3.0, 32.5, 18.0)], [(7.5, 3.0, 32.5, 18.0)]), ([(1.0, 2.0, 3.0, 4.0)], [])])
@example([([(0.0, 0.0, -4.0, 5.0)], [(0.0, 0.0, 4.0, 5.0)])])
def test_any_boxes_average_as_pycocotools_says(classes: Classes) -> None:
    assert average_precision(classes) == with_pycocotools(classes)


def test_no_more_than_a_hundred_detections_count() -> None:
    row: list[BoxXYWH] = [(20.0 * n, 5.0, 10.0, 7.0) for n in range(150)]
    average = average_precision([(row, row)])
    assert average.ap == pytest.approx(0.663, abs=1e-3)
    assert average == with_pycocotools([(row, row)])
