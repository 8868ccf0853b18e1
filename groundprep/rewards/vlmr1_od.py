"""VLM-R1's detection rewards (OVD): od_ap, od_ap50, odLength, weighted_sum and map, each as its `accuracy` method scores.

Quirks kept: a solution without a ```json fence counts as empty; predictions of labels that the solution lacks, and surplus
boxes, cost the average precision nothing; more than 100 true boxes of a label cannot all be found; labels compare to the
letter, except in weighted_sum, which lower-cases everything, reads the first fence instead of the last, and dies when its
first matched prediction has no text label; there later ones without a label repeat the label before.
Source: om-ai-lab/VLM-R1 @90052f4 open_r1/grpo_jsonl.py (specs/vlmr1_easydistill.md §1.6).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from groundprep.rewards.base import ORIGINAL_ERRORS, Score, require_text, score_parts
from groundprep.rewards.tags import ANSWER, FENCE, first_between, last_between
from groundprep.rewards.vlmr1_rec import iou_above_one_pixel

NONE = "None"
MIN_IOU = 0.5
POSITION_WEIGHT, LABEL_WEIGHT, COMPLETENESS_WEIGHT = 0.7, 0.0, 0.3
"""Source: detection_score (iou_threshold, alpha, beta, gamma)."""

_BREAKS = tuple((end, re.compile(rf"(?<=\s){end}")) for end in "\n\r")


class _Precision(NamedTuple):
    ap: float
    ap50: float
    by_length: float


class _Averages:
    """The average precisions of one completion; computed once for fences with equal text."""

    def __init__(self, completion: str, solution: str) -> None:
        self.completion = completion
        self.solution = solution
        self.known: dict[tuple[str | None, str | None], _Precision] = {}
        self.answer: _Precision | None = None

    def in_answer(self) -> _Precision:
        """Compare the last answer with the solution's first."""
        if self.answer is None:
            truth, said = first_between(self.solution, ANSWER), last_between(self.completion, ANSWER)
            truth, said = (None if text is None else text.strip() for text in (truth, said))
            if said is None:
                self.answer = _Precision(0.0, 0.0, 0.0)
            elif truth == said == NONE:
                self.answer = _Precision(1.0, 1.0, 1.0)
            else:
                self.answer = self.of(said, truth)
        return self.answer

    def of(self, completion: str, solution: str | None) -> _Precision:
        """Compare the last fences of two texts."""
        if solution is None:
            raise TypeError  # the original searches in None
        key = last_between(solution, FENCE), last_between(completion, FENCE)
        if key not in self.known:
            self.known[key] = _precision(*key)
        return self.known[key]


def vlmr1_od_score(completion: str, ground_truth: Any) -> Score:
    """Return `od_ap`, `od_ap50`, `odLength`, `weighted_sum` and `map`, in [0, 1] for a proper solution (-1: all ignored)."""
    solution = require_text(ground_truth, "the solution as the loader builds it: <answer> … </answer>")
    averages = _Averages(completion, solution)
    return score_parts(
        {
            "od_ap": lambda: averages.in_answer().ap,
            "od_ap50": lambda: averages.in_answer().ap50,
            "odLength": lambda: averages.in_answer().by_length,
            "weighted_sum": lambda: _weighted_sum(completion, solution),
            "map": lambda: averages.of(completion, solution).ap,
        }
    )


def _precision(solution_json: str | None, completion_json: str | None) -> _Precision:
    """Return the averages of two fences' content; raises as the original does for a broken solution."""
    text = solution_json.strip() if solution_json else ""
    truth = list(json.loads(text)) if text else []
    said = _items(completion_json)
    if truth and said:
        ap, ap50 = _coco(said, truth)
    else:
        ap = ap50 = float(not truth and not said)
    return _Precision(ap, ap50, ap * (1.0 if len(truth) >= len(said) else len(truth) / len(said)))


def _items(fenced: str | None) -> list[Any]:
    """Return the items of a completion's JSON; [] if it cannot be read."""
    if fenced is None:
        return []
    try:
        return list(json.loads(fenced.strip()))
    except ORIGINAL_ERRORS:  # caught by the original
        return []


