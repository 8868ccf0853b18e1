"""VLM-R1's rewards for one referred object (REC): overlap of the first integer box with the solution, and the format.

Quirks kept: only unsigned integers in `[1,2, 3,4]` are a box (no space after the bracket or before a comma, no float, no sign);
an overlap of at most one pixel counts as none, so an identical 1x1 box earns 0; the format needs braces around the box, so
"no object" cannot be said; a solution that is no JSON ends the trainer, one that is JSON but no list of 4 earns 0.
Source: om-ai-lab/VLM-R1 @90052f4 open_r1/vlm_modules/qwen_module.py (specs/vlmr1_easydistill.md §1.6).
"""

from __future__ import annotations

import json
import re
from typing import Any

from groundprep.rewards.base import ORIGINAL_ERRORS, Score, raises, refuse, require_size_wh, require_text
from groundprep.rewards.tags import ANSWER, first_between, last_between

_BOX = re.compile(r"\[(\d++),\s*+(\d++),\s*+(\d++),\s*+(\d++)\]")
_END_OF_THINK = re.compile(r"</think>\s*+<answer>")


def vlmr1_rec_score(completion: str, ground_truth: Any) -> Score:
    """Return `accuracy`: the overlap, in [0, 1] for a proper solution, and `format`: 0 or 1.

    The box is scaled from the size that the model saw to the stored image's size before it is compared.
    """
    if not isinstance(ground_truth, dict):
        refuse(ground_truth, '{"solution": str, "image_size": [w, h], "seen_size": [w, h]}')
    solution = require_text(ground_truth.get("solution"), "solution: <answer> [x0, y0, x1, y1] </answer>")
    image_wh = require_size_wh(ground_truth.get("image_size"), "image_size")
    seen_wh = require_size_wh(ground_truth.get("seen_size"), "seen_size")
    form = float(has_rec_format(completion))
    try:
        truth = _solution(solution)
    except ORIGINAL_ERRORS as error:
        return Score({"accuracy": None, "format": form}, raises(error))
    return Score({"accuracy": _accuracy(completion, truth, seen_wh, image_wh), "format": form})


def has_rec_format(text: str) -> bool:
    """Say whether think, answer, brace, integer box, brace and the end of the answer follow each other somewhere."""
    think = text.find("<think>")
    if think < 0:
        return False
    answer = _END_OF_THINK.search(text, think + len("<think>"))
    if answer is None:
        return False
    brace = text.find("{", answer.end())
    box = _BOX.search(text, brace + 1) if brace >= 0 else None
    if box is None:
        return False
    closing = text.find("}", box.end())
    return closing >= 0 and text.find("</answer>", closing + 1) >= 0


def iou_above_one_pixel(a: Any, b: Any) -> float:
    """Return intersection over union, where an overlap of at most one pixel on either axis is none.

    Raises what arithmetic raises: ZeroDivisionError for two boxes without area.
    """
    x0, y0 = max(a[0], b[0]), max(a[1], b[1])
    x1, y1 = min(a[2] - 1, b[2] - 1), min(a[3] - 1, b[3] - 1)
    common = (x1 - x0 + 1) * (y1 - y0 + 1) if x0 < x1 and y0 < y1 else 0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    iou: float = float(common) / union
    return iou


def _solution(solution: str) -> Any:
    """Return the decoded last answer; raises as the original does outside its own handler."""
    text = last_between(solution, ANSWER)
    if text is None:
        raise IndexError
    return json.loads(text.strip())


def _accuracy(completion: str, truth: Any, seen_wh: tuple[float, float], image_wh: tuple[float, float]) -> float:
    answer = first_between(completion, ANSWER)
    match = _BOX.search(answer) if answer is not None else None
    if match is None:
        return 0.0
    try:
        x0, y0, x1, y1 = map(int, match.groups())
        scaled = (
            x0 / seen_wh[0] * image_wh[0],
            y0 / seen_wh[1] * image_wh[1],
            x1 / seen_wh[0] * image_wh[0],
            y1 / seen_wh[1] * image_wh[1],
        )
        return iou_above_one_pixel(scaled, truth)
    except ORIGINAL_ERRORS:  # caught by the original
        return 0.0
