"""Our own rewards for the shape of a completion; none of them looks at the ground truth, so add them to one that does.

`strict-format`. Rewards `<think>…</think><answer>…</answer>`, each tag once, around a JSON list of boxes with labels (or an
empty one). Range {0, 1}. How it can be gamed: any list of well-formed boxes earns it.

`length`. A penalty from 0 down to -1 for characters beyond 4,000, -1 from 8,000 on. How it can be gamed: shorter reasoning
always costs less, until there is none.

`repetition`. A penalty from 0 down to -1: the share of boxes that repeat an earlier one of the same label in the answer, or,
without boxes, of runs of six words. How it can be gamed: moving a repeated box by a pixel.
"""

from __future__ import annotations

import json
import re
from typing import Any

from groundprep.rewards.answers import answer_of, labelled_boxes_of
from groundprep.rewards.base import is_number
from groundprep.rewards.tags import FENCE, first_between

FREE_CHARACTERS, WORST_CHARACTERS = 4_000, 8_000
WORDS = 6
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_WHOLE = re.compile(r"\s*+<think>[^<]*+(?:<(?!/think>)[^<]*+)*+</think>\s*+<answer>")


def strict_format_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall`: 1 for one think, one answer, and a JSON list of boxes with labels in it, else 0; never raises."""
    del ground_truth
    return {"overall": float(_is_strict(completion))}


def length_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall` in [-1, 0]; never raises."""
    del ground_truth
    surplus = (len(completion) - FREE_CHARACTERS) / (WORST_CHARACTERS - FREE_CHARACTERS)
    return {"overall": -min(max(surplus, 0.0), 1.0)}


def repetition_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall` in [-1, 0]; never raises."""
    del ground_truth
    units: list[Any] = list(labelled_boxes_of(answer_of(completion)))
    if not units:
        words = completion.lower().split()
        units = [tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)]
    return {"overall": len(set(units)) / len(units) - 1 if units else 0.0}


def _is_strict(text: str) -> bool:
    if any(text.count(tag) != 1 for tag in _TAGS) or not text.rstrip().endswith("</answer>"):
        return False
    if _WHOLE.match(text) is None:
        return False
    answer = answer_of(text).strip()
    if answer.startswith(FENCE[0]):
        fenced = first_between(answer, FENCE)
        if fenced is None or not answer.endswith(FENCE[1]) or answer.count("```") != 2:
            return False
        answer = fenced
    try:
        items = json.loads(answer.strip())
    except (ValueError, RecursionError):
        return False
    return isinstance(items, list) and all(map(_is_labelled_box, items))


def _is_labelled_box(item: Any) -> bool:
    if not isinstance(item, dict) or set(item) != {"bbox_2d", "label"} or not isinstance(item["label"], str):
        return False
    box = item["bbox_2d"]
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and box[0] < box[2] and box[1] < box[3]
