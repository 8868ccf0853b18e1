"""Give every record its candidates: what the detector found, or its own, and the answer among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groundprep.detect.base import Detections
from groundprep.dialects.citations import require_no_citations, think_of
from groundprep.errors import LineIndexError, PayloadError, RecordError, UsageError
from groundprep.geometry.boxes import clip_boxes
from groundprep.geometry.frames import PIXELS, SizeWH
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Box, BoxXYXY, Candidate, Dropped, Native, Record, Region
from groundprep.stages.annotated import ANNOTATED_KEY, annotated_boxes
from groundprep.stages.answer_policy import (
    MATCH_IOU,
    AnswerPolicy,
    Choice,
    KeyOf,
    Order,
    PolicyCounts,
    arrange,
    choose,
)
from groundprep.stages.base import StreamStage


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """How candidates and answers are put together.

    Args:
        policy: see `answer_policy.choose`.
        match_iou: least overlap of an answer and its candidate, in (0, 1].
        order: see `answer_policy.arrange`; `legacy` keeps the detector's.
        seed: of the shuffle, together with the record's place in the input.
        keep_existing: records that have candidates keep them; nobody is asked for others.
        hint_frame: the frame in which two candidates must not be equal; None: only exact duplicates are joined.
    """

    policy: AnswerPolicy = "snap-answer"
    match_iou: float = MATCH_IOU
    order: Order = "shuffle"
    seed: int = 0
    keep_existing: bool = False
    hint_frame: RowFrame | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.match_iou <= 1.0:
            raise UsageError("--match-iou is out of range", found=self.match_iou, expected="above 0, at most 1")

    def needs_detection(self, record: Record) -> bool:
        """Say whether the detector is asked about this record."""
        return not (self.keep_existing and record.candidates is not None)


@dataclass(slots=True)
class CandidateCounts(PolicyCounts):
    """What the stage did, over all rows.

    Args:
        candidates: candidates given to records.
        kept_rows: records that kept their own candidates.
        outside: detected boxes of which nothing lies inside the image.
    """

    candidates: int = 0
    kept_rows: int = 0
    outside: int = 0


class AddCandidates(StreamStage):
    """Replace each record's candidates by detections and settle its answers; never changes the number of records.

    Args:
        settings: policy, order and frame.
        detections_of: what the detector found for a record; raises RecordError or PayloadError.
        loader: reads image sizes.
    """

    name = "add-candidates"

    def __init__(
        self,
        settings: CandidateSettings,
        detections_of: Callable[[Record], Detections],
        loader: ImageLoader,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.detections_of = detections_of
        self.loader = loader
        self.done = CandidateCounts()

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the records with candidates; one that cannot have any is dropped with the reason."""
        for record in records:
            try:
                yield self.apply(record)
            except (RecordError, PayloadError, LineIndexError) as error:
                error.at(record.source)
                row = record.origin.value if record.origin else None
                yield Dropped(record.source, error.code, error.message, row, error)

    def apply(self, record: Record) -> Record:
        """Return one record with its candidates and answers; raises RecordError if its text cites others."""
        done = self._settle(record)
        before = record.candidate_boxes_xyxy
        if record.turns and done.candidate_boxes_xyxy[: len(before)] != before:
            require_no_citations(record)
            think_of(done)  # where candidates can be renumbered, the writer does it; here, that it can
        return done

    def _settle(self, record: Record) -> Record:
        settings = self.settings
        size_wh = self.loader.size_wh(require_one_image(record))
        if settings.needs_detection(record):
            candidates = self._candidates(self.detections_of(record), size_wh)
        else:
            candidates = list(record.candidates or ())
            self.done.kept_rows += 1
        legacy = settings.policy == "legacy"
        annotated = record.answers if legacy else answers_as_annotated(record)
        choice = choose(
            settings.policy,
            candidates,
            annotated,
            match_iou=settings.match_iou,
            key_of=_key_of(settings.hint_frame, size_wh),
            counts=self.done,
        )
        self.done.candidates += len(choice.candidates)
        if legacy:
            return replace(record, candidates=tuple(replace(c, phrase=record.category) for c in choice.candidates))
        place = f"{settings.seed}:{record.source.row}:{record.source.part or 0}"
        return _with_choice(record, arrange(choice, settings.order, place), annotated)

    def _candidates(self, found: Detections, size_wh: SizeWH) -> list[Candidate]:
        """Return detections as candidates: cut to the image, unless the reference script's are asked for."""
        if self.settings.policy == "legacy":
            return [Candidate(Box(_box(numbers))) for numbers in found.boxes_N4.tolist()]
        boxes_N4 = clip_boxes(found.boxes_N4, size_wh)
        inside_N = np.all(boxes_N4[:, 2:] > boxes_N4[:, :2], axis=1)
        self.done.outside += int(np.sum(~inside_N))
        return [
            Candidate(Box(_box(numbers)), score=score)
            for numbers, score in zip(boxes_N4[inside_N].tolist(), found.scores_N[inside_N].tolist(), strict=True)
        ]


def require_one_image(record: Record) -> ImageRef:
    """Return the record's image; raises RecordError (`image-needed`) unless there is exactly one."""
    if len(record.images) != 1:
        raise RecordError(
            "candidates need a row with exactly one image", code="image-needed", found=f"{len(record.images)} images"
        )
    return record.images[0]


def answers_as_annotated(record: Record) -> tuple[Region, ...]:
    """Return the answers where a human drew them, if an earlier run moved them onto candidates and said so."""
    boxes = annotated_boxes(record.extra)
    drawn = [a for a in record.answers if a.box is not None]
    if boxes is None or not len(boxes) == len(drawn) == len(record.answers):
        return record.answers
    in_pixels = record.origin is not None and record.origin.row_frame.frame == PIXELS
    return tuple(
        replace(answer, box=Box(_box(numbers), Native(PIXELS, numbers) if in_pixels else None))
        for answer, numbers in zip(drawn, boxes, strict=True)
    )


def _with_choice(record: Record, choice: Choice, annotated: tuple[Region, ...]) -> Record:
    """Return the record with its candidates and answers; boxes that were moved are kept under `answer_annotated`."""
    candidates = tuple(c if c.phrase is not None else replace(c, phrase=record.category) for c in choice.candidates)
    drawn = [answer.box for answer in annotated if answer.box is not None]
    moved = [box.xyxy for box in drawn] != [answer.box.xyxy for answer in choice.answers if answer.box is not None]
    extra: dict[str, Any] = dict(record.extra)
    if not moved:
        extra.pop(ANNOTATED_KEY, None)
    else:
        extra.setdefault(ANNOTATED_KEY, [_numbers(box) for box in drawn])
    return replace(
        record,
        candidates=candidates,
        answers=tuple(choice.answers) if drawn else record.answers,
        extra=record.extra if extra == record.extra else extra,
    )


def _key_of(frame: RowFrame | None, size_wh: SizeWH) -> KeyOf:
    """Return what makes two boxes one hint: their numbers in the frame, or without one the boxes themselves."""
    if frame is None:
        return lambda box_xyxy: box_xyxy
    seen_wh = frame.seen_wh(size_wh)
    return lambda box_xyxy: tuple(frame.frame.box_from_stored(box_xyxy, size_wh=size_wh, seen_wh=seen_wh))


def _numbers(box: Box) -> list[float]:
    """Return a box in stored pixels, as it was read if it was read in them."""
    if box.native is not None and box.native.frame == PIXELS:
        return list(box.native.numbers)
    return list(box.xyxy)


def _box(numbers: Any) -> BoxXYXY:
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return x0, y0, x1, y1
