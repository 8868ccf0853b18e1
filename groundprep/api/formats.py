"""`groundprep formats`: what can be read and written, and what a given file is and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from groundprep.api.sources import DETECTION_ROWS, SourceConfig, open_sources
from groundprep.containers import CONTAINERS, STDIN, Reader, Row, container_of_name
from groundprep.corpora import CORPORA
from groundprep.dialects import DIALECTS, Dialect
from groundprep.errors import FormatError
from groundprep.geometry.frames import Space
from groundprep.image_loader import ImageLoader
from groundprep.profile import RowFrame
from groundprep.record import Dropped
from groundprep.trainers import PROFILES

SHOWN_KEYS = 24


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """How rows can lie in bytes."""

    name: str
    title: str
    extensions: tuple[str, ...]
    embeds_images: bool
    read: bool = True
    write: bool = True


@dataclass(frozen=True, slots=True)
class DialectInfo:
    """Which fields a row can have; the first container is the usual one."""

    name: str
    title: str
    containers: tuple[str, ...]
    unit: str
    frame: str


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """A data set of a layout of its own."""

    name: str
    title: str
    unit: str
    frame: str
    read: bool
    write: bool


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """What a trainer revision reads; the frame is that of the numbers it is given, the limits are its own."""

    name: str
    revision: str
    title: str
    container: str
    dialect: str
    unit: str
    frame: str
    limits: dict[str, int | None]
    newest: bool


@dataclass(frozen=True, slots=True)
class Formats:
    """All that is registered."""

    containers: tuple[ContainerInfo, ...]
    dialects: tuple[DialectInfo, ...]
    corpora: tuple[CorpusInfo, ...]
    profiles: tuple[ProfileInfo, ...]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source is, and why.

    Args:
        container_reason, dialect_reason, frame_reason: how each was recognised.
        frame: the frame of its numbers; None if the file does not say and the dialect leaves it open.
        profile: the `groundprep` metadata of the file or its manifest, if there is any.
        rows_examined, rows_damaged, rows_matching: of the first rows; the rest was not read.
        keys: the keys of the first good row.
    """

    source: str
    files: tuple[str, ...]
    container: str
    container_reason: str
    dialect: str
    dialect_reason: str
    unit: str
    frame: str | None
    frame_reason: str
    profile: dict[str, Any] | None
    rows_examined: int
    rows_damaged: int
    rows_matching: int
    keys: tuple[str, ...]
    warnings: tuple[dict[str, Any], ...]


def list_formats() -> Formats:
    """Return every container, dialect, corpus and profile that is registered."""
    newest = {profile.name: profile.full_name for profile in PROFILES.values()}
    return Formats(
        tuple(ContainerInfo(c.name, c.title, c.extensions, c.writer.embeds_images) for c in CONTAINERS.values()),
        tuple(DialectInfo(d.name, d.title, d.containers, d.unit, d.frame.name) for d in DIALECTS.values()),
        tuple(
            CorpusInfo(c.name, c.title, c.dialect.unit, c.dialect.frame.name, read=True, write=c.writer is not None)
            for c in CORPORA.values()
        ),
        tuple(
            ProfileInfo(
                profile.name,
                profile.revision,
                profile.title,
                profile.container,
                profile.dialect,
                profile.unit,
                profile.frame.name,
                profile.as_metadata()["limits"],
                newest[profile.name] == profile.full_name,
            )
            for profile in PROFILES.values()
        ),
    )


def identify(config: SourceConfig) -> Iterator[SourceInfo]:
    """Yield what each source is; nothing is guessed.

    Raises:
        FormatError: `unknown-dialect`, `ambiguous-dialect` (naming both), `no-rows`, or a container that is broken.
        RecordError: not one of the first rows can be decoded.
        UsageError: an unknown name.
    """
    for path in config.paths:
        one = SourceConfig(
            (path,), config.from_name, config.image_root, config.source_frame, frame_may_stay_unknown=True
        )
        sources = open_sources(one, ImageLoader())
        for reader, dialect, context in zip(sources.readers, sources.dialects, sources.contexts, strict=True):
            yield _describe(config, reader, dialect, context.row_frame)


