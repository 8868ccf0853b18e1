"""Rows of a parquet file as `datasets` hands them to a trainer, and what the trainers ask of the image column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.spec_readers.facts import RefusedError


def rows_of(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows as Python values; raises RefusedError if Hugging Face metadata would decode columns (§4.3)."""
    table = pq.read_table(path)
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is not None and '"_type": "Image"' in json.dumps(json.loads(metadata)):
        raise RefusedError("the column has the Image feature: decoded images are no bytes, and come turned by EXIF")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
