"""Right and useless answers to Rex-Omni's rows: all phrases of an image, their boxes as bins of 0 to 999.

The loader hands over the raw phrases with their boxes in stored pixels, and nothing else: no points, no masks, whatever the
reward; the model is asked for, and answers with, the phrases as the task function rewrites them. Source: Rex-Omni @478e44f
(specs/rexomni.md §2.4, §3.3 to §3.5, §5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from groundprep.checks.base import Subject
from groundprep.checks.gold import EMPTY, FULL_IMAGE, IMAGE_CENTRE, Example, Unscored, drifts, full_box, said_box
from groundprep.checks.rexomni_rows import normal_phrase
from groundprep.geometry.frames import FRAMES
from groundprep.record import Box

Groups: TypeAlias = Mapping[str, Sequence[Sequence[float]]]
"""Phrase → boxes or points, as bins."""

_BINS = FRAMES["bin999"]
_REWARD_OF_BOXES = "rexomni:box_iou"


def rexomni_example(subject: Subject) -> Example | Unscored:
    """Return what to score for an annotation, alone as in a TSV or beside its image's name."""
    annotation = subject.row.get("annotation", subject.row)
    entries = annotation.get("boxes", [])
    labels = [entry.get("phrase", entry.get("caption", "")) for entry in entries]
    numbers = [entry.get("bbox", []) for entry in entries]
    if None in numbers:
        reason = "the loader raises ValueError: null beside boxes" if any(numbers) else "the reward raises TypeError"
        return Unscored(reason, is_fatal=True)
    truth: dict[str, dict[str, Any]] = {}
    for label, box in zip(labels, numbers, strict=True):
        truth.setdefault(label, {"boxes": []})["boxes"].append(box)
    assert subject.profile is not None
    asked = list(dict.fromkeys(normal_phrase(label) for label in labels))
    useless: dict[str, Groups] = {EMPTY: dict.fromkeys(asked, ())}
    if subject.profile.reward == _REWARD_OF_BOXES:
        groups = _true_boxes(labels, numbers, subject)
        useless[FULL_IMAGE] = {label: [full_box(subject)] for label in asked}
    else:
        groups = _true_points(labels, numbers, subject)
        useless[IMAGE_CENTRE] = {label: [(500, 500)] for label in asked}
    size_wh = list(subject.sizes_wh[0] or ())
    return Example(
        _completion(groups),
        {"answer": truth, "resized_image_size": size_wh, "raw_image_size": size_wh},
        {name: _completion(said) for name, said in useless.items()},
        frozenset() if entries else frozenset({EMPTY, *useless}),
    )


def _true_boxes(labels: Sequence[str], numbers: Sequence[Sequence[float]], subject: Subject) -> Groups:
    """Return the boxes of each phrase as bins, sorted by the first one."""
    boxes = [Box((n[0], n[1], n[2], n[3])) for n in numbers]
    if drifts(subject):
        boxes = [region.box for region in subject.record.regions if region.box is not None]
    groups: dict[str, list[Sequence[float]]] = {}
    for label, box in zip(labels, boxes, strict=True):
        groups.setdefault(normal_phrase(label), []).append(said_box(box, subject))
    return {label: sorted(of_label, key=lambda box: box[0]) for label, of_label in groups.items()}


def _true_points(labels: Sequence[str], numbers: Sequence[Sequence[float]], subject: Subject) -> Groups:
    """Return the centres of the boxes as bins."""
    size_wh = subject.sizes_wh[0]
    assert size_wh is not None
    groups: dict[str, list[Sequence[float]]] = {}
    for label, (x0, y0, x1, y1) in zip(labels, numbers, strict=True):
        centre = _BINS.point_from_stored(((x0 + x1) / 2, (y0 + y1) / 2), size_wh=size_wh)
        groups.setdefault(normal_phrase(label), []).append(centre)
    return {label: sorted(of_label, key=lambda point: point[0]) for label, of_label in groups.items()}


def _completion(groups: Groups) -> str:
    """Return the answer as the trainer writes it; a phrase without a box is `None` (specs/rexomni.md §3.5)."""
    return ", ".join(
        f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>"
        + (",".join("".join(f"<{number}>" for number in numbers) for numbers in said) or "None")
        + "<|box_end|>"
        for label, said in groups.items()
    )
