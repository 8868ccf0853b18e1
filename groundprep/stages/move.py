"""A record whose images have been resized or turned: every box, point, polygon, keypoint and mask goes with its image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

from groundprep.dialects.grounding_text import ANY_COORDINATES
from groundprep.errors import RecordError
from groundprep.geometry.frames import Space
from groundprep.geometry.orientation import Move, upright_wh
from groundprep.images import ImageRef
from groundprep.record import Box, Candidate, Keypoints, Mask, Native, Point, Polygon, Record, Region
from groundprep.stages.annotated import ANNOTATED_KEY, annotated_boxes

COORDINATE_KEYS = ("visual_prompt", "extracted_predictions", "keypoints")
"""Further keys of a row or region that hold coordinates. Source: Rex-Omni @478e44f evaluation (specs/rexomni.md §9)."""

SHARES = (Space.UNIT, Space.REL1000, Space.BIN999)
"""Frames whose numbers are shares of the image's sides: resizing leaves them as they are."""

Item = TypeVar("Item", Region, Candidate)


def moved_record(
    record: Record, images: tuple[ImageRef, ...], moves: Sequence[Move], *, ignores_masks: bool = False
) -> Record:
    """Return the record with new images and its geometry in their pixels.

    Args:
        record: what is moved.
        images: one per image of the record, in order.
        moves: how the pixels of each image moved.
        ignores_masks: the mask of a region that has another shape too stays as it was: the target holds no masks, and counts
            it as lost.

    Raises:
        RecordError: `text-fixed`, and what is wrong with a mask (`mask-size`, `mask-empty`, `mask-broken`).
        PayloadError: a mask's file cannot be read.
        MissingDependencyError: there are masks, and pycocotools or OpenCV is not installed.
    """
    _require_no_coordinates(record, moves)
    mover = _Mover(moves, ignores_masks=ignores_masks)
    origin = record.origin
    if origin is not None and origin.record.candidates is not None:
        # Text that cites candidates finds them again by their boxes, so the origin's candidates move as well. The tuple is
        # a new one, so that a writer still sees that the record's numbers are no longer those of the row.
        candidates = tuple([mover.candidate(candidate) for candidate in origin.record.candidates])
        origin = replace(origin, record=replace(origin.record, candidates=candidates))
    return replace(
        record,
        extra=_moved_extra(record, moves),
        images=images,
        answers=tuple(map(mover.region, record.answers)),
        regions=tuple(map(mover.region, record.regions)),
        candidates=None if record.candidates is None else tuple(map(mover.candidate, record.candidates)),
        origin=origin,
    )


def _moved_extra(record: Record, moves: Sequence[Move]) -> Mapping[str, Any]:
    """Return the record's further keys; the size of its one image and the boxes that were drawn on it follow the image.

    A row that states another size than the image's is left as it is: nobody knows what it means.
    """
    extra, changes = record.extra, dict[str, Any]()
    if len(moves) != 1 or moves[0].is_nothing:
        return extra
    if (extra.get("width"), extra.get("height")) == moves[0].from_wh:
        changes["width"], changes["height"] = moves[0].to_wh
    drawn = annotated_boxes(extra)
    if drawn is not None:
        changes[ANNOTATED_KEY] = [list(moves[0].box((x0, y0, x1, y1))) for x0, y0, x1, y1 in drawn]
    return {**extra, **changes} if changes else extra


