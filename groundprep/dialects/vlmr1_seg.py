r"""Rows of VLM-R1's segmentation fork: a category and one shape, as a centre and a Chebyshev series.

    {"id": 1, "image": "train2014/a.jpg", "conversations": [
     {"from": "human", "value": "<image>What is the segmentation polynomial coordinates of the person."},
     {"from": "gpt", "value": "<answer>{\"centre\":[17.0,19.0],\"coeffs\":[14.3025,…],\"size\":[48,64]}</answer>"}],
     "solution": {"centre": …, "coeffs": …, "size": …}, "mask_iou": 0.8718}

The fork's older `polygon` and `polygons` and its later `mask_path` answers are read too; what is written anew is always
Chebyshev, because only that earns the format reward. `solution` is what the fork's viewer draws; the trainer overwrites it.
`mask_iou` is ours: the IoU of the drawn shape with the mask that it stands for. Most masks cannot be drawn well (geometry/
chebyshev.py says why), so it is never silent. A shape that was read as numbers and is drawn anew stands for a mask that nobody
sees any more: then it is the least that follows from what stood beside the numbers, and without that nothing is said.
Source: oguz-kolukisa/VLM-R1 @66d7e61 download_coco_dataset.py, @61d8282 draw_polygons.py, @2070f13 qwen_module.py, @6db601e
(specs/vlmr1_easydistill.md §2.1, §2.7, §2.9).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groundprep.containers.base import OutRow
from groundprep.containers.json_text import decode_value
from groundprep.dialects.answers_text import (
    IMAGE_MARK,
    SEG_END,
    SEG_START,
    between,
    is_numbers,
    parse_seg_question,
    plain_question,
    question_with_images,
    require_unreserved,
    without_answer_tags,
)
from groundprep.dialects.base import ReadContext, WriteContext, extra_keys, require_in_range
from groundprep.dialects.conversation import ConversationDialect, Reading, first_turns
from groundprep.dialects.drawn_shapes import CHEBYSHEV_KEYS, moved_shape, own_numbers, worth_of
from groundprep.dialects.mask_files import read_mask
from groundprep.errors import RecordError
from groundprep.images import ImageRef
from groundprep.record import Mask, Polygon, Record, Region

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from groundprep.geometry.chebyshev import Fit
    from groundprep.geometry.masks import MaskHW

POLYGON_KEYS = ("polygon", "polygons")
MASK_KEY = "mask_path"
TRUTH_KEY = "seg_mask_path"
"""The same file at the top of a row, which the fork's later trainer reads. Source: oguz-kolukisa/VLM-R1 @6db601e (§2.9)."""
SHAPE_KEYS = (*CHEBYSHEV_KEYS, *POLYGON_KEYS, MASK_KEY)

OLD_QUESTION = ("Segment the ", ".")
"""Source: oguz-kolukisa/VLM-R1 @61b013d (specs/vlmr1_easydistill.md §2.1)."""

IOU_DECIMALS = 4


