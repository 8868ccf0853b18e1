"""`read` and `write`: records in Python, through the very pipeline that `convert` runs.

    header, records = groundprep.read("train.jsonl", image_root="images")
    groundprep.write((r for r in records if r.answers), "out/train.parquet", header=header, for_="easyr1")

Records are never mutated: `dataclasses.replace(record, …)` makes another. A row is written from what its record says; a field
that was not replaced keeps the numbers, key order and unknown keys of the row that it was read from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, cast

from groundprep.api.conversion import Job, run_config
from groundprep.api.convert_config import ConvertConfig, ConvertResult
from groundprep.api.destination import write_output
from groundprep.api.image_edits import ExifMode, ResizeMode
from groundprep.api.mixture import Part
from groundprep.api.sources import SourceConfig, Sources, accept_declared_sizes, open_sources
from groundprep.api.target import resolve_profile, resolve_target
from groundprep.api.units import header_of
from groundprep.containers.base import Reader, Row
from groundprep.containers.choice import ALL
from groundprep.containers.selected import Selection
from groundprep.corpora import get_row_dialect
from groundprep.dialects import Dialect, ReadContext
from groundprep.errors import UsageError
from groundprep.geometry.frames import PIXELS
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.output import Output
from groundprep.pipeline import OnError, Pipeline
from groundprep.profile import RowFrame
from groundprep.record import Dropped, Header, Record

MEMORY = "<records>"
"""What messages name as the source of records that were given."""


class DataSet(NamedTuple):
    """What `read` returns; unpacks as `header, records`."""

    header: Header
    records: Iterator[Record]


class ReadOptions(TypedDict, total=False):
    """Options of `read`; see `SourceConfig`."""

    from_name: str | None
    image_root: str | None
    source_frame: str | None
    annotations: str | None
    images: str | None


class WriteOptions(TypedDict, total=False):
    """Options of `write`; see `ConvertConfig`."""

    to: str | None
    dialect: str | None
    image_out: str | None
    frame: Literal["trainer", "converter"]
    min_pixels: int | None
    max_pixels: int | None
    resize: ResizeMode
    exif: ExifMode
    crowds: Literal["keep", "drop"]
    verify: Literal["header", "decode"]
    dedupe_images: bool
    strict_lossless: bool
    on_error: OnError
    overwrite: bool
    fresh: bool
    workers: int | None


def read(
    *src: str | Path,
    limit: int | None = None,
    on_drop: Callable[[Dropped], None] | None = None,
    **options: Unpack[ReadOptions],
) -> DataSet:
    """Open sources of any layout; returns their header and an iterator of their records, in order.

    Args:
        src: one or more sources, as on the command line.
        limit: read at most so many rows.
        on_drop: receives every bad row; None: the first one raises.
        options: where image names start, what the numbers mean, …

    Raises FormatError and UsageError at once, RecordError and PayloadError while records are taken.
    """
    config = SourceConfig(tuple(map(str, src)), **options)
    loader = ImageLoader()
    sources = open_sources(config, loader)
    accept_declared_sizes(loader, sources)
    pipeline = Pipeline(on_error="fail" if on_drop is None else "drop", keep_dropped=on_drop)
    records = pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=limit)
    return DataSet(replace(header_of(sources), dialect=sources.dialects[0].name), records)


def write(
    records: Iterable[Record],
    dst: str | Path,
    *,
    header: Header | None = None,
    for_: str | None = None,
    **options: Unpack[WriteOptions],
) -> ConvertResult:
    """Write records as `convert` writes them: in order, atomically, with counts, losses and a manifest.

    Args:
        records: what to write; taken one by one, so that a generator needs no memory.
        dst: destination; a prefix for tsv.
        header: what the data set says once; the one that `read` returned, or your own.
        for_: the trainer to write for, `NAME[@REV]`.
        options: the other flags of `convert`.

    Raises what `convert` raises. A finished output under that name is only replaced with `overwrite=True`: records in memory
    cannot be compared with what it was made from.
    """
    config = ConvertConfig(SourceConfig((MEMORY,)), str(dst), for_, **options)
    loader = ImageLoader(verify=config.verify)
    sources = _sources_of(records, header or Header(), loader)
    accept_declared_sizes(loader, sources)
    target = resolve_target(config, sources, resolve_profile(config))
    output = Output(config.dst, target.writer_type.suffixes, run_config("write", config, sources, target))
    if output.completed(overwrite=config.overwrite, fresh=config.fresh) is not None:
        raise UsageError(
            "the destination is there, and records in memory cannot be compared with what it was made from",
            code="output-differs",
            source=config.dst,
            fix="pass overwrite=True to replace it, or choose another destination",
        )
    return write_output(Job(config, sources, target, loader), output)


class _GivenRecords(Reader):
    """Records that exist already, as rows that hold them."""

    container = "records"

    def __init__(self, records: Iterable[Record], header: Header) -> None:
        super().__init__(MEMORY)
        self.records = records
        self.header = header

    @property
    def files(self) -> list[Path]:
        """No file."""
        return []

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield a row per record."""
        return (Row(record.source, {"record": record}) for record in self.records)


class _GivenDialect:
    """A dialect whose rows hold their record; in all else the dialect that the records were read in."""

    def __init__(self, inner: Dialect) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record."""
        del context
        record: Record = row.value["record"]
        return record


def _sources_of(records: Iterable[Record], header: Header, loader: ImageLoader) -> Sources:
    """Return records as an opened source; the first one says in which layout and frame they were read."""
    iterator = iter(records)
    first = next(iterator, None)
    if first is None:
        raise UsageError("there are no records to write", expected="at least one record")
    origin = first.origin
    if origin is not None:
        name, row_frame = origin.dialect, origin.row_frame
    else:
        name, row_frame = "rexthinker" if first.referring is not None else "rexomni", RowFrame(PIXELS)
    dialect = cast("Dialect", _GivenDialect(get_row_dialect(name)))
    context = ReadContext(ImageRoot(None), loader, row_frame)
    reader = _GivenRecords(chain((first,), iterator), header)
    return Sources((reader,), (dialect,), (context,), (Part(MEMORY, Selection(ALL)),))
