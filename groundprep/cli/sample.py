"""`groundprep sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep.cli.options import AnnotationsFile, FromName, Globals, ImageRootDir, ImagesFile, SourceFrame

NAME = "sample"
HELP = "Write part of a data set, in the layout that it has: all, the first, the last, or a seeded random choice."
EPILOG = "Example: groundprep sample train.jsonl small.jsonl --strategy random:10% --seed 7"


def run(
    src: Annotated[str, typer.Argument(metavar="SRC", help="The source; a mixture or part of a file too; - is stdin.")],
    dst: Annotated[
        str, typer.Argument(metavar="DST", help="The destination, in SRC's container; of a TSV a line index.")
    ],
    strategy: Annotated[
        str, typer.Option(metavar="S", help="all, first:N, end:N or random:N; N is a number or a share: 10%.")
    ],
    count: Annotated[str | None, typer.Option(metavar="N", help="N, where the strategy does not say it.")] = None,
    seed: Annotated[int, typer.Option(help="Decides a random choice; the order of SRC is kept.")] = 0,
    negatives: Annotated[
        int, typer.Option(metavar="K", min=0, help="Add K phrases to every image that are not in it, from SRC's own.")
    ] = 0,
    from_name: FromName = None,
    image_root: ImageRootDir = None,
    source_frame: SourceFrame = None,
    annotations: AnnotationsFile = None,
    images: ImagesFile = None,
    *,
    options: Globals,
) -> int:
    """Sample, and print what was written."""
    import dataclasses

    from groundprep.api.sample import SampleConfig, sample
    from groundprep.api.sources import SourceConfig
    from groundprep.cli.out import Out

    result = sample(
        SampleConfig(
            SourceConfig((src,), from_name, image_root, source_frame, annotations=annotations, images=images),
            dst,
            strategy,
            count,
            seed,
            negatives,
            on_error=options.on_error.value,
            limit=options.limit,
            overwrite=options.overwrite,
            fresh=options.fresh,
            workers=options.workers,
        )
    )
    out = Out(options, stdout_is_data=dst == "-")
    out.warnings(result.warnings)
    out.json(dataclasses.asdict(result))
    files = "" if not result.outputs else ": " + ", ".join(result.outputs)
    verb = "unchanged" if result.unchanged else "wrote"
    counts = result.counts
    out.line(f"{verb} {counts['written']} of {counts['read']} rows ({result.strategy}, {result.container}){files}")
    if result.dropped_file:
        out.hint(f"{counts['dropped']} rows were dropped; rows and reasons: {result.dropped_file}")
    return int(result.exit_code)
