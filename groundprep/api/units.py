"""What a row is, an expression, a category or an image; and what turns the source's rows into the target's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from groundprep.api.sources import Sources
from groundprep.corpora import CORPORA
from groundprep.dialects import Dialect
from groundprep.profile import Unit
from groundprep.record import Header
from groundprep.stages.base import StreamStage
from groundprep.stages.explode import QUESTION_FIELDS, ExplodePhrases
from groundprep.stages.group import GroupByImage


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A stage that was inserted.

    Args:
        stage: its name.
        source, target: what a row was, and is now.
    """

    stage: Literal["explode", "group"]
    source: Unit
    target: Unit

    def __str__(self) -> str:
        if self.stage == "group":
            return "group: the rows of an image become one row"
        what = "category" if self.target == "category" else "phrase"
        return f"explode: each image becomes one row for every {what}"


def unit_changes(sources: Sources, target: Unit | None, container: str) -> tuple[UnitChange, ...]:
    """Return the stages that turn the sources' rows into rows of the target's unit; none where it takes what comes.

    Args:
        sources: what is read.
        target: what one row shall be; None: whatever it is.
        container: where rows go: a corpus lists each image once, whatever the sources say.
    """
    units = {dialect.unit for dialect in sources.dialects}
    if target is None:
        return ()
    source: Unit = "expression" if "expression" in units else "category" if "category" in units else "image"
    if target == "image":
        listed_once = len(sources.readers) == 1 and sources.readers[0].container in CORPORA
        mixed = any(dialect.mixes_units for dialect in sources.dialects)
        if units == {"image"} and not mixed and (container not in CORPORA or listed_once):
            return ()
        source = "expression" if mixed else source
        return (UnitChange("group", source, "image"),)
    if target == "category":
        grouped = (UnitChange("group", "expression", "image"),) if "expression" in units else ()
        exploded = (UnitChange("explode", "image", "category"),) if units != {"category"} else ()
        return grouped + exploded
    return (UnitChange("explode", "image", "expression"),) if "image" in units else ()


def stages_for(changes: tuple[UnitChange, ...], dialect: Dialect, scratch: Path | None) -> Iterator[StreamStage]:
    """Yield the stages; `scratch` is a directory for their nameless files, None the system's."""
    for change in changes:
        if change.stage == "group":
            yield GroupByImage(scratch, keep_questions=dialect.holds >= QUESTION_FIELDS)
        else:
            by: Literal["expression", "category"] = "category" if change.target == "category" else "expression"
            yield ExplodePhrases(by, keep_questions=dialect.holds >= QUESTION_FIELDS)


def header_of(sources: Sources) -> Header:
    """Return what the sources say once; of categories with one id in several sources the first one's."""
    headers = [reader.header for reader in sources.readers]
    first = headers[0]
    if len(headers) == 1:
        return first
    categories = {key: name for header in reversed(headers) for key, name in header.categories.items()}
    entries = {key: entry for header in reversed(headers) for key, entry in header.category_entries.items()}
    licences = [dict(licence) for header in headers for licence in header.licences]
    distinct = [licence for place, licence in enumerate(licences) if licence not in licences[:place]]
    return replace(first, categories=categories, category_entries=entries, licences=distinct)