class VlmR1Seg(ConversationDialect):
    """Rows of one shape.

    Args:
        fit: how a mask becomes numbers: as the fork does, or the best numbers of that form (slower).
        order: number of coefficients; None: the fork's.
        min_iou: the least `mask_iou` of a row that is written, 0 to 1; None: any.
    """

    name = "vlmr1-seg"
    title = "VLM-R1 Chebyshev fork: a conversation whose answer is centre, coeffs and size of a mask"
    holds = ConversationDialect.holds | {"answers.polygon", "answers.mask"}

    def __init__(self, fit: Fit = "fork", order: int | None = None, min_iou: float | None = None) -> None:
        self.fit = fit
        self.order = order
        self.min_iou = min_iou

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row is a conversation whose answer is a shape."""
        del container
        turns = first_turns(value)
        return turns is not None and parse_shape(turns[1]) is not None

    def read(self, question: str, answer: Any, images: tuple[ImageRef, ...], context: ReadContext) -> Reading:
        """Return the category and its outline or mask; another answer is only text."""
        shape = parse_shape(answer)
        phrase = parse_seg_question(question)
        official = phrase is not None and question == question_with_images(SEG_START + phrase + SEG_END, len(images))
        if phrase is None:
            phrase = between(plain_question(question), *OLD_QUESTION)
        if shape is None:
            return Reading({"instruction": plain_question(question)}, is_complete=False)
        if MASK_KEY in shape and phrase is None:
            phrase = plain_question(question)  # that form asks with the bare sentence
        region = _region(shape, phrase, images, context)
        named = (
            {"instruction": plain_question(question)} if phrase is None else {"referring": phrase, "category": phrase}
        )
        return Reading(named | {"answers": (region,)}, is_complete=official)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; raises RecordError also for a shape that is worth too little (`mask-iou-low`, `mask-iou-unknown`)."""
        row = super().format(record, context)
        own = context.own_value(record, self.name)
        if own is not None and not record.unchanged("answers") and TRUTH_KEY in self.restated(own, _answer(own)):
            del row.value[TRUTH_KEY]  # the mask of another image than the one that is written
            context.losses.lost(f"extra.{TRUTH_KEY}")
        if self.min_iou is not None:
            _require_iou(row.value, self.min_iou)
        return row

    def restated(self, value: Mapping[str, Any], answer: Any) -> tuple[str, ...]:
        """Return `solution` if it is the answer's shape, `seg_mask_path` if it is the file that the answer names."""
        shape = parse_shape(answer)
        if shape is None:
            return ()
        stated = {"solution": shape, TRUTH_KEY: shape.get(MASK_KEY)}
        return tuple(key for key, its in stated.items() if its is not None and value.get(key) == its)

    def question(self, record: Record) -> str:
        """Return the fork's question, or the record's own instruction."""
        if record.referring is None:
            return plain_question(record.instruction or "")
        return SEG_START + require_unreserved(record.referring, IMAGE_MARK) + SEG_END

    def reported(self, record: Record) -> Record:
        """Return the record without what a rewritten shape replaces."""
        is_own = record.origin is not None and record.origin.dialect == self.name
        answers = tuple(
            replace(r, extra=extra_keys(r.extra, SHAPE_KEYS)) if is_own or r.extra.keys() >= {*CHEBYSHEV_KEYS} else r
            for r in record.answers
        )
        extra = extra_keys(record.extra, ("solution", "mask_iou")) if is_own else record.extra
        return replace(record, answers=answers, extra=extra)

    def answer(
        self, record: Record, context: WriteContext, own: Mapping[str, Any] | None
    ) -> tuple[str, dict[str, Any]]:
        """Return the shape as text, and `solution` and `mask_iou`; raises RecordError."""
        if len(record.answers) != 1:
            raise RecordError(
                "a row of vlmr1-seg holds exactly one shape",
                code="one-answer-needed",
                found=f"{len(record.answers)} answers",
                expected="one mask or polygon",
                fix="ask for one object by an expression (RefCOCO does), or leave such rows out with --on-error drop",
            )
        (region,) = record.answers
        context.losses.lost("answers.box", int(region.box is not None))
        context.losses.lost("answers.phrase", int(region.phrase not in (None, record.referring)))
        shape = own_numbers(region, record, context)
        beside: dict[str, Any] = {}
        if shape is not None:
            context.losses.kept("answers.polygon")
        else:
            shape, iou = self._encoded(region, record, context)
            worth = worth_of(iou, region, record)
            beside = {} if worth is None else {"mask_iou": round(worth, IOU_DECIMALS)}
        if own is None or "solution" in own:
            beside = {"solution": shape} | beside
        return _payload(shape), beside

    def _encoded(self, region: Region, record: Record, context: WriteContext) -> tuple[dict[str, Any], float]:
        """Return the shape's numbers and the IoU that they reach, and count them as rounded by their largest gap."""
        from groundprep.geometry.chebyshev import DEFAULT_ORDER, decode, encode, encode_outline, rasterise
        from groundprep.geometry.masks import largest_gap_px

        stored_wh = context.size_wh(record, region.image)
        seen_wh = context.seen_wh(record, region.image)
        mask = _mask_of(region, stored_wh, seen_wh)
        if not mask.any():
            raise RecordError("the mask has no pixel", code="mask-empty", fix="drop it with --on-error drop")
        shape = encode(mask, self.order or DEFAULT_ORDER, self.fit)
        drawn_about = moved_shape(region, stored_wh, seen_wh)
        if drawn_about is not None:
            points_N2, centre_xy, order = drawn_about
            again = encode_outline(mask, points_N2, centre_xy, self.order or order)
            shape = again if again.iou >= shape.iou else shape
        outline_N2 = decode(shape.centre_xy, shape.coeffs)
        gap_px = largest_gap_px(mask, rasterise(outline_N2, shape.size_hw))
        if gap_px == 0 and region.polygon is not None and region.mask is None:  # the same pixels, between other points
            gap_px = _corner_gap_px(region.polygon, stored_wh, seen_wh, outline_N2)
        scale = max(stored / seen for stored, seen in zip(stored_wh, seen_wh, strict=True))
        name = "answers.polygon" if region.mask is None else "answers.mask"
        drift_px = 0.0 if region.mask is None else region.mask.drift_px
        context.losses.rounded(name, gap_px * scale + drift_px)
        value = {"centre": [*shape.centre_xy], "coeffs": [*shape.coeffs], "size": [*shape.size_hw]}
        return value, shape.iou


