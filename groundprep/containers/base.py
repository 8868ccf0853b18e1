"""What a container is: rows in bytes. It knows nothing of what the rows mean.

A reader yields every row in order, as a `Row` or, if that one row is damaged, as a `Dropped`; it raises FormatError only
where rows cannot be enumerated. A writer has a pure half, `prepare`, that any thread may run, and an ordered half,
`write`, that one thread runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

from msgspec import Struct

from groundprep.errors import FormatError
from groundprep.finding import Finding, Severity
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef, Location
from groundprep.losses import Losses
from groundprep.record import Dropped, Header
from groundprep.source import Source

ColumnType: TypeAlias = str
"""A column's type for table containers, in Arrow's own notation: `binary`, `string`, `list<struct<bytes: binary, …>>`."""


class Row(Struct, frozen=True, gc=False):
    """One decoded row.

    Args:
        source: where it is.
        value: the row; image bytes as bytes.
        image: where the row's image is, if the container keeps images beside the rows.
    """

    source: Source
    value: dict[str, Any]
    image: Location | None = None


class OutRow(Struct, frozen=True, gc=False):
    """One row to write.

    Args:
        value: the row; an `ImageRef` stands where image bytes go.
        image: the row's image, for a container that keeps images beside the rows.
    """

    value: dict[str, Any]
    image: ImageRef | None = None


class Reader(ABC):
    """Reads one file (or one group of files) of a container.

    Attributes:
        path: as the user named it.
        header: what the container itself says; complete before the first row.
        warnings: oddities that were accepted; complete after the last row.
        files: the files whose content is the data (annotations and images), for the manifest.
    """

    container: str

    def __init__(self, path: str) -> None:
        self.path = path
        self.header = Header(container=self.container)
        self.warnings: list[Finding] = []

    @property
    def files(self) -> list[Path]:
        """The files that hold the data."""
        return [Path(self.path)]

    @abstractmethod
    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every row in order; may be called more than once."""

    def warn(self, code: str, message: str, *, row: int | None = None, fix: str | None = None) -> None:
        """Record an accepted oddity once."""
        source = str(Source(self.path, row))
        if not any(w.code == code for w in self.warnings):
            self.warnings.append(
                Finding(code=code, severity=Severity.WARNING, record=row, source=source, message=message, fix=fix)
            )


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table container must know before the first row.

    Args:
        columns: name → Arrow type, in order; empty for containers without columns.
        metadata: value of the `groundprep` key, for containers that carry metadata.
        header: what the sources say once, for corpora that have a place for it.
        further: columns of the source that the dialect does not know, name → Arrow type, in order; they are kept.
    """

    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    header: Header = field(default_factory=Header)
    further: Mapping[str, Any] = field(default_factory=dict)


class ImagePlan(NamedTuple):
    """What becomes of a row's image.

    Args:
        load: it is to be loaded; otherwise it is stored already, or will be with an earlier row.
        digest: what it is known by; None where images are not told apart.
    """

    load: bool = True
    digest: bytes | None = None


LOAD = ImagePlan()


class Writer(ABC):
    """Writes rows into files whose temporary paths it is given.

    Args:
        paths: one path per suffix of `suffixes(…)`, in that order.
        table: columns and metadata.
        loader: reads image bytes.
    """

    container: ClassVar[str]
    embeds_images: ClassVar[bool] = False
    has_columns: ClassVar[bool] = False
    suffixes: ClassVar[tuple[str, ...]] = ("",)
    """What is appended to DST for each file; the order is the order of renaming."""

    def __init__(self, paths: Sequence[Path], table: TableSpec, loader: ImageLoader) -> None:
        self.paths = list(paths)
        self.table = table
        self.loader = loader

    def plan(self, row_image: ImageRef | None) -> ImagePlan:
        """Say, on the driver and in order, what becomes of this row's image."""
        del row_image
        return LOAD

    def use_thread(self) -> None:  # noqa: B027 (most writers gain nothing)
        """Let a thread of its own write the files, where that gains time; before the first row."""

    @abstractmethod
    def prepare(self, row: OutRow, plan: ImagePlan = LOAD) -> Any:
        """Return the row ready to be written; pure, runs on any thread; raises RecordError or PayloadError."""

    @abstractmethod
    def write(self, prepared: Any) -> None:
        """Write a prepared row; in order, on one thread; all counters advance only after every write succeeded.

        A RecordError or PayloadError is raised before anything of the row is written.
        """

    def report_header(self, losses: Losses) -> None:
        """Count what the sources say once, of which rows have no place; after the last row."""
        header = self.table.header
        losses.lost("header.info", len(header.info))
        losses.lost("header.licences", len(header.licences))
        losses.lost("header.categories", len(header.categories))
        for key in header.extra:
            losses.lost(f"header.{key}")

    @abstractmethod
    def close(self) -> None:
        """Finish the files and flush them to disk."""

    @abstractmethod
    def abort(self) -> None:
        """Close the files without finishing them."""


@dataclass(frozen=True, slots=True)
class Container:
    """One registry line."""

    name: str
    title: str
    extensions: tuple[str, ...]
    reader: type[Reader]
    writer: type[Writer]


def require_readable(path: Path) -> None:
    """Raise FormatError unless path is a file with at least one byte."""
    if path.is_dir():
        raise FormatError("the source is a directory", code="is-directory", source=str(path), fix="name a file in it")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except FileNotFoundError as error:
        raise FormatError(
            "the file does not exist", code="file-missing", source=str(path), fix="check the path"
        ) from error
    except OSError as error:
        raise FormatError(
            "the file cannot be read", code="file-unreadable", source=str(path), found=error.strerror
        ) from error
    if not first:
        raise FormatError(
            "the file is empty",
            code="file-empty",
            source=str(path),
            expected="at least one row",
            fix="check what wrote it",
        )
