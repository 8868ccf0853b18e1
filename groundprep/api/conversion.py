"""One conversion at work: records out of opened sources, through the stages that the target needs, into given files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from groundprep.api.convert_config import ConvertConfig
from groundprep.api.destination_name import name_findings
from groundprep.api.dialect_options import options_of
from groundprep.api.dropped_rows import DroppedFile
from groundprep.api.image_edits import transcoding
from groundprep.api.negatives import with_negatives
from groundprep.api.rexomni_config import TrainerEntry, stage_for
from groundprep.api.sources import Sources, require_frames, with_one_root
from groundprep.api.tables import table_of
from groundprep.api.target import Target, image_roots
from groundprep.api.units import stages_for, unit_changes
from groundprep.containers.offsets import OffsetIndex
from groundprep.containers.tsv import TsvWriter
from groundprep.corpora import CORPORA
from groundprep.engine.local import default_workers
from groundprep.errors import UsageError
from groundprep.finding import Finding, Severity
from groundprep.image_loader import ImageLoader
from groundprep.manifest import RunConfig
from groundprep.pipeline import Pipeline, require_rows
from groundprep.record import Record
from groundprep.run_result import RunResult
from groundprep.stages.crowds import Crowds
from groundprep.stages.hold_regions import HoldRegions
from groundprep.stages.name_images import NameImages
from groundprep.stages.transcode import TranscodeImages

BYTE_PACKAGES = ("msgspec", "numpy", "pillow", "pyarrow", "pybase64")
"""Packages whose version may change output bytes."""

SIZES_DECLARED = Finding(
    code="sizes-declared",
    severity=Severity.WARNING,
    record=None,
    source="images",
    message="there is no image file, and the size that the data declares was taken for the image's own",
    fix="pass --image-root to prove the sizes; a declared size that is wrong moves every box",
)


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion with everything looked up.

    Args:
        config: what was asked for.
        sources: what is read.
        target: what is written.
        loader: reads images, for sources and target alike.
        one_root: sources whose first one's root every image name must mean, where the files are read as one; None: `sources`.
    """

    config: ConvertConfig
    sources: Sources
    target: Target
    loader: ImageLoader
    one_root: Sources | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where a conversion puts what it makes beside the rows.

    Args:
        staging: directory for image files; None: none are written.
        scratch: directory for a stage's nameless files; None: the system's.
        dropped: keeps dropped rows.
        transcoder: edits images.
        names: names of image files that are taken, shared by conversions into one directory.
    """

    staging: Path | None = None
    scratch: Path | None = None
    dropped: DroppedFile | None = None
    transcoder: TranscodeImages | None = None
    names: OffsetIndex | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a conversion wrote, and what a Rex-Omni configuration must say of it."""

    result: RunResult
    entry: TrainerEntry | None = None

    @property
    def side_files(self) -> dict[str, str]:
        """Files for people, name → text."""
        return {} if self.entry is None else self.entry.side_files


def run_config(command: str, config: ConvertConfig, sources: Sources, target: Target) -> RunConfig:
    """Return all that decides the output's bytes."""
    flags = {
        "container": target.container,
        "dialect": target.dialect.name,
        "from": [dialect.name for dialect in sources.dialects],
        "image_root": image_roots(config.sources),
        "source_frame": config.sources.source_frame,
        "image_out": config.image_out,
        "verify": config.verify,
        "resize": config.resize,
        "exif": config.exif,
        "dedupe_images": config.dedupe_images,
        "negatives": [config.negatives, config.seed] if config.negatives else None,
        "on_error": config.on_error,
        "limit": config.limit,
    }
    if config.crowds == "drop":
        flags["crowds"] = config.crowds
    flags |= options_of(target.dialect)
    return RunConfig(command, sources.hash(), flags | sources.flags, target.metadata)


