"""Our own box rewards: one-to-one F1 at a threshold, with labels, and the same with rejection made explicit.

`box-f1`. Rewards finding every object once, with its label. Range [0, 1]. How it can be gamed: an overlap of 0.5 earns as
much as a perfect one (add `iou` for the rest); what is written outside the answer is free.

`rejection-aware`. Rewards the same, and a plain "no object" where there is none. Range [0, 1]. How it can be gamed: where most
rows have no object, always saying so earns their share (balance the data); an answer that names no box and does not say
"none" earns 0 on such rows, so a silent model gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundprep.geometry.boxes import iou_matrix
from groundprep.rewards.answers import MAX_BOXES, LabelledBox, answer_of, json_of, labelled_boxes_of
from groundprep.rewards.matching import assign

MIN_IOU = 0.5
_NONE = re.compile(r"\W*+(?:none|no (?:such )?objects?)\W*+", re.IGNORECASE)


def box_f1_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall` (F1), `precision` and `recall` of boxes with equal labels that overlap by at least one half.

    A box without a label matches any. No box on either side: 1. Each in [0, 1]; never raises.
    """
    return _f1(labelled_boxes_of(answer_of(completion)), labelled_boxes_of(answer_of(ground_truth)))


def rejection_aware_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall`, `precision` and `recall`; where there is no object, 1 for an answer that says so, else 0."""
    expected = labelled_boxes_of(answer_of(ground_truth))
    if expected:
        return _f1(labelled_boxes_of(answer_of(completion)), expected)
    rejects = float(is_rejection(answer_of(completion)))
    return {"overall": rejects, "precision": rejects, "recall": rejects}


def is_rejection(answer: str) -> bool:
    """Say whether an answer says that there is no object: an empty list, null or "none"."""
    return json_of(answer) == [] or answer.strip() == "null" or _NONE.fullmatch(answer) is not None


def _f1(found: Sequence[LabelledBox], expected: Sequence[LabelledBox]) -> dict[str, float]:
    hits = _hits(found[:MAX_BOXES], expected)
    precision = hits / len(found) if found else float(not expected)
    recall = hits / len(expected) if expected else float(not found)
    count = len(found) + len(expected)
    return {"overall": 2 * hits / count if count else 1.0, "precision": precision, "recall": recall}


def _hits(found: Sequence[LabelledBox], expected: Sequence[LabelledBox]) -> int:
    """Return the largest number of pairs, matched one to one."""
    if not found or not expected:
        return 0
    iou_NM = iou_matrix([guess.box_xyxy for guess in found], [target.box_xyxy for target in expected]).tolist()
    fits = [
        [iou >= MIN_IOU and guess.label in (None, target.label) for iou, target in zip(row, expected, strict=True)]
        for guess, row in zip(found, iou_NM, strict=True)
    ]
    pairs = assign([[0.0 if fit else 1.0 for fit in row] for row in fits])
    return sum(fits[n][m] for n, m in pairs)
