"""`groundprep vis`: some records of a data set as pictures.

Output rule: every picture is complete before the first is put in place, and a file of the same name that differs is
replaced only with `overwrite`; one with the same bytes is left alone. Pictures of other records that lie there already
are not touched. Which rows are drawn depends on the seed and the number of rows alone; pictures depend on the record,
the fonts and the versions of Pillow and groundprep.
"""

from __future__ import annotations

import io
import random
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from groundprep.api.sources import SourceConfig, open_sources
from groundprep.containers import Row
from groundprep.engine.local import default_workers, ordered_map
from groundprep.errors import UsageError
from groundprep.image_loader import ImageLoader
from groundprep.output import SIDECAR_SUFFIX, writing
from groundprep.pipeline import ROW_ERRORS, OnError, Pipeline, dropped_of, parse, require_rows
from groundprep.record import Dropped
from groundprep.view.picture import draw_record
from groundprep.view.typeface import Typeface

DEFAULT_SAMPLES = 10
MOST_WORKERS = 4
"""Each worker may hold one decoded image of up to 179 million pixels."""
_INDEX_SEPARATOR = re.compile(r"[,\s]+")

Item: TypeAlias = Row | Dropped
Chosen: TypeAlias = list[tuple[int, Item]]


@dataclass(frozen=True, slots=True)
class VisConfig:
    """What `vis` shall draw.

    Args:
        source: what to read; exactly one path.
        out_dir: the directory of the pictures; made if it is not there.
        num_samples: how many rows to draw by lot, without replacement; all of them if there are fewer.
        indices: rows to draw instead, counted from 0; None: draw lots.
        seed: of the lots.
        on_error, limit, overwrite, workers: see `groundprep --help`.
    """

    source: SourceConfig
    out_dir: str
    num_samples: int = DEFAULT_SAMPLES
    indices: tuple[int, ...] | None = None
    seed: int = 0
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class VisResult:
    """What `vis` drew.

    Args:
        written: the pictures, in row order; those that were there already with the same bytes are among them.
        records: how many.
        unchanged: how many of them were there already.
        counts: rows read, not selected, dropped, written; with `indices`, reading ends at the last one.
        dropped: code, message and source of every row that could not be drawn.
        hint: what to install so that no character is drawn as a box, if any was.
    """

    written: tuple[str, ...]
    records: int
    unchanged: int
    counts: dict[str, int]
    dropped: tuple[dict[str, Any], ...]
    hint: str | None


def vis(config: VisConfig) -> VisResult:
    """Draw; raises UsageError, FormatError, RecordError, PayloadError. After an error, nothing new lies in out_dir."""
    loader = ImageLoader()
    sources = open_sources(config.source, loader)
    if len(sources.readers) != 1:
        raise UsageError("vis draws one source", found=", ".join(config.source.paths), expected="SRC OUT_DIR")
    reader, dialect, context = sources.readers[0], sources.dialects[0], sources.contexts[0]
    dropped: list[dict[str, Any]] = []
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=lambda item: dropped.append(_reason(item)))
    counts = pipeline.result.counts
    chosen, counts.read = choose(reader, config)
    require_rows(pipeline.result, config.source.paths)
    counts.not_selected = counts.read - len(chosen)
    typeface = Typeface()

    def draw(numbered: tuple[int, Item]) -> tuple[int, bytes | Dropped]:
        index, item = numbered
        record = parse(item, dialect, context)
        if isinstance(record, Dropped):
            return index, record
        try:
            picture = draw_record(record, loader, typeface)
        except ROW_ERRORS as error:
            return index, dropped_of(record, error)
        return index, _png(picture)

    with _staging(config.out_dir) as staging:
        for index, drawn in ordered_map(draw, chosen, workers=config.workers or min(MOST_WORKERS, default_workers())):
            if isinstance(drawn, Dropped):
                pipeline.settle(drawn)
                continue
            (staging / f"sample_{index:06d}.png").write_bytes(drawn)
            counts.written += 1
        counts.require_balanced()
        written, unchanged = _publish(staging, Path(config.out_dir), overwrite=config.overwrite)
    return VisResult(written, len(written), unchanged, counts.as_data(), tuple(dropped), typeface.hint())


