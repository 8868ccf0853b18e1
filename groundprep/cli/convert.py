"""`groundprep convert`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from groundprep.cli.options import (
    AnnotationsFile,
    FromName,
    Globals,
    ImageRootDir,
    ImagesFile,
    MaxPixels,
    MinPixels,
    SourceFrame,
)

NAME = "convert"
HELP = "Convert between layouts, and into the frame of the trainer that will read the data."
EPILOG = "Example: groundprep convert boxes.jsonl out/train.parquet --for easyr1 --image-root images"


class FrameChoice(StrEnum):
    """Whose frame is written."""

    TRAINER = "trainer"
    CONVERTER = "converter"


class ResizeChoice(StrEnum):
    """At which size images are stored."""

    NONE = "none"
    FIXED_POINT = "fixed-point"


class ExifChoice(StrEnum):
    """Who turns images as their EXIF orientation says."""

    KEEP = "keep"
    BAKE = "bake"


class FitChoice(StrEnum):
    """How masks become Chebyshev numbers."""

    FORK = "fork"
    BEST = "best"


class SamplingChoice(StrEnum):
    """Who chooses the rows of a mixture's sources."""

    KEEP = "keep"
    APPLY = "apply"


class CrowdsChoice(StrEnum):
    """What happens to outlines around many objects."""

    KEEP = "keep"
    DROP = "drop"


class VerifyChoice(StrEnum):
    """How images are proven."""

    HEADER = "header"
    DECODE = "decode"


def run(
    sources: Annotated[
        list[str], typer.Argument(metavar="SRC… DST", help="Sources and, last, the destination; - is stdin or stdout.")
    ],
    profile: Annotated[
        str | None, typer.Option("--for", metavar="PROFILE", help="The trainer to write for, NAME[@REV].")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Container, dialect or corpus to write.")
    ] = None,
    from_name: FromName = None,
    dialect: Annotated[str | None, typer.Option(metavar="NAME", help="Dialect to write.")] = None,
    image_root: ImageRootDir = None,
    image_out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write image files here; needed from embedded images to names.")
    ] = None,
    source_frame: SourceFrame = None,
    frame: Annotated[
        FrameChoice, typer.Option(help="Write the trainer's frame, or its own converter's.")
    ] = FrameChoice.TRAINER,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    resize: Annotated[
        ResizeChoice,
        typer.Option(help="Store images as they are, or at the nearest size that the trainer leaves alone."),
    ] = ResizeChoice.NONE,
    exif: Annotated[
        ExifChoice, typer.Option(help="Leave the EXIF orientation to the loader, or turn pixels and boxes.")
    ] = ExifChoice.KEEP,
    crowds: Annotated[
        CrowdsChoice,
        typer.Option(help="Outlines around many objects (COCO's iscrowd): keep them as one object, or leave them out."),
    ] = CrowdsChoice.KEEP,
    dropped: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where dropped rows go if DST is -; else they lie in the sidecar."),
    ] = None,
    verify: Annotated[
        VerifyChoice, typer.Option(help="Prove images by their header, or decode them all.")
    ] = VerifyChoice.HEADER,
    no_dedupe_images: Annotated[
        bool, typer.Option("--no-dedupe-images", help="Store an image again for every row of a TSV.")
    ] = False,
    strict_lossless: Annotated[
        bool, typer.Option("--strict-lossless", help="Fail before writing if anything would be lost.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but write.")] = False,
    annotations: AnnotationsFile = None,
    images: ImagesFile = None,
    negatives: Annotated[
        int,
        typer.Option(
            metavar="K", min=0, help="Add K phrases to every image that are not in it, from the sources' own."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides which phrases --negatives adds.")] = 0,
    fit: Annotated[
        FitChoice | None,
        typer.Option(
            help="Masks for vlmr1-seg: as the fork draws them, or the best of that form.", show_default="fork"
        ),
    ] = None,
    min_mask_iou: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, max=1, help="Masks of vlmr1-seg that reach less are bad rows."),
    ] = None,
    label_map: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json|NAME=0,…",
            help="Phrases behind EasyDistill's labels 0 to 3.",
            show_default="the source's categories, if at most four",
        ),
    ] = None,
    sampling: Annotated[
        SamplingChoice | None,
        typer.Option(
            help="DST.yaml tells the trainer which rows to choose, or they are chosen now.", show_default="keep"
        ),
    ] = None,
    *,
    options: Globals,
) -> int:
    """Convert, print what was written and what was lost."""
    from groundprep.api.convert import ConvertConfig, convert
    from groundprep.api.sources import SourceConfig
    from groundprep.cli.out import Out
    from groundprep.errors import ExitCode, UsageError

    if len(sources) < 2:
        raise UsageError("a source and a destination are needed", found=" ".join(sources), expected="SRC… DST")
    *paths, dst = sources
    result = convert(
        ConvertConfig(
            SourceConfig(tuple(paths), from_name, image_root, source_frame, annotations=annotations, images=images),
            dst,
            profile,
            to,
            dialect,
            image_out,
            frame.value,
            min_pixels,
            max_pixels,
            verify.value,
            not no_dedupe_images,
            strict_lossless,
            dry_run,
            negatives=negatives,
            seed=seed,
            on_error=options.on_error.value,
            limit=options.limit,
            overwrite=options.overwrite,
            fresh=options.fresh,
            workers=options.workers,
            resize=resize.value,
            exif=exif.value,
            fit=None if fit is None else fit.value,
            min_mask_iou=min_mask_iou,
            label_map=label_map,
            sampling=None if sampling is None else sampling.value,
            crowds=crowds.value,
            dropped=dropped,
        )
    )
    out = Out(options, stdout_is_data=dst == "-")
    out.warnings(result.warnings)
    for change in result.units:
        out.hint(str(change))
    report(out, result, dry_run=dry_run)
    return int(ExitCode.DROPPED if result.counts["dropped"] else ExitCode.OK)


def report(out: Any, result: Any, *, dry_run: bool) -> None:
    """Print the files, the counts and the loss report."""
    import dataclasses

    out.json(dataclasses.asdict(result))
    verb = "unchanged" if result.unchanged else "would write" if dry_run else "wrote"
    rows = f"{result.counts['written']} rows ({result.container}, {result.dialect})"
    out.line(f"{verb} {rows}" + ("" if not result.outputs else ": " + ", ".join(result.outputs)))
    changes = [f"{count} {name}" for name, count in result.counts.items() if count and name not in ("read", "written")]
    if changes:
        out.line(f"read {result.counts['read']} rows: " + ", ".join(changes))
    if result.dropped_file:
        out.hint(f"dropped rows and reasons: {result.dropped_file}")
    for file in result.side_files:
        out.line(f"beside it: {file}")
    for line in (result.paste or "").splitlines():
        out.line(line)
    out.losses(result.losses)
