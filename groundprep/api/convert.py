"""`groundprep convert`: any layout to any other, in a trainer's frame if asked, with a loss report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import groundprep
from groundprep.api.image_edits import ExifMode, ResizeMode, image_edit, require_place, transcoding
from groundprep.api.negatives import require_negatives, with_negatives
from groundprep.api.sources import CONVERTER_SUFFIX, SourceConfig, Sources, open_sources, require_frames, with_one_root
from groundprep.api.units import UnitChange, header_of, stages_for, unit_changes
from groundprep.containers import CONTAINERS, STDIN, TableSpec, Writer
from groundprep.containers import container_of_name as container_of
from groundprep.containers.json_text import encode_compact
from groundprep.containers.tsv import TsvWriter
from groundprep.corpora import CORPORA, get_row_dialect, writer_of
from groundprep.dialects import DIALECTS, Dialect, get_dialect
from groundprep.engine.local import default_workers
from groundprep.errors import FormatError, GroundprepError, UsageError
from groundprep.geometry.frames import FRAMES, Space
from groundprep.images import ImageLoader
from groundprep.manifest import FORMAT, Manifest, RunConfig, versions_of
from groundprep.output import Output, writing
from groundprep.pipeline import OnError, Pipeline, RunResult, require_rows
from groundprep.profile import Profile, RowFrame, Unit
from groundprep.record import Dropped, Record
from groundprep.stages.name_images import NameImages
from groundprep.stages.transcode import ImageEdit, TranscodeImages
from groundprep.trainers import get_profile

BYTE_PACKAGES = ("msgspec", "numpy", "pillow", "pyarrow", "pybase64")
"""Packages whose version may change output bytes."""


@dataclass(frozen=True, slots=True)
class ConvertConfig:
    """What `convert` shall do.

    Args:
        sources: what to read.
        dst: destination; a prefix for tsv; `-` writes jsonl to standard output.
        profile: the trainer to write for, `NAME[@REV]`.
        to: a container, dialect or corpus; None: what the destination's name, the profile or the source say.
        dialect: the dialect to write.
        image_out: directory for image files, when the target names files.
        frame: the trainer's frame, or the one that the trainer's own converter assumes.
        min_pixels, max_pixels: override the profile's limits.
        verify: prove images by their header, or decode them all.
        resize: store images as they are, or at the nearest size that the profile's chain leaves alone.
        exif: leave the EXIF orientation to the loader, or turn the pixels and drop the tag; boxes follow.
        dedupe_images: store each image once in a TSV, however many rows share it.
        strict_lossless: fail before writing if anything would be rounded or lost.
        dry_run: do everything but write.
        negatives: how many phrases to add to every image that say what is not in it, from the sources' own.
        seed: decides which.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`; workers never change the bytes.
    """

    sources: SourceConfig
    dst: str
    profile: str | None = None
    to: str | None = None
    dialect: str | None = None
    image_out: str | None = None
    frame: Literal["trainer", "converter"] = "trainer"
    min_pixels: int | None = None
    max_pixels: int | None = None
    verify: Literal["header", "decode"] = "header"
    dedupe_images: bool = True
    strict_lossless: bool = False
    dry_run: bool = False
    negatives: int = 0
    seed: int = 0
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None
    resize: ResizeMode = "none"
    exif: ExifMode = "keep"


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What `convert` did.

    Args:
        outputs: the files under their final names.
        counts, losses, warnings: see the manifest and docs/cli.md.
        units: what was inserted because a row of the target is another unit than a row of the source.
        unchanged: the very same output was there already.
    """

    outputs: tuple[str, ...]
    counts: dict[str, int]
    losses: dict[str, Any]
    warnings: list[dict[str, Any]]
    dropped_file: str | None
    container: str
    dialect: str
    profile: dict[str, Any] | None
    units: tuple[UnitChange, ...] = ()
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go: container, dialect, frame, and the profile if it is for a trainer.

    `inherited` is the metadata of the source, for rows that stay in the frame of a trainer without naming one.
    """

    container: str
    dialect: Dialect
    row_frame: RowFrame
    profile: Profile | None
    inherited: Mapping[str, Any] | None = None
    edit: ImageEdit | None = None

    @property
    def writer_type(self) -> type[Writer]:
        """The writer of the container or corpus."""
        return writer_of(self.container)

    @property
    def unit(self) -> Unit | None:
        """What one row is; None: an expression or an image, as the source has it.

        A dialect of expressions holds nothing else. One of images can hold a row for each expression, too: there the profile
        decides; a corpus has each image once.
        """
        if self.dialect.unit != "image":
            return self.dialect.unit
        if self.profile is not None:
            return self.profile.unit
        return "image" if self.container in CORPORA else None

    @property
    def style(self) -> str:
        """The style of answers that the trainer reads, where the dialect knows several."""
        return "" if self.profile is None else self.profile.style

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the file must say about its frame: that of its numbers, which a dialect may fix."""
        if self.profile is None:
            return None if self.inherited is None else dict(self.inherited)
        return self.profile.as_metadata() | {"frame": self.row_frame.frame.name}


def convert(config: ConvertConfig) -> ConvertResult:
    """Convert; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    loader = ImageLoader(verify=config.verify)
    target_profile = resolve_profile(config)
    assumed = None if target_profile is None else RowFrame.of_profile(target_profile)
    sources = open_sources(replace(config.sources, assumed_frame=assumed), loader)
    target = resolve_target(config, sources, target_profile)
    require_negatives(config.negatives, dialect=target.dialect, profile=target.profile)
    if config.negatives and STDIN in config.sources.paths:
        raise UsageError(
            "the phrases are read first, and standard input can be read once",
            code="stdin-twice",
            found=f"--negatives {config.negatives}",
            fix="write standard input to a file first",
        )
    if config.dry_run:
        rehearsal = _rehearse(config, sources, target, loader)
        require_lossless(config, rehearsal.losses.as_data())
        return _result(rehearsal, sources, target, ())
    if config.dst == STDIN:
        return _to_stdout(config, sources, target, loader)
    output = Output(config.dst, target.writer_type.suffixes, run_config("convert", config, sources, target))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is None:
        return write_output(config, sources, target, loader, output)
    if STDIN in config.sources.paths:
        raise UsageError(
            "the destination is there, and standard input cannot be compared with what it was made from",
            code="output-differs",
            source=config.dst,
            fix="pass --overwrite to replace it, or choose another destination",
        )
    require_lossless(config, done.losses)
    return _unchanged(done, output, sources, target)


def require_lossless(config: ConvertConfig, losses: dict[str, Any]) -> None:
    """Raise FormatError (`lossy`) if something is rounded or lost and `strict_lossless` is set."""
    worst = ", ".join(name for name, loss in losses.items() if loss["rounded"] or loss["lost"])
    if config.strict_lossless and worst:
        raise FormatError(
            "the conversion would lose or round values",
            code="lossy",
            source=config.dst,
            found=worst,
            expected="a lossless conversion",
            fix="drop --strict-lossless, or choose another target",
        )


def resolve_profile(config: ConvertConfig) -> Profile | None:
    """Return the profile to write for, limits and frame applied; `--to parquet` alone means easyr1."""
    name = config.profile
    wants_parquet = config.to == "parquet" or (config.to is None and container_of(config.dst) == "parquet")
    if name is None and config.dialect is None and wants_parquet:
        name = "easyr1"
    if name is None:
        if config.min_pixels is not None or config.max_pixels is not None:
            raise UsageError("--min-pixels and --max-pixels override a trainer's limits", expected="--for PROFILE")
        return None
    profile = get_profile(name)
    if config.frame == "converter":
        profile = profile.as_converter()
    profile = profile.with_limits(config.min_pixels, config.max_pixels)
    low, high = profile.chain.limits
    if low is not None and high is not None and low > high:
        raise UsageError(
            "the pixel limits contradict each other",
            found=f"at least {low}, at most {high}",
            expected="min_pixels <= max_pixels",
            fix="pass both --min-pixels and --max-pixels",
        )
    return profile


def resolve_target(config: ConvertConfig, sources: Sources, profile: Profile | None) -> Target:
    """Decide container, dialect and frame of the output; raises UsageError where they do not go together."""
    if config.to not in (None, *CONTAINERS, *DIALECTS, *CORPORA):
        raise UsageError(
            "no such container, dialect or corpus",
            found=config.to,
            expected=", ".join((*CONTAINERS, *DIALECTS, *CORPORA)),
        )
    named = config.dialect or (config.to if config.to in DIALECTS else None)
    container = _target_container(config, sources.dialects[0], profile, named)
    dialect = _target_dialect(container, sources.dialects[0], profile, named)
    if container not in dialect.containers:
        raise UsageError(
            f"the dialect {dialect.name} cannot live in {container}",
            found=f"--to {container}",
            expected=" or ".join(dialect.containers),
            fix="choose another --to, --dialect or --for",
        )
    inherited = _source_metadata(config.sources, sources) if dialect.frame.space is Space.SEEN else None
    edit = image_edit(config.resize, config.exif, profile, frame=config.frame)
    target = Target(container, dialect, _target_frame(dialect, sources, profile), profile, inherited, edit)
    roots = image_roots(config.sources)
    require_place(
        edit,
        embeds_images=target.writer_type.embeds_images,
        image_out=config.image_out,
        image_roots=[roots] if isinstance(roots, str) else roots,
    )
    return target


def _target_container(config: ConvertConfig, source: Dialect, profile: Profile | None, named: str | None) -> str:
    """Return the container or corpus to write: what is asked for, what DST's name says, what the trainer reads."""
    if config.to in CONTAINERS or config.to in CORPORA:
        return str(config.to)
    container = container_of(config.dst) or (profile.container if profile else None)
    keeps_document = source.name in CORPORA and CORPORA[source.name].writer is not None
    if container == "json" and keeps_document and named is None and profile is None:
        return source.name  # a document stays a document, as rows stay rows
    if container is not None:
        return container
    return "jsonl" if config.dst == STDIN or named is None else get_dialect(named).containers[0]


def _target_dialect(container: str, source: Dialect, profile: Profile | None, named: str | None) -> Dialect:
    """Return the dialect to write: what is asked for, the trainer's, the source's if it can live there."""
    if container in CORPORA:
        name = named or container
    elif named is not None:
        name = named
    elif profile is not None:
        name = profile.dialect
    elif container == "tsv":
        name = "rexomni"
    elif container in source.containers:
        return source
    else:
        name = "rexomni" if source.name in CORPORA and source.unit == "image" else "rexthinker"
    return get_row_dialect(name)


def _source_metadata(config: SourceConfig, sources: Sources) -> Mapping[str, Any] | None:
    """Return what says in which trainer's frame the first source is, if it is in one."""
    name = config.source_frame
    if name is None:
        return sources.readers[0].header.profile
    if name in FRAMES:
        return None
    profile = get_profile(name.removesuffix(CONVERTER_SUFFIX))
    return (profile.as_converter() if name.endswith(CONVERTER_SUFFIX) else profile).as_metadata()


def _target_frame(dialect: Dialect, sources: Sources, profile: Profile | None) -> RowFrame:
    if profile is not None and profile.dialect == dialect.name:
        return RowFrame.of_profile(profile)
    if dialect.frame.space is not Space.SEEN:
        return RowFrame(dialect.frame)
    if profile is not None:
        return RowFrame.of_profile(profile)
    source = sources.contexts[0].row_frame
    if dialect.may_be_in(source.frame):
        return source
    raise UsageError(f"rows of {dialect.name} are in a trainer's frame", expected="--for PROFILE, such as --for easyr1")


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
    return RunConfig(command, sources.hash(), flags | sources.flags, target.metadata)


def image_roots(sources: SourceConfig) -> str | list[str]:
    """Return where image names start: `--image-root`, else the directory of each source."""
    return sources.image_root or [str(Path(path).parent) for path in sources.paths]


def records_of(
    config: ConvertConfig,
    sources: Sources,
    target: Target,
    pipeline: Pipeline,
    namer: NameImages | None,
    transcoder: TranscodeImages | None = None,
    scratch: Path | None = None,
) -> Iterator[Record]:
    """Yield the records to write: read, images edited, of the unit that the target needs, images named.

    `scratch` is a directory for a stage's nameless files; None: the system's.
    """
    records = pipeline.records(sources.readers, sources.dialects, sources.contexts, limit=config.limit)
    if not target.writer_type.embeds_images and config.image_out is None:
        records = with_one_root(records, sources)
    if config.negatives:
        again = Pipeline(on_error=config.on_error).records(
            sources.readers, sources.dialects, sources.contexts, limit=config.limit
        )
        records = with_negatives(
            records, pipeline, again, sources.contexts[0].loader, count=config.negatives, seed=config.seed
        )
    if transcoder is not None:
        records = pipeline.mapped(transcoder, records, workers=config.workers or default_workers())
    for stage in stages_for(unit_changes(sources, target.unit, target.container), target.dialect, scratch):
        records = pipeline.through(stage, records)
    if namer is not None:
        records = pipeline.through(namer, records)
    return records


def _namer(config: ConvertConfig, target: Target, loader: ImageLoader, staging: Path | None) -> NameImages | None:
    if target.writer_type.embeds_images:
        if config.image_out is not None:
            raise UsageError(f"{target.container} embeds its images", found="--image-out", fix="drop --image-out")
        return None
    return NameImages(loader, staging if config.image_out is not None else None)


def _run(
    config: ConvertConfig,
    sources: Sources,
    target: Target,
    loader: ImageLoader,
    paths: list[Path],
    *,
    staging: Path | None,
    dropped: _DroppedFile | None,
    transcoder: TranscodeImages | None,
    dry_run: bool = False,
) -> RunResult:
    pipeline = Pipeline(on_error=config.on_error, keep_dropped=dropped)
    namer = _namer(config, target, loader, staging)
    table = TableSpec(target.dialect.columns, target.metadata or {}, header_of(sources))
    writer = target.writer_type(paths, table, loader)
    if isinstance(writer, TsvWriter):
        writer.dedupe = config.dedupe_images
    try:
        scratch = paths[0].parent if staging is not None and not dry_run else None
        records = records_of(config, sources, target, pipeline, namer, transcoder, scratch)
        result = pipeline.write(
            records,
            target.dialect,
            writer,
            row_frame=target.row_frame,
            loader=loader,
            workers=config.workers or default_workers(),
            style=target.style,
            image_out=config.image_out,
        )
        require_rows(result, config.sources.paths)
        require_frames(result.frames, config.sources, sources)
        if dry_run:
            writer.abort()
        else:
            writer.close()
    except BaseException:
        writer.abort()
        raise
    return result


def write_output(
    config: ConvertConfig, sources: Sources, target: Target, loader: ImageLoader, output: Output
) -> ConvertResult:
    """Convert into a named destination, atomically."""
    started = time.time()
    output.begin()
    try:
        with (
            writing(config.dst),
            dropped_file(output.partial / "dropped.jsonl") as dropped,
            transcoding(target.edit, loader, output.sidecar) as edited,
        ):
            staging = output.partial / "images"
            result = _run(
                config,
                sources,
                target,
                loader,
                output.partial_paths,
                staging=staging,
                dropped=dropped,
                transcoder=edited,
            )
        require_lossless(config, result.losses.as_data())
        if config.image_out is not None and staging.exists():
            publish_images(staging, Path(config.image_out), overwrite=config.overwrite)
        manifest = Manifest(
            FORMAT,
            groundprep.__version__,
            output.config,
            versions_of(BYTE_PACKAGES),
            result.counts.as_data(),
            result.losses.as_data(),
            (),
        )
        output.commit(manifest, {"started": started, "seconds": time.time() - started, "workers": config.workers})
    except (GroundprepError, OSError):
        output.abort()
        raise
    except KeyboardInterrupt:
        output.abort(keep_state=target.edit is not None)  # transcoded images are kept: the same command goes on there
        raise
    kept = str(output.sidecar / "dropped.jsonl") if result.counts.dropped else None
    return _result(result, sources, target, tuple(map(str, output.finals)), dropped=kept)


def _rehearse(config: ConvertConfig, sources: Sources, target: Target, loader: ImageLoader) -> RunResult:
    """Do everything, but write into nothing."""
    nowhere = [Path(os.devnull)] * len(target.writer_type.suffixes)
    with tempfile_directory() as directory, transcoding(target.edit, loader, None) as edited:
        staging = directory / "images" if config.image_out is not None else None
        return _run(
            config, sources, target, loader, nowhere, staging=staging, dropped=None, transcoder=edited, dry_run=True
        )


def _to_stdout(config: ConvertConfig, sources: Sources, target: Target, loader: ImageLoader) -> ConvertResult:
    if target.container != "jsonl":
        raise UsageError(
            "only jsonl can be written to standard output", found=f"--to {target.container}", fix="name a destination"
        )
    if config.on_error == "drop":
        raise UsageError("dropped rows need a file", found="DST - with --on-error drop", fix="name a destination")
    if config.image_out is not None:
        raise UsageError(
            "image files need a named destination", found="DST - with --image-out", fix="name a destination"
        )
    if config.strict_lossless:
        if STDIN in config.sources.paths:
            raise UsageError(
                "standard input cannot be read twice, and rows written to standard output cannot be taken back",
                found="--strict-lossless from - to -",
                fix="name a destination",
            )
        require_lossless(config, _rehearse(config, sources, target, loader).losses.as_data())
    result = _run(config, sources, target, loader, [Path(STDIN)], staging=None, dropped=None, transcoder=None)
    return _result(result, sources, target, ())


def _result(
    result: RunResult, sources: Sources, target: Target, outputs: tuple[str, ...], *, dropped: str | None = None
) -> ConvertResult:
    return ConvertResult(
        outputs,
        result.counts.as_data(),
        result.losses.as_data(),
        result.warnings.as_data(),
        dropped,
        target.container,
        target.dialect.name,
        target.metadata,
        unit_changes(sources, target.unit, target.container),
    )


def _unchanged(done: Manifest, output: Output, sources: Sources, target: Target) -> ConvertResult:
    dropped = output.sidecar / "dropped.jsonl"
    return ConvertResult(
        tuple(map(str, output.finals)),
        done.counts,
        done.losses,
        [],
        str(dropped) if dropped.exists() else None,
        target.container,
        target.dialect.name,
        target.metadata,
        unit_changes(sources, target.unit, target.container),
        unchanged=True,
    )


class _DroppedFile:
    """Collects dropped rows as JSON Lines; creates its file with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: Any = None

    def __call__(self, dropped: Dropped) -> None:
        if self.file is None:
            self.file = self.path.open("wb")
        row = dropped.error.as_dict() | {"source": str(dropped.source), "row": _printable(dropped.row)}
        self.file.write(encode_compact(row) + b"\n")


def _printable(value: Any) -> Any:
    """Return a row with image bytes replaced by their length."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value


@contextmanager
def dropped_file(path: Path) -> Iterator[_DroppedFile]:
    """Open the sidecar for dropped rows and close it at the end."""
    dropped = _DroppedFile(path)
    try:
        yield dropped
    finally:
        if dropped.file is not None:
            dropped.file.close()


@contextmanager
def tempfile_directory() -> Iterator[Path]:
    """Yield a directory that is gone afterwards."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="groundprep-") as name:
        yield Path(name)


def publish_images(staging: Path, image_out: Path, *, overwrite: bool) -> None:
    """Move staged image files into place; a file of the same name must hold the same bytes, or `overwrite` be set."""
    staged = sorted(path for path in staging.rglob("*") if path.is_file())
    for path in staged:
        final = image_out / path.relative_to(staging)
        if final.exists() and not overwrite and final.read_bytes() != path.read_bytes():
            raise UsageError(
                "another image has this name already",
                code="output-exists",
                source=str(final),
                fix="pass --overwrite or another --image-out",
            )
    with writing(image_out):
        for path in staged:
            final = image_out / path.relative_to(staging)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(final)
            except OSError:  # another file system
                shutil.move(path, final)
