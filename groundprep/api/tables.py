"""What a writer must know before the first row: columns, metadata, and what the sources say once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from groundprep.api.sources import Sources
from groundprep.api.units import header_of
from groundprep.containers import Reader, TableSpec, Writer
from groundprep.containers.parquet import ParquetReader
from groundprep.containers.selected import SelectedReader
from groundprep.dialects import Dialect


def table_of(
    sources: Sources, dialect: Dialect, writer_type: type[Writer], metadata: Mapping[str, Any] | None
) -> TableSpec:
    """Return the table to write: the dialect's columns and, from tables of the same dialect, their further ones."""
    further = _further_columns(sources, dialect) if writer_type.has_columns else {}
    return TableSpec(dialect.columns, metadata or {}, header_of(sources), further)


def _further_columns(sources: Sources, dialect: Dialect) -> dict[str, Any]:
    """Return the columns of the sources that the dialect does not know, if they have one type in all of them."""
    known = {field.encode_name for field in msgspec.structs.fields(dialect.row_type)} | dialect.columns.keys()
    further: dict[str, Any] = {}
    torn: set[str] = set()
    for reader, source in zip(sources.readers, sources.dialects, strict=True):
        table = _table(reader)
        if table is None or source.name != dialect.name:
            continue
        for name, kind in table.columns.items():
            if name not in known and further.setdefault(name, kind) != kind:
                torn.add(name)
    return {name: kind for name, kind in further.items() if name not in torn}


def _table(reader: Reader) -> ParquetReader | None:
    inner = reader.reader if isinstance(reader, SelectedReader) else reader
    return inner if isinstance(inner, ParquetReader) else None
