"""`groundprep vis`."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep.cli.options import Globals

NAME = "vis"
HELP = "Draw records: one PNG each, with answers, candidates, points and what is absent."
EPILOG = "Example: groundprep vis boxes.jsonl pictures --image-root images --num-samples 5"


def run(
    paths: Annotated[list[str], typer.Argument(metavar="SRC OUT_DIR", help="What to draw, and where to.")],
    image_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where image names start.", show_default="SRC's directory")
    ] = None,
    from_name: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Container or dialect of the source.")
    ] = None,
    source_frame: Annotated[str | None, typer.Option(metavar="NAME", help="What the source's numbers mean.")] = None,
    num_samples: Annotated[int, typer.Option(min=1, help="Draw this many rows, chosen by lot.")] = 10,
    indices: Annotated[
        list[str] | None,
        typer.Option(metavar="N…", help="Draw these rows, counted from 0: 0 5 7 or 0,5,7.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the lots.")] = 0,
    annotations: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Annotations TSV of a line index alone.", show_default="its manifest's"),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Images TSV of a line index alone.", show_default="its manifest's"),
    ] = None,
    *,
    options: Globals,
) -> int:
    """Draw, and print the pictures' names."""
    import dataclasses

    from groundprep.api.sources import SourceConfig
    from groundprep.api.vis import VisConfig, parse_indices, vis
    from groundprep.cli.out import Out
    from groundprep.errors import ExitCode, UsageError

    if indices is not None:
        # `--indices 0 5 7`: the option takes the first number, and the others arrive among the paths.
        indices = indices + [path for path in paths if path.isdigit()]
        paths = [path for path in paths if not path.isdigit()]
    if len(paths) != 2:
        raise UsageError("one source and one directory are needed", found=" ".join(paths), expected="SRC OUT_DIR")
    result = vis(
        VisConfig(
            SourceConfig((paths[0],), from_name, image_root, source_frame, annotations=annotations, images=images),
            paths[1],
            num_samples,
            parse_indices(indices) if indices is not None else None,
            seed,
            on_error=options.on_error.value,
            limit=options.limit,
            overwrite=options.overwrite,
            workers=options.workers,
        )
    )
    out = Out(options)
    out.json(dataclasses.asdict(result))
    for path in result.written:
        out.line(path)
    for dropped in result.dropped:
        out.hint(f"dropped[{dropped['code']}] {dropped['message']}")
    if result.hint is not None:
        out.hint(result.hint)
    return int(ExitCode.DROPPED if result.dropped else ExitCode.OK)