def _coco(said: list[Any], truth: list[Any]) -> tuple[float, float]:
    from groundprep.rewards.coco_ap import MAX_DETECTIONS, average_precision

    targets: dict[Any, list[Any]] = {}
    for item in truth:
        targets.setdefault(item["label"], []).append(_xywh(item))
    found: dict[Any, list[Any]] = {label: [] for label in targets}
    for item in said:
        try:
            found[item["label"]].append(_xywh(item))
        except ORIGINAL_ERRORS:  # caught by the original: a label that the solution lacks, or no box
            continue
    if not any(found.values()):
        return 0.0, 0.0
    classes = [
        (list(map(_as_floats, targets[label])), list(map(_as_floats, found[label][:MAX_DETECTIONS])))
        for label in targets
    ]
    return average_precision(classes)


def _xywh(item: Any) -> tuple[Any, Any, Any, Any]:
    box = item["bbox_2d"]
    x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
    _ = w * h  # the area is computed there, and may raise
    return x, y, w, h


def _as_floats(box: tuple[Any, Any, Any, Any]) -> tuple[float, float, float, float]:
    x, y, w, h = box
    return float(x), float(y), float(w), float(h)


def _weighted_sum(completion: str, solution: str) -> float:
    said, truth = _cleaned(completion), _cleaned(solution)
    if truth == "none":
        return float(said == "none")
    return _detection_score(_cleaned(said), _cleaned(truth))


def _cleaned(text: str) -> str:
    """Return the last answer, if there is one, on one line, in lower case, without full stops at its end."""
    answer = last_between(text, ANSWER)
    text = text if answer is None else answer
    for character, after_space in _BREAKS:
        if character in text:
            text = after_space.sub("", text).replace(character, " ")
    return text.strip().rstrip(".").lower()


def _detection_score(completion: str, solution: str) -> float:
    said = _items(first_between(completion, FENCE))
    fenced = first_between(solution, FENCE)
    text = fenced.strip() if fenced else ""
    truth = list(json.loads(text)) if text else []
    if not truth or not said:
        return float(not truth and not said)
    pairs = _greedy_pairs(said, truth)
    position, correct = _position_and_labels(pairs, said, truth)
    misses = (len(truth) - len(pairs)) / len(truth)
    false_alarms = (len(said) - len(pairs)) / len(said)
    completeness = 1.0 - (misses + false_alarms) / 2.0
    return (
        POSITION_WEIGHT * (position / len(truth))
        + LABEL_WEIGHT * (correct / len(truth))
        + COMPLETENESS_WEIGHT * completeness
    ) / (POSITION_WEIGHT + LABEL_WEIGHT + COMPLETENESS_WEIGHT)


def _greedy_pairs(said: list[Any], truth: list[Any]) -> list[tuple[float, int, int]]:
    """Return (overlap, prediction, true box) from the greatest overlap down to the threshold; of equal ones the first."""
    close = []
    for n, guess in enumerate(said):
        for m, target in enumerate(truth):
            try:
                iou = iou_above_one_pixel(guess["bbox_2d"], target["bbox_2d"])
            except ORIGINAL_ERRORS:  # caught by the original
                continue
            if iou >= MIN_IOU:
                close.append((-iou, n, m))
    pairs, used_said, used_truth = [], set(), set()
    for negative, n, m in sorted(close):
        if n not in used_said and m not in used_truth:
            used_said.add(n)
            used_truth.add(m)
            pairs.append((-negative, n, m))
    return pairs


def _position_and_labels(pairs: list[tuple[float, int, int]], said: list[Any], truth: list[Any]) -> tuple[float, float]:
    """Return the sum of overlaps of pairs with equal labels, and their number; raises as the original for a label it lacks."""
    position, correct = 0.0, 0.0
    label: Any = None
    for iou, n, m in pairs:
        try:
            label = said[n]["label"].lower()
        except ORIGINAL_ERRORS:  # the original goes on with the label of the pair before
            if label is None:
                raise UnboundLocalError from None
        try:
            wanted = truth[m]["label"].lower()
        except ORIGINAL_ERRORS:
            wanted = ""
        if label == wanted:
            position, correct = position + iou, correct + 1
    return position, correct
