"""Parquet: columns typed by the dialect, small row groups, and the frame of the numbers in the file's metadata.

Hugging Face feature metadata is never written: with an `Image` feature, loaders rotate by EXIF and Rex-Thinker's fails
(specs/rexthinker.md §4.3). Row groups hold at most 100 rows or 100 MB, because `datasets` reads by row group.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundprep.config import PARQUET_ROW_GROUP_BYTES, PARQUET_ROW_GROUP_ROWS
from groundprep.containers.base import LOAD, ImagePlan, OutRow, Reader, Row, TableSpec, Writer
from groundprep.containers.behind import Behind, Syncing
from groundprep.containers.key_paths import first_place, is_non_finite
from groundprep.errors import FormatError, RecordError, SchemaError, shown
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef
from groundprep.record import Dropped, Header
from groundprep.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"groundprep"
READ_BATCH_ROWS = 32

IMAGE_STRUCT = "list<struct<bytes: binary, path: string>>"
MESSAGES = "list<struct<role: string, content: string>>"
TEXT_TYPES = ("string", MESSAGES)


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type for the few column types that dialects use."""
    import pyarrow as pa

    types = {
        "binary": pa.binary(),
        "string": pa.string(),
        MESSAGES: pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        IMAGE_STRUCT: pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    }
    return types[name]