def _describe(config: SourceConfig, reader: Reader, dialect: Dialect, row_frame: RowFrame) -> SourceInfo:
    rows = list(islice(reader, DETECTION_ROWS))
    good = [row for row in rows if isinstance(row, Row)]
    damaged = [row for row in rows if isinstance(row, Dropped)]
    if not rows:
        raise FormatError("the source holds no rows", code="no-rows", source=reader.path, expected="at least one row")
    if not good:
        raise damaged[0].error
    matching = [row for row in good if dialect.matches(row.value, reader.container)]
    frame, frame_reason = _frame(config, reader, dialect, row_frame)
    return SourceInfo(
        reader.path,
        tuple(map(str, reader.files)) if reader.path != STDIN else (),
        reader.container,
        _container_reason(config, reader),
        dialect.name,
        _dialect_reason(config, reader, dialect, matching),
        dialect.unit,
        frame,
        frame_reason,
        None if reader.header.profile is None else dict(reader.header.profile),
        len(rows),
        len(damaged),
        len(matching),
        tuple(map(str, good[0].value))[:SHOWN_KEYS],
        tuple(warning.as_dict() for warning in reader.warnings),
    )


def _container_reason(config: SourceConfig, reader: Reader) -> str:
    if config.from_name in CONTAINERS or config.from_name in CORPORA:
        return f"--from {config.from_name}"
    if reader.path == STDIN:
        return "standard input is read as JSON Lines"
    if reader.container == "tsv":
        triple = ", ".join(file.name for file in reader.files)
        return f"the name leads to {triple}"
    if reader.container in CORPORA:
        return (
            "its name" if reader.container == "refcoco" else "it is one object with images, annotations or categories"
        )
    content = {
        "json": "its text opens an array",
        "jsonl": "its text does not open an array: one object a line",
        "parquet": "its first bytes are PAR1",
    }.get(reader.container, "its content")
    named = container_of_name(reader.path)
    if named == reader.container:
        return f"{content}, as its extension {Path(reader.path).suffix} says"
    return content if named is None else f"{content}, although its extension is {Path(reader.path).suffix}"


def _dialect_reason(config: SourceConfig, reader: Reader, dialect: Dialect, matching: list[Row]) -> str:
    if config.from_name == dialect.name:
        return f"--from {dialect.name}"
    keys = ", ".join(deciding_keys(matching[0].value, dialect, reader.container)) if matching else "none"
    return f"rows have the keys {keys}"


def deciding_keys(value: Mapping[str, Any], dialect: Dialect, container: str) -> list[str]:
    """Return a smallest set of the row's keys by which the dialect still recognises it, in the row's order."""
    kept = dict(value)
    for key in reversed(list(value)):
        without = {name: item for name, item in kept.items() if name != key}
        if dialect.matches(without, container):
            kept = without
    return list(kept)


def _frame(config: SourceConfig, reader: Reader, dialect: Dialect, row_frame: RowFrame) -> tuple[str | None, str]:
    if config.source_frame is not None:
        return row_frame.frame.name, f"--source-frame {config.source_frame}"
    profile = reader.header.profile
    if profile is not None:
        return row_frame.frame.name, f"metadata: written for {profile.get('profile')}@{profile.get('revision')}"
    if dialect.frame.space is not Space.SEEN:
        return row_frame.frame.name, f"what the dialect {dialect.name} always means"
    if row_frame.frame.space is not Space.SEEN:
        return row_frame.frame.name, "what answers of this style always mean"
    return None, "the file does not say for which trainer it was written; pass --source-frame when it is read"


def as_data(formats: Formats) -> dict[str, Any]:
    """Return the lists as JSON values; a profile also under the name that `--for` takes."""
    data = asdict(formats)
    for profile in data["profiles"]:
        profile["full_name"] = f"{profile['name']}@{profile['revision']}"
    return data
