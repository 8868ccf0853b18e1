"""`groundprep formats`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from groundprep.cli.options import Globals

NAME = "formats"
HELP = "List what can be read and written; with SRC, say what a file is and why."
EPILOG = "Example: groundprep formats boxes.jsonl"


def run(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SRC…]", help="What to identify; - is stdin.", show_default=False)
    ] = None,
    from_name: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Container or dialect of the sources.")
    ] = None,
    source_frame: Annotated[str | None, typer.Option(metavar="NAME", help="What the sources' numbers mean.")] = None,
    *,
    options: Globals,
) -> int:
    """Print the registries, or one description per source (JSON: one object a line)."""
    from groundprep.api.formats import as_data, identify, list_formats
    from groundprep.api.sources import SourceConfig
    from groundprep.cli.out import Out

    out = Out(options)
    if not sources:
        formats = list_formats()
        out.json(as_data(formats))
        _print_formats(out, formats)
        return 0
    for info in identify(SourceConfig(tuple(sources), from_name, None, source_frame)):
        _print_source(out, info)
    return 0


def _print_formats(out: Any, formats: Any) -> None:
    out.line("Containers: how rows lie in bytes")
    rows = [
        (c.name, " ".join(c.extensions), _access(c), "inside" if c.embeds_images else "by name", c.title)
        for c in formats.containers
    ]
    out.table(("name", "extensions", "access", "images", "title"), rows)
    out.line("")
    out.line("Dialects: which fields a row has (--from, --to, --dialect)")
    dialects = [(d.name, " ".join(d.containers), d.unit, d.frame, d.title) for d in formats.dialects]
    out.table(("name", "containers", "one row is one", "frame", "title"), dialects)
    out.line("")
    out.line("Corpora: data sets of a layout of their own (--from, --to)")
    corpora = [(c.name, _access(c), c.unit, c.frame, c.title) for c in formats.corpora]
    out.table(("name", "access", "one row is one", "frame", "title"), corpora)
    out.line("")
    out.line("Profiles: what a trainer does with data (--for NAME[@REVISION]; * is the newest revision)")
    profiles = [
        (
            f"{p.name}@{p.revision}" + (" *" if p.newest else ""),
            f"{p.container}, {p.dialect}",
            p.unit,
            p.frame,
            f"{_limit(p.limits['min_pixels'])} – {_limit(p.limits['max_pixels'])}",
            p.title,
        )
        for p in formats.profiles
    ]
    out.table(("name", "reads", "one row is one", "frame", "pixel limits", "title"), profiles)


def _access(container: Any) -> str:
    return "/".join(name for name in ("read", "write") if getattr(container, name))


def _limit(pixels: int | None) -> str:
    return "none" if pixels is None else f"{pixels:,}".replace(",", " ")


def _print_source(out: Any, info: Any) -> None:
    from dataclasses import asdict

    out.json(asdict(info))
    for warning in info.warnings:
        out.warning(warning["code"], warning["source"], warning["message"], fix=warning["fix"])
    out.line(info.source)
    facts = [
        ("container", info.container, info.container_reason),
        ("dialect", info.dialect, info.dialect_reason),
        ("frame", info.frame or "unknown", info.frame_reason),
        ("one row is one", info.unit, ""),
    ]
    if info.profile is not None:
        limits = info.profile.get("limits") or {}
        shown = f"{_limit(limits.get('min_pixels'))} – {_limit(limits.get('max_pixels'))} pixels"
        facts.append(("profile", f"{info.profile.get('profile')}@{info.profile.get('revision')}", shown))
    facts += [
        ("keys", ", ".join(info.keys) or "-", "of the first row"),
        ("rows", f"{info.rows_matching} of {info.rows_examined}", "of the first rows have this shape"),
    ]
    if info.rows_damaged:
        facts.append(("damaged", str(info.rows_damaged), "of the first rows; see groundprep validate"))
    for name, value, reason in facts:
        out.line(f"  {name:<15} {value}" + (f"  ({reason})" if reason else ""))
