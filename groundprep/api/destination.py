"""One destination of a conversion: standard output, nowhere, or files that appear complete or not at all."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import groundprep
from groundprep.api.conversion import (
    BYTE_PACKAGES,
    Job,
    Places,
    Written,
    rehearse,
    run_config,
    warn_of_declared_sizes,
    write_rows,
)
from groundprep.api.convert_config import ConvertConfig, ConvertResult
from groundprep.api.dialect_options import side_files_of
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.image_edits import transcoding
from groundprep.api.image_files import publish_images
from groundprep.api.rexomni_config import SHOWN_CATEGORIES
from groundprep.api.units import unit_changes
from groundprep.containers import STDIN
from groundprep.errors import FormatError, UsageError
from groundprep.manifest import FORMAT, Manifest, versions_of
from groundprep.output import DROPPED, SIDE_FILES, Output, writing
from groundprep.run_result import RunResult


def convert_to_destination(job: Job) -> ConvertResult:
    """Convert into `job.config.dst`; raises UsageError, FormatError, RecordError, PayloadError."""
    config = job.config
    if config.dry_run:
        rehearsal = rehearse(job)
        warn_of_declared_sizes(rehearsal, job.loader)
        require_lossless(config, rehearsal.losses.as_data())
        return result_of(job, rehearsal, ())
    if config.dst == STDIN:
        return _to_stdout(job)
    if config.dropped is not None:
        raise UsageError(
            "dropped rows of a named destination lie in its sidecar",
            found=f"--dropped {config.dropped}",
            fix=f"drop the flag; they will be in {config.dst}.groundprep/{DROPPED}",
        )
    output = Output(config.dst, job.target.writer_type.suffixes, run_config("convert", config, job.sources, job.target))
    done = output.completed(overwrite=config.overwrite, fresh=config.fresh)
    if done is None:
        return write_output(job, output)
    if STDIN in config.sources.paths:
        raise UsageError(
            "the destination is there, and standard input cannot be compared with what it was made from",
            code="output-differs",
            source=config.dst,
            fix="pass --overwrite to replace it, or choose another destination",
        )
    require_lossless(config, done.losses)
    return unchanged(job, done, output)


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


def write_output(job: Job, output: Output) -> ConvertResult:
    """Convert into a named destination, atomically."""
    started = time.time()
    output.begin()
    try:
        written = _fill(job, output)
        result, config = written.result, job.config
        warn_of_declared_sizes(result, job.loader)
        require_lossless(config, result.losses.as_data())
        staging = output.partial / "images"
        if config.image_out is not None and staging.exists():
            publish_images(staging, Path(config.image_out), overwrite=config.overwrite)
        output.commit(manifest_of_run(output, result), run_info(config, started))
    except KeyboardInterrupt:
        # Transcoded images are kept: the same command goes on there.
        output.abort(keep_state=job.target.edit is not None)
        raise
    except BaseException:  # also what a caller's own records raise: nothing half-written stays, and every error goes on
        output.abort()
        raise
    entry = written.entry
    paste = None if entry is None or entry.prefix is None else entry.text(SHOWN_CATEGORIES)
    done = result_of(job, result, tuple(map(str, output.finals)))
    return replace(done, dropped_file=dropped_of(output), side_files=side_files(output), paste=paste)


def _fill(job: Job, output: Output) -> Written:
    """Write rows, images and side files into the partial directory."""
    with (
        writing(job.config.dst),
        dropped_file(output.partial / DROPPED) as dropped,
        transcoding(job.target.edit, job.loader, output.sidecar) as edited,
    ):
        staging, scratch = output.partial / "images", output.partial_paths[0].parent
        written = write_rows(job, output.partial_paths, Places(staging, scratch, dropped, edited))
        for name, text in (side_files_of(job.target.dialect) | written.side_files).items():
            (output.partial / name).write_text(text, encoding="utf-8")
    return written


def manifest_of_run(output: Output, result: RunResult, facts: dict[str, Any] | None = None) -> Manifest:
    """Return the manifest of a run, without its outputs."""
    counts, losses = result.counts.as_data(), result.losses.as_data()
    versions = versions_of(BYTE_PACKAGES)
    return Manifest(FORMAT, groundprep.__version__, output.config, versions, counts, losses, (), facts or {})


def run_info(config: ConvertConfig, started: float) -> dict[str, Any]:
    """Return what run.json holds: all that the output's bytes do not depend on."""
    return {"started": started, "seconds": time.time() - started, "workers": config.workers}


def _to_stdout(job: Job) -> ConvertResult:
    config, container = job.config, job.target.container
    if container != "jsonl":
        raise UsageError(
            "only jsonl can be written to standard output", found=f"--to {container}", fix="name a destination"
        )
    if config.on_error == "drop" and config.dropped is None:
        raise UsageError(
            "dropped rows need a file",
            found="DST - with --on-error drop",
            fix="pass --dropped FILE, or name a destination",
        )
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
        require_lossless(config, rehearse(job).losses.as_data())
    dropped = None if config.dropped is None else _new_dropped(Path(config.dropped), overwrite=config.overwrite)
    with nullcontext() if dropped is None else dropped_file(dropped) as keep_dropped:
        result = write_rows(job, [Path(STDIN)], Places(dropped=keep_dropped)).result
    warn_of_declared_sizes(result, job.loader)
    return replace(result_of(job, result, ()), dropped_file=config.dropped if result.counts.dropped else None)


def _new_dropped(path: Path, *, overwrite: bool) -> Path:
    """Return the file for dropped rows, which is not there yet or no longer; raises UsageError."""
    if path.exists() and not (overwrite and path.is_file()):
        raise UsageError(
            "the file for dropped rows exists", found=f"--dropped {path}", fix="pass --overwrite, or another name"
        )
    if not path.parent.is_dir():
        raise UsageError(
            "the file for dropped rows has no directory", found=f"--dropped {path}", fix="make the directory first"
        )
    path.unlink(missing_ok=True)
    return path


def result_of(job: Job, result: RunResult, outputs: tuple[str, ...]) -> ConvertResult:
    """Return what a run did."""
    return ConvertResult(
        outputs,
        result.counts.as_data(),
        result.losses.as_data(),
        result.warnings.as_data(),
        None,
        job.target.container,
        job.target.dialect.name,
        job.target.metadata,
        unit_changes(job.sources, job.target.unit, job.target.container),
    )


def unchanged(job: Job, done: Manifest, output: Output) -> ConvertResult:
    """Return what an earlier run of the same configuration did."""
    return ConvertResult(
        tuple(map(str, output.finals)),
        done.counts,
        done.losses,
        [],
        dropped_of(output),
        job.target.container,
        job.target.dialect.name,
        job.target.metadata,
        unit_changes(job.sources, job.target.unit, job.target.container),
        unchanged=True,
        side_files=side_files(output),
    )


def dropped_of(output: Output) -> str | None:
    """Return the file of dropped rows of a finished output, if rows were dropped."""
    path = output.sidecar / DROPPED
    return str(path) if path.exists() else None


def side_files(output: Output) -> tuple[str, ...]:
    """Return what lies in the sidecar for people, dropped rows apart."""
    paths = (output.sidecar / name for name in SIDE_FILES if name != DROPPED)
    return tuple(str(path) for path in paths if path.exists())
