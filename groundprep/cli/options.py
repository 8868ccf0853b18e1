"""Options that every verb shares, and the decorator that gives them to a verb, before and after its name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])


class OutputFormat(StrEnum):
    """How results are printed."""

    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


class OnErrorChoice(StrEnum):
    """What a bad row means."""

    FAIL = "fail"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options, merged from before and after the verb; later ones win."""

    format: OutputFormat = OutputFormat.HUMAN
    workers: int | None = None
    on_error: OnErrorChoice = OnErrorChoice.FAIL
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    debug: bool = False


GLOBAL_ANNOTATIONS: dict[str, Any] = {
    "format": Annotated[OutputFormat | None, typer.Option(help="How to print the result.", show_default="human")],
    "workers": Annotated[
        int | None, typer.Option(min=1, help="Threads for images; never changes the bytes.", show_default="processors")
    ],
    "on_error": Annotated[
        OnErrorChoice | None, typer.Option(help="fail at a bad row, or drop it into the sidecar.", show_default="fail")
    ],
    "limit": Annotated[int | None, typer.Option(min=1, help="Read at most N rows.")],
    "overwrite": Annotated[
        bool | None, typer.Option("--overwrite", help="Replace an existing destination.", show_default=False)
    ],
    "fresh": Annotated[
        bool | None,
        typer.Option("--fresh", help="Discard an unfinished run of another configuration.", show_default=False),
    ],
    "debug": Annotated[bool | None, typer.Option("--debug", help="Show the trace of an error.", show_default=False)],
}


FromName = Annotated[
    str | None,
    typer.Option("--from", metavar="NAME", help="Container, dialect or corpus of SRC.", show_default="detected"),
]
ImageRootDir = Annotated[
    str | None,
    typer.Option("--image-root", metavar="DIR", help="Where image names start.", show_default="SRC's directory"),
]
SourceFrame = Annotated[str | None, typer.Option("--source-frame", metavar="NAME", help="What SRC's numbers mean.")]
AnnotationsFile = Annotated[
    str | None,
    typer.Option(
        "--annotations", metavar="FILE", help="Annotations TSV of a line index alone.", show_default="its manifest's"
    ),
]
ImagesFile = Annotated[
    str | None,
    typer.Option("--images", metavar="FILE", help="Images TSV of a line index alone.", show_default="its manifest's"),
]
MinPixels = Annotated[int | None, typer.Option("--min-pixels", min=1, help="Override the profile's lower limit.")]
MaxPixels = Annotated[int | None, typer.Option("--max-pixels", min=1, help="Override the profile's upper limit.")]
"""How sources are read and trainers limited: the same flags, words and defaults in every verb that has them."""


def merge(outer: dict[str, Any], inner: dict[str, Any]) -> Globals:
    """Return the options given before the verb, overridden by those after it."""
    given = {name: value for options in (outer, inner) for name, value in options.items() if value is not None}
    return Globals(**given)


def with_globals(function: F) -> Callable[..., Any]:
    """Give a verb the global options: its parameter `options` becomes the options themselves."""
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name not in ("options", "context")]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in GLOBAL_ANNOTATIONS.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

    @functools.wraps(function)
    def verb(**arguments: Any) -> None:
        from groundprep.cli.exits import run_verb

        outer = arguments.pop("context").find_root().obj or {}
        inner = {name: arguments.pop(name) for name in GLOBAL_ANNOTATIONS}
        run_verb(function, merge(outer, inner), arguments)

    parameters = [*keyword_only, *shared, context]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in parameters}
    del verb.__wrapped__
    return verb
