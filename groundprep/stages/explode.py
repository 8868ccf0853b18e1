"""One record per phrase, from records that hold all the phrases of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from groundprep.errors import RecordError
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage

IMAGE_ID = "image_id"
"""Where a record keeps the id of its image while its own id is that of an expression."""


QUESTION_FIELDS = frozenset({"instruction", "regions"})
"""What a row must be able to hold to keep a question about several phrases whole."""


class ExplodePhrases(StreamStage):
    """Split records with regions into one record per distinct phrase, in order of first appearance.

    The phrase becomes the referring expression; the category is the record's, the region's, or else the phrase. Regions that
    state a phrase's absence become no answer. Where there are several phrases, the image's id moves to `extra.image_id`.
    Records that have an expression pass through.

    Args:
        by: `expression` asks for each phrase; `category` for each category, in which all its phrases answer together.
        keep_questions: records with a question or conversation of their own pass through too: the target can hold them.
    """

    name = "explode"

    def __init__(self, by: Literal["expression", "category"] = "expression", *, keep_questions: bool = False) -> None:
        super().__init__()
        self.by = by
        self.keep_questions = keep_questions

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield one record per phrase; a record without any phrase is dropped (`no-phrase`)."""
        for record in records:
            has_words = record.instruction is not None or (bool(record.turns) and not record.regions)
            has_question = self.keep_questions and has_words
            if record.referring is not None or has_question or not (record.regions or record.origin):
                yield record
                continue
            phrases: dict[str, list[Region]] = {}
            for region in record.regions:
                phrase = region.category if self.by == "category" and region.category is not None else region.phrase
                if phrase is not None:
                    phrases.setdefault(phrase, []).append(region)
            if phrases:
                self.counts.exploded += len(phrases) - 1
                self.losses.renamed("id", int(_moves_id(record, phrases)))
                for region in record.regions:
                    for key in (
                        region.extra if region.is_absent else ()
                    ):  # an expression without answers has no place for it
                        self.losses.lost(f"regions.extra.{key}")
                yield from _parts(record, phrases)
            elif record.instruction is not None:
                yield record
            else:
                yield _without_phrase(record)


def _parts(record: Record, phrases: dict[str, list[Region]]) -> Iterator[Record]:
    moves_id = _moves_id(record, phrases)
    for part, (phrase, regions) in enumerate(phrases.items(), start=1):
        stated = (record.category, *(region.category for region in regions), phrase)
        yield replace(
            record,
            source=replace(record.source, part=part if len(phrases) > 1 else None),
            id=None if moves_id else record.id,
            referring=phrase,
            category=next(category for category in stated if category is not None),
            answers=tuple(region for region in regions if not region.is_absent),
            regions=(),
            extra={**record.extra, IMAGE_ID: record.id} if moves_id else record.extra,
        )


def _moves_id(record: Record, phrases: Collection[str]) -> bool:
    """Say whether the id is now that of the image: ids of rows stay unique."""
    return len(phrases) > 1 and record.id is not None and IMAGE_ID not in record.extra


def _without_phrase(record: Record) -> Dropped:
    error = RecordError(
        "the image has no phrase to ask for",
        code="no-phrase",
        source=record.source,
        fix="drop it with --on-error drop",
    )
    row: Any = record.origin.value if record.origin else None
    return Dropped(record.source, error.code, error.message, row, error)
