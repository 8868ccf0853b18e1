"""Do a row's boxes lie, for the trainer, where they lie in the picture?

A row whose numbers are in another frame than the trainer takes them for is off by whatever the two resize chains differ in. A
row in the right frame, or one that a conversion would write, is off by what whole numbers (or bins) cannot say. Both are
measured in pixels of the stored image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from groundprep.checks.base import Subject
from groundprep.checks.gold import drifts, said_box, said_frame, seen_size_wh
from groundprep.finding import Finding
from groundprep.geometry.frames import PIXELS
from groundprep.profile import Profile
from groundprep.record import Box
from groundprep.source import Source

DECIMALS = 3


class Misplaced(NamedTuple):
    """How far the boxes of one row are off, in pixels of the stored image.

    Args:
        error_px: the largest difference of a coordinate.
        if_stored_px: the same if the row's numbers were pixels of the stored image; None where they cannot be anything else,
            or are in no frame that depends on the trainer.
    """

    error_px: float
    if_stored_px: float | None = None


def misplaced(subject: Subject) -> Misplaced | None:
    """Return how far a row's boxes are off for the trainer; None for a row without boxes."""
    profile = subject.profile
    assert profile is not None
    boxes = [(box, image) for box, image in _boxes(subject) if image < len(subject.sizes_wh)]
    if not boxes:
        return None
    if drifts(subject):
        return Misplaced(max(_drift_px(box, subject, image) for box, image in boxes))
    if_stored_px = None
    if subject.is_native and profile.frame != PIXELS:
        if_stored_px = max(_difference(box.native.numbers, box.xyxy) for box, _ in boxes if box.native is not None)
    if subject.is_native and profile.said_frame is None:  # the numbers are the very ones that the model is to say
        return Misplaced(0.0, if_stored_px)
    return Misplaced(max(_rounding_px(box, subject, image) for box, image in boxes), if_stored_px)


def _boxes(subject: Subject) -> Iterator[tuple[Box, int]]:
    record = subject.record
    for region in (*record.answers, *record.regions):
        if region.box is not None:
            yield region.box, region.image
    for candidate in record.candidates or ():
        yield candidate.box, candidate.image


def _drift_px(box: Box, subject: Subject, image: int) -> float:
    """Return how far the box is from where the trainer takes its numbers to be."""
    if box.native is None:
        return 0.0
    assert subject.profile is not None
    size_wh, seen_wh = seen_size_wh(subject, image)
    taken = subject.profile.frame.box_to_stored(box.native.numbers, size_wh=size_wh, seen_wh=seen_wh)
    return _difference(taken, box.xyxy)


def _rounding_px(box: Box, subject: Subject, image: int) -> float:
    """Return how far the box is from what the model can say of it; only the part inside the image counts."""
    size_wh, seen_wh = seen_size_wh(subject, image)
    said = said_frame(subject).box_to_stored(said_box(box, subject, image), size_wh=size_wh, seen_wh=seen_wh)
    inside = [min(max(number, 0.0), side) for number, side in zip(box.xyxy, (*size_wh, *size_wh), strict=True)]
    return _difference(said, inside)


def _difference(a: Sequence[float], b: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@dataclass(slots=True)
class Largest:
    """The largest number seen, and where it was first."""

    px: float | None = None
    source: Source | None = None

    def see(self, px: float | None, source: Source | None) -> None:
        """Take one more."""
        if px is not None and (self.px is None or px > self.px):
            self.px, self.source = px, source

    def as_data(self) -> tuple[float | None, str | None]:
        """Return pixels, rounded, and the place."""
        return (None, None) if self.px is None else (round(self.px, DECIMALS), str(self.source))


@dataclass(slots=True)
class Alignment:
    """How far the boxes of some rows are off.

    Args:
        rows: rows with a box.
        error: the largest error.
        if_stored: the largest if the numbers were pixels of the stored image.
    """

    rows: int = 0
    error: Largest = field(default_factory=Largest)
    if_stored: Largest = field(default_factory=Largest)

    def see(self, found: Misplaced, source: Source) -> None:
        """Take one more row."""
        self.rows += 1
        self.error.see(found.error_px, source)
        self.if_stored.see(found.if_stored_px, source)

    def merge(self, other: Alignment) -> None:
        """Take the rows of a later file."""
        self.rows += other.rows
        self.error.see(other.error.px, other.error.source)
        self.if_stored.see(other.if_stored.px, other.if_stored.source)

    def as_data(self) -> dict[str, Any]:
        """Return JSON values."""
        px, where = self.error.as_data()
        return {"rows": self.rows, "max_error_px": px, "where": where}


class AlignmentWatch:
    """Collects how far the boxes of each file are off. Memory: two numbers a file."""

    def __init__(self) -> None:
        self.files: dict[str, Alignment] = {}

    def note(self, subjects: Sequence[Subject]) -> list[tuple[Source, Misplaced]]:
        """Return place and error of each row with a box."""
        found = ((subject.record.source, misplaced(subject)) for subject in subjects)
        return [(source, error) for source, error in found if error is not None]

    def see(self, note: list[tuple[Source, Misplaced]]) -> Iterable[Finding]:
        """Add the rows of a batch."""
        for source, found in note:
            self.files.setdefault(source.path, Alignment()).see(found, source)
        return ()

    def findings(self) -> Iterable[Finding]:
        """Yield nothing: what an error means depends on who says which frame the file is in (`frame_findings`)."""
        return ()

    def of(self, paths: Iterable[str]) -> Alignment | None:
        """Return how far the boxes of a source are off, whose rows may name any of these paths."""
        return next((self.files[path] for path in paths if path in self.files), None)

    def results(self, profile: Profile) -> dict[str, Any]:
        """Return `alignment`: the largest error over all files."""
        del profile
        total = Alignment()
        for alignment in self.files.values():
            total.merge(alignment)
        return {"alignment": total.as_data()}
