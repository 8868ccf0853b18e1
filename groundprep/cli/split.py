"""`groundprep split`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from groundprep.cli.options import AnnotationsFile, FromName, Globals, ImageRootDir, ImagesFile, SourceFrame

NAME = "split"
HELP = "Split a data set into train, val and test that share no image, in the layout that it has."
EPILOG = "Example: groundprep split boxes.jsonl parts --val 0.1 --test 0.1 --seed 7"


class ByChoice(StrEnum):
    """What no two parts share."""

    IMAGE = "image"


def run(
    src: Annotated[str, typer.Argument(metavar="SRC", help="The source: a file, a mixture, or part of a file.")],
    dst_dir: Annotated[str, typer.Argument(metavar="DST_DIR", help="The directory of train.EXT, val.EXT, test.EXT.")],
    val: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the images in val, rounded to whole images.")
    ] = 0.1,
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share of the images in test; 0: no test part.")] = 0.0,
    by: Annotated[
        ByChoice, typer.Option(help="What no two parts share: images, told apart by their bytes.")
    ] = ByChoice.IMAGE,
    seed: Annotated[int, typer.Option(help="Decides which images fall where; the order of SRC is kept.")] = 0,
    from_name: FromName = None,
    image_root: ImageRootDir = None,
    source_frame: SourceFrame = None,
    annotations: AnnotationsFile = None,
    images: ImagesFile = None,
    *,
    options: Globals,
) -> int:
    """Split, and print the parts."""
    import dataclasses

    from groundprep.api.sources import SourceConfig
    from groundprep.api.split import SplitConfig, split
    from groundprep.cli.out import Out

    result = split(
        SplitConfig(
            SourceConfig((src,), from_name, image_root, source_frame, annotations=annotations, images=images),
            dst_dir,
            val,
            test,
            by.value,
            seed,
            on_error=options.on_error.value,
            limit=options.limit,
            overwrite=options.overwrite,
            fresh=options.fresh,
            workers=options.workers,
        )
    )
    out = Out(options)
    out.warnings(result.warnings)
    out.json(dataclasses.asdict(result))
    counts = result.counts
    verb = "unchanged" if result.unchanged else "wrote"
    out.line(f"{verb} {counts['written']} of {counts['read']} rows ({result.container}, {result.dialect})")
    out.table(
        ("part", "rows", "images", "file"), [(part.name, part.rows, part.images, part.output) for part in result.parts]
    )
    if result.dropped_file:
        out.hint(f"{counts['dropped']} rows were dropped; rows and reasons: {result.dropped_file}")
    return int(result.exit_code)
