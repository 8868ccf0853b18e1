"""Our own rewards for points inside regions and for masks.

`point-in-region`. F1 of points, one to one, inside boxes (edges included) or masks. The ground truth is
`{"boxes": [[x0, y0, x1, y1], …]}` or `{"size": [h, w], "masks": [COCO segmentation, …]}`. Range [0, 1]. How it can be gamed: any
point of a region is as good as its middle, and where regions overlap a point may serve either.

`mask-iou`. Overlap of the answer's polygon or run lengths with the true mask. The ground truth is `{"size": [h, w],
"segmentation": …}`; the answer is JSON, `{"segmentation": …}` or the segmentation itself. Range [0, 1]. How it can be gamed: a
polygon over the whole image earns its share of the area. Needs the extra `masks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from groundprep.errors import RecordError
from groundprep.geometry.masks import SizeHW, decode_segmentation, require_size
from groundprep.geometry.masks import mask_iou as iou_of_masks
from groundprep.rewards.answers import MAX_BOXES, answer_of, json_of, points_of
from groundprep.rewards.base import Score, is_number, refuse
from groundprep.rewards.matching import assign

Inside = Callable[[float, float], bool]


def point_in_region_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall` (F1), `precision` and `recall`, each in [0, 1]. Nothing on either side: 1."""
    regions, points = _regions(ground_truth), points_of(answer_of(completion))
    fits = [[inside(x, y) for inside in regions] for x, y in points[:MAX_BOXES]]
    hits = sum(fits[n][m] for n, m in assign([[float(not fit) for fit in row] for row in fits])) if regions else 0
    count = len(points) + len(regions)
    return Score(
        {
            "overall": 2 * hits / count if count else 1.0,
            "precision": hits / len(points) if points else float(not regions),
            "recall": hits / len(regions) if regions else float(not points),
        }
    )


def mask_iou_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: intersection over union in [0, 1]; 0 for an answer that is no mask of this size."""
    if not isinstance(ground_truth, dict):
        refuse(ground_truth, '{"size": [h, w], "segmentation": …}')
    size_hw = _size_hw(ground_truth)
    truth = decode_segmentation(ground_truth.get("segmentation"), size_hw)
    answer = json_of(answer_of(completion))
    if isinstance(answer, dict) and "segmentation" in answer:
        answer = answer["segmentation"]
    if isinstance(answer, list) and answer and all(map(is_number, answer)):
        answer = [answer]
    try:
        return Score({"overall": iou_of_masks(truth, decode_segmentation(answer, size_hw))})
    except RecordError:
        return Score({"overall": 0.0})


def _regions(value: Any) -> list[Inside]:
    expected = '{"boxes": [[x0, y0, x1, y1], …]} or {"size": [h, w], "masks": [segmentation, …]}'
    if not isinstance(value, dict):
        refuse(value, expected)
    if isinstance(boxes := value.get("boxes"), list):
        for box in boxes:
            if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
                refuse(box, expected)
        return [_in_box(box) for box in boxes]
    if isinstance(masks := value.get("masks"), list):
        size_hw = _size_hw(value)
        return [_in_mask(mask, size_hw) for mask in masks]
    return refuse(value, expected)


def _size_hw(value: dict[str, Any]) -> SizeHW:
    size = value.get("size")
    if not isinstance(size, list) or len(size) != 2:
        refuse(size, "size: [height, width]")
    return require_size((size[0], size[1]))


def _in_box(box: list[float]) -> Inside:
    x0, y0, x1, y1 = box
    return lambda x, y: x0 <= x <= x1 and y0 <= y <= y1


def _in_mask(segmentation: Any, size_hw: SizeHW) -> Inside:
    mask = decode_segmentation(segmentation, size_hw)
    h, w = size_hw
    return lambda x, y: 0 <= x < w and 0 <= y < h and bool(mask[int(y), int(x)])
