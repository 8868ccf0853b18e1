"""The run: rows → records → stages → rows, with every row counted and every drop kept.

This is where the rows of a conversion are counted, and where a bad row is dropped or stops the run.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from groundprep.checks.box_batch import Boxes, boxes_of, check_boxes
from groundprep.checks.identity import IdentityWatch
from groundprep.checks.images import declared_size_wh
from groundprep.containers import Reader, Row, Writer
from groundprep.containers.base import LOAD, ImagePlan
from groundprep.containers.selected import SelectedReader
from groundprep.dialects import Dialect, ReadContext, WriteContext
from groundprep.dialects.refused_numbers import NumbersError
from groundprep.engine.busy import map_while_busy
from groundprep.engine.local import ordered_map
from groundprep.errors import CountError, FormatError, GroundprepError, LineIndexError, PayloadError, RecordError
from groundprep.geometry.frames import SizeWH
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from groundprep.record import Dropped, Record
from groundprep.run_result import RunResult
from groundprep.stages.base import BatchStage, StreamStage

OnError: TypeAlias = Literal["fail", "drop"]

CHUNK_RECORDS = 16
PLAIN_CHUNK_RECORDS = 64
"""Records without image bytes are small; checks of many at once cost less each."""

CHECKED_RECORDS = 64
"""Records whose boxes are checked at once; those whose image lies in the row itself are not kept that long."""

COLLECTION_THRESHOLD = 100_000
"""More objects than a run has alive at once, several times over."""

STAGE_CHUNK_RECORDS = 4
"""Few, because a record of a batch stage may mean an image to decode and encode."""
ROW_ERRORS = (RecordError, PayloadError, LineIndexError)
"""What makes one row undeliverable; every other error ends the run."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for reference cycles rarely: records hold none, and looking took a third of a run's time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], COLLECTION_THRESHOLD), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Pipeline:
    """One run over one or more sources.

    Args:
        on_error: `fail` ends the run at the first bad row; `drop` hands it to `keep_dropped` and goes on.
        keep_dropped: receives every dropped row, in order.
    """

    def __init__(self, *, on_error: OnError = "fail", keep_dropped: Callable[[Dropped], None] | None = None) -> None:
        self.on_error = on_error
        self.keep_dropped = keep_dropped
        self.result = RunResult()
        self._identities = IdentityWatch()
        self._waiting: list[Dropped] | None = None

    def records(
        self,
        readers: Sequence[Reader],
        dialects: Sequence[Dialect],
        contexts: Sequence[ReadContext],
        *,
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Yield the records of the sources in order; counts rows and settles bad ones."""
        selected = [reader for reader in readers if isinstance(reader, SelectedReader)]
        for selection in selected:
            selection.reset()
        with closing(_rows(readers, dialects, contexts)) as rows:
            for row, dialect, context in islice(rows, limit):
                self.result.counts.read += 1
                item = parse(row, dialect, context)
                if isinstance(item, Dropped):
                    self.settle(item)
                    continue
                if item.id is not None:
                    self._identities.see_record(item)
                yield item
        for selection in selected:
            self.result.counts.read += selection.not_selected - selection.repeated
            self.result.counts.not_selected += selection.not_selected
            self.result.counts.repeated += selection.repeated
        for finding, count in self._identities.counted_findings():
            self.result.warnings.add(finding, count)
        for reader in readers:
            for finding in reader.warnings:
                self.result.warnings.add(finding)

    def through(self, stage: StreamStage, records: Iterable[Record]) -> Iterator[Record]:
        """Yield what a stream stage makes of the records, and prove that it counted every change of their number."""
        seen = given = dropped = 0

        def counted() -> Iterator[Record]:
            nonlocal seen
            for record in records:
                seen += 1
                yield record

        for item in stage(counted()):
            if isinstance(item, Dropped):
                dropped += 1
                self.settle(item)
            else:
                given += 1
                yield item
        if seen + stage.counts.change - dropped != given:
            raise CountError(
                f"the stage {stage.name} lost count", found=f"{seen} in, {given} out, {stage.counts.as_data()}"
            )
        counts = self.result.counts
        counts.exploded += stage.counts.exploded
        counts.repeated += stage.counts.repeated
        counts.merged += stage.counts.merged
        counts.not_selected += stage.counts.not_selected
        self.result.losses.add(stage.losses)
        for finding in stage.findings:
            self.result.warnings.add(finding)

    def mapped(self, stage: BatchStage, records: Iterable[Record], *, workers: int = 1) -> Iterator[Record]:
        """Yield what a batch stage makes of the records, in order, whatever the workers; settles what it drops."""

        def run(batch: list[_Waited]) -> tuple[list[_Waited], list[Record | Dropped]]:
            return batch, stage([waited.record for waited in batch if waited.record is not None])

        for batch, items in ordered_map(run, _chunks(self._waited(records), STAGE_CHUNK_RECORDS), workers=workers):
            given = iter(items)
            for waited in batch:
                for dropped in waited.dropped_before:
                    self.settle(dropped)
                if waited.record is None:
                    continue
                item = next(given)
                if isinstance(item, Dropped):
                    self.settle(item)
                else:
                    yield item

    def _waited(self, records: Iterable[Record]) -> Iterator[_Waited]:
        """Yield the records with the drops that lie between them: they are read ahead of what is settled."""
        iterator = iter(records)
        record: Record | None = None
        while True:
            outer, self._waiting = self._waiting, []
            try:
                record = next(iterator, None)
            finally:
                before, self._waiting = self._waiting, outer
            yield _Waited(before, record)
            if record is None:
                return

    def write(
        self,
        records: Iterable[Record],
        dialect: Dialect,
        writer: Writer,
        *,
        row_frame: RowFrame,
        loader: ImageLoader,
        workers: int = 1,
        style: str = "",
        image_out: str | None = None,
    ) -> RunResult:
        """Format and write the records in order; returns the balanced result."""
        further = frozenset(writer.table.further)
        context = WriteContext(writer.container, loader, row_frame, Losses(), style, image_out, further)
        apart = self.on_error == "drop"  # what a row counts must go with it; where a bad row ends the run, none goes

        def prepare(batch: list[_Planned]) -> _Prepared:
            return _prepare(batch, dialect, writer, replace(context, losses=Losses()), apart=apart)

        with rare_collections():
            self._write_all(prepare, records, writer, workers)
        self.result.counts.require_balanced()
        return self.result

    def _write_all(
        self, prepare: Callable[[list[_Planned]], _Prepared], records: Iterable[Record], writer: Writer, workers: int
    ) -> None:
        planned = self._planned(records, writer)
        size = CHUNK_RECORDS if writer.embeds_images else PLAIN_CHUNK_RECORDS
        threads = workers if writer.embeds_images else 1
        if threads > 1:
            writer.use_thread()
        mapped = ordered_map if writer.loader.verify == "decode" else map_while_busy
        unchecked = _Sized()
        for prepared in mapped(prepare, _chunks(planned, size), workers=threads):
            self.result.losses.add(prepared.losses)
            unchecked.add(prepared.sized)
            if len(unchecked.records) >= CHECKED_RECORDS or unchecked.holds_bytes:
                self._check_boxes(unchecked)
                unchecked = _Sized()
            for planned_row, item, losses in zip(prepared.batch, prepared.items, prepared.losses_apart, strict=True):
                for dropped in planned_row.dropped_before:
                    self._settle(dropped)
                if planned_row.record is not None:
                    is_written = self._write_row(writer, item, planned_row.record)
                    if is_written and losses is not _NO_LOSSES:
                        self.result.losses.add(losses)
        self._check_boxes(unchecked)

    def _check_boxes(self, sized: _Sized) -> None:
        """Warn of boxes that are unsound, and count what boxes say about frames."""
        sizes_wh = sized.known_wh
        if any(None in of_record for of_record in sizes_wh):  # what is not known is as declared
            sizes_wh = [
                [size_wh or _declared_wh(record, index) for index, size_wh in enumerate(of_record)]
                for record, of_record in zip(sized.records, sizes_wh, strict=True)
            ]
        for finding in check_boxes(sized.records, sized.boxes, sizes_wh, self.result.frames):
            self.result.warnings.add(finding)

    def _planned(self, records: Iterable[Record], writer: Writer) -> Iterator[_Planned]:
        """Yield the records with the drops that lie between them, so that workers never change the order of either."""
        self._waiting = []
        for record in records:
            before: Sequence[Dropped] = ()
            if self._waiting:
                before, self._waiting = self._waiting, []
            yield _Planned(before, record, boxes_of(record), writer.plan(record.images[0] if record.images else None))
        last, self._waiting = self._waiting, None
        yield _Planned(last, None, None, LOAD)

    def _write_row(self, writer: Writer, item: Any, record: Record) -> bool:
        """Write a prepared row, or settle it: only now may its image turn out to be bad (see Writer.plan)."""
        if isinstance(item, Dropped):
            self._settle(item)
            return False
        try:
            writer.write(item)
        except ROW_ERRORS as error:
            self._settle(dropped_of(record, error))
            return False
        self.result.counts.written += 1
        return True

    def settle(self, dropped: Dropped) -> None:
        """Decide what a bad row means: the end of the run, or one more drop; while rows are written, in their order."""
        if self._waiting is None:
            self._settle(dropped)
        else:
            self._waiting.append(dropped)

    def _settle(self, dropped: Dropped) -> None:
        if self.on_error == "fail":
            # A copy: the error itself would hold the frames that hold it, and keep the source open until the next collection.
            raise copy.copy(dropped.error) from dropped.error
        self.result.counts.dropped += 1
        if self.keep_dropped is not None:
            self.keep_dropped(dropped)


def parse(row: Row | Dropped, dialect: Dialect, context: ReadContext) -> Record | Dropped:
    """Return the record of a row, or the row as Dropped with its reason."""
    if isinstance(row, Dropped):
        return row
    try:
        return dialect.parse(row, context)
    except ROW_ERRORS as error:
        error.at(row.source)
        if isinstance(error, NumbersError):
            error.locate(row.value)
        return Dropped(row.source, error.code, error.message, row.value, error)


class _Waited(NamedTuple):
    """A record that was read ahead, and the drops since the record before it; None at the end."""

    dropped_before: list[Dropped]
    record: Record | None


class _Planned(Struct, gc=False):
    """A record to write and its boxes, None at the end; the drops since the record before; what becomes of its image."""

    dropped_before: Sequence[Dropped]
    record: Record | None
    boxes: Boxes | None
    image: ImagePlan


@dataclass(slots=True)
class _Sized:
    """Records, and of each its boxes and the (width, height) of its images; None where unknown."""

    records: list[Record] = field(default_factory=list)
    boxes: list[Boxes] = field(default_factory=list)
    known_wh: list[list[SizeWH | None]] = field(default_factory=list)
    holds_bytes: bool = False

    def add(self, other: _Sized) -> None:
        self.records += other.records
        self.boxes += other.boxes
        self.known_wh += other.known_wh
        self.holds_bytes |= other.holds_bytes


@dataclass(slots=True)
class _Prepared:
    batch: list[_Planned]
    items: list[Any]
    losses: Losses
    losses_apart: list[Losses]
    sized: _Sized


_NO_LOSSES = Losses()


def _prepare(
    batch: list[_Planned], dialect: Dialect, writer: Writer, context: WriteContext, *, apart: bool
) -> _Prepared:
    """Format and prepare some records; runs on any thread. `apart`: the losses of each row are counted by themselves."""
    items: list[Any] = []
    losses_apart: list[Losses] = []
    sized = _Sized()
    for planned in batch:
        record = planned.record
        of_row = replace(context, losses=Losses()) if apart else context
        losses_apart.append(of_row.losses if apart else _NO_LOSSES)
        if record is None or planned.boxes is None:
            items.append(None)
            continue
        try:
            items.append(writer.prepare(dialect.format(record, of_row), planned.image))
        except ROW_ERRORS as error:
            items.append(dropped_of(record, error))
            continue
        sized.records.append(record)
        sized.boxes.append(planned.boxes)
        sized.known_wh.append(
            [context.loader.known_size_wh(ref) for ref in record.images]
        )  # which may be forgotten later
        sized.holds_bytes |= any(isinstance(ref.location, BytesImage) for ref in record.images)
    return _Prepared(batch, items, context.losses, losses_apart, sized)


def dropped_of(record: Record, error: GroundprepError) -> Dropped:
    """Return the Dropped for a record that cannot be carried, with the row that it was read from."""
    error.at(record.source)
    row = record.origin.value if record.origin else None
    return Dropped(record.source, error.code, error.message, row, error)


def _declared_wh(record: Record, index: int) -> SizeWH | None:
    """Return the (width, height) that the data declares for an image, or None, which 0 means too."""
    declared_wh = declared_size_wh(record, index)
    return declared_wh if declared_wh is not None and min(declared_wh) > 0 else None


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _rows(
    readers: Sequence[Reader], dialects: Sequence[Dialect], contexts: Sequence[ReadContext]
) -> Generator[tuple[Row | Dropped, Dialect, ReadContext], None, None]:
    """Yield all rows; closed, it closes the file that is open: an error must not keep it open until a collection."""
    for reader, dialect, context in zip(readers, dialects, contexts, strict=True):
        rows = iter(reader)
        try:
            for row in rows:
                yield row, dialect, context
        finally:
            if isinstance(rows, Generator):
                rows.close()


def require_rows(result: RunResult, sources: Sequence[str]) -> None:
    """Raise FormatError (`no-rows`) if the sources held no row at all."""
    if result.counts.read == 0:
        raise FormatError(
            "the source holds no rows",
            code="no-rows",
            source=", ".join(sources),
            expected="at least one row",
            fix="check what wrote it",
        )
