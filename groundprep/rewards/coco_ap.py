"""COCO average precision of one image's boxes, all with score 1: what pycocotools computes, without its tables and prints.

pycocotools builds an index, four area ranges and three detection limits for every call; a reward needs the one over all areas
with at most 100 detections. The arithmetic is the same to the bit (a property test compares the two on any boxes).
Source: cocoapi PythonAPI/pycocotools/cocoeval.py and common/maskApi.c (bbIou).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
MAX_AREA = 1e5**2
"""Source: cocoeval.py, Params.setDetParams."""

NOT_DEFINED = -1.0
"""What COCO gives when every true box is ignored (a negative area)."""

BoxXYWH: TypeAlias = tuple[float, float, float, float]


class Average(NamedTuple):
    """Average precision over the thresholds 0.5 to 0.95, and at 0.5 alone; each in [0, 1], or -1 if nothing counts."""

    ap: float
    ap50: float


Verdicts: TypeAlias = tuple[tuple[bool, bool], ...]
"""(is a true positive, is a false positive) of each predicted box."""


def average_precision(classes: Sequence[tuple[Sequence[BoxXYWH], Sequence[BoxXYWH]]]) -> Average:
    """Return the averages over the classes.

    Args:
        classes: for each class (true boxes, at least one; predicted boxes, best first), xywh.
    """
    outcomes = [
        outcome for targets, found in classes if (outcome := _outcome(targets, found[:MAX_DETECTIONS])) is not None
    ]
    return _average(tuple(outcomes)) if outcomes else Average(NOT_DEFINED, NOT_DEFINED)


def _outcome(targets: Sequence[BoxXYWH], found: Sequence[BoxXYWH]) -> tuple[int, tuple[Verdicts, ...]] | None:
    """Return (number of true boxes that count, verdicts at each threshold); None if every true box is ignored."""
    ordered = sorted(targets, key=_is_ignored)
    counted = sum(not _is_ignored(box) for box in ordered)
    if not counted:
        return None
    iou_NM = [[_iou(box, target) for target in ordered] for box in found]
    close = [iou for row in iou_NM for iou in row if not iou < THRESHOLDS[0]]
    passed = -1
    verdicts: list[Verdicts] = []
    for threshold in THRESHOLDS:
        least = min(threshold, 1 - 1e-10)
        before, passed = passed, sum(not iou < least for iou in close)
        verdicts.append(verdicts[-1] if passed == before else _verdicts(iou_NM, found, least, counted))
    return counted, tuple(verdicts)


@functools.lru_cache(maxsize=1024)
def _average(outcomes: tuple[tuple[int, tuple[Verdicts, ...]], ...]) -> Average:
    """Average the curves of all classes; remembered, because few outcomes make up most completions."""
    rows = [np.stack([_curve(verdicts, counted) for verdicts in thresholds]) for counted, thresholds in outcomes]
    precision = np.stack(rows, axis=-1)  # (10 thresholds, 101 recalls, classes)
    return Average(float(np.mean(precision.ravel())), float(np.mean(precision[0].ravel())))


def _verdicts(iou_NM: Sequence[Sequence[float]], found: Sequence[BoxXYWH], least: float, counted: int) -> Verdicts:
    """Return the verdicts; a predicted box that is ignored is neither.

    Each takes the free true box that it overlaps most, of equal ones the last; one that is ignored only if no other fits.
    """
    free = [True] * len(iou_NM[0]) if iou_NM else []
    verdicts = []
    for row, box in zip(iou_NM, found, strict=True):
        best, match = least, -1
        for place, iou in enumerate(row):
            if not free[place]:
                continue
            if -1 < match < counted <= place:
                break
            if iou < best:
                continue
            best, match = iou, place
        if match >= 0:
            free[match] = False
        ignored = match >= counted or (match < 0 and _is_ignored(box))
        verdicts.append((match >= 0 and not ignored, match < 0 and not ignored))
    return tuple(verdicts)


def _curve(verdicts: Verdicts, counted: int) -> NDArray[np.float64]:
    """Return (101,) precision at each recall."""
    curve = np.zeros(len(RECALLS))
    recall, precision = [], []
    hits = misses = 0.0
    for hit, miss in verdicts:
        hits, misses = hits + hit, misses + miss
        recall.append(hits / counted)
        precision.append(hits / (misses + hits + float(np.spacing(1))))
    for place in range(len(precision) - 1, 0, -1):
        precision[place - 1] = max(precision[place], precision[place - 1])
    places = np.searchsorted(recall, RECALLS, side="left")
    reached = places < len(precision)
    curve[reached] = np.array(precision)[places[reached]]
    return curve


def _is_ignored(box: BoxXYWH) -> bool:
    area = box[2] * box[3]
    return area < 0 or area > MAX_AREA


def _iou(a: BoxXYWH, b: BoxXYWH) -> float:
    """Return intersection over union in C's arithmetic: nothing raises, what is not a number stays so."""
    w = _least(a[2] + a[0], b[2] + b[0]) - _most(a[0], b[0])
    if w <= 0:
        return 0.0
    h = _least(a[3] + a[1], b[3] + b[1]) - _most(a[1], b[1])
    if h <= 0:
        return 0.0
    common = w * h
    union = a[2] * a[3] + b[2] * b[3] - common
    return common / union if union else math.copysign(math.inf, common) if common else math.nan


def _least(a: float, b: float) -> float:
    return (b if b < a or a != a else a) if b == b else a  # noqa: PLR0124 (fmin: a number before NaN)


def _most(a: float, b: float) -> float:
    return (b if b > a or a != a else a) if b == b else a  # noqa: PLR0124 (fmax)
