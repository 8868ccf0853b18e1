"""The command line: one file per verb. Nothing heavy is imported until a verb runs."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep import __version__
from groundprep.cli import (
    add_candidates,
    convert,
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

VERBS = (add_candidates, convert, formats, frame, run, sample, schema, score, split, train, validate, vis)

app = typer.Typer(
    name="groundprep",
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