class ParquetReader(Reader):
    """Reads a parquet file in batches."""

    container = "parquet"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        metadata = self._open().schema_arrow.metadata or {}
        profile = None
        if METADATA_KEY in metadata:
            try:
                profile = json.loads(metadata[METADATA_KEY])
            except (ValueError, RecursionError) as error:
                raise SchemaError(
                    "the file's groundprep metadata is not JSON",
                    source=path,
                    found=shown(str(error)),
                    fix="write it again",
                ) from error
            if profile is not None and not isinstance(profile, dict):
                raise SchemaError(
                    "the file's groundprep metadata is not an object", source=path, found=profile, fix="write it again"
                )
        self.header = Header(container=self.container, profile=profile)

    @property
    def columns(self) -> dict[str, Any]:
        """The file's columns, name → Arrow type, in order."""
        file = self._open()
        try:
            return {field.name: field.type for field in file.schema_arrow}
        finally:
            file.close()

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(
                "the file is not a readable parquet file", code="bad-parquet", source=self.path, found=shown(str(error))
            ) from error

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every row; raises FormatError where pages are damaged."""
        import pyarrow as pa

        file = self._open()
        number = 0
        try:
            for batch in file.iter_batches(batch_size=READ_BATCH_ROWS):
                for value in _values(batch):
                    number += 1
                    yield _row(Source(self.path, number), value)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(
                "the parquet file is damaged",
                code="bad-parquet",
                source=Source(self.path, number + 1),
                found=shown(str(error)),
            ) from error
        finally:
            file.close()


def _values(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | ValueError]:
    """Yield every row of a batch; in place of a row that Python cannot hold (text that is not UTF-8), the reason."""
    try:
        values = batch.to_pylist()
    except ValueError:
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except ValueError as error:
                yield error
        return
    yield from values


def _row(source: Source, value: dict[str, Any] | ValueError) -> Row | Dropped:
    if isinstance(value, ValueError):
        code = "bad-utf8" if isinstance(value, UnicodeDecodeError) else "wrong-type"
        error = RecordError(
            "a value of the row cannot be read",
            code=code,
            source=source,
            found=str(value),
            fix="correct the value in what wrote the file, or remove the row",
        )
    elif _holds_non_finite(value):
        error = RecordError(
            "NaN or Infinity is not a number that a trainer can learn from",
            code="not-finite",
            source=source,
            found=first_place(value, is_non_finite),
            expected="a finite number",
            fix="remove or correct the row",
        )
    else:
        return Row(source, value)
    return Dropped(source, error.code, error.message, None, error)


def _holds_non_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_holds_non_finite, value.values()))
    return isinstance(value, list) and any(map(_holds_non_finite, value))


class ParquetWriter(Writer):
    """Writes row groups of at most 100 rows or 100 MB; images uncompressed, since they are compressed already."""

    container = "parquet"
    embeds_images = True
    has_columns = True

    def __init__(self, paths: Sequence[Path], table: TableSpec, loader: ImageLoader) -> None:
        super().__init__(paths, table, loader)
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = {METADATA_KEY: json.dumps(dict(table.metadata), sort_keys=True)}
        own = pa.schema([(name, arrow_type(kind)) for name, kind in table.columns.items()])
        self.schema = pa.schema([*own, *(pa.field(name, kind) for name, kind in table.further.items())], metadata)
        text = [name for name, kind in table.columns.items() if kind in TEXT_TYPES]
        text_columns = [leaf for leaf in _leaves(own) if leaf.split(".")[0] in text]
        compression = dict.fromkeys(_leaves(own), "NONE") | dict.fromkeys(text_columns, "SNAPPY")
        self.file = pq.ParquetWriter(
            self.paths[0],
            self.schema,
            compression=compression,
            use_dictionary=text_columns,
            write_statistics=text_columns,
        )
        self._syncing_file = self.paths[0].open("rb")
        self._syncing = Syncing(self._syncing_file.fileno())
        self.rows: list[dict[str, Any]] = []
        self.group_bytes = 0
        self.behind = Behind(1)  # with the group that is collected, two are held: one could be 100 MB

    def use_thread(self) -> None:
        """Write row groups behind the rows."""
        self.behind.threaded = True

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> tuple[dict[str, Any], int]:
        """Return the row with image bytes in place, and about how many bytes it weighs."""
        del plan
        return _with_bytes(row.value, self.loader)

    def write(self, prepared: tuple[dict[str, Any], int]) -> None:
        """Collect the row; write a row group when it is full."""
        row, size = prepared
        if self.rows and (
            len(self.rows) == PARQUET_ROW_GROUP_ROWS or self.group_bytes + size > PARQUET_ROW_GROUP_BYTES
        ):
            self._flush()
        self.rows.append(row)
        self.group_bytes += size

    def _flush(self) -> None:
        rows, size, self.rows, self.group_bytes = self.rows, self.group_bytes, [], 0
        self.behind.do(lambda: self._write_group(rows, size))

    def _write_group(self, rows: list[dict[str, Any]], size: int) -> None:
        import pyarrow as pa

        columns = [_column([row.get(field.name) for row in rows], field.type) for field in self.schema]
        self.file.write_table(pa.Table.from_arrays(columns, schema=self.schema))
        if self.behind.threaded:
            self._syncing.wrote(size)

    def close(self) -> None:
        """Write the last row group and flush to disk."""
        if self.rows:
            self._flush()
        self.behind.finish()
        self.file.close()
        self._syncing.finish()
        self._syncing_file.close()

    def abort(self) -> None:
        """Close the file."""
        self.behind.stop()
        self.rows = []
        self.file.close()
        self._syncing.stop()
        self._syncing_file.close()


def _column(values: list[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column; of bytes, which are most of a group, each value where it lies: a copy would hold Python's lock."""
    import pyarrow as pa

    if not pa.types.is_binary(kind) or not all(type(value) is bytes for value in values):
        return pa.chunked_array([pa.array(values, kind)])
    return pa.chunked_array([pa.Array.from_buffers(kind, 1, [None, *_buffers(value)]) for value in values])


def _buffers(value: bytes) -> tuple[pa.Buffer, pa.Buffer]:
    """Return what Arrow makes a binary array of one value from: where it starts and ends, int32 each, and its bytes."""
    import pyarrow as pa

    return pa.py_buffer(struct.pack("=ii", 0, len(value))), pa.py_buffer(value)


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the parquet column paths of a schema whose only nested types are lists of structs."""
    import pyarrow as pa

    leaves = []
    for field in schema:
        if pa.types.is_list(field.type):
            leaves += [f"{field.name}.list.element.{child.name}" for child in field.type.value_type]
        else:
            leaves.append(field.name)
    return leaves


def _with_bytes(value: Any, loader: ImageLoader) -> tuple[Any, int]:
    """Replace every ImageRef in a row by its bytes; also return the row's weight in bytes."""
    if type(value) is str:
        return value, len(value)
    if isinstance(value, ImageRef):
        data = loader.read(value)
        return data, len(data)
    if isinstance(value, dict):
        row, weight = {}, 0
        for key, item in value.items():
            row[key], more = _with_bytes(item, loader)
            weight += more
        return row, weight
    if isinstance(value, list):
        items = [_with_bytes(item, loader) for item in value]
        return [item[0] for item in items], sum(item[1] for item in items)
    return value, 8
