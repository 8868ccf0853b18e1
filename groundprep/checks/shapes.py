"""Chebyshev shapes, the answers of VLM-R1's segmentation fork: are they worth learning, and can the reward read them?

Most masks cannot be drawn well by such a shape (geometry/chebyshev.py says why), and the reward compares with the drawn shape,
not with the mask: a bad one is learned perfectly. Source: specs/vlmr1_easydistill.md §2.4, §2.5, §2.7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.masks import DRAWN_BY, MASK_SIZE
from groundprep.dialects.answers_text import is_numbers
from groundprep.dialects.vlmr1_seg import parse_shape
from groundprep.finding import Finding, Severity
from groundprep.geometry.chebyshev import SUGGESTED_MIN_IOU, shape_doubts
from groundprep.profile import Profile, RowFrame

MASK_IOU_LOW = Rule("mask-iou-low", Severity.WARNING, "the shape that stands for a mask is drawn badly")
MASK_BORDER_CENTRE = Rule(
    "mask-border-centre", Severity.WARNING, "a shape's centre lies on the image's border, where few masks have it"
)
MASK_CROWD = Rule("mask-crowd", Severity.WARNING, "one shape stands for a crowd of objects")
SHAPE_SIZE_MISSING = Rule(
    "shape-size-missing",
    Severity.ERROR,
    "a shape does not say the size of its image, and earns nothing",
    suppresses=REWARD_VERDICTS,
)

RULES = (MASK_IOU_LOW, MASK_BORDER_CENTRE, MASK_CROWD, SHAPE_SIZE_MISSING)

_OF_DOUBT = {rule.code: rule for rule in (MASK_IOU_LOW, MASK_BORDER_CENTRE)}
SIZE_KEYS = ("size", "sizeHW")
"""Source: the fork's mask_iou reward (specs/vlmr1_easydistill.md §2.7)."""


def draws_shapes(profile: Profile) -> bool:
    """Say whether a profile's answers are shapes."""
    return profile.dialect == DRAWN_BY


def shape_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the shape of a row as the trainer will read it."""
    if subject.profile is not None:
        yield from _findings(subject, subject.row, RowFrame.of_profile(subject.profile))
        if any(region.extra.get("iscrowd") == 1 for region in subject.record.answers):
            yield subject.finding(
                MASK_CROWD,
                "the answer is marked as a crowd: one outline stands for many objects",
                found="iscrowd 1",
                expected="a mask of one object",
                fix="leave the row out",
            )


def shape_as_read_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the shape of a row of the fork's own layout, where no trainer is named."""
    origin = subject.record.origin
    if subject.profile is None and origin is not None and origin.dialect == DRAWN_BY:
        yield from _findings(subject, origin.value, origin.row_frame)


def _findings(subject: Subject, row: Mapping[str, Any], row_frame: RowFrame) -> Iterator[Finding]:
    shape = parse_shape(row["conversations"][1]["value"])
    if shape is None or not is_numbers(shape.get("centre"), 2):
        return
    size = next((shape[key] for key in SIZE_KEYS if key in shape), None)
    if not is_numbers(size, 2):
        yield subject.finding(
            SHAPE_SIZE_MISSING,
            "the shape does not say the size of its image, and the reward gives it nothing without",
            found=size,
            expected='"size": [height, width]',
            fix="write the rows again with `groundprep convert --for vlmr1-seg`",
        )
        return
    assert size is not None
    yield from _size_findings(subject, (size[0], size[1]), row_frame)
    iou = row.get("mask_iou")
    known_iou = float(iou) if type(iou) in (int, float) and iou is not None else None
    for doubt in shape_doubts(shape["centre"], (size[0], size[1]), known_iou):
        yield subject.finding(
            _OF_DOUBT[doubt.code],
            doubt.message,
            found=shape["centre"] if doubt.code == MASK_BORDER_CENTRE.code else known_iou,
            expected="a centre inside" if doubt.code == MASK_BORDER_CENTRE.code else f"at least {SUGGESTED_MIN_IOU:g}",
            fix="leave such rows out (`convert --min-mask-iou`), or draw them better (`--fit best`)",
        )


def _size_findings(subject: Subject, size_hw: tuple[float, float], row_frame: RowFrame) -> Iterator[Finding]:
    """Yield an error for a size that is neither the stored nor the seen one; which of both it must be is a matter of frames."""
    stored_wh = subject.sizes_wh[0] if subject.verdicts else None
    if stored_wh is None:
        return
    wanted_wh = row_frame.seen_wh(stored_wh) or stored_wh
    if size_hw[::-1] not in (wanted_wh, stored_wh):
        yield subject.finding(
            MASK_SIZE,
            "the shape was drawn on an image of another size",
            found=list(size_hw),
            expected=f"[{wanted_wh[1]}, {wanted_wh[0]}]",
            fix="use the image that was annotated, or write the rows again with `groundprep convert --for vlmr1-seg`",
        )
