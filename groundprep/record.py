"""Header and Record: the one form that every data set takes between reading and writing.

A Record can hold all that the supported layouts say, so that no layout needs to know another. Records are never mutated:
a stage returns `dataclasses.replace(record, …)`, and a writer sees by identity which parts changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct, field

from groundprep.errors import GroundprepError
from groundprep.geometry.frames import Frame, SizeWH
from groundprep.images import ImageRef
from groundprep.profile import RowFrame
from groundprep.source import Source, replaceable

BoxXYXY: TypeAlias = tuple[float, float, float, float]


@replaceable
class Native(Struct, frozen=True, gc=False):
    """Numbers as they were read, with their own types, and the frame that they are in."""

    frame: Frame
    numbers: Any


@replaceable
class Box(Struct, frozen=True, gc=False):
    """A box: xyxy, float, pixels of the stored image; and the numbers that it was read from, if any."""

    xyxy: BoxXYXY
    native: Native | None = None


@replaceable
class Point(Struct, frozen=True, gc=False):
    """A point: (x, y), float, pixels of the stored image."""

    xy: tuple[float, float]
    native: Native | None = None


@replaceable
class Polygon(Struct, frozen=True, gc=False):
    """One or more rings (x0, y0, x1, y1, …), float, pixels of the stored image."""

    rings: tuple[tuple[float, ...], ...]
    native: Native | None = None


@replaceable
class Keypoints(Struct, frozen=True, gc=False):
    """Named points (x, y, visibility): COCO's 0 absent, 1 hidden, 2 visible; pixels of the stored image."""

    points: tuple[tuple[float, float, int], ...]
    names: tuple[str, ...] | None = None
    native: Native | None = None


@replaceable
class Mask(Struct, frozen=True, gc=False):
    """A binary mask: COCO run lengths (`size` (h, w), `counts` str, bytes or list) or the path of a mask image.

    `drift_px` is how far, in pixels of the image that was annotated, resampling has moved its edge at most.
    """

    size_hw: tuple[int, int] | None = None
    counts: str | bytes | tuple[int, ...] | None = None
    path: str | None = None
    drift_px: float = 0.0


@replaceable
class Region(Struct, frozen=True, gc=False):
    """A phrase and where it is: any of box, point, polygon, keypoints, mask together; none of them means absent.

    Args:
        phrase: the words; None if the region has none of its own.
        image: index into the record's images.
        candidate: index of the candidate that this region is, if it is one.
        category_id: id in the header's category table.
        category: the object word, where the phrase says more than that.
        extra: further keys of the region (COCO id, area, iscrowd, …).
    """

    phrase: str | None = None
    box: Box | None = None
    point: Point | None = None
    polygon: Polygon | None = None
    keypoints: Keypoints | None = None
    mask: Mask | None = None
    image: int = 0
    candidate: int | None = None
    category_id: int | None = None
    category: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_absent(self) -> bool:
        """Say whether the region states that its phrase is not in the image."""
        return not (self.box or self.point or self.polygon or self.keypoints or self.mask)


@replaceable
class Candidate(Struct, frozen=True, gc=False):
    """A proposed box.

    Args:
        score: in (0, 1) as the detector gave it; None if unknown (a human drew it).
        detector: who proposed it.
        extra: further keys.
    """

    box: Box
    phrase: str | None = None
    score: float | None = None
    detector: str | None = None
    image: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class Turn(NamedTuple):
    """One verbatim turn of a conversation.

    `follows`: the record's regions hold every coordinate of the text, and whoever writes them elsewhere writes the text anew.
    """

    role: str
    text: str
    follows: bool = False


@replaceable
class Origin(Struct, frozen=True, gc=False):
    """The row that a record was read from, as decoded, and what the record held then.

    A writer of the same dialect and frame edits `value`; a field of the record that is still the very object in `record`
    is unchanged and keeps its bytes.
    """

    dialect: str
    value: dict[str, Any]
    record: Record
    row_frame: RowFrame


@replaceable
class Record(Struct, frozen=True, gc=False):
    """One training example.

    Args:
        source: where it came from.
        id: the data's own id.
        images: zero or more.
        referring: the expression to be grounded.
        instruction: a free instruction, where a layout has one instead.
        category: the object word that detectors and hints use.
        answers: what the expression refers to; () with a referring expression means "nothing in the image".
        regions: all annotated phrases of the image, for layouts whose row is an image.
        candidates: proposed boxes; None means that nobody proposed any yet, () that none was found.
        turns: a conversation, verbatim.
        extra: keys that no field holds.
        origin: the row it was read from.
    """

    source: Source
    id: str | int | None = None
    images: tuple[ImageRef, ...] = ()
    referring: str | None = None
    instruction: str | None = None
    category: str | None = None
    answers: tuple[Region, ...] = ()
    regions: tuple[Region, ...] = ()
    candidates: tuple[Candidate, ...] | None = None
    turns: tuple[Turn, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None

    @property
    def label(self) -> str | int | None:
        """The id, or the row number: how messages name this record."""
        return self.id if self.id is not None else self.source.row

    @property
    def named_regions(self) -> tuple[Region, ...]:
        """The phrases of the image: its regions, and the answers to a question of its own; not those to an expression."""
        return (*self.regions, *self.answers) if self.referring is None else self.regions

    @property
    def candidate_boxes_xyxy(self) -> list[BoxXYXY]:
        """The candidates' boxes, xyxy, pixels of the stored image."""
        return [candidate.box.xyxy for candidate in self.candidates or ()]

    def declared_size_wh(self, image: int) -> SizeWH | None:
        """Return the (width, height) that the data claims for an image, or None: of the image, or of a row with one image."""
        declared = self.images[image].declared_size_wh
        if declared is not None or len(self.images) != 1:
            return declared
        width, height = self.extra.get("width"), self.extra.get("height")
        return (width, height) if type(width) is int and type(height) is int else None

    def with_origin(self, dialect: str, value: dict[str, Any], row_frame: RowFrame) -> Record:
        """Return this record, remembering the row that it was read from and the frame of its numbers."""
        return Record(  # written out, because `replace` costs as much as parsing the row
            self.source,
            self.id,
            self.images,
            self.referring,
            self.instruction,
            self.category,
            self.answers,
            self.regions,
            self.candidates,
            self.turns,
            self.extra,
            Origin(dialect, value, self, row_frame),
        )

    def unchanged(self, name: str) -> bool:
        """Say whether a field is still the very object that was read."""
        return self.origin is not None and getattr(self, name) is getattr(self.origin.record, name)


@replaceable
class Dropped(Struct, frozen=True, gc=False):
    """A row or record that could not be carried, with the reason and the row itself.

    Args:
        source: where.
        code, message: the reason.
        row: the row as decoded, or its text cut to a readable length if it could not be decoded.
        error: the reason as raised.
    """

    source: Source
    code: str
    message: str
    row: Any
    error: GroundprepError


@replaceable
class Header(Struct, frozen=True, gc=False):
    """What a data set says once.

    Args:
        container, dialect: how it was laid out.
        profile: metadata of the trainer profile that it was written for (name, revision, chain, limits, unit), if known.
        categories: the category table, id → name.
        category_entries: what else the table says of a category (supercategory, synset, …), by id.
        label_map: class index → name.
        info, licences: free metadata.
        splits: split name → number of rows.
        extra: further sections of a document.
    """

    container: str | None = None
    dialect: str | None = None
    profile: Mapping[str, Any] | None = None
    categories: Mapping[int, str] = field(default_factory=dict)
    category_entries: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    label_map: Mapping[int, str] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    licences: Sequence[Mapping[str, Any]] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