def _require_iou(value: Mapping[str, Any], min_iou: float) -> None:
    """Raise RecordError unless the row is no shape, or one that is known to be close enough to its mask."""
    turns = first_turns(value)
    if turns is None or parse_shape(turns[1]) is None:
        return
    iou = value.get("mask_iou")
    if iou is None or not is_numbers([iou], 1):
        raise RecordError(
            "the row was read as numbers, and how well they draw their mask is not written beside them",
            code="mask-iou-unknown",
            expected="mask_iou",
            fix="convert the masks themselves, or leave --min-mask-iou away",
        )
    if iou < min_iou:
        raise RecordError(
            "the numbers of this form draw another shape than the mask",
            code="mask-iou-low",
            found=f"mask_iou {iou}",
            expected=f"at least {min_iou:g}",
            fix="leave such rows out with --on-error drop, try --fit best, or lower --min-mask-iou",
        )


def parse_shape(answer: Any) -> dict[str, Any] | None:
    """Return the JSON object of an answer that is a shape, or None if it is another answer."""
    if not isinstance(answer, str):
        return None
    text = without_answer_tags(answer)
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        value = decode_value(text)
    except RecordError:
        return None
    is_shape = {"centre", "coeffs"} <= value.keys() or any(key in value for key in (*POLYGON_KEYS, MASK_KEY))
    return value if is_shape else None


def _answer(value: Mapping[str, Any]) -> Any:
    """Return the answer of a row that was read."""
    return value["conversations"][1]["value"]


def _payload(shape: Mapping[str, Any]) -> str:
    """Return the answer as the fork writes it: no blanks. Source: download_coco_dataset.py @66d7e61 (§2.1)."""
    return f"<answer>{json.dumps(shape, separators=(',', ':'))}</answer>"


