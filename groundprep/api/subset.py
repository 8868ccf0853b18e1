"""What sample and split share: rows of a source, written again in the layout and the frame that they have.

Of a TSV only a line index is written: it points into the annotations that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundprep.api.line_index import facts_of, write_line_index
from groundprep.api.sources import CONVERTER_SUFFIX, SourceConfig, Sources, with_one_root
from groundprep.api.tables import table_of
from groundprep.checks.boxes import box_findings
from groundprep.containers import CONTAINERS, STDIN, Writer
from groundprep.containers.selected import SelectedReader
from groundprep.containers.tsv import LINE_INDEX, TsvReader
from groundprep.corpora import writer_of
from groundprep.dialects import Dialect
from groundprep.engine.local import default_workers
from groundprep.errors import FormatError, UsageError
from groundprep.image_loader import ImageLoader
from groundprep.pipeline import Pipeline
from groundprep.record import Record
from groundprep.run_result import RunResult
from groundprep.trainers import PROFILES, get_profile


@dataclass(frozen=True, slots=True)
class Subset:
    """Opened sources that have one layout, and what their rows need to be written in it again."""

    sources: Sources
    loader: ImageLoader
    metadata: dict[str, Any] | None

    @property
    def container(self) -> str:
        """The container or corpus."""
        return self.sources.readers[0].container

    @property
    def dialect(self) -> Dialect:
        """The dialect."""
        return self.sources.dialects[0]

    @property
    def writer_type(self) -> type[Writer]:
        """The writer of the container; of a TSV only a line index is written, without it."""
        return writer_of(self.container)

    @property
    def is_line_index(self) -> bool:
        """Say whether only a line index is written."""
        return self.container == "tsv"

    @property
    def extension(self) -> str:
        """What the name of an output ends in."""
        if self.is_line_index:
            return LINE_INDEX
        return CONTAINERS[self.container].extensions[0] if self.container in CONTAINERS else ".json"

    def records(self, pipeline: Pipeline, limit: int | None) -> Iterator[Record]:
        """Yield the records of the sources."""
        sources = self.sources
        records = pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=limit)
        return records if self.writer_type.embeds_images else with_one_root(records, sources)

    def write(self, pipeline: Pipeline, records: Iterable[Record], path: Path, *, workers: int | None) -> RunResult:
        """Write records into a file; raises FormatError and, where nothing is to be dropped, the rows' errors."""
        if self.is_line_index:
            write_line_index(path, self._offsets(pipeline, records))
            pipeline.result.counts.require_balanced()
            return pipeline.result
        return self.write_files(pipeline, records, [path], workers=workers)

    def write_files(
        self, pipeline: Pipeline, records: Iterable[Record], paths: Sequence[Path], *, workers: int | None
    ) -> RunResult:
        """Write records into all files of the container, of a TSV with its images and annotations; raises as `write`."""
        table = table_of(self.sources, self.dialect, self.writer_type, self.metadata)
        writer = self.writer_type(paths, table, self.loader)
        try:
            result = pipeline.write(
                records,
                self.dialect,
                writer,
                row_frame=self.sources.contexts[0].row_frame,
                loader=self.loader,
                workers=workers or default_workers(),
            )
            writer.close()
        except BaseException:
            writer.abort()
            raise
        return result

    def facts(self, final: Path) -> dict[str, Any]:
        """Return what a manifest says so that a line index is found again; of other files nothing."""
        return facts_of(self._tsv.triple, final) if self.is_line_index else {}

    @property
    def _tsv(self) -> TsvReader:
        reader = self.sources.readers[0]
        inner = reader.reader if isinstance(reader, SelectedReader) else reader
        assert isinstance(inner, TsvReader)
        return inner

    def _offsets(self, pipeline: Pipeline, records: Iterable[Record]) -> Iterator[int]:
        """Yield the byte offset of every record's annotation line; rows that come again are found from the start."""
        entries = self._tsv.iter_offsets()
        number = offset = 0
        for record in records:
            row = record.source.row or 0
            if row < number:
                entries, number = self._tsv.iter_offsets(), 0
            while number < row:
                number, offset = next(entries, (row + 1, -1))
            if number != row:
                raise FormatError("the line index changed while it was read", code="tsv-changed", source=record.source)
            for finding in box_findings(record, None):
                pipeline.result.warnings.add(finding)
            pipeline.result.counts.written += 1
            yield offset


def subset_of(config: SourceConfig, sources: Sources, loader: ImageLoader) -> Subset:
    """Return the sources as one layout; raises UsageError (`mixed-layouts`) where they have several."""
    layouts = {
        (reader.container, dialect.name) for reader, dialect in zip(sources.readers, sources.dialects, strict=True)
    }
    if len(layouts) > 1 or (len(sources.readers) > 1 and sources.readers[0].container == "tsv"):
        raise UsageError(
            "the sources cannot be written as one file in the layout that they have",
            code="mixed-layouts",
            found=", ".join(f"{dialect} in {container}" for container, dialect in sorted(layouts)),
            expected="sources of one layout; of a TSV one line index",
            fix="convert them into one file first",
        )
    return Subset(sources, loader, _metadata(config, sources))


def require_two_passes(config: SourceConfig, reason: str) -> None:
    """Raise UsageError (`stdin-twice`) if standard input is among the sources."""
    if STDIN in config.paths:
        raise UsageError(
            "the source is read twice, and standard input can be read once",
            code="stdin-twice",
            found=reason,
            expected="a file",
            fix="write standard input to a file first",
        )


def _metadata(config: SourceConfig, sources: Sources) -> dict[str, Any] | None:
    """Return what the output must say about its frame: what the source says, or what `--source-frame` says of it."""
    if config.source_frame is not None:
        name = config.source_frame.removesuffix(CONVERTER_SUFFIX)
        if any(name in (profile.name, profile.full_name) for profile in PROFILES.values()):
            profile = get_profile(name)
            return (profile.as_converter() if name != config.source_frame else profile).as_metadata()
        return None
    stated = sources.readers[0].header.profile
    return None if stated is None else dict(stated)
