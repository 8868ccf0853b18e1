"""One record per phrase, from records that hold all the phrases of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from groundprep.errors import RecordError
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage

IMAGE_ID = "image_id"
"""Where a record keeps the id of its image while its own id is that of an expression."""


class ExplodePhrases(StreamStage):
    """Split records with regions into one record per distinct phrase, in order of first appearance.

    The phrase becomes the referring expression, its category (or else the phrase) the category; regions that state its
    absence become no answer. The image's id moves to `extra.image_id`. Records that have an expression pass through.

    Args:
        by: `expression` asks for each phrase; `category` for each category, in which all its phrases answer together.
    """

    name = "explode"

    def __init__(self, by: Literal["expression", "category"] = "expression") -> None:
        super().__init__()
        self.by = by

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield one record per phrase; a record without any phrase is dropped (`no-phrase`)."""
        for record in records:
            if record.referring is not None or not (record.regions or record.origin):
                yield record
                continue
            phrases: dict[str, list[Region]] = {}
            for region in record.regions:
                phrase = region.category if self.by == "category" and region.category is not None else region.phrase
                if phrase is not None:
                    phrases.setdefault(phrase, []).append(region)
            if phrases:
                self.counts.exploded += len(phrases) - 1
                yield from _parts(record, phrases)
            elif record.instruction is not None:
                yield record
            else:
                yield _without_phrase(record)


def _parts(record: Record, phrases: dict[str, list[Region]]) -> Iterator[Record]:
    extra = record.extra if record.id is None else {IMAGE_ID: record.id, **record.extra}
    for part, (phrase, regions) in enumerate(phrases.items(), start=1):
        yield replace(
            record,
            source=replace(record.source, part=part if len(phrases) > 1 else None),
            id=None,
            referring=phrase,
            category=next((region.category for region in regions if region.category is not None), phrase),
            answers=tuple(region for region in regions if not region.is_absent),
            regions=(),
            extra=extra,
        )


def _without_phrase(record: Record) -> Dropped:
    error = RecordError(
        "the image has no phrase to ask for",
        code="no-phrase",
        source=record.source,
        fix="drop it with --on-error drop",
    )
    row: Any = record.origin.value if record.origin else None
    return Dropped(record.source, error.code, error.message, row, error)