def _region(shape: dict[str, Any], phrase: str | None, images: tuple[ImageRef, ...], context: ReadContext) -> Region:
    image = images[0] if images else None
    if {"centre", "coeffs"} <= shape.keys():
        return Region(phrase=phrase, polygon=_outline(shape, image, context), extra=shape)
    if MASK_KEY in shape:
        name = shape[MASK_KEY]
        if not isinstance(name, str):
            raise RecordError("mask_path is not a name", code="bad-answer", found=name, expected="a file name")
        return Region(phrase=phrase, mask=Mask(path=context.images.locate(name).path), extra=shape)
    (key, *_) = (key for key in POLYGON_KEYS if key in shape)
    value = shape[key]
    if not isinstance(value, list):
        raise RecordError(f"{key} is not a list", code="polygon-shape", found=value)
    is_nested = bool(value) and all(isinstance(ring, list) for ring in value)
    rings = value if is_nested else [value]
    if not rings or not all(is_numbers(ring, len(ring)) for ring in rings):
        raise RecordError("a polygon is a flat list of numbers", code="polygon-shape", found=value)
    polygons = [context.polygon(ring, image) for ring in rings]
    native = polygons[0].native if len(polygons) == 1 else None
    polygon = Polygon(tuple(ring for polygon in polygons for ring in polygon.rings), native)
    return Region(phrase=phrase, polygon=polygon, extra=shape)


def _outline(shape: Mapping[str, Any], image: ImageRef | None, context: ReadContext) -> Polygon:
    """Return the 72 points of a Chebyshev shape in the source's frame, as stored pixels; raises RecordError."""
    from groundprep.geometry.chebyshev import decode

    centre, coeffs = shape["centre"], shape["coeffs"]
    coeffs = [coeffs] if type(coeffs) in (int, float) else coeffs  # the reward accepts a single number
    if not is_numbers(centre, 2) or not isinstance(coeffs, list) or not coeffs or not is_numbers(coeffs, len(coeffs)):
        raise RecordError(
            "the shape is not a centre and coefficients",
            code="bad-answer",
            found=shape,
            expected='{"centre": [x, y], "coeffs": [c0, c1, …], "size": [height, width]}',
        )
    require_in_range([*centre, *coeffs])
    return context.polygon(decode(centre, coeffs).ravel().tolist(), image)


def _mask_of(region: Region, stored_wh: tuple[int, int], seen_wh: tuple[int, int]) -> MaskHW:
    """Return a region's mask at the size that the model sees; raises RecordError (`no-mask`, and those of masks)."""
    from groundprep.geometry.masks import decode_polygons, decode_rle, require_size_of_image, resize_mask

    (w, h), (seen_w, seen_h) = stored_wh, seen_wh
    if region.mask is not None and region.mask.path is not None:
        return resize_mask(read_mask(region.mask.path, (h, w)), (seen_h, seen_w))
    if region.mask is not None:
        mask = decode_rle(region.mask.counts, region.mask.size_hw or (h, w))
        require_size_of_image(mask.shape, stored_wh)
        return resize_mask(mask, (seen_h, seen_w))
    if region.polygon is None:
        raise RecordError(
            "an answer has neither mask nor polygon, and a row of vlmr1-seg is a shape",
            code="no-mask",
            fix="convert a data set with masks, or write boxes with --for vlmr1",
        )
    return decode_polygons([_scaled(ring, seen_w / w, seen_h / h) for ring in region.polygon.rings], (seen_h, seen_w))


def _corner_gap_px(
    polygon: Polygon, stored_wh: tuple[int, int], seen_wh: tuple[int, int], outline_N2: NDArray[np.float64]
) -> float:
    """Return how far, in pixels that the model sees, a corner of a polygon lies from the nearest point of an outline at most."""
    import numpy as np

    scales = [seen / stored for seen, stored in zip(seen_wh, stored_wh, strict=True)]
    corner_points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in polygon.rings]) * scales
    return max(float(np.hypot(*(outline_N2 - corner).T).min()) for corner in corner_points)


def _scaled(ring: Sequence[float], x_scale: float, y_scale: float) -> list[float]:
    return [number * (y_scale if place % 2 else x_scale) for place, number in enumerate(ring)]
