"""A reward with spread: soft F1 of box overlap, so that a nearly right box earns more than a wrong one.

    overall = 2 · Σ IoU / (number of predicted boxes + number of true boxes)

Boxes are matched one to one, best overlap first. It is 1 only for exactly the true boxes, and grows smoothly towards that.

How it can be gamed, and what to watch: one box over the whole image earns its share of the area; the hint's box with the most
overlap earns something without any reasoning; boxes are read from prose as well as from JSON, so a completion need not be
well formed (combine it with `rexthinker`, whose format part asks for that); text after the answer is free, so a model may
stop ending its completions (watch the share that was cut off).
"""

from __future__ import annotations

import re

import numpy as np

from groundprep.geometry.boxes import iou_matrix

BoxXYXY = tuple[float, float, float, float]

_NUMBER = r"\s*+([-+]?+[0-9]{1,9}+(?:\.[0-9]*+)?+)\s*+"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_ANSWER = "<answer>"


def iou_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall` (soft F1), `precision` and `recall` of overlap, each in [0, 1]; never raises.

    If the completion has an `<answer>`, only the text after the last one counts. No box on either side: 1.
    """
    predicted, expected = boxes_of(completion.rsplit(_ANSWER, 1)[-1]), boxes_of(ground_truth)
    overlap = matched_overlap(predicted, expected)
    precision = overlap / len(predicted) if predicted else float(not expected)
    recall = overlap / len(expected) if expected else float(not predicted)
    count = len(predicted) + len(expected)
    return {"overall": 2 * overlap / count if count else 1.0, "precision": precision, "recall": recall}


def boxes_of(text: str) -> list[BoxXYXY]:
    """Return every bracket of exactly four numbers as xyxy, in order."""
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in _BOX.findall(text)]


def matched_overlap(predicted: list[BoxXYXY], expected: list[BoxXYXY]) -> float:
    """Return the sum of IoU over pairs matched one to one, best first; of equal pairs the earlier boxes."""
    iou_NM = iou_matrix(predicted, expected)
    total = 0.0
    while iou_NM.size and (best := float(iou_NM.max())) > 0:
        row, column = np.unravel_index(iou_NM.argmax(), iou_NM.shape)
        iou_NM = np.delete(np.delete(iou_NM, row, axis=0), column, axis=1)
        total += best
    return total
