"""What a dialect is: which fields a row has. It turns a row into a Record and a Record into a row, nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import msgspec

from groundprep.config import MAX_COORDINATE
from groundprep.containers.base import ColumnType, OutRow, Row
from groundprep.dialects.refused_numbers import NumbersError
from groundprep.errors import RecordError
from groundprep.geometry.frames import PIXELS, Frame, SizeWH, Space
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.images import ImageRef
from groundprep.losses import Losses
from groundprep.profile import RowFrame, Unit
from groundprep.record import Box, Candidate, Native, Point, Polygon, Record, Region

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What parsing a row may need.

    Args:
        images: turns image names into files.
        loader: reads sizes, for frames that need them.
        row_frame: the frame of the numbers.
    """

    images: ImageRoot
    loader: ImageLoader
    row_frame: RowFrame = field(default_factory=lambda: RowFrame(PIXELS))

    def box(self, numbers: Sequence[float], image: ImageRef | None) -> Box:
        """Return a box read from four numbers in the source's frame; raises RecordError, PayloadError."""
        if len(numbers) != 4:
            raise NumbersError(
                "a box needs four numbers",
                code="box-shape",
                found=list(numbers),
                expected="[x0, y0, x1, y1]",
                fix="correct the box, or remove it",
            ).of(numbers)
        frame = self.row_frame.frame
        native = Native(frame, numbers)
        x0, y0, x1, y1 = numbers
        if not (-MAX_COORDINATE <= x0 <= x1 <= MAX_COORDINATE and -MAX_COORDINATE <= y0 <= y1 <= MAX_COORDINATE):
            require_in_range(numbers)  # inverted boxes come here, too, and pass
        if frame is PIXELS:  # most boxes of most data sets
            return Box((float(x0), float(y0), float(x1), float(y1)), native)
        if not frame.needs_size:
            return Box(frame.box_to_stored(numbers, size_wh=(0, 0)), native)
        size_wh = self._size_wh(image)
        return Box(frame.box_to_stored(numbers, size_wh=size_wh, seen_wh=self.row_frame.seen_wh(size_wh)), native)

    def boxes(self, rows: Iterable[Sequence[float]], image: ImageRef | None) -> list[Box]:
        """Return `box` of each; here without a call for each, which took a tenth of reading a row, where all is plain pixels."""
        if self.row_frame.frame is not PIXELS:
            return [self.box(numbers, image) for numbers in rows]
        read = []
        for numbers in rows:
            if len(numbers) == 4:
                x0, y0, x1, y1 = numbers
                if -MAX_COORDINATE <= x0 <= x1 <= MAX_COORDINATE and -MAX_COORDINATE <= y0 <= y1 <= MAX_COORDINATE:
                    read.append(Box((float(x0), float(y0), float(x1), float(y1)), Native(PIXELS, numbers)))
                    continue
            read.append(self.box(numbers, image))
        return read

    def point(self, numbers: Sequence[float], image: ImageRef | None) -> Point:
        """Return a point read from two numbers in the source's frame; raises RecordError, PayloadError."""
        if len(numbers) != 2:
            raise NumbersError(
                "a point needs two numbers",
                code="point-shape",
                found=list(numbers),
                expected="[x, y]",
                fix="correct the point, or remove it",
            ).of(numbers)
        require_in_range(numbers)
        native = Native(self.row_frame.frame, numbers)
        frame = self.row_frame.frame
        size_wh = self._size_wh(image) if frame.needs_size else (0, 0)
        seen_wh = self.row_frame.seen_wh(size_wh) if frame.needs_size else None
        return Point(frame.point_to_stored(numbers, size_wh=size_wh, seen_wh=seen_wh), native)

    def polygon(self, numbers: Sequence[float], image: ImageRef | None) -> Polygon:
        """Return a polygon of one ring read from flat numbers (x0, y0, x1, y1, …); raises RecordError, PayloadError."""
        if len(numbers) < 6 or len(numbers) % 2:
            raise NumbersError(
                "a polygon needs at least three points",
                code="polygon-shape",
                found=list(numbers),
                expected="[x0, y0, x1, y1, x2, y2, …]",
                fix="correct the polygon, or remove it",
            ).of(numbers)
        points = (self.point(numbers[i : i + 2], image).xy for i in range(0, len(numbers), 2))
        ring = tuple(coordinate for point in points for coordinate in point)
        return Polygon((ring,), Native(self.row_frame.frame, numbers))

    def _size_wh(self, image: ImageRef | None) -> SizeWH:
        if image is None:
            raise RecordError("boxes in this frame need an image, and the row has none", code="image-needed")
        return self.loader.size_wh(image)


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What formatting a record may need.

    Args:
        container: the container that the row goes into.
        loader: reads sizes.
        row_frame: the frame to write.
        losses: where the dialect says what it rounds, renames or cannot hold.
        style: the profile's style of answers, where the dialect knows several; empty: the row's own, or the dialect's usual.
        image_out: the directory in which the named images will lie, if they are written; for rows that name whole paths.
        further_columns: columns of the table to be written beyond those of the dialect: the source's own.
    """

    container: str
    loader: ImageLoader
    row_frame: RowFrame
    losses: Losses
    style: str = ""
    image_out: str | None = None
    further_columns: frozenset[str] = frozenset()

    def size_wh(self, record: Record, image: int = 0) -> SizeWH:
        """Return the stored (width, height) of one of the record's images; raises RecordError, PayloadError."""
        if image >= len(record.images):
            raise RecordError(
                "the target's frame needs the image's size, and the row has no image", code="image-needed"
            )
        return self.loader.size_wh(record.images[image], record.declared_size_wh(image))

    def seen_wh(self, record: Record, image: int = 0) -> SizeWH:
        """Return the (width, height) that the model sees; raises SizeRefusedError."""
        size_wh = self.size_wh(record, image)
        return self.row_frame.seen_wh(size_wh) or size_wh

    def reads_as_written(self, record: Record) -> bool:
        """Say whether the record was read in the very frame that is being written."""
        return record.origin is not None and record.origin.row_frame == self.row_frame

    def own_value(self, record: Record, *dialects: str) -> dict[str, Any] | None:
        """Return the row that the record was read from, if it was of one of these dialects; in whatever frame."""
        if record.origin is None or record.origin.dialect not in dialects:
            return None
        return record.origin.value

    def further(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a row that was read for the further columns of the table to be written."""
        return {key: item for key, item in own.items() if key in self.further_columns}

    def keeps(self, record: Record, name: str) -> bool:
        """Say whether a field's numbers can stay as they were read: unchanged, and in the target's frame."""
        return record.unchanged(name) and self.reads_as_written(record)

    def box_numbers(self, box: Box, record: Record, name: str, image: int = 0) -> Any:
        """Return a box's numbers in the target frame; those that were read, if they were read in it.

        `name` is the field under which rounding is reported.
        """
        frame = self.row_frame.frame
        if box.native is not None and self.reads_as_written(record):
            self.losses.kept(name)
            return box.native.numbers
        if not frame.needs_size:
            self.losses.kept(name)
            if box.native is not None and box.native.frame == frame:
                return box.native.numbers
            return frame.box_from_stored(box.xyxy, size_wh=(0, 0))
        return self._moved_boxes([box], record, name, image)[0]

    def candidate_numbers(self, record: Record) -> list[Any]:
        """Return the numbers of the boxes of all candidates; the same as `box_numbers` of each."""
        candidates, name = record.candidates or (), "candidates.box"
        is_moved = self.row_frame.frame.needs_size and not self.reads_as_written(record)
        if is_moved and candidates and not any(candidate.image for candidate in candidates):
            return self._moved_boxes([candidate.box for candidate in candidates], record, name, 0)
        return [self.box_numbers(candidate.box, record, name, candidate.image) for candidate in candidates]

    def _moved_boxes(self, boxes: Sequence[Box], record: Record, name: str, image: int) -> list[Any]:
        """Return the numbers of boxes of one image in a target frame that depends on its size."""
        size_wh = self.size_wh(record, image)
        rows, errors = self.row_frame.frame.boxes_from_stored(
            [box.xyxy for box in boxes], size_wh=size_wh, seen_wh=self.row_frame.seen_wh(size_wh)
        )
        self.losses.rounded(name, *errors)
        return rows

    def point_numbers(self, point: Point, record: Record, name: str, image: int = 0) -> Any:
        """Return a point's numbers in the target frame."""
        if point.native is not None and self.reads_as_written(record):
            self.losses.kept(name)
            return point.native.numbers
        numbers, error_px = self._moved(point.xy, record, image)
        self.losses.rounded(name, error_px)
        return numbers

    def polygon_numbers(self, polygon: Polygon, record: Record, name: str, image: int = 0) -> Any:
        """Return a polygon's first ring, flat, in the target frame; further rings are counted as lost."""
        self.losses.lost(f"{name}.rings", len(polygon.rings) - 1)
        if polygon.native is not None and self.reads_as_written(record):
            self.losses.kept(name)
            return polygon.native.numbers
        ring = polygon.rings[0]
        moved = [self._moved((ring[i], ring[i + 1]), record, image) for i in range(0, len(ring), 2)]
        self.losses.rounded(name, max(error for _, error in moved))
        return [number for numbers, _ in moved for number in numbers]

    def _moved(self, point_xy: tuple[float, float], record: Record, image: int) -> tuple[list[float], float]:
        """Return a point's numbers in the target frame, and by how many pixels they miss it."""
        frame = self.row_frame.frame
        size_wh = self.size_wh(record, image) if frame.needs_size else (0, 0)
        seen_wh = self.row_frame.seen_wh(size_wh) if frame.needs_size else None
        numbers = frame.point_from_stored(point_xy, size_wh=size_wh, seen_wh=seen_wh)
        back = frame.point_to_stored(numbers, size_wh=size_wh, seen_wh=seen_wh)
        return numbers, max(abs(a - b) for a, b in zip(point_xy, back, strict=True))


class Dialect(ABC):
    """One layout of rows.

    Attributes:
        name: unique among containers, dialects and corpora.
        title: one line for `groundprep formats`.
        containers: where it can live; the first is the usual one.
        unit: what a row is.
        mixes_units: whether a row may also be one expression of an image, although `unit` is the image.
        row_type: the typed row, from which the JSON Schema is made.
        holds: the fields of a Record that a row of this dialect can say.
        frame: the frame of its numbers when nothing else is known.
        says_absent: whether a row can say of a phrase that it is not in the image.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    containers: ClassVar[tuple[str, ...]]
    unit: ClassVar[Unit] = "expression"
    mixes_units: ClassVar[bool] = False
    row_type: ClassVar[type[msgspec.Struct]]
    holds: ClassVar[frozenset[str]]
    frame: ClassVar[Frame] = PIXELS
    says_absent: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, ColumnType]] = {}

    def frame_of(self, rows: Iterable[Mapping[str, Any]]) -> Frame | None:
        """Return the frame that these first rows of a file are in, or None if only its writer knows."""
        del rows
        return None if self.frame.space is Space.SEEN else self.frame

    def may_be_in(self, frame: Frame) -> bool:
        """Say whether rows whose frame only their writer knows can be in this one."""
        return frame.space is Space.SEEN and self.frame.space is Space.SEEN

    @abstractmethod
    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """Say whether a decoded row has this dialect's shape."""

    @abstractmethod
    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of a row, with its origin; raises RecordError."""

    @abstractmethod
    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row of a record; raises RecordError or PayloadError. Pure: any thread may run it."""


def require_in_range(numbers: Sequence[float]) -> None:
    """Raise RecordError (`number-range`) if a number is not finite or is beyond every image."""
    for number in numbers:
        if not -MAX_COORDINATE <= number <= MAX_COORDINATE:
            raise NumbersError(
                "a coordinate is far beyond every image",
                code="number-range",
                found=list(numbers),
                expected=f"numbers between -{MAX_COORDINATE:g} and {MAX_COORDINATE:g}",
                fix="correct the row",
            ).of(numbers)


BINARY = (bytes,)
"""Types that rows hold as they are: without this, text where bytes belong would be decoded as base64."""


def convert_row(value: Mapping[str, Any], row_type: type[T]) -> T:
    """Check a decoded row against its type; raises RecordError (`missing-key`, `wrong-type`)."""
    try:
        return msgspec.convert(value, row_type, builtin_types=BINARY)
    except msgspec.ValidationError as error:
        reason = str(error)
        missing = "missing required field" in reason
        raise RecordError(
            f"the row does not fit: {reason[0].lower()}{reason[1:]}",
            code="missing-key" if missing else "wrong-type",
            found=sorted(value) if missing else None,
            fix="correct the row, or name its dialect with --from",
        ) from error


def extra_keys(value: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return the keys of a row that no field of the record holds."""
    names = known if isinstance(known, frozenset | set | dict) else frozenset(known)
    return {key: item for key, item in value.items() if key not in names}


def report_unheld(
    record: Record, holds: frozenset[str], losses: Losses, *, lost_extra: Iterable[str] = (), keeps_names: bool = True
) -> None:
    """Count what this record says and the row to be written cannot: the losses of a conversion.

    Args:
        record: what is written.
        holds: the fields that the row can say.
        losses: where to count.
        lost_extra: those keys of `record.extra` that the row will not have.
        keeps_names: whether the row names its images.
    """
    _report_fields(record, holds, losses)
    if record.candidates is not None:
        _report_candidates(record.candidates, holds, losses)
    for key in record.extra:
        losses.held(f"extra.{key}", held=key not in lost_extra)
    for ref in record.images:
        for key in ref.extra:
            losses.held(f"images.extra.{key}", held="images.extra" in holds)
    if not keeps_names:
        losses.lost("images.name", sum(ref.name is not None for ref in record.images))
    for region in record.answers:
        _report_region(region, "answers", holds, losses, record.category)
    for region in record.regions:
        _report_region(region, "regions", holds, losses, record.category)


def _report_fields(record: Record, holds: frozenset[str], losses: Losses) -> None:
    if record.id is not None:
        losses.held("id", held="id" in holds)
    if record.instruction is not None:
        losses.held("instruction", held="instruction" in holds)
    if record.category is not None:  # a phrase that is its own category is not lost with it
        losses.held("category", held="category" in holds or record.category == record.referring)
    if record.referring is not None:
        losses.held("referring", held="referring" in holds)
    if record.regions:
        losses.held("regions", held="regions" in holds, count=len(record.regions))
    if record.turns:
        losses.held("turns", held="turns" in holds, count=len(record.turns))


def _report_candidates(candidates: tuple[Candidate, ...], holds: frozenset[str], losses: Losses) -> None:
    if "candidates" not in holds:
        losses.lost("candidates", len(candidates) or 1)  # that none was found is a statement too
        return
    if "candidates.score" not in holds:
        losses.lost("candidates.score", sum([candidate.score is not None for candidate in candidates]))
    if "candidates.detector" not in holds:
        losses.lost("candidates.detector", sum([candidate.detector is not None for candidate in candidates]))
    if "candidates.extra" not in holds:
        losses.lost("candidates.extra", sum(len(candidate.extra) for candidate in candidates))


def _report_region(
    region: Region, name: str, holds: frozenset[str], losses: Losses, record_category: str | None
) -> None:
    for part in ("point", "polygon", "keypoints", "mask"):
        if getattr(region, part) is not None and f"{name}.{part}" not in holds:
            losses.lost(f"{name}.{part}")
    if region.category not in (None, region.phrase, record_category):
        losses.held(f"{name}.category", held=f"{name}.category" in holds and not region.is_absent)
    if region.extra and f"{name}.extra" not in holds:
        for key in region.extra:
            losses.lost(f"{name}.extra.{key}")
