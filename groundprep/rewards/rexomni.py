"""Rex-Omni's three GRPO rewards: overlap of boxes, and points inside boxes or masks. Own code from their measured behaviour.

All read `<|object_ref_start|>NAME<|object_ref_end|><|box_start|><12><30>…<|box_end|>`, numbers in bins of which 1000 are the
side of the image (so a perfect answer, floored to 0…999, earns a little less than 1), and names that are equal to the letter.

Quirks kept: `box_iou` is not one to one, so a box written five times costs nothing; text without any box earns 1 where there
is none to find, even garbage; a label with boxes but no points (or no masks) does not exist for the point rewards, which then
give 1 for saying nothing; a coordinate of more than 308 digits ends `box_iou` with an AttributeError.
Source: Rex-Omni finetuning/verl/configs/reward_func.py (specs/rexomni.md §5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from groundprep.rewards.base import Score, is_number, raises, refuse, require_size_wh
from groundprep.rewards.rexthinker import without_space_around_delimiters

BINS = 1000
"""Source: specs/rexomni.md §5.1: pixel = bin / 1000 · size."""

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
    """Return `overall`: F1 of the mean best overlap on either side, in [0, 1]; None if a number is too long."""
    truth = read_truth(ground_truth)
    wanted = {label: _boxes_of(label, held) for label, held in truth.labels.items()}
    try:
        groups = _named_groups(completion, 4, truth.size_wh)
    except (OverflowError, ValueError):  # the original's handler calls a method that its class lacks
        return Score({"overall": None}, raises(AttributeError()))
    boxes = {name: [_corners_in_order(group) for group in of_name] for name, of_name in groups.items()}
    solid = {name: [b for b in of_name if b[2] > b[0] and b[3] > b[1]] for name, of_name in boxes.items()}
    return Score({"overall": _mean_best_overlaps(solid, wanted)})


def point_in_box_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of points inside the boxes of their name, edges included, in [0, 1]."""
    truth = read_truth(ground_truth)
    targets = {}
    for label, held in truth.labels.items():
        if (points := _list_of(label, held, "points")) and len(points) == len(boxes := _boxes_of(label, held)):
            targets[label] = [_in_box(box) for box in boxes]
    return _point_score(completion, targets, truth.size_wh)


def point_in_mask_score(completion: str, ground_truth: Any) -> Score:
    """Return `overall`: F1 of points on a pixel of the masks of their name, in [0, 1]. Needs the extra `masks`."""
    truth = read_truth(ground_truth)
    targets = {}
    for label, held in truth.labels.items():
        masks = _list_of(label, held, "masks")
        if masks and len(masks) == len(_list_of(label, held, "points")):
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


def _boxes_of(label: str, held: Mapping[str, Any]) -> list[Box]:
    boxes = _list_of(label, held, "boxes")
    for box in boxes:
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            refuse(box, f"boxes of {label}: [[x0, y0, x1, y1], …], finite numbers")
    return [(box[0], box[1], box[2], box[3]) for box in boxes]


def _named_groups(completion: str, length: int, size_wh: tuple[float, float]) -> dict[str, list[tuple[float, ...]]]:
    """Return name → groups of `length` numbers in pixels, x and y by turns; what is left over in a body is dropped.

    A name that is repeated goes on. Raises OverflowError or ValueError for a number that is too long.
    """
    text = without_space_around_delimiters(completion) if _SPACED.search(completion) else completion
    text = text.replace("\n", "")
    width, height = size_wh
    found: dict[str, list[tuple[float, ...]]] = {}
    for name, body in _references(text):
        bins = [int(number) / BINS for number in _BIN.findall(body)]
        pixels = [part * (height if odd % 2 else width) for odd, part in enumerate(bins)]
        groups = [tuple(pixels[i : i + length]) for i in range(0, len(pixels) - length + 1, length)]
        found.setdefault(name, []).extend(groups)
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


def _mean_best_overlaps(found: Mapping[str, list[Box]], wanted: Mapping[str, list[Box]]) -> float:
    """Return the F1 of (mean best overlap of a wanted box, mean best overlap of a found box) of equal names."""
    wanted_count = sum(map(len, wanted.values()))
    found_count = sum(map(len, found.values()))
    if not wanted_count or not found_count:
        return float(wanted_count == found_count)
    recall = precision = 0.0
    for label, targets in wanted.items():
        if not (guesses := found.get(label)) or not targets:
            continue
        rows = [[_iou(guess, target) for guess in guesses] for target in targets]
        recall += sum(map(max, rows))
        precision += sum(map(max, zip(*rows, strict=True)))
    recall, precision = recall / wanted_count, precision / found_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _iou(a: Box, b: Box) -> float:
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
    except (OverflowError, ValueError):  # caught by the original
        return Score({"overall": 0.0})
    wanted_count = sum(map(len, targets.values()))
    found_count = sum(map(len, found.values()))
    if not wanted_count or not found_count:
        return Score({"overall": float(wanted_count == found_count)})
    hits = 0
    for label, insides in targets.items():
        unused = list(found.get(label, ()))
        for inside in insides:
            hit = next((place for place, (x, y) in enumerate(unused) if inside((x, y))), None)
            if hit is not None:
                del unused[hit]
                hits += 1
    recall, precision = hits / wanted_count, hits / found_count
    return Score({"overall": 2 * precision * recall / (precision + recall) if hits else 0.0})


def _in_box(box: Box) -> Inside:
    x0, y0, x1, y1 = box
    return lambda point: x0 <= point[0] <= x1 and y0 <= point[1] <= y1


def _in_mask(mask: Any, size_wh: tuple[float, float]) -> Inside:
    """Return the test of a pixel: compressed run lengths, or rows of pixels; another form or size is always missed."""
    from groundprep.geometry.masks import decode_rle

    width, height = size_wh
    rows: Any = ()
    if isinstance(mask, dict) and isinstance(mask.get("counts"), str) and mask.get("size") == [height, width]:
        rows = decode_rle(mask["counts"], (int(height), int(width)))
    elif isinstance(mask, list) and len(mask) == height and all(isinstance(r, list) and len(r) == width for r in mask):
        rows = mask

    def inside(point: Point) -> bool:
        x, y = int(point[0]), int(point[1])
        return len(rows) > 0 and y < height and x < width and rows[y][x] > 0

    return inside
