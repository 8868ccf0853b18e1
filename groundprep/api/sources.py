"""Opening what a command reads: container, dialect, frame and image root of every SRC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from groundprep.containers import CONTAINERS, STDIN, Reader, Row, open_reader
from groundprep.dialects import DIALECTS, Dialect, ReadContext, detect_dialect, get_dialect
from groundprep.errors import FormatError, SchemaError, UsageError
from groundprep.geometry.frames import FRAMES, Space
from groundprep.images import ImageLoader, ImageRoot
from groundprep.manifest import InputFile, hash_inputs, read_manifest
from groundprep.output import SIDECAR_SUFFIX
from groundprep.profile import RowFrame
from groundprep.record import Dropped
from groundprep.trainers import PROFILES, get_profile

DETECTION_ROWS = 64
CONVERTER_SUFFIX = "/converter"


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How to read sources.

    Args:
        paths: the sources, in order.
        from_name: a container or a dialect, where detection shall not decide.
        image_root: where image names start; None: each source's own directory.
        source_frame: a frame, `PROFILE` or `PROFILE/converter`: what the numbers mean, whatever the file says.
        assumed_frame: what the numbers mean if neither `source_frame` nor the file says so.
        frame_may_stay_unknown: rows are looked at, their boxes are not used.
    """

    paths: tuple[str, ...]
    from_name: str | None = None
    image_root: str | None = None
    source_frame: str | None = None
    assumed_frame: RowFrame | None = None
    frame_may_stay_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Opened sources, one entry per SRC."""

    readers: tuple[Reader, ...]
    dialects: tuple[Dialect, ...]
    contexts: tuple[ReadContext, ...]

    @property
    def files(self) -> list[Path]:
        """All files that hold data; standard input is none."""
        return [file for reader in self.readers if reader.path != STDIN for file in reader.files]

    def hash(self) -> tuple[InputFile, ...]:
        """Return size and SHA-256 of every file."""
        return hash_inputs(self.files)


def open_sources(config: SourceConfig, loader: ImageLoader) -> Sources:
    """Open every source; raises FormatError and UsageError."""
    if not config.paths:
        raise UsageError("no source was given", expected="SRC…")
    container, named_dialect = _from_name(config.from_name)
    readers, dialects, contexts = [], [], []
    for path in config.paths:
        reader = open_reader(path, container)
        if path == STDIN:
            reader, dialect = _peek_stdin(reader, named_dialect)
        else:
            dialect = named_dialect or _detect(reader)
        directory = str(Path(path).parent) if path != STDIN else "."
        readers.append(reader)
        dialects.append(dialect)
        contexts.append(
            ReadContext(ImageRoot(config.image_root, directory), loader, _row_frame(reader, dialect, config))
        )
    return Sources(tuple(readers), tuple(dialects), tuple(contexts))


def parse_frame(name: str) -> RowFrame:
    """Return the frame that a name means: a frame, a profile, or `PROFILE/converter`; raises UsageError."""
    if name in FRAMES:
        if FRAMES[name].space is Space.SEEN:
            raise UsageError(
                "this frame needs a trainer's resize chain",
                found=name,
                expected="a profile, such as easyr1 or rexthinker/converter",
            )
        return RowFrame(FRAMES[name])
    profile_name = name.removesuffix(CONVERTER_SUFFIX)
    if not any(profile_name in (profile.name, profile.full_name) for profile in PROFILES.values()):
        expected = ", ".join(n for n, frame in FRAMES.items() if frame.space is not Space.SEEN)
        raise UsageError("no such frame", found=name, expected=f"{expected}, or a trainer profile")
    profile = get_profile(profile_name)
    return RowFrame.of_profile(profile.as_converter() if name.endswith(CONVERTER_SUFFIX) else profile)


def _from_name(name: str | None) -> tuple[str | None, Dialect | None]:
    if name is None:
        return None, None
    if name in CONTAINERS:
        return name, None
    if name in DIALECTS:
        return None, get_dialect(name)
    raise UsageError("no such container or dialect", found=name, expected=", ".join((*CONTAINERS, *DIALECTS)))


def _detect(reader: Reader) -> Dialect:
    bad = False

    def decodable() -> Iterator[dict[str, Any]]:
        nonlocal bad
        for row in reader:
            if isinstance(row, Row):
                yield row.value
            bad = bad or isinstance(row, Dropped)

    rows = decodable()
    first = next(rows, None)
    if first is None:
        return _dialect_of_no_row(reader, bad=bad)
    return detect_dialect(chain((first,), islice(rows, DETECTION_ROWS - 1)), container=reader.container, path=reader.path)


def _dialect_of_no_row(reader: Reader, *, bad: bool) -> Dialect:
    """Return some dialect for a source whose every row is `bad`: each is its own error; raises FormatError if it has none."""
    if not bad:
        raise FormatError(
            "the source holds no rows", code="no-rows", source=reader.path, expected="at least one row", fix="check what wrote it"
        )
    return next(dialect for dialect in DIALECTS.values() if reader.container in dialect.containers)


class _Replayed(Reader):
    """Standard input whose first rows were read already."""

    container = "jsonl"

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.path)
        self._rows = iter(reader)
        self.warnings = reader.warnings
        self.head = list(islice(self._rows, DETECTION_ROWS))

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield the first rows, then the rest."""
        yield from self.head
        yield from self._rows


def _peek_stdin(reader: Reader, named: Dialect | None) -> tuple[Reader, Dialect]:
    replayed = _Replayed(reader)
    if named is not None:
        return replayed, named
    rows = [row.value for row in replayed.head if isinstance(row, Row)]
    if not rows:
        return replayed, _dialect_of_no_row(replayed, bad=bool(replayed.head))
    return replayed, detect_dialect(rows, container=replayed.container, path=STDIN)


def _first_values(reader: Reader) -> Iterator[dict[str, Any]]:
    rows = reader.head if isinstance(reader, _Replayed) else islice(reader, DETECTION_ROWS)
    return (row.value for row in rows if isinstance(row, Row))


def _row_frame(reader: Reader, dialect: Dialect, config: SourceConfig) -> RowFrame:
    if config.source_frame is not None:
        return parse_frame(config.source_frame)
    metadata = reader.header.profile
    if metadata is None and reader.path != STDIN:
        manifest = read_manifest(Path(reader.path + SIDECAR_SUFFIX) / "manifest.json")
        metadata = manifest.config.profile if manifest is not None else None
    if metadata is not None:
        reader.header = replace(reader.header, profile=metadata)
        try:
            return RowFrame.from_metadata(metadata)
        except SchemaError as error:
            raise error.at(reader.path) from error
    frame = dialect.frame_of(_first_values(reader))
    if frame is not None:
        return RowFrame(frame)
    if config.frame_may_stay_unknown:
        return RowFrame(dialect.frame)
    if config.assumed_frame is not None and dialect.may_be_in(config.assumed_frame.frame):
        return config.assumed_frame
    raise UsageError(
        "the file does not say in which frame its numbers are",
        code="frame-unknown",
        source=reader.path,
        expected="groundprep metadata, or --source-frame",
        fix="pass --source-frame and the profile that it was written for, such as easyr1, rexthinker/converter or qwen3-vl",
    )
