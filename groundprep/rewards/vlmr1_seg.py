"""The mask rewards of VLM-R1's Chebyshev fork: overlap of two drawn outlines, and the format. Needs the extra `masks`.

Quirks kept: the true mask is the drawn solution, not the annotation; the whole answer must be JSON (a code fence earns 0)
though the format tolerates anything around the first brace; coefficients may be a bare number, a polygon's numbers may be
text; a polygon of 4 numbers, or a list of polygons, earns 0. The overlap never raises; the format does for JSON that is nested
too deeply or holds too long a number.
Source: oguz-kolukisa/VLM-R1 @2070f13 open_r1/vlm_modules/qwen_module.py (specs/vlmr1_easydistill.md §2.7).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from groundprep.errors import RecordError
from groundprep.geometry import chebyshev
from groundprep.geometry.masks import decode_polygons, mask_iou
from groundprep.rewards.base import ORIGINAL_ERRORS, Score, require_text, score_parts
from groundprep.rewards.tags import ANSWER, first_between, last_between

_BRACES = ("{", "}")


def vlmr1_seg_score(completion: str, ground_truth: Any) -> Score:
    """Return `mask_iou` in [0, 1] and `format`, 0 or 1."""
    solution = require_text(ground_truth, 'the solution: <answer> {"centre", "coeffs", "size": [h, w]} </answer>')
    return score_parts(
        {"mask_iou": lambda: _mask_iou(completion, solution), "format": lambda: float(has_seg_format(completion))}
    )


def has_seg_format(text: str) -> bool:
    """Say whether the first answer's first braces hold a centre of 2 numbers and at least one coefficient.

    Raises RecursionError and ValueError as the original does: it forgives broken JSON alone.
    """
    answer = first_between(text, ANSWER)
    inner = first_between(answer, _BRACES) if answer is not None else None
    if inner is None:
        return False
    try:
        value = json.loads("{" + inner + "}")
    except json.JSONDecodeError:
        return False
    centre, coeffs = value.get("centre"), value.get("coeffs")
    return _are_numbers(centre) and len(centre) == 2 and _are_numbers(coeffs) and len(coeffs) > 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) for item in value)


def _mask_iou(completion: str, solution: str) -> float:
    """Return the overlap; whatever is wrong on either side makes it 0."""
    truth, said = last_between(solution, ANSWER), first_between(completion, ANSWER)
    if truth is None or said is None:
        return 0.0
    try:
        wanted, found = json.loads(truth.strip()), json.loads(said.strip())
        h, w = wanted.get("size") or wanted.get("sizeHW")
        rings = [_clipped(_outline(value), h, w) for value in (wanted, found)]
        return mask_iou(*(decode_polygons([ring], (int(h), int(w))) for ring in rings))
    except RecordError:  # no outline: fewer than three points, or a size that no image has
        return 0.0
    except ORIGINAL_ERRORS:  # caught by the original
        return 0.0


def _outline(value: Any) -> Any:
    """Return a flat sequence x0, y0, x1, …; raises for a value that has no outline."""
    if not ("centre" in value and "coeffs" in value):
        if polygon := value.get("polygon") or value.get("polygons"):
            return polygon
        raise ValueError
    coeffs: Any = np.array(value["coeffs"])
    if coeffs.dtype.kind not in "biufO":  # text is no number there
        raise TypeError
    cx, cy = value["centre"]
    with np.errstate(all="ignore"):
        return chebyshev.decode((cx, cy), coeffs).reshape(-1).tolist()


def _clipped(ring: Any, h: Any, w: Any) -> list[float]:
    points: list[float] = []
    for x, y in zip(ring[0::2], ring[1::2], strict=False):
        points += [min(max(float(x), 0.0), w - 1), min(max(float(y), 0.0), h - 1)]
    if any(map(math.isnan, points)):
        raise ValueError
    return points