class _Mover:
    """Moves geometry; the same Box object gives the same object again."""

    def __init__(self, moves: Sequence[Move], *, ignores_masks: bool) -> None:
        self.moves = moves
        self.ignores_masks = ignores_masks
        self._boxes: dict[tuple[int, int], Box] = {}

    def candidate(self, candidate: Candidate) -> Candidate:
        """Return the candidate in its image's new pixels."""
        return replace(candidate, box=self._box(candidate.box, candidate.image))

    def region(self, region: Region) -> Region:
        """Return the region in its image's new pixels; raises RecordError and PayloadError."""
        move = self._move(region.image) if not region.is_absent else None
        if move is None or move.is_nothing:
            return region
        has_other = any((region.box, region.point, region.polygon, region.keypoints))
        mask = region.mask
        return replace(
            region,
            mask=mask if mask is None or (self.ignores_masks and has_other) else _moved_mask(mask, move),
            extra=_scaled_area(region.extra, move),
            box=None if region.box is None else self._box(region.box, region.image),
            point=None if region.point is None else self._point(region.point, region.image),
            polygon=None if region.polygon is None else self._polygon(region.polygon, region.image),
            keypoints=None if region.keypoints is None else self._keypoints(region.keypoints, region.image),
        )

    def _move(self, image: int) -> Move:
        if image >= len(self.moves):
            raise RecordError(
                "a region lies on an image that the row does not have",
                code="image-needed",
                found=f"image {image} of {len(self.moves)}",
                fix="correct the row",
            )
        return self.moves[image]

    def _box(self, box: Box, image: int) -> Box:
        key = (id(box), image)
        if key not in self._boxes:
            move = self._move(image)
            self._boxes[key] = box if move.is_nothing else Box(move.box(box.xyxy), _native(box.native, move))
        return self._boxes[key]

    def _point(self, point: Point, image: int) -> Point:
        move = self._move(image)
        return Point(move.point(point.xy), _native(point.native, move))

    def _polygon(self, polygon: Polygon, image: int) -> Polygon:
        move = self._move(image)
        rings = tuple(
            tuple(number for i in range(0, len(ring), 2) for number in move.point((ring[i], ring[i + 1])))
            for ring in polygon.rings
        )
        return Polygon(rings, _native(polygon.native, move))

    def _keypoints(self, keypoints: Keypoints, image: int) -> Keypoints:
        move = self._move(image)
        # COCO writes (0, 0, 0) for a keypoint that is not there: it has no place that could move.
        points = tuple((*move.point((x, y)), v) if v else (x, y, v) for x, y, v in keypoints.points)
        return replace(keypoints, points=points, native=_native(keypoints.native, move))


def _moved_mask(mask: Mask, move: Move) -> Mask:
    """Return a mask as run lengths in the written image's pixels; raises RecordError, PayloadError, MissingDependencyError."""
    from groundprep.dialects.mask_files import read_mask
    from groundprep.geometry.masks import decode_rle, encode_rle, largest_gap_px, move_mask, resize_mask

    from_hw = move.from_wh[::-1]
    before = (
        read_mask(mask.path, from_hw) if mask.path is not None else decode_rle(mask.counts, mask.size_hw or from_hw)
    )
    after = move_mask(before, move)
    # What is asked is where the edge lies now, in pixels of the image that was annotated: at its size, turned alike.
    turned = move_mask(before, replace(move, to_wh=upright_wh(move.from_wh, move.orientation)))
    drift_px = largest_gap_px(turned, resize_mask(after, turned.shape))
    return Mask(after.shape, encode_rle(after), drift_px=mask.drift_px + drift_px)


def _scaled_area(extra: Mapping[str, Any], move: Move) -> Mapping[str, Any]:
    """Return a region's further keys; COCO's `area`, in square pixels, follows the image."""
    area, scale = extra.get("area"), prod(move.to_wh) / prod(move.from_wh)
    if scale == 1 or not isinstance(area, int | float) or isinstance(area, bool):
        return extra
    return {**extra, "area": area * scale}


def _native(native: Native | None, move: Move) -> Native | None:
    """Return the numbers as read where they still say the same: shares of the sides, on an image that was not turned."""
    return native if native is not None and native.frame.space in SHARES and not move.turns else None


def _require_no_coordinates(record: Record, moves: Sequence[Move]) -> None:
    """Raise RecordError (`text-fixed`) if free text holds coordinates in pixels, which cannot follow the image."""
    in_shares = record.origin is not None and record.origin.row_frame.frame.space in SHARES
    if in_shares and not any(move.turns for move in moves):
        return
    held = [key for extra in _extras(record) for key in COORDINATE_KEYS if extra.get(key)]
    if held:
        raise RecordError(
            "further coordinates of the row cannot follow its image to another size or orientation",
            code="text-fixed",
            found=held[0],
            expected="coordinates in the row's own fields only",
            fix="leave the images as they are, or take the key out",
        )
    answer = record.extra.get("answer")
    texts = [turn.text for turn in record.turns if not turn.follows] + [
        text for text in (record.instruction, answer) if isinstance(text, str)
    ]
    for text in texts:
        numbers = ANY_COORDINATES.search(text)
        if numbers is not None:
            raise RecordError(
                "the row's text holds coordinates, which cannot follow its image to another size or orientation",
                code="text-fixed",
                found=numbers.group(),
                expected="coordinates in the row's own fields only",
                fix="leave the images as they are, or write the text again from the boxes",
            )


def _extras(record: Record) -> Iterator[Mapping[str, Any]]:
    """Yield the further keys of the record, and of what is annotated in it."""
    yield record.extra
    yield from (region.extra for region in (*record.answers, *record.regions))
    yield from (candidate.extra for candidate in record.candidates or ())
