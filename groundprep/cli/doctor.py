"""`groundprep doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep.cli.options import Globals

NAME = "doctor"
HELP = "Say what is installed, and whether the trainer's own code can read the data."
EPILOG = "Example: groundprep doctor --for easyr1 train.parquet --trainer-python ~/EasyR1/.venv/bin/python"

MARKS = {"ok": "ok", "absent": "-", "failed": "FAILED", "not-checked": "?"}


def run(
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Rows for the trainer.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--for", metavar="PROFILE", help="The trainer that shall read it, NAME[@REV].")
    ] = None,
    trainer_python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Python of the trainer's environment: its own dataset class reads the rows."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|ID",
            help="Model whose tokenizer and processor that class shall use.",
            show_default="a stand-in",
        ),
    ] = None,
    image_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where image names start.", show_default="DATA's directory")
    ] = None,
    min_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's lower limit.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's upper limit.")] = None,
    *,
    options: Globals,
) -> int:
    """Print one line for everything that was looked at."""
    from groundprep.api.doctor import DoctorConfig, doctor
    from groundprep.cli.out import Out

    result = doctor(
        DoctorConfig(data, profile, trainer_python, model, image_root, min_pixels, max_pixels, options.limit)
    )
    out = Out(options)
    out.json(result.as_data())
    for checkup in result.checkups:
        fix = f"  (fix: {checkup.fix})" if checkup.fix else ""
        out.line(f"{MARKS[checkup.status]:<7} {checkup.name:<20} {checkup.found}{fix}")
    return int(result.exit_code)
