"""One record per phrase, from records that hold all the phrases of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from groundprep.errors import RecordError
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage


QUESTION_FIELDS = frozenset({"instruction", "regions"})
"""What a row must be able to hold to keep a question about several phrases whole."""


class ExplodePhrases(StreamStage):
    """Split records with regions into one record per distinct phrase, in order of first appearance.

    The phrase becomes the referring expression and, unless the record has one, the category; regions that state its absence become no answer.
    Records that already have an expression pass through.

    Args:
        keep_questions: records with a question of their own pass through too: the target can hold them.
    """

    name = "explode"

    def __init__(self, *, keep_questions: bool = False) -> None:
        super().__init__()
        self.keep_questions = keep_questions

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield one record per phrase; a record without any phrase is dropped (`no-phrase`)."""
        for record in records:
            has_question = self.keep_questions and record.instruction is not None
            if record.referring is not None or has_question or not (record.regions or record.origin):
                yield record
                continue
            phrases: dict[str, list[Region]] = {}
            for region in record.regions:
                if region.phrase is not None:
                    phrases.setdefault(region.phrase, []).append(region)
            if not phrases:
                if record.instruction is not None:
                    yield record
                    continue
                error = RecordError(
                    "the image has no phrase to ask for",
                    code="no-phrase",
                    source=record.source,
                    fix="drop it with --on-error drop",
                )
                row = record.origin.value if record.origin else None
                yield Dropped(record.source, error.code, error.message, row, error)
                continue
            self.counts.exploded += len(phrases) - 1
            for part, (phrase, regions) in enumerate(phrases.items(), start=1):
                yield replace(
                    record,
                    source=replace(record.source, part=part if len(phrases) > 1 else None),
                    referring=phrase,
                    category=phrase if record.category is None else record.category,
                    answers=tuple(region for region in regions if not region.is_absent),
                    regions=(),
                )
