"""Right and useless answers to VLM-R1's rows and its Chebyshev fork's: a box, labelled boxes, a shape.

The loader takes every answer tag off the row's answer and wraps the rest again: that is the ground truth. REC answers are
unsigned integers of the resized image inside braces, which the reward scales to the stored image; detection answers are
compared as they stand. Source: om-ai-lab/VLM-R1 @90052f4, oguz-kolukisa/VLM-R1 @2070f13 (specs/vlmr1_easydistill.md §1.2,
§1.4 to §1.6, §2.7).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.gold import (
    EMPTY,
    FULL_IMAGE,
    Example,
    Unscored,
    drifts,
    full_box,
    said_box,
    seen_size_wh,
    thought,
)
from groundprep.containers.json_text import decode_value, encode_exact
from groundprep.dialects.answers_text import FENCE, FENCED, NONE, parse_box_answer, without_answer_tags
from groundprep.errors import RecordError
from groundprep.geometry.frames import Space
from groundprep.record import Box, Region

OD_METHODS = ("od_ap", "od_ap50", "odLength", "weighted_sum", "map")
"""The values of `accu_reward_method` that read boxes; they are the parts of the reward (§1.6)."""

SOLUTION_KEYS = ("centre", "coeffs")
"""What the template wants, and no others (§2.7)."""


def rec_example(subject: Subject) -> Example | Unscored:
    """Return what to score for a row of one box; an answer that is no box is tried as it stands."""
    answer = _answer_of(subject)
    assert subject.profile is not None
    maps_back = subject.profile.frame.space is Space.STORED
    if len(subject.sizes_wh) != 1 and (maps_back or not subject.sizes_wh):  # InternVL's maps nothing, and takes several
        return Unscored("the reward needs exactly one image for each row", is_fatal=True)
    size_wh, seen_wh = seen_size_wh(subject)
    numbers = parse_box_answer(answer)
    gold = _solution_text(answer) if numbers is None else _one_box(_said(numbers, subject))
    truth = {
        "solution": _wrapped(answer),
        "image_size": list(size_wh) if maps_back else [1, 1],
        "seen_size": list(seen_wh) if maps_back else [1, 1],
    }
    useless = {EMPTY: thought(NONE), FULL_IMAGE: thought(_one_box(full_box(subject)))}
    return Example(thought(gold), truth, useless)


def od_example(subject: Subject) -> Example | Unscored:
    """Return what to score for a row of labelled boxes; a row's own `accu_reward_method` chooses the part."""
    method = subject.row.get("accu_reward_method")
    if method is not None and method not in OD_METHODS:
        return Unscored(f"accu_reward_method {method} is another reward")
    solution = _solution_text(_answer_of(subject))
    objects = _objects(solution)
    labels = dict.fromkeys(item["label"] for item in objects if isinstance(item.get("label"), str))
    useless = {EMPTY: thought(NONE)}
    if subject.sizes_wh and labels:
        whole = full_box(subject)
        useless[FULL_IMAGE] = thought(_fenced({"bbox_2d": whole, "label": label} for label in labels))
    gold = solution
    if objects:
        gold = _fenced(_moved(objects, subject) if drifts(subject) else objects)
    says_nothing = solution == NONE or (
        not objects and FENCED.search(solution) is not None
    )  # an empty fence says it, too
    right = frozenset({EMPTY}) if says_nothing else frozenset[str]()
    return Example(thought(gold), _wrapped(solution), useless, right, part=method)


def seg_example(subject: Subject) -> Example:
    """Return what to score for a row of one shape: the solution's two keys, or what else the answer is."""
    answer = _solution_text(_answer_of(subject))
    value = _json_of(answer)
    gold = answer
    if isinstance(value, dict) and all(key in value for key in SOLUTION_KEYS):
        gold = json.dumps({key: value[key] for key in SOLUTION_KEYS})
        if drifts(subject) and (outline := _said_outline(subject)) is not None:
            gold = json.dumps({"polygon": outline})
    useless = {EMPTY: thought("")}
    if subject.sizes_wh:
        x0, y0, x1, y1 = full_box(subject)
        useless[FULL_IMAGE] = thought(json.dumps({"polygon": [x0, y0, x1, y0, x1, y1, x0, y1]}))
    return Example(thought(gold), _wrapped(answer), useless)


def _answer_of(subject: Subject) -> Any:
    return subject.row["conversations"][1]["value"]


def _solution_text(answer: Any) -> str:
    """Return an answer as the loader reads it: text without answer tags, or what Python prints for another value."""
    return without_answer_tags(answer) if isinstance(answer, str) else str(answer)


def _wrapped(answer: Any) -> str:
    return f"<answer> {_solution_text(answer)} </answer>"


def _said(numbers: Sequence[float], subject: Subject) -> list[float]:
    """Return the row's box as the model says it: whole numbers of its own frame."""
    answers = subject.record.answers
    assert subject.profile is not None
    if subject.profile.said_frame is None and not drifts(subject):
        return [round(number) for number in numbers]
    box = answers[0].box if drifts(subject) and len(answers) == 1 else None
    return said_box(box or Box((numbers[0], numbers[1], numbers[2], numbers[3])), subject)


def _one_box(numbers: Sequence[float]) -> str:
    return json.dumps({"bbox_2d": list(numbers)})


def _objects(solution: str) -> list[dict[str, Any]]:
    """Return the objects with a box that a solution lists, in a fence or, for want of one, bare."""
    start = solution.rfind(f"{FENCE}json")
    text = solution if start < 0 else solution[start + len(FENCE) + 4 :].split(FENCE, 1)[0]
    value = _json_of(text)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _json_of(text: str) -> Any:
    try:
        return decode_value(text.strip())
    except RecordError:
        return None


def _fenced(objects: Iterable[Mapping[str, Any]]) -> str:
    return f"{FENCE}json\n{encode_exact(list(objects))}\n{FENCE}"


def _moved(objects: Sequence[dict[str, Any]], subject: Subject) -> list[dict[str, Any]]:
    """Return the objects with their boxes where the trainer's model sees them."""
    regions = (*subject.record.regions, *subject.record.answers)
    boxes: list[Region] = [region for region in regions if region.box is not None]
    if len(boxes) != len(objects):
        return list(objects)
    return [
        item | {"bbox_2d": said_box(region.box, subject, region.image)}
        for item, region in zip(objects, boxes, strict=True)
        if region.box is not None
    ]


def _said_outline(subject: Subject) -> list[float] | None:
    """Return the outline of the row's shape where the trainer's model sees it, flat."""
    (region, *_) = (*subject.record.answers, Region())
    if region.polygon is None:
        return None
    (w, h), (seen_w, seen_h) = seen_size_wh(subject, region.image)
    scales = seen_w / w, seen_h / h
    return [number * scales[place % 2] for place, number in enumerate(region.polygon.rings[0])]
