"""HumanRef-CoT's annotations: all persons of an image, which of them an expression means, and the reasoning.

    {"gt_boxes": [[x, y, w, h], …], "region_map": {"the man with a dog": [1]}, "think": "Person 2 …"}

They live in a TSV beside base64 images. Boxes are x, y, width, height in pixels of the stored image; `region_map` counts
candidates from 0, the text from 1. Wherever candidates have moved, both are written again.
Source: Rex-Thinker tools/visualize_humanref_cot.py @5038b47 (specs/rexthinker.md §5.1; one of its docstrings claims xyxy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from groundprep.containers.base import OutRow, Row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys, report_unheld
from groundprep.dialects.citations import THINK, think_of
from groundprep.dialects.kept import report_kept
from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES
from groundprep.images import ImageRef
from groundprep.record import Box, BoxXYXY, Candidate, Record, Region, Turn

CATEGORY = "person"
"""Every candidate of this data set is a person. Source: specs/rexthinker.md §5.1."""

FIELDS = ("candidates", "regions", "answers", "referring", "turns")


class HumanRefCotRow(Struct):
    """A row; further keys are kept."""

    gt_boxes: list[list[int | float]]
    region_map: dict[str, list[int]]
    think: str | UnsetType = UNSET


class HumanRefCot(Dialect):
    """Rows of one image: its persons, and the expressions that mean some of them."""

    name = "humanref-cot"
    title = "HumanRef-CoT annotations: gt_boxes (xywh), region_map, think"
    containers = ("tsv",)
    unit = "image"
    row_type = HumanRefCotRow
    frame = FRAMES["pixels-xywh"]
    holds = frozenset({"images", "referring", "regions", "answers", "candidates", "extra"})

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row has gt_boxes and a region_map."""
        del container
        return isinstance(value.get("gt_boxes"), list) and isinstance(value.get("region_map"), dict)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one image; each expression's persons are regions that know their candidate."""
        typed = convert_row(row.value, HumanRefCotRow)
        image = None if row.image is None else ImageRef(None, row.image)
        candidates = tuple(Candidate(context.box(box, image), CATEGORY) for box in row.value["gt_boxes"])
        regions: list[Region] = []
        for expression, indices in typed.region_map.items():
            regions += [_region(expression, index, candidates) for index in indices] or [Region(expression)]
        return Record(
            source=row.source,
            images=() if image is None else (image,),
            category=CATEGORY,
            regions=tuple(regions),
            candidates=candidates,
            turns=() if typed.think is UNSET else (Turn(THINK, typed.think),),
            extra=extra_keys(row.value, HumanRefCotRow.__struct_fields__),
        ).with_origin(self.name, row.value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row; indices and cited numbers follow the candidates."""
        own = context.own_value(record, self.name)
        _report(record, self.holds, context)
        value = dict(own) if own is not None else {}
        if own is not None and context.reads_as_written(record) and all(map(record.unchanged, FIELDS)):
            context.losses.kept("candidates.box", len(record.candidates or ()))
            report_kept(record.regions, "regions", context.losses)
        else:
            boxes = _candidate_boxes(record)
            if record.candidates is None:  # the annotated boxes are all that is known
                context.losses.added("candidates", len(boxes) or 1)
            value["gt_boxes"] = [context.box_numbers(box, record, "candidates.box") for box in boxes]
            value["region_map"] = _region_map(record, boxes)
            name, said = ("regions", record.regions) if record.referring is None else ("answers", record.answers)
            context.losses.kept(f"{name}.box", sum(region.box is not None for region in said))
        think = think_of(record)
        if think is not None:
            value["think"] = think
        if own is None or not record.unchanged("extra"):
            value |= extra_keys(record.extra, HumanRefCotRow.__struct_fields__)
        return OutRow(value, record.images[0] if len(record.images) == 1 else None)


def _region(expression: str, index: int, candidates: Sequence[Candidate]) -> Region:
    if not 0 <= index < len(candidates):
        raise RecordError(
            "region_map names a box that is not there",
            code="region-index",
            found=index,
            expected=f"an index from 0 to {len(candidates) - 1}" if candidates else "no index: gt_boxes is empty",
            fix="correct the row: indices count from 0",
        )
    return Region(expression, box=candidates[index].box, candidate=index)


def _report(record: Record, holds: frozenset[str], context: WriteContext) -> None:
    if all(turn.role == THINK for turn in record.turns):
        holds |= {"turns"}
    if record.category == CATEGORY:
        holds |= {"category"}
    lost = set(record.extra) & set(HumanRefCotRow.__struct_fields__)
    report_unheld(record, holds, context.losses, lost_extra=lost, keeps_names=False)
    phrases = [candidate.phrase for candidate in record.candidates or ()]
    context.losses.lost("candidates.phrase", sum(phrase not in (None, CATEGORY) for phrase in phrases))
    context.losses.added("candidates.phrase", sum(phrase != CATEGORY for phrase in phrases))
    context.losses.added("category", int(record.category != CATEGORY))


def _expressions(record: Record) -> dict[str, list[Region]]:
    """Return expression → its regions, in order of first appearance; raises RecordError for a region without words."""
    if record.referring is not None:
        return {record.referring: [region for region in record.answers if not region.is_absent]}
    named: dict[str, list[Region]] = {}
    for region in record.named_regions:
        if region.phrase is None:
            raise RecordError("a region has no phrase, which a humanref-cot row needs", code="no-phrase")
        named.setdefault(region.phrase, []).extend([] if region.is_absent else [region])
    if not named and record.origin is None:
        raise RecordError("the record has no expression, which a humanref-cot row needs", code="no-expression")
    return named


def _candidate_boxes(record: Record) -> list[Box]:
    """Return the candidates' boxes; without candidates, the annotated boxes are the only persons that are known."""
    if record.candidates is not None:
        return [candidate.box for candidate in record.candidates]
    boxes: dict[BoxXYXY, Box] = {}
    for region in (*record.answers, *record.regions):
        if region.box is not None:
            boxes.setdefault(region.box.xyxy, region.box)
    return list(boxes.values())


def _region_map(record: Record, boxes: Sequence[Box]) -> dict[str, list[int]]:
    places = {id(box): place for place, box in enumerate(boxes)}
    equal = {box.xyxy: place for place, box in reversed(list(enumerate(boxes)))}
    return {
        expression: [_place(region, places, equal, boxes) for region in regions]
        for expression, regions in _expressions(record).items()
    }


def _place(region: Region, places: dict[int, int], equal: dict[BoxXYXY, int], boxes: Sequence[Box]) -> int:
    """Return the index of the candidate that the region is; raises RecordError (`answer-not-candidate`, `no-box`)."""
    if region.box is None:
        raise RecordError("an answer has no box, and candidates are boxes", code="no-box", found="a point or mask only")
    place = places.get(id(region.box))
    said = region.candidate
    if place is None and said is not None and 0 <= said < len(boxes) and boxes[said].xyxy == region.box.xyxy:
        place = said
    place = equal.get(region.box.xyxy) if place is None else place
    if place is None:
        raise RecordError(
            "an answer is none of the candidates, and a humanref-cot row names answers by candidate",
            code="answer-not-candidate",
            found=list(region.box.xyxy),
            fix="run `groundprep add-candidates` first: its answer policies make answers candidates",
        )
    return place
