"""Right and useless answers to Rex-Thinker's, EasyR1's and TRL's rows: a hint of boxes, and an answer that repeats some.

The template wants `<think>…</think><answer>…</answer>` with the fenced list of `{"bbox_2d", "label"}` objects that the row's
own answer is; the reward gets that answer as its ground truth. Source: Rex-Thinker @5038b47 (specs/rexthinker.md §2.3, §3.2,
§3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from groundprep.checks.base import Subject
from groundprep.checks.gold import (
    ALL_HINTS,
    EMPTY,
    FIRST_HINT,
    FULL_IMAGE,
    LAST_HINT,
    Example,
    drifts,
    full_box,
    said_box,
    thought,
)
from groundprep.dialects.answers_text import NONE
from groundprep.dialects.hints import Answer, format_answer, parse_answer, parse_problem
from groundprep.dialects.trl import scored_text

EXACT_REWARD = "rexthinker"
"""The reward to which overlap is nothing, so that a box around the image earns nothing either."""


def hint_example(subject: Subject) -> Example:
    """Return what to score for a row of SCORED_ROWS; free text is its own right answer."""
    problem, truth = scored_text(subject.row)
    hint, answers = parse_problem(problem), parse_answer(truth)
    referring = "" if hint is None else hint.referring
    useless = {EMPTY: format_answer([])}
    right = {EMPTY} if answers == [] or truth.strip() == NONE else set()
    best = None
    if hint is not None and hint.boxes:
        boxes = hint.boxes
        useless |= {
            ALL_HINTS: _answer(boxes, referring),
            FIRST_HINT: _answer(boxes[:1], referring),
            LAST_HINT: _answer(boxes[-1:], referring),
        }
        if answers is not None:
            best = thought(_answer(_best_hints(answers, boxes), referring))
            said = {tuple(item.box) for item in answers}
            right |= {ALL_HINTS} if said == set(map(tuple, boxes)) else set()
    assert subject.profile is not None
    if subject.profile.reward != EXACT_REWARD and subject.sizes_wh:
        useless[FULL_IMAGE] = _answer([full_box(subject)], referring)
    gold = truth if answers is None or not drifts(subject) else _moved(answers, subject)
    completions = {name: thought(answer) for name, answer in useless.items()}
    return Example(thought(gold), truth, completions, frozenset(right), best)


def _answer(boxes: Sequence[Sequence[float]], label: str) -> str:
    return format_answer([{"bbox_2d": list(box), "label": label} for box in boxes])


def _moved(answers: Sequence[Answer], subject: Subject) -> str:
    """Return the answer with its boxes where the trainer's model sees them."""
    regions = [region for region in subject.record.answers if region.box is not None]
    objects = []
    for item, region in zip(answers, regions, strict=False):
        assert region.box is not None
        objects.append(item.value | {"bbox_2d": said_box(region.box, subject, region.image)})
    return format_answer(objects)


def _best_hints(answers: Sequence[Answer], hints: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Return for every answer the hint that overlaps it most, of equal ones the first; each once."""
    best: dict[tuple[float, ...], Sequence[float]] = {}
    for item in answers:
        hint = item.box if item.box in hints else max(hints, key=partial(_iou, item.box))
        best.setdefault(tuple(hint), hint)
    return list(best.values())


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)
