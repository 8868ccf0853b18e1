"""`groundprep validate`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from groundprep.cli.options import Globals

NAME = "validate"
HELP = "Check rows, images and boxes, and whether a trainer can learn from them."
EPILOG = "Example: groundprep validate boxes.jsonl --image-root images --for rexthinker"


class FailOnChoice(StrEnum):
    """Which findings make the command fail."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


class FrameChoice(StrEnum):
    """Whose frame is meant."""

    TRAINER = "trainer"
    CONVERTER = "converter"


class VerifyChoice(StrEnum):
    """How images are proven."""

    NONE = "none"
    HEADER = "header"
    DECODE = "decode"


class CiChoice(StrEnum):
    """For whose CI annotations are printed."""

    AUTO = "auto"
    GITHUB = "github"
    OFF = "off"


def run(
    sources: Annotated[list[str], typer.Argument(metavar="SRC…", help="What to check; - is stdin.")],
    profile: Annotated[
        str | None, typer.Option("--for", metavar="PROFILE", help="The trainer that shall read it, NAME[@REV].")
    ] = None,
    from_name: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Container or dialect of the sources.")
    ] = None,
    image_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where image names start.", show_default="SRC's directory")
    ] = None,
    source_frame: Annotated[str | None, typer.Option(metavar="NAME", help="What the sources' numbers mean.")] = None,
    frame: Annotated[
        FrameChoice, typer.Option(help="The trainer's frame, or its own converter's.")
    ] = FrameChoice.TRAINER,
    min_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's lower limit.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's upper limit.")] = None,
    reward: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Reward that scores the right answers.", show_default="the trainer's own"),
    ] = None,
    min_ceiling: Annotated[
        float | None,
        typer.Option(min=0, help="What a right answer should earn at least.", show_default="the profile's, mostly 0.8"),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="DIR|ID", help="Model whose tokenizer counts tokens.", show_default="an estimate"),
    ] = None,
    train_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Rows of one batch of the training.", show_default="the profile's")
    ] = None,
    max_prompt_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a prompt, images included.", show_default="the profile's")
    ] = None,
    max_response_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of an answer.", show_default="the profile's")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of prompt and answer (SFT).", show_default="the profile's")
    ] = None,
    verify: Annotated[
        VerifyChoice, typer.Option(help="Decode every image, parse headers only, or open none.")
    ] = VerifyChoice.DECODE,
    fail_on: Annotated[
        FailOnChoice, typer.Option(help="Exit with 1 at findings of this severity or worse.")
    ] = FailOnChoice.ERROR,
    select: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Report this code only; repeatable.")] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Do not report this code; repeatable.")
    ] = None,
    max_findings: Annotated[
        int, typer.Option(min=0, help="Keep at most N findings in the JSON result; counts stay complete.")
    ] = 1000,
    report: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write FILE.json (the result), FILE.jsonl (every finding) or FILE.html."),
    ] = None,
    fix: Annotated[
        str | None,
        typer.Option(metavar="OUT", help="Write the rows to OUT with every safe fix applied, and check that."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="EVAL", help="Evaluation data that the rows shall not be part of; repeatable."),
    ] = None,
    against_image_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where EVAL's image names start.", show_default="EVAL's directory")
    ] = None,
    ci: Annotated[CiChoice, typer.Option(help="Print annotations for CI; auto: under GitHub Actions.")] = CiChoice.AUTO,
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
    """Check, print the findings and a summary."""
    from dataclasses import asdict

    from groundprep.api.against import AgainstConfig
    from groundprep.api.budget import BudgetConfig
    from groundprep.api.sources import SourceConfig
    from groundprep.api.validate import ValidateConfig, validate
    from groundprep.cli.findings import counted, print_annotations, print_findings, print_fixes, wants_annotations
    from groundprep.cli.measures import print_measures
    from groundprep.cli.out import Out
    from groundprep.errors import ExitCode

    config = ValidateConfig(
        SourceConfig(tuple(sources), from_name, image_root, source_frame, annotations=annotations, images=images),
        profile,
        frame.value,
        min_pixels,
        max_pixels,
        verify.value,
        tuple(select or ()),
        tuple(ignore or ()),
        max_findings,
        report,
        limit=options.limit,
        workers=options.workers,
        reward=reward,
        min_ceiling=min_ceiling,
        budget=BudgetConfig(tokenizer, train_batch_size, max_prompt_length, max_response_length, max_length),
        against=AgainstConfig(tuple(against or ()), against_image_root),
    )
    out = Out(options)
    fixed = None
    if fix is None:
        result = validate(config)
        out.json(result.as_data())
    else:
        from groundprep.api.fix import fix_and_validate

        fixed, result = fix_and_validate(
            config, fix, on_error=options.on_error.value, overwrite=options.overwrite, fresh=options.fresh
        )
        out.json({"fixed": asdict(fixed)} | result.as_data())
        print_fixes(out, fixed)
    print_findings(out, result.tallies, offers_fix=fix is None)
    print_measures(out, result.measured)
    if verify is VerifyChoice.NONE and result.unsized:
        out.line(f"{counted(result.unsized, 'record')} without a declared image size: what needs it was not checked")
    out.line(
        f"{counted(result.records, 'record')}: {counted(result.errors, 'error')}, {counted(result.warnings, 'warning')}"
    )
    if wants_annotations(ci.value):
        print_annotations(out, result.tallies)
    if result.fails(fail_on.value):
        return int(ExitCode.FINDINGS)
    return int(ExitCode.OK if fixed is None else fixed.exit_code)
