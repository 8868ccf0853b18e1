"""`groundprep frame`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from groundprep.cli.options import Globals

NAME = "frame"
HELP = "Say what a trainer will really see of images of these sizes."
EPILOG = "Example: groundprep frame 1920x1080 500x375 --for easyr1"


class FrameChoice(StrEnum):
    """Whose chain is followed."""

    TRAINER = "trainer"
    CONVERTER = "converter"


def run(
    sizes: Annotated[
        list[str], typer.Argument(metavar="WxH…", help="Sizes of stored images; - reads one a line from stdin.")
    ],
    profile: Annotated[str, typer.Option("--for", metavar="PROFILE", help="The trainer, NAME[@REV].")],
    frame: Annotated[
        FrameChoice, typer.Option(help="The trainer's chain, or its own converter's.")
    ] = FrameChoice.TRAINER,
    min_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's lower limit.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's upper limit.")] = None,
    *,
    options: Globals,
) -> int:
    """Print every size's way through the chain; exit 3, after all of them, if one was refused."""
    from itertools import islice

    from groundprep.api.frame import FrameConfig, seen_sizes
    from groundprep.cli.out import Out
    from groundprep.errors import ExitCode, FormatError

    out = Out(options)
    config = FrameConfig(profile, frame.value, min_pixels, max_pixels)
    refused = read = 0
    rows = []
    for seen in seen_sizes(config, islice(_sizes(sizes), options.limit)):
        read += 1
        out.json(seen.as_data())
        if out.is_human:
            rows.append(_cells(seen))
        if seen.error is not None:
            refused += 1
            out.hint(f"error[{seen.error.code}] {_text(seen.stored_wh)}: {seen.error}")
    if not read:
        raise FormatError("the source holds no rows", code="no-rows", source="-", expected="a size such as 1920x1080")
    if rows:
        steps = max((row[1] for row in rows), key=len)
        columns = ("stored", *(op for op, _ in steps), "seen")
        out.table(columns, [_aligned(row, len(steps)) for row in rows])
    return int(ExitCode.DATA if refused else ExitCode.OK)


def _sizes(texts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the sizes; those given as arguments are all checked before the first is printed."""
    import sys
    from itertools import chain

    from groundprep.api.frame import iter_sizes, parse_size

    parts: list[Iterable[tuple[int, int]]] = [
        iter_sizes(sys.stdin) if text == "-" else [parse_size(text)] for text in texts
    ]
    return chain.from_iterable(parts)


def _cells(seen: Any) -> tuple[str, list[tuple[str, str]], str]:
    steps = [(op, _text(size_wh)) for op, size_wh in seen.steps]
    return _text(seen.stored_wh), steps, "refused" if seen.seen_wh is None else _text(seen.seen_wh)


def _aligned(row: tuple[str, list[tuple[str, str]], str], width: int) -> tuple[str, ...]:
    stored, steps, seen = row
    return stored, *(text for _, text in steps), *("-" for _ in range(width - len(steps))), seen


def _text(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"
