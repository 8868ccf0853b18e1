"""What is tried on a reward for one row: the right answer, answers that know nothing, and what they are compared with.

An example is made from a row as its trainer's loader reads it; nothing here looks at a picture. The right answer is written
as the trainer's template asks the model to write it, in the frame in which the model writes: from the row's own numbers if
they are in that frame, otherwise from the boxes in stored pixels, through the trainer's resize chain. So a row whose numbers
are in another frame than the trainer's has a right answer that its own ground truth does not reward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from groundprep.checks.base import Subject
from groundprep.geometry.frames import Frame, SizeWH, Space
from groundprep.profile import RowFrame
from groundprep.record import Box

THINK = "The objects are compared with the words."
"""What the right answer thinks: no number, no bracket, nothing that a reward reads."""

EMPTY, ALL_HINTS, FIRST_HINT, LAST_HINT, FULL_IMAGE, IMAGE_CENTRE = (
    "empty",
    "all_hints",
    "first_hint",
    "last_hint",
    "full_image",
    "image_centre",
)
BEST_HINT = "best_hint"
"""Not useless, but the best that copying can do."""

WORDS = {
    EMPTY: "an answer that nothing is there",
    ALL_HINTS: "naming every hint",
    FIRST_HINT: "copying the first hint",
    LAST_HINT: "copying the last hint",
    FULL_IMAGE: "a box around the whole image",
    IMAGE_CENTRE: "the centre of the image",
}
"""Useless answer → what it is, for messages; in the order in which they are reported."""


class Example(NamedTuple):
    """What is scored for one row.

    Args:
        gold: the right answer, as a completion.
        truth: what the trainer's loader hands to the reward.
        useless: name → completion of an answer that knows nothing of the image.
        right: those of them that say just what the right answer says.
        best_hint: the completion that copies, for every true box, the hint that overlaps it most; None without hints.
        part: the part of the score that counts for this row; None: the reward's usual one.
    """

    gold: str
    truth: Any
    useless: Mapping[str, str]
    right: frozenset[str] = frozenset()
    best_hint: str | None = None
    part: str | None = None


class Unscored(NamedTuple):
    """A row of which no example can be made.

    Args:
        reason: why.
        is_fatal: the trainer stops at this row; otherwise another reward scores it, and nothing is known.
    """

    reason: str
    is_fatal: bool = False


Maker: TypeAlias = Callable[[Subject], Example | Unscored]


def thought(answer: str) -> str:
    """Return an answer as a completion of think and answer."""
    return f"<think>{THINK}</think><answer>{answer}</answer>"


def drifts(subject: Subject) -> bool:
    """Say whether the row's numbers are in another frame than its trainer takes them for."""
    record, profile = subject.record, subject.profile
    if not subject.is_native or record.origin is None or profile is None:
        return False  # a row that a conversion would write is in the trainer's frame
    return record.origin.row_frame != RowFrame.of_profile(profile)


def said_frame(subject: Subject) -> Frame:
    """Return the frame in which the model writes numbers."""
    assert subject.profile is not None
    return subject.profile.said_frame or subject.profile.frame


def seen_size_wh(subject: Subject, image: int = 0) -> tuple[SizeWH, SizeWH]:
    """Return the (width, height) of an image as stored and as the model sees it."""
    assert subject.profile is not None
    size_wh = subject.sizes_wh[image]
    assert size_wh is not None
    return size_wh, subject.profile.seen_wh(size_wh)


def said_box(box: Box, subject: Subject, image: int = 0) -> list[float]:
    """Return a box as the model would write it: in its frame, and inside the image."""
    size_wh, seen_wh = seen_size_wh(subject, image)
    frame = said_frame(subject)
    w, h = size_wh
    x0, y0, x1, y1 = box.xyxy
    inside = (min(max(x0, 0.0), w), min(max(y0, 0.0), h), min(max(x1, 0.0), w), min(max(y1, 0.0), h))
    return frame.box_from_stored(inside, size_wh=size_wh, seen_wh=seen_wh)


def full_box(subject: Subject, image: int = 0) -> list[float]:
    """Return the whole image as the model would write it."""
    size_wh, seen_wh = seen_size_wh(subject, image)
    frame = said_frame(subject)
    if frame.space is Space.SEEN and not frame.clamp:
        return [0, 0, *seen_wh]
    return frame.box_from_stored((0.0, 0.0, *map(float, size_wh)), size_wh=size_wh, seen_wh=seen_wh)
