"""polars reads a parquet file, whole and lazily."""

from __future__ import annotations

from typing import Any

import polars as pl
from protocol import answer, plain


def judge(path: str) -> dict[str, Any]:
    """Return every row, image bytes by their SHA-256."""
    table = pl.read_parquet(path)
    lazily = pl.scan_parquet(path).select(pl.len()).collect().item()
    if lazily != table.height:
        raise ValueError(f"{table.height} rows read, {lazily} rows scanned")
    return {"features": str(table.schema), "sizes": None, "rows": [plain(row) for row in table.to_dicts()]}


if __name__ == "__main__":
    answer("polars", judge)
