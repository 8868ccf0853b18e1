"""Rex-Thinker's GRPO reward: exact boxes, and the think-then-answer form. Own code from its measured behaviour.

    overall = 0.9 · accuracy + 0.1 · format

There is no IoU in it: a box that is off by one pixel is as wrong as no box. It reads the entire completion, so a box that is
repeated in the reasoning counts as a duplicate (accuracy 0), and any other bracket of numbers there counts as a wrong box.
Source: Rex-Thinker @5038b47 rexthinker/scripts/reward_func.py (specs/rexthinker.md §3.4). Not reproduced: with
`DEBUG_MODE=true`, which its launch script sets, an unreadable bracket ends the trainer; here it scores 0, as without it.
"""

from __future__ import annotations

import re

ACCURACY_WEIGHT = 0.9
FORMAT_WEIGHT = 0.1
"""Source: specs/rexthinker.md §3.4 (`format_weight=0.1`)."""

_DELIMITER = re.compile(r"([<>/])")
_BRACKET = re.compile(r"\[([0-9.]++(?:, ?[0-9.]++)*+)\]")
"""A bracket of digits and dots, separated by a comma and at most one space: no sign, no line break, no space after `[`."""


def rexthinker_reward(completion: str, ground_truth: str) -> dict[str, float]:
    """Return `overall`, `format` and `accuracy`, each in [0, 1]; never raises."""
    text = without_space_around_delimiters(completion)
    form, accuracy = format_score(text), accuracy_score(text, ground_truth)
    return {"overall": ACCURACY_WEIGHT * accuracy + FORMAT_WEIGHT * form, "format": form, "accuracy": accuracy}


def without_space_around_delimiters(text: str) -> str:
    """Return text without the white space next to `<`, `>` and `/`."""
    pieces = _DELIMITER.split(text)
    last = len(pieces) - 1
    for index in range(0, last + 1, 2):
        piece = pieces[index] if index == 0 else pieces[index].lstrip()
        pieces[index] = piece if index == last else piece.rstrip()
    return "".join(pieces)


def format_score(text: str) -> float:
    """Return 1 if the whole text is `<think>…</think><answer>…</answer>`, else 0."""
    start, middle, end = "<think>", "</think><answer>", "</answer>"
    whole = text.startswith(start) and text.endswith(end) and middle in text[len(start) : -len(end)]
    return float(whole)


def accuracy_score(text: str, ground_truth: str) -> float:
    """Return the F1 of exactly equal number lists, in [0, 1].

    Neither side has any: 1. The prediction repeats one, or either side holds an unreadable number (`[...]`, `[1.2.3]`): 0.
    """
    predicted, expected = number_lists(text), number_lists(ground_truth)
    if predicted is None or expected is None:
        return 0.0
    if not predicted and not expected:
        return 1.0
    if len(set(predicted)) < len(predicted):
        return 0.0
    hits = len(set(predicted) & set(expected))
    recall = hits / len(expected) if expected else 1.0
    precision = hits / len(predicted) if predicted else 1.0
    return 0.0 if recall + precision == 0 else 2 * recall * precision / (recall + precision)


def number_lists(text: str) -> list[tuple[float, ...]] | None:
    """Return the numbers of every bracket in order, with a dot as float, else as int; None if one cannot be read."""
    try:
        return [tuple(map(_number, group.split(","))) for group in _BRACKET.findall(text)]
    except ValueError:
        return None


def _number(word: str) -> float:
    return float(word) if "." in word else int(word)