def records_of(
    job: Job,
    pipeline: Pipeline,
    namer: NameImages | None,
    places: Places,
    held: HoldRegions | None = None,
    crowds: Crowds | None = None,
) -> Iterator[Record]:
    """Yield the records to write: read, images edited, of the unit that the target needs, images named.

    `held` takes out what the rows cannot hold, `crowds` looks for outlines around many objects.
    """
    config, sources, target = job.config, job.sources, job.target
    records = pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=config.limit)
    if not target.writer_type.embeds_images and config.image_out is None:
        records = with_one_root(records, job.one_root or sources)
    if config.negatives:
        again = Pipeline(on_error=config.on_error).records(
            sources.readers, sources.dialects, sources.contexts, limit=config.limit
        )
        records = with_negatives(
            records, pipeline, again, sources.contexts[0].loader, count=config.negatives, seed=config.seed
        )
    if crowds is not None:
        records = pipeline.through(crowds, records)
    if places.transcoder is not None:
        records = pipeline.mapped(places.transcoder, records, workers=config.workers or default_workers())
    for stage in stages_for(unit_changes(sources, target.unit, target.container), target.dialect, places.scratch):
        records = pipeline.through(stage, records)
    for own_stage in (held, namer):
        if own_stage is not None:
            records = pipeline.through(own_stage, records)
    return records


def _namer(job: Job, places: Places) -> NameImages | None:
    config, target = job.config, job.target
    if target.writer_type.embeds_images:
        if config.image_out is not None:
            raise UsageError(f"{target.container} embeds its images", found="--image-out", fix="drop --image-out")
        return None
    return NameImages(job.loader, places.staging if config.image_out is not None else None, places.names)


def write_rows(job: Job, paths: list[Path], places: Places, *, dry_run: bool = False) -> Written:
    """Write the records into files; raises what the rows raise where nothing is to be dropped."""
    config, target, sources = job.config, job.target, job.sources
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=places.dropped)
    namer, held, crowds = _namer(job, places), stage_for(target.profile, target.dialect.name), crowds_of(job)
    table = table_of(sources, target.dialect, target.writer_type, target.metadata)
    writer = target.writer_type(paths, table, job.loader)
    if isinstance(writer, TsvWriter):
        writer.dedupe = config.dedupe_images
    try:
        result = pipeline.write(
            records_of(job, pipeline, namer, places, held, crowds),
            target.dialect,
            writer,
            row_frame=target.row_frame,
            loader=job.loader,
            workers=config.workers or default_workers(),
            style=target.style,
            image_out=config.image_out,
        )
        require_rows(result, config.sources.paths)
        writer.report_header(result.losses)
        require_frames(result.frames, config.sources, sources)
        if dry_run:
            writer.abort()
        else:
            writer.close()
    except BaseException:
        writer.abort()
        raise
    entry = _entry_of(job, held)
    doubts = name_findings(config.dst, target.container, target.dialect.name, target.profile)
    for finding in (*doubts, *(() if entry is None else entry.findings())):
        result.warnings.add(finding)
    warn_of_crowds(result, crowds)
    return Written(result, entry)


def warn_of_crowds(result: RunResult, crowds: Crowds | None) -> None:
    """Count the crowds that became objects as a warning."""
    finding = None if crowds is None else crowds.finding()
    if crowds is not None and finding is not None:
        result.warnings.add(finding, crowds.kept)


def crowds_of(job: Job) -> Crowds | None:
    """Return the stage that looks for crowds: where they shall go, or come from a corpus and lose what says that they are."""
    if job.config.crowds == "drop":
        return Crowds(takes_out=True)
    from_corpus = any(reader.container in CORPORA for reader in job.sources.readers)
    return Crowds(takes_out=False) if from_corpus and job.target.container not in CORPORA else None


def _entry_of(job: Job, held: HoldRegions | None) -> TrainerEntry | None:
    if held is None or job.target.profile is None:
        return None
    return TrainerEntry(job.target.profile, job.config.dst if job.target.container == "tsv" else None, held)


def warn_of_declared_sizes(result: RunResult, loader: ImageLoader) -> None:
    """Count the images whose size was only declared as a warning; once, after the last row that uses the loader."""
    if loader.declared_only:
        result.warnings.add(SIZES_DECLARED, loader.declared_only)
        loader.declared_only = 0


def rehearse(job: Job) -> RunResult:
    """Do everything, but write into nothing."""
    nowhere = [Path(os.devnull)] * len(job.target.writer_type.suffixes)
    with TemporaryDirectory(prefix="groundprep-") as name, transcoding(job.target.edit, job.loader, None) as edited:
        staging = Path(name) / "images" if job.config.image_out is not None else None
        return write_rows(job, nowhere, Places(staging, transcoder=edited), dry_run=True).result
