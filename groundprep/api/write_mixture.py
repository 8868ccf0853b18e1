"""Writing a mixture: every source becomes a file of its own, and the trainer is told of all of them.

A YAML and its files appear together or not at all, under one manifest. The files of `a.jsonl:b.jsonl` are destinations
of their own: each is complete or absent, and the same command finishes those that are missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from groundprep.api.conversion import Job, Places, rehearse, run_config, warn_of_declared_sizes, write_rows
from groundprep.api.convert_config import ConvertResult
from groundprep.api.destination import (
    dropped_of,
    manifest_of_run,
    require_lossless,
    result_of,
    run_info,
    side_files,
    unchanged,
    write_output,
)
from groundprep.api.dialect_options import side_files_of
from groundprep.api.dropped_rows import dropped_file
from groundprep.api.image_edits import transcoding
from groundprep.api.image_files import publish_images
from groundprep.api.merged_results import merged_results, merged_runs
from groundprep.api.mixture import Part
from groundprep.api.mixture_files import file_names, launch_arguments, yaml_arguments, yaml_text
from groundprep.api.mixture_target import MixtureTarget
from groundprep.api.sources import Sources
from groundprep.containers.choice import ALL
from groundprep.containers.offsets import OffsetIndex
from groundprep.containers.selected import SelectedReader, Selection
from groundprep.errors import GroundprepError, UsageError
from groundprep.manifest import RunConfig, read_manifest
from groundprep.output import DROPPED, Output, writing
from groundprep.run_result import RunResult


def convert_into_files(mixture: MixtureTarget, job: Job) -> ConvertResult:
    """Convert every source into its file; raises UsageError (`bad-mixture`) where they are not as many."""
    if len(job.sources.parts) != len(mixture.files):
        raise UsageError(
            "there must be one file for each source",
            code="bad-mixture",
            found=f"{len(mixture.files)} files for {len(job.sources.parts)} sources",
            expected=f"{len(job.sources.parts)} files between colons",
        )
    places = zip(mixture.files, mixture.image_outs, strict=True)
    jobs = [
        replace(part, config=replace(part.config, dst=dst, image_out=image_out))
        for part, (dst, image_out) in zip(_jobs_of_parts(mixture, job), places, strict=True)
    ]
    paste = launch_arguments(mixture, jobs)
    if job.config.dry_run:
        return _rehearsal(job, jobs)
    outputs = [
        Output(one.config.dst, ("",), run_config("convert", one.config, one.sources, one.target)) for one in jobs
    ]
    flags = {"overwrite": job.config.overwrite, "fresh": job.config.fresh}
    done = [output.completed(**flags) for output in outputs]  # all of them are asked before the first is written
    results = []
    for one, output, manifest in zip(jobs, outputs, done, strict=True):
        if manifest is not None:
            require_lossless(one.config, manifest.losses)
        results.append(write_output(one, output) if manifest is None else unchanged(one, manifest, output))
    return replace(merged_results(results), paste=paste)


def convert_into_yaml(mixture: MixtureTarget, job: Job) -> ConvertResult:
    """Convert every source into a file of the directory `DST` without `.yaml`, and write the YAML that lists them."""
    base = _directory_of(job.config.dst)
    names = file_names(job.sources.parts, mixture.extension)
    jobs = [
        replace(part, config=replace(part.config, dst=f"{base}/{name}"))
        for part, name in zip(_jobs_of_parts(mixture, job), names, strict=True)
    ]
    strategies = [_kept_strategy(mixture, part) for part in job.sources.parts]
    if job.config.dry_run:
        return _rehearsal(job, jobs)
    output = _yaml_output(job, base, names, strategies)
    paste = yaml_arguments(mixture, job)
    done = output.completed(overwrite=job.config.overwrite, fresh=job.config.fresh)
    if done is not None:
        require_lossless(job.config, done.losses)
        return replace(unchanged(job, done, output), paste=paste)
    return replace(_write_yaml(job, jobs, strategies, output), paste=paste)


def _jobs_of_parts(mixture: MixtureTarget, job: Job) -> list[Job]:
    """Return one conversion for each source."""
    one_root = job.sources if job.target.dialect.name == "vlmr1-refcoco" else None  # its trainer has one --image_root
    jobs = []
    for place, part in enumerate(job.sources.parts):
        sources = _only(job.sources, place, whole=not mixture.applies_sampling)
        of_part = replace(
            job.config.sources,
            paths=(part.path,),
            from_name=part.from_name or job.config.sources.from_name,
            image_root=part.image_root or job.config.sources.image_root,
            source_frame=part.source_frame or job.config.sources.source_frame,
        )
        jobs.append(replace(job, config=replace(job.config, sources=of_part), sources=sources, one_root=one_root))
    return jobs


def _only(sources: Sources, place: int, *, whole: bool) -> Sources:
    """Return one of the sources, with all its rows if it shall be `whole`."""
    only = slice(place, place + 1)
    reader, part = sources.readers[place], sources.parts[place]
    if whole and isinstance(reader, SelectedReader):
        reader, part = reader.reader, replace(part, selection=Selection(ALL))
    return replace(
        sources,
        readers=(reader,),
        dialects=sources.dialects[only],
        contexts=sources.contexts[only],
        parts=(part,),
        frames_say=sources.frames_say[only],
    )


def _kept_strategy(mixture: MixtureTarget, part: Part) -> str:
    """Return what the YAML says of a source; raises UsageError for a weight, which it has no word for."""
    if mixture.applies_sampling:
        return str(ALL)
    if part.selection.weight != 1:
        raise UsageError(
            "a trainer's YAML has no weights",
            code="bad-mixture",
            source=part.path,
            found=f"weight {part.selection.weight}",
            fix="pass --sampling apply: the rows are repeated or chosen now",
        )
    return str(part.selection.strategy)


def _directory_of(dst: str) -> str:
    """Return where the files of a YAML lie: its name without the extension; raises UsageError (`bad-mixture`)."""
    base = dst[: dst.rindex(".")]
    if not Path(base).name or Path(base).is_file():
        raise UsageError(
            "the files of the mixture need a directory of the YAML's name",
            code="bad-mixture",
            found=dst,
            expected="DST.yaml",
        )
    return base


def _yaml_output(job: Job, base: str, names: Sequence[str], strategies: Sequence[str]) -> Output:
    config = run_config("convert", job.config, job.sources, job.target)
    listed = {"directory": os.path.abspath(base), "files": list(names), "strategies": list(strategies)}  # noqa: PTH100 (lexical)
    flags = config.flags | {"mixture": listed}
    suffixes = [*(f"/{name}" for name in names), job.config.dst[len(base) :]]
    return Output(base, suffixes, RunConfig(config.command, config.inputs, flags, config.profile))


def _write_yaml(job: Job, jobs: Sequence[Job], strategies: Sequence[str], output: Output) -> ConvertResult:
    started, config = time.time(), job.config
    before = read_manifest(output.manifest_path)
    output.begin()
    try:
        with closing(_Runs(job, output)) as runs, writing(config.dst):
            results = [runs.write(one, path) for one, path in zip(jobs, output.partial_paths, strict=False)]
            for one, result, strategy in zip(jobs, results, strategies, strict=True):
                _require_same_rows(one, result, strategy)
            output.partial_paths[-1].write_text(yaml_text(output.finals[:-1], strategies), encoding="utf-8")
            for name, text in side_files_of(job.target.dialect).items():
                (output.partial / name).write_text(text, encoding="utf-8")
        merged = merged_runs(results)
        warn_of_declared_sizes(merged, job.loader)
        require_lossless(config, merged.losses.as_data())
        if config.image_out is not None and (output.partial / "images").exists():
            publish_images(output.partial / "images", Path(config.image_out), overwrite=config.overwrite)
        with writing(output.dst):
            Path(output.dst).mkdir(parents=True, exist_ok=True)
            _remove_old(output, [] if before is None else [old.name for old in before.outputs])
        rows = {final.name: result.counts.written for final, result in zip(output.finals, results, strict=False)}
        output.commit(manifest_of_run(output, merged, {"mixture": rows}), run_info(config, started))
    except (GroundprepError, OSError):
        output.abort()
        raise
    except KeyboardInterrupt:
        output.abort(keep_state=job.target.edit is not None)
        raise
    done = result_of(job, merged, tuple(map(str, output.finals)))
    return replace(done, dropped_file=dropped_of(output), side_files=side_files(output))


class _Runs:
    """The conversions of one mixture: one file of dropped rows, one directory of images, one store of edited ones."""

    def __init__(self, job: Job, output: Output) -> None:
        self._stack = ExitStack()
        dropped = self._stack.enter_context(dropped_file(output.partial / DROPPED))
        edited = self._stack.enter_context(transcoding(job.target.edit, job.loader, output.sidecar))
        scratch = output.partial_paths[0].parent
        self.places = Places(output.partial / "images", scratch, dropped, edited, OffsetIndex())

    def write(self, job: Job, path: Path) -> RunResult:
        """Write one source into its file."""
        return write_rows(job, [path], self.places).result

    def close(self) -> None:
        """Close what the conversions share."""
        self._stack.close()


def _require_same_rows(job: Job, result: RunResult, strategy: str) -> None:
    """Raise UsageError (`sampling-moved`) if the trainer's sampling would choose other rows than the source's.

    A row more and a row less leave the number as it was, so the number alone says nothing.
    """
    counts = result.counts
    moves = {"exploded": counts.exploded, "merged": counts.merged, "dropped": counts.dropped}
    moved = [f"{count} {change}" for change, count in moves.items() if count]
    if strategy != str(ALL) and moved:
        raise UsageError(
            "the file has not the rows of its source one by one, and the trainer's sampling would choose others",
            code="sampling-moved",
            source=job.sources.parts[0].path,
            found=f"{strategy} of {counts.read} rows: {', '.join(moved)}",
            fix="pass --sampling apply: the rows are chosen now, and the trainer takes all of them",
        )


def _remove_old(output: Output, names: Sequence[str]) -> None:
    """Remove the files of an earlier mixture of this name that are none of the new one."""
    kept = {final.name for final in output.finals}
    for name in names:
        if name not in kept:
            (Path(output.dst) / name).unlink(missing_ok=True)


def _rehearsal(job: Job, jobs: Sequence[Job]) -> ConvertResult:
    merged = merged_runs([rehearse(one) for one in jobs])
    warn_of_declared_sizes(merged, job.loader)
    require_lossless(job.config, merged.losses.as_data())
    return result_of(job, merged, ())
