"""Our own rewards for choosing among candidates, where the hint lists boxes and the answer repeats some of them.

The ground truth is `{"candidates": [[x0, y0, x1, y1], …], "answer": [index, …]}`, 0-based.

`choice-exact`. Rewards naming exactly the right candidates. Range {0, 1}. How it can be gamed: with few candidates a guess is
often right (one of three: a third).

`choice-soft`. F1 of the chosen candidates; a box chooses the candidate that it overlaps most, by at least one half. Range
[0, 1]. How it can be gamed: naming all candidates earns 2k / (n + k) for k right ones of n.
"""

from __future__ import annotations

from typing import Any

from groundprep.geometry.boxes import iou_matrix
from groundprep.rewards.answers import MAX_BOXES, answer_of
from groundprep.rewards.base import Score, is_number, refuse
from groundprep.rewards.iou import BoxXYXY, boxes_of

MIN_IOU = 0.5


def choice_exact_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: 1 if the boxes named, as a set, are exactly the right candidates', else 0."""
    candidates, right = _truth(ground_truth)
    named = set(boxes_of(answer_of(completion)))
    return Score({"overall": float(named == {candidates[index] for index in right})})


def choice_soft_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of the candidates chosen; a box that overlaps none by half is a wrong choice of its own."""
    candidates, right = _truth(ground_truth)
    boxes = boxes_of(answer_of(completion))
    chosen: set[int] = set()
    strays = max(0, len(boxes) - MAX_BOXES)
    for row in iou_matrix(boxes[:MAX_BOXES], candidates).tolist():
        best = max(row, default=0.0)
        if best >= MIN_IOU:
            chosen.add(row.index(best))
        else:
            strays += 1
    count = len(chosen) + strays + len(right)
    return Score({"overall": 2 * len(chosen & right) / count if count else 1.0})


def _truth(value: Any) -> tuple[list[BoxXYXY], set[int]]:
    expected = '{"candidates": [[x0, y0, x1, y1], …], "answer": [index, …]}'
    if not isinstance(value, dict):
        refuse(value, expected)
    boxes, answer = value.get("candidates"), value.get("answer")
    if not isinstance(boxes, list) or not isinstance(answer, list):
        refuse(value, expected)
    for box in boxes:
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            refuse(box, expected)
    for index in answer:
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(boxes):
            refuse(index, f"an index from 0 to {len(boxes) - 1}")
    return [(float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in boxes], set(answer)
