"""The command line: one file per verb. Nothing heavy is imported until a verb runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from groundprep import __version__
from groundprep.cli import (
    add_candidates,
    convert,
    doctor,
    formats,
    frame,
    run,
    sample,
    schema,
    score,
    split,
    train,
    validate,
    vis,
)
from groundprep.cli.options import GLOBAL_ANNOTATIONS, with_globals

VERBS = (add_candidates, convert, doctor, formats, frame, run, sample, schema, score, split, train, validate, vis)

ARGUMENTS = "groundprep.arguments"
"""Where the context keeps the arguments as they were given."""


class OneLineGroup(TyperGroup):
    """Tells a wrong flag as every other error is told: in one line, and in JSON if that was asked for."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Parse what comes before the verb."""
        given = tuple(args)
        with _usage_in_one_line(given):
            context = super().make_context(info_name, args, *more, **extra)
        context.meta[ARGUMENTS] = given
        return context

    def invoke(self, ctx: Any) -> Any:
        """Parse the verb's own arguments and run it."""
        with _usage_in_one_line(ctx.meta[ARGUMENTS]):
            return super().invoke(ctx)


@contextmanager
def _usage_in_one_line(arguments: Sequence[str]) -> Iterator[None]:
    usage_error: Any = typer.BadParameter.__base__  # typer names it nowhere in public
    try:
        yield
    except usage_error as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # no verb at all: its message is the help
            raise
        from itertools import pairwise

        from groundprep.cli.exits import report_error
        from groundprep.cli.options import Globals, OutputFormat
        from groundprep.errors import UsageError

        said = " ".join(error.format_message().split()).rstrip(".")
        path = error.ctx.command_path if error.ctx is not None else "groundprep"
        as_json = ("--format", "json") in pairwise(arguments) or "--format=json" in arguments
        options = Globals(format=OutputFormat.JSON if as_json else OutputFormat.HUMAN)
        told = UsageError(said[:1].lower() + said[1:], fix=f"see `{path} --help`")
        raise typer.Exit(report_error(told, options)) from error


app = typer.Typer(
    name="groundprep",
    cls=OneLineGroup,
    help="Prepare visual-grounding data, prove that it can be learned from, and start the trainer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 (typer calls it)
    if value:
        print(__version__)  # noqa: T201
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    **options: object,
) -> None:
    del version
    context.obj = options


def _add_global_options() -> None:
    import inspect

    own = [p for p in inspect.signature(_root, eval_str=True).parameters.values() if p.name != "options"]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in GLOBAL_ANNOTATIONS.items()
    ]
    _root.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    _root.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}


_add_global_options()
app.callback()(_root)
for verb in VERBS:
    app.command(verb.NAME, help=verb.HELP, epilog=verb.EPILOG)(with_globals(verb.run))


def main() -> None:
    """Run the command line."""
    app()