def choose(rows: Iterable[Item], config: VisConfig) -> tuple[Chosen, int]:
    """Return the rows to draw with their indices, in file order, and how many rows were read; raises UsageError."""
    if config.indices is not None:
        return _at_indices(rows, config.indices, config.limit)
    return _by_lot(rows, config)


def _by_lot(rows: Iterable[Item], config: VisConfig) -> tuple[Chosen, int]:
    """Draw lots while reading (algorithm R): never more than `num_samples` rows are held."""
    lots = random.Random(config.seed)  # noqa: S311 (a repeatable choice, not a secret)
    held: Chosen = []
    count = 0
    for index, row in _limited(rows, config.limit):
        count += 1
        if len(held) < config.num_samples:
            held.append((index, row))
            continue
        place = lots.randrange(count)
        if place < config.num_samples:
            held[place] = (index, row)
    return sorted(held, key=lambda numbered: numbered[0]), count


def _at_indices(rows: Iterable[Item], indices: Sequence[int], limit: int | None) -> tuple[Chosen, int]:
    wanted = set(indices)
    last = max(wanted, default=-1)
    held: Chosen = []
    count = 0
    for index, row in _limited(rows, limit):
        count += 1
        if index in wanted:
            held.append((index, row))
        if index >= last:
            break
    missing = sorted(wanted - {index for index, _ in held})
    if missing:
        raise UsageError(
            "there is no row with this index",
            code="index-out-of-range",
            found=", ".join(map(str, missing)),
            expected=f"0 to {count - 1}" if count else "nothing: there are no rows",
            fix="indices count from 0",
        )
    return held, count


def _limited(rows: Iterable[Item], limit: int | None) -> Iterator[tuple[int, Item]]:
    for index, row in enumerate(rows):
        if limit is not None and index >= limit:
            return
        yield index, row


def parse_indices(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the indices of `0,5,7` or `0 5 7`, each once, sorted; raises UsageError (`bad-index`)."""
    indices = set()
    for part in (part for text in texts for part in _INDEX_SEPARATOR.split(text.strip())):
        if not (part.isascii() and part.isdigit() and len(part) <= 12):
            raise UsageError(
                "this is not a row index", code="bad-index", found=part, expected="whole numbers from 0, such as 0,5,7"
            )
        indices.add(int(part))
    return tuple(sorted(indices))


def _reason(dropped: Dropped) -> dict[str, Any]:
    return {"code": dropped.code, "message": str(dropped.error), "source": str(dropped.source)}


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _staging(out_dir: str) -> Iterator[Path]:
    """Give a directory beside out_dir for pictures that are not in place yet; it is gone afterwards."""
    sidecar = Path(out_dir.rstrip("/") + SIDECAR_SUFFIX)
    staging = sidecar / "partial"
    with writing(out_dir):
        if Path(out_dir).exists() and not Path(out_dir).is_dir():
            raise UsageError(
                "the destination is a file", code="not-a-directory", source=out_dir, expected="a directory"
            )
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            with suppress(OSError):  # another run's sidecar files may lie there
                sidecar.rmdir()


def _publish(staging: Path, out_dir: Path, *, overwrite: bool) -> tuple[tuple[str, ...], int]:
    """Put the pictures in place; raises UsageError (`output-exists`) before the first if one would replace another."""
    finals = {path: out_dir / path.name for path in sorted(staging.iterdir())}
    same = {path for path, final in finals.items() if final.is_file() and final.read_bytes() == path.read_bytes()}
    if not overwrite:
        for path, final in finals.items():
            if path not in same and final.exists():
                raise UsageError(
                    "another picture of this name is there",
                    code="output-exists",
                    source=str(final),
                    fix="pass --overwrite to replace it, or choose another directory",
                )
    out_dir.mkdir(parents=True, exist_ok=True)
    for path, final in finals.items():
        if path not in same:
            path.replace(final)
    return tuple(map(str, finals.values())), len(same)
