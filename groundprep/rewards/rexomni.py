"""Rex-Omni's three GRPO rewards: overlap of boxes, and points inside boxes or masks. Own code from their measured behaviour.

All read `<|object_ref_start|>NAME<|object_ref_end|><|box_start|><12><30>…<|box_end|>`, numbers in bins of which 1000 are the
side of the image (so a perfect answer, floored to 0…999, earns a little less than 1), and names that are equal to the letter.

Quirks kept: `box_iou` is not one to one, so a box written five times costs nothing; text without any box earns 1 where there
is none to find, even garbage; a label with boxes but no points (or no masks) does not exist for the point rewards, which then
give 1 for saying nothing; a coordinate that no float can hold (more than 308 digits) ends `box_iou` with an AttributeError,
one that Python does not read (more than 4300) costs its group alone; a box that is null in the ground truth cannot be found.
Source: Rex-Omni finetuning/verl/configs/reward_func.py (specs/rexomni.md §5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundprep.rewards.base import Score, is_number, raises, refuse, require_size_wh
from groundprep.rewards.rexthinker import without_space_around_delimiters

BINS = 1000.0
"""Source: specs/rexomni.md §5.1: pixel = bin / 1000 · size; a float, so that a bin must fit into one."""

_REF = "<|object_ref_start|>"
_REF_TO_BOX = "<|object_ref_end|><|box_start|>"
_BOX_END = "<|box_end|>"
_BIN = re.compile(r"<(\d+)>")
_SPACED = re.compile(r"\s[<>/]|[<>/]\s")

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Inside = Callable[[Point], bool]


class Truth(NamedTuple):
    """A checked ground truth: label → what it holds, and (width, height) of the image whose pixels its numbers are."""

    labels: Mapping[str, Mapping[str, Any]]
    size_wh: tuple[float, float]


def box_iou_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of the mean best overlap on either side, in [0, 1].

    None if a number is too long, or if a box is said of a name whose box is null.
    """
    truth = read_truth(ground_truth)
    wanted = {label: _boxes_of(label, held) for label, held in truth.labels.items()}
    try:
        groups = _named_groups(completion, 4, truth.size_wh)
    except OverflowError:  # the original's handler calls a method that its class lacks
        return Score({"overall": None}, raises(AttributeError()))
    boxes = {name: [_corners_in_order(group) for group in of_name] for name, of_name in groups.items()}
    solid = {name: [b for b in of_name if b[2] > b[0] and b[3] > b[1]] for name, of_name in boxes.items()}
    try:
        return Score({"overall": _mean_best_overlaps(solid, wanted)})
    except TypeError as error:  # a box that is null
        return Score({"overall": None}, raises(error))


def point_in_box_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of points inside the boxes of their name, edges included, in [0, 1].

    None if any point is left when a box that is null is looked at.
    """
    truth = read_truth(ground_truth)
    targets: dict[str, list[Inside]] = {}
    for label, held in truth.labels.items():
        boxes = _boxes_of(label, held)
        if len(boxes) == len(_list_of(label, held, "points")):
            targets[label] = [_in_box(box) for box in boxes]
    return _point_score(completion, targets, truth.size_wh)


def point_in_mask_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of points on a pixel of the masks of their name, in [0, 1]. Needs the extra `masks`."""
    truth = read_truth(ground_truth)
    targets: dict[str, list[Inside]] = {}
    for label, held in truth.labels.items():
        masks = _list_of(label, held, "masks")
        if len(masks) == len(_list_of(label, held, "points")):
            targets[label] = [_in_mask(mask, truth.size_wh) for mask in masks]
    return _point_score(completion, targets, truth.size_wh)


def read_truth(value: Any) -> Truth:
    """Return the ground truth; raises RecordError (`ground-truth`)."""
    expected = (
        '{"answer": {label: {"boxes"|"points"|"masks": […]}}, "resized_image_size": [w, h], "raw_image_size": [w, h]}'
    )
    if not isinstance(value, dict) or not isinstance(labels := value.get("answer"), dict):
        refuse(value, expected)
    for held in labels.values():
        if not isinstance(held, dict):
            refuse(held, expected)
    if "raw_image_size" in value:
        require_size_wh(value["raw_image_size"], "raw_image_size")
    return Truth(labels, require_size_wh(value.get("resized_image_size"), "resized_image_size"))


def _list_of(label: str, held: Mapping[str, Any], key: str) -> list[Any]:
    values = held.get(key, [])
    return values if isinstance(values, list) else refuse(values, f"{key} of {label}: a list")


def _boxes_of(label: str, held: Mapping[str, Any]) -> list[Box | None]:
    boxes = _list_of(label, held, "boxes")
    for box in boxes:
        if box is not None and not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            refuse(box, f"boxes of {label}: [[x0, y0, x1, y1], …], finite numbers")
    return [None if box is None else (box[0], box[1], box[2], box[3]) for box in boxes]


