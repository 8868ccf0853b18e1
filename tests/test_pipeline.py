"""The counts law: no stage can lose, invent or hide a record, whatever it claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from groundprep.containers import CONTAINERS, OutRow, TableSpec, open_reader
from groundprep.containers.base import LOAD, ImagePlan
from groundprep.containers.jsonl import JsonlWriter
from groundprep.counts import Counts
from groundprep.dialects import DIALECTS, ReadContext
from groundprep.errors import CountError, PayloadError, RecordError
from groundprep.pipeline import OnError, Pipeline
from groundprep.record import Dropped, Record
from groundprep.stages.base import StreamStage
from tests.contracts.samples import PIXEL_FRAME, image_root, loader, read_jsonl, rexthinker_row, write_jsonl

ROWS = 50


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "é.jsonl", (rexthinker_row(n, image_name="é.png") for n in range(ROWS)))


def records(pipeline: Pipeline, source: Path) -> Iterator[Record]:
    context = ReadContext(image_root(source.parent), loader())
    return pipeline.records([open_reader(str(source))], [DIALECTS["rexthinker"]], [context])


def writer_of(kind: type[Any], source: Path) -> Any:
    return kind([source.with_name("out.jsonl")], TableSpec(), loader())


def finish(pipeline: Pipeline, some: Iterable[Record], writer: Any, **flags: Any) -> Any:
    try:
        result = pipeline.write(some, DIALECTS["rexthinker"], writer, row_frame=PIXEL_FRAME, loader=loader(), **flags)
    except BaseException:
        writer.abort()
        raise
    writer.close()
    return result


class Stage(StreamStage):
    """Applies a function to every record and claims what it is told to claim."""

    name = "probe"

    def __init__(self, function: Any, **claims: int) -> None:
        super().__init__()
        self.function = function
        self.claims = claims

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        for number, record in enumerate(records):
            yield from self.function(number, record)
        for name, count in self.claims.items():
            setattr(self.counts, name, count)


def drop(record: Record) -> Dropped:
    error = RecordError("no good", source=record.source)
    return Dropped(record.source, error.code, error.message, None, error)


CHEATS = {
    "loses one": (lambda n, r: [] if n == 7 else [r], {}),
    "loses the last": (lambda n, r: [] if n == ROWS - 1 else [r], {}),
    "invents one": (lambda n, r: [r, r] if n == 7 else [r], {}),
    "claims an explosion that was none": (lambda n, r: [r], {"exploded": 1}),
    "claims a merge that was none": (lambda n, r: [r], {"merged": 1}),
    "drops and keeps": (lambda n, r: [drop(r), r] if n == 7 else [r], {}),
    "loses two and explodes one": (lambda n, r: [] if n < 2 else [r, r] if n == 3 else [r], {"exploded": 1}),
}


@pytest.mark.parametrize("cheat", CHEATS, ids=str)
def test_a_stage_that_miscounts_ends_the_run(source: Path, cheat: str) -> None:
    function, claims = CHEATS[cheat]
    pipeline = Pipeline(on_error="drop")
    some = pipeline.through(Stage(function, **claims), records(pipeline, source))
    with pytest.raises(CountError) as caught:
        finish(pipeline, some, writer_of(JsonlWriter, source))
    assert caught.value.exit_code == 70


def test_a_record_lost_between_the_stages_ends_the_run(source: Path) -> None:
    pipeline = Pipeline()
    some = (record for record in records(pipeline, source) if record.source.row != 7)
    with pytest.raises(CountError):
        finish(pipeline, some, writer_of(JsonlWriter, source))


def test_honest_changes_balance(source: Path) -> None:
    def function(n: int, record: Record) -> list[Record | Dropped]:
        return [record, record] if n % 10 == 0 else [drop(record)] if n % 10 == 1 else [] if n % 10 == 2 else [record]

    kept: list[Dropped] = []
    pipeline = Pipeline(on_error="drop", keep_dropped=kept.append)
    some = pipeline.through(Stage(function, repeated=5, not_selected=5), records(pipeline, source))
    counts = finish(pipeline, some, writer_of(JsonlWriter, source)).counts
    assert (counts.read, counts.repeated, counts.not_selected, counts.dropped, counts.written) == (50, 5, 5, 5, 45)
    assert [dropped.source.row for dropped in kept] == [2, 12, 22, 32, 42]
    assert len(read_jsonl(source.with_name("out.jsonl"))) == 45


@pytest.mark.parametrize("field", ["read", "exploded", "repeated", "merged", "not_selected", "dropped", "written"])
def test_every_count_takes_part_in_the_balance(field: str) -> None:
    counts = Counts(read=10, exploded=4, repeated=3, merged=2, not_selected=1, dropped=5, written=9)
    counts.require_balanced()
    setattr(counts, field, getattr(counts, field) + 1)
    with pytest.raises(CountError):
        counts.require_balanced()


class Moody(JsonlWriter):
    """Refuses some rows when they are prepared and others when they are written."""

    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> bytes:
        if row.value["image_id"] % 10 == 3:
            raise RecordError("cannot be prepared", code="moody")
        return super().prepare(row, plan)

    def write(self, prepared: bytes) -> None:
        if b'"image_id":8,' in prepared:
            raise PayloadError("cannot be written", code="moody")
        super().write(prepared)


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_that_fail_late_are_dropped_in_order_with_the_row_they_came_from(source: Path, workers: int) -> None:
    class Threaded(Moody):
        embeds_images = True

    kept: list[Dropped] = []
    pipeline = Pipeline(on_error="drop", keep_dropped=kept.append)
    counts = finish(pipeline, records(pipeline, source), writer_of(Threaded, source), workers=workers).counts
    assert (counts.read, counts.dropped, counts.written) == (50, 6, 44)
    assert [dropped.source.row for dropped in kept] == [4, 9, 14, 24, 34, 44]
    assert all(dropped.row["image_id"] == dropped.source.row - 1 for dropped in kept)
    written = [row["image_id"] for row in read_jsonl(source.with_name("out.jsonl"))]
    assert written == sorted(written)


@pytest.mark.parametrize("on_error", ["fail"])
def test_the_first_bad_row_ends_the_run_and_says_where_it_is(source: Path, on_error: OnError) -> None:
    pipeline = Pipeline(on_error=on_error)
    with pytest.raises(RecordError) as caught:
        finish(pipeline, records(pipeline, source), writer_of(Moody, source))
    assert str(caught.value.source) == f"{source}:4"


def test_a_limit_counts_rows_read(source: Path) -> None:
    pipeline = Pipeline()
    context = ReadContext(image_root(source.parent), loader())
    some = pipeline.records([open_reader(str(source))] * 2, [DIALECTS["rexthinker"]] * 2, [context] * 2, limit=60)
    counts = finish(pipeline, some, writer_of(JsonlWriter, source)).counts
    assert (counts.read, counts.written) == (60, 60)


def test_repeated_ids_and_odd_boxes_are_warnings_with_their_number(tmp_path: Path) -> None:
    boxes = [[5, 5, 5, 9], [9, 9, 5, 5], [1, 2, 3, 4]]
    source = write_jsonl(
        tmp_path / "é.jsonl", [rexthinker_row(0, id=n // 2, ans=box, candidate_boxes=[]) for n, box in enumerate(boxes)]
    )
    pipeline = Pipeline()
    result = finish(pipeline, records(pipeline, source), writer_of(JsonlWriter, source))
    warnings = {warning["code"]: warning["count"] for warning in result.warnings.as_data()}
    assert warnings == {"repeated-id": 1, "box-degenerate": 1, "box-inverted": 1}
    assert [row["ans"] for row in read_jsonl(tmp_path / "out.jsonl")] == boxes


def test_every_container_has_a_writer_that_starts_from_nothing(tmp_path: Path) -> None:
    for container in CONTAINERS.values():
        paths = [tmp_path / f"{container.name}{suffix or '.x'}" for suffix in container.writer.suffixes]
        writer = container.writer(
            paths, TableSpec({"problem": "string"} if container.writer.has_columns else {}), loader()
        )
        writer.abort()
