"""The fixes that are safe and leave no choice: corners in order, boxes inside, every hint once, answers on hints, plain words.

Nothing is guessed: a box of which less than half lies in the image, an answer that two hints overlap, a phrase of which nothing
would be left stay as they are, for a person to decide. Every change is listed; the record that came in is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from groundprep.checks.boxes import OUTSIDE_TOLERANCE_PX
from groundprep.geometry.boxes import area, clip_boxes, iou_matrix
from groundprep.geometry.frames import SizeWH
from groundprep.profile import RowFrame
from groundprep.record import Box, BoxXYXY, Candidate, Native, Record, Region
from groundprep.stages.annotated import ANNOTATED_KEY
from groundprep.stages.answer_policy import MATCH_IOU

LEAST_INSIDE = 0.5
"""A box of which less lies in the image is in another frame or of another image: cutting it would hide that."""

KINDS = ("corners-reordered", "box-clipped", "hint-merged", "answer-snapped", "words-normalised")

Item = TypeVar("Item", Region, Candidate)


class Change(NamedTuple):
    """One thing that was changed: what (one of `KINDS`), where in the record, and the value before and after."""

    kind: str
    where: str
    before: object
    after: object


def plain_words(text: str) -> str:
    """Return a text without control characters, surrounding blanks and double blanks."""
    kept = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(kept.split())


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """What may be repaired.

    Args:
        hint_frame: the frame in which two hints must not be equal; None: as they are.
        snap: move answers onto hints; for trainers whose reward is equality with a hint.
        words: a phrase as it should be written; the default leaves out surrounding, double and control characters.
    """

    hint_frame: RowFrame | None = None
    snap: bool = False
    words: Callable[[str], str] = plain_words


def repair(record: Record, sizes_wh: Sequence[SizeWH | None], settings: RepairSettings) -> tuple[Record, list[Change]]:
    """Return the record with what can be repaired safely, and the changes; the same object if there are none.

    Args:
        record: any record.
        sizes_wh: (width, height) of its images, in order; None where unknown: then no box is cut.
        settings: what may be repaired.
    """
    changes: list[Change] = []
    fixed = _boxes_repaired(record, sizes_wh, changes)
    if fixed.candidates and len(fixed.images) == 1:
        fixed = _hints_merged(fixed, _key_of(settings.hint_frame, sizes_wh[0]), changes)
        if settings.snap:
            fixed = _answers_snapped(fixed, _key_of(settings.hint_frame, sizes_wh[0]), changes)
    fixed = _words_normalised(fixed, settings.words, changes)
    return (fixed, changes) if changes else (record, [])


def _boxes_repaired(record: Record, sizes_wh: Sequence[SizeWH | None], changes: list[Change]) -> Record:
    """Return the record with ordered corners and boxes inside their images; equal boxes stay the same object."""
    known: dict[tuple[int, int], Box] = {}

    def fixed(item: Item, where: str) -> Item:
        if item.box is None:
            return item
        key = (id(item.box), item.image)
        size_wh = sizes_wh[item.image] if item.image < len(sizes_wh) else None
        box = known.setdefault(key, _box_repaired(item.box, size_wh))
        if box is item.box:
            return item
        kind = KINDS[0] if _ordered(item.box.xyxy) != item.box.xyxy else KINDS[1]
        changes.append(Change(kind, where, list(item.box.xyxy), list(box.xyxy)))
        return replace(item, box=box)

    before = len(changes)
    answers = tuple([fixed(answer, f"answer {i}") for i, answer in enumerate(record.answers)])
    regions = tuple([fixed(region, f"region {i}") for i, region in enumerate(record.regions)])
    candidates = tuple([fixed(candidate, f"candidate {i}") for i, candidate in enumerate(record.candidates or ())])
    if len(changes) == before:
        return record
    same = None if record.candidates is None else candidates
    return replace(record, answers=answers, regions=regions, candidates=same)


def _ordered(box_xyxy: BoxXYXY) -> BoxXYXY:
    x0, y0, x1, y1 = box_xyxy
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _box_repaired(box: Box, size_wh: SizeWH | None) -> Box:
    """Return the box in order and inside its image, or the very same object."""
    xyxy = _ordered(box.xyxy)
    if size_wh is not None:
        cut_14 = clip_boxes([xyxy], size_wh)
        far = float(abs(cut_14[0] - xyxy).max()) > OUTSIDE_TOLERANCE_PX
        inside = float(area(cut_14)[0])
        if far and 0 < inside >= LEAST_INSIDE * float(area([xyxy])[0]):
            x0, y0, x1, y1 = cut_14[0].tolist()
            xyxy = (x0, y0, x1, y1)
    return box if xyxy == box.xyxy else Box(xyxy, _whole(box.native, xyxy))


def _whole(native: Native | None, xyxy: BoxXYXY) -> Native | None:
    """Return the new box in the numbers that it was read in, if these are whole numbers of stored pixels and can stay so."""
    if native is None or native.frame.needs_size or not all(type(number) is int for number in native.numbers):
        return None
    numbers = native.frame.box_from_stored(xyxy, size_wh=(0, 0))
    return Native(native.frame, [int(n) for n in numbers]) if all(float(n).is_integer() for n in numbers) else None


def _key_of(frame: RowFrame | None, size_wh: SizeWH | None) -> Callable[[BoxXYXY], Hashable]:
    """Return what makes two boxes one hint: their numbers in the frame, or the boxes themselves."""
    if frame is None or size_wh is None:
        return lambda box_xyxy: box_xyxy
    seen_wh = frame.seen_wh(size_wh)
    return lambda box_xyxy: tuple(frame.frame.box_from_stored(box_xyxy, size_wh=size_wh, seen_wh=seen_wh))


def _hints_merged(record: Record, key_of: Callable[[BoxXYXY], Hashable], changes: list[Change]) -> Record:
    """Return the record with every hint once: the first of equal ones stays, answers follow."""
    places: dict[Hashable, int] = {}
    kept: list[Candidate] = []
    new_place: list[int] = []
    for index, candidate in enumerate(record.candidates or ()):
        place = places.setdefault(key_of(candidate.box.xyxy), len(kept))
        new_place.append(place)
        if place == len(kept):
            kept.append(candidate)
        else:
            changes.append(Change("hint-merged", f"candidate {index}", list(candidate.box.xyxy), f"candidate {place}"))
    if len(kept) == len(new_place):
        return record
    answers = tuple(
        [a if a.candidate is None else replace(a, candidate=new_place[a.candidate]) for a in record.answers]
    )
    return replace(record, candidates=tuple(kept), answers=answers)


def _answers_snapped(record: Record, key_of: Callable[[BoxXYXY], Hashable], changes: list[Change]) -> Record:
    """Return the record with each answer on the one hint that overlaps it enough, where there is one and it is free.

    What a person drew stays under `answer_annotated`, as add-candidates keeps it.
    """
    candidates = record.candidates or ()
    boxes = [candidate.box.xyxy for candidate in candidates]
    keys = [key_of(box) for box in boxes]
    answers: list[Region] = list(record.answers)
    taken = {key_of(a.box.xyxy) for a in answers if a.box is not None}
    moved: list[Change] = []
    for index, answer in enumerate(record.answers):
        if answer.box is None or key_of(answer.box.xyxy) in keys:
            continue
        near = [int(place) for place in (iou_matrix([answer.box.xyxy], boxes)[0] >= MATCH_IOU).nonzero()[0]]
        if len(near) == 1 and keys[near[0]] not in taken:
            taken.add(keys[near[0]])
            box = candidates[near[0]].box
            answers[index] = replace(answer, box=box, candidate=near[0])
            moved.append(Change("answer-snapped", f"answer {index}", list(answer.box.xyxy), list(box.xyxy)))
    if not moved:
        return record
    changes += moved
    drawn = [list(answer.box.xyxy) for answer in record.answers if answer.box is not None]
    return replace(record, answers=tuple(answers), extra={ANNOTATED_KEY: drawn, **record.extra})


def _words_normalised(record: Record, words: Callable[[str], str], changes: list[Change]) -> Record:
    """Return the record with its expression, category and phrases normalised, where something is left of them."""
    known: dict[str, str] = {}

    def fixed(text: str | None, where: str) -> str | None:
        if text is None:
            return None
        if text not in known:
            known[text] = words(text) or text
            if known[text] != text:  # told once, though a row may say it many times
                changes.append(Change("words-normalised", where, text, known[text]))
        return known[text]

    before = len(changes)
    referring, category = fixed(record.referring, "expression"), fixed(record.category, "category")
    answers = tuple([_with_words(a, fixed, f"answer {i}") for i, a in enumerate(record.answers)])
    regions = tuple([_with_words(r, fixed, f"region {i}") for i, r in enumerate(record.regions)])
    candidates = tuple([_with_words(c, fixed, f"candidate {i}") for i, c in enumerate(record.candidates or ())])
    if len(changes) == before:
        return record
    same = None if record.candidates is None else candidates
    return replace(record, referring=referring, category=category, answers=answers, regions=regions, candidates=same)


def _with_words(item: Item, fixed: Callable[[str | None, str], str | None], where: str) -> Item:
    phrase = fixed(item.phrase, where)
    return item if phrase == item.phrase else replace(item, phrase=phrase)