def _named_groups(completion: str, length: int, size_wh: tuple[float, float]) -> dict[str, list[tuple[float, ...]]]:
    """Return name → groups of `length` numbers in pixels, x and y by turns; what is left over in a body is dropped.

    A name that is repeated goes on; a group with a number that Python does not read is none. Raises OverflowError for a
    number of a group that no float can hold.
    """
    text = without_space_around_delimiters(completion) if _SPACED.search(completion) else completion
    text = text.replace("\n", "")
    width, height = size_wh
    found: dict[str, list[tuple[float, ...]]] = {}
    for name, body in _references(text):
        groups, numbers = found.setdefault(name, []), _BIN.findall(body)
        for start in range(0, len(numbers) - length + 1, length):
            try:
                bins = [int(number) for number in numbers[start : start + length]]
            except ValueError:  # caught by the original, which goes on with the next group
                continue
            groups.append(tuple([n / BINS * (height if odd % 2 else width) for odd, n in enumerate(bins)]))
    return found


def _references(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, body) from the left, each as short as it can be; a body without its end is none."""
    start = text.find(_REF)
    while start >= 0:
        start += len(_REF)
        middle = text.find(_REF_TO_BOX, start)
        end = text.find(_BOX_END, middle + len(_REF_TO_BOX)) if middle >= 0 else -1
        if end < 0:
            return
        yield text[start:middle].strip(), text[middle + len(_REF_TO_BOX) : end]
        start = text.find(_REF, end + len(_BOX_END))


def _corners_in_order(box: tuple[float, ...]) -> Box:
    a, b, c, d = box
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _mean_best_overlaps(found: Mapping[str, list[Box]], wanted: Mapping[str, list[Box | None]]) -> float:
    """Return the F1 of (mean best overlap of a wanted box, mean best overlap of a found box) of equal names.

    Each side is added up in its own order, box by box, as the original does: another order may differ in the last digit.
    Raises TypeError where a box that is null is compared.
    """
    wanted_count = sum(map(len, wanted.values()))
    found_count = sum(map(len, found.values()))
    if not wanted_count or not found_count:
        return float(wanted_count == found_count)
    recall = precision = 0.0
    best_of_found: dict[str, list[float]] = {}
    for label, targets in wanted.items():
        if not (guesses := found.get(label)) or not targets:
            continue
        rows = [[_iou(guess, target) for guess in guesses] for target in targets]
        for row in rows:
            recall += max(row)
        best_of_found[label] = [max(column) for column in zip(*rows, strict=True)]
    for label in found:
        for best in best_of_found.get(label, ()):
            precision += best
    recall, precision = recall / wanted_count, precision / found_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _iou(a: Box, b: Box | None) -> float:
    if b is None:
        raise TypeError
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def _point_score(completion: str, targets: Mapping[str, list[Inside]], size_wh: tuple[float, float]) -> Score:
    try:
        found = _named_groups(completion, 2, size_wh)
    except OverflowError:  # caught by the original
        return Score({"overall": 0.0})
    wanted_count = sum(map(len, targets.values()))
    unused = [(name, (x, y)) for name, points in found.items() for x, y in points]
    found_count = len(unused)
    if not wanted_count or not found_count:
        return Score({"overall": float(wanted_count == found_count)})
    try:
        for label, insides in targets.items():
            for inside in insides:
                hit = next((n for n, (name, point) in enumerate(unused) if inside(point) and name == label), None)
                if hit is not None:
                    del unused[hit]
    except TypeError as error:  # a box that is null
        return Score({"overall": None}, raises(error))
    matched = found_count - len(unused)
    recall, precision = matched / wanted_count, matched / found_count
    return Score({"overall": 2 * precision * recall / (precision + recall) if matched else 0.0})


def _in_box(box: Box | None) -> Inside:
    """Return the test of a point; the corners may come in any order, a box that is null raises TypeError."""

    def inside(point: Point) -> bool:
        if box is None:
            raise TypeError
        x0, y0, x1, y1 = _corners_in_order(box)
        return x0 <= point[0] <= x1 and y0 <= point[1] <= y1

    return inside


def _in_mask(mask: Any, size_wh: tuple[float, float]) -> Inside:
    """Return the test of a pixel, any value but zero being inside; a mask of another form or size is always missed."""
    width, height = size_wh
    pixels = _pixels(mask, size_wh)

    def inside(point: Point) -> bool:
        x, y = point
        if pixels is None or x >= width or y >= height:
            return False
        try:
            return bool(pixels[int(y), int(x)])
        except ValueError:  # several channels, caught by the original
            return False

    return inside


def _pixels(mask: Any, size_wh: tuple[float, float]) -> NDArray[Any] | None:
    """Return the pixels of compressed run lengths, or of rows; None for another form or size."""
    from groundprep.geometry.masks import decode_rle

    width, height = size_wh
    if isinstance(mask, dict) and isinstance(mask.get("counts"), str) and mask.get("size") == [height, width]:
        return decode_rle(mask["counts"], (int(height), int(width)))
    if not isinstance(mask, list):
        return None
    try:
        pixels = np.array(mask)
    except ValueError:  # rows of several lengths
        return None
    return pixels if pixels.shape[:2] == (height, width) else None
