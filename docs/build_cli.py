"""Write the flag tables of docs/cli.md from the command line itself: `python docs/build_cli.py [--check]`."""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from groundprep.cli import app
from groundprep.cli.options import GLOBAL_ANNOTATIONS

PAGE = Path(__file__).with_name("cli.md")
TABLE = re.compile(r"<!-- flags of (?P<verb>[a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)
SHARED = {"--" + name.replace("_", "-") for name in GLOBAL_ANNOTATIONS}


def table(verb: str) -> str:
    """Return the flags of a verb, or the shared ones for `all-verbs`, as a Markdown table."""
    command: Any = typer.main.get_command(app)
    parameters = command.params if verb == "all-verbs" else command.commands[verb].params
    lines = ["| flag | meaning | default |", "|---|---|---|"]
    for parameter in parameters:
        name = parameter.opts[0]
        shared = name in SHARED
        if parameter.param_type_name == "argument" or name == "--help" or shared != (verb == "all-verbs"):
            continue
        lines.append(f"| `{flag(parameter)}` | {parameter.help or ''} | {default(parameter)} |")
    return "\n".join(lines) if len(lines) > 2 else "No flags but the global ones."


def flag(parameter: Any) -> str:
    """Return the flag with what it takes."""
    if parameter.is_flag:
        return str(parameter.opts[0])
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        value = "\\|".join(str(choice.value) for choice in kind)
    else:
        value = parameter.metavar or {"int": "N", "float": "X", "str": "TEXT"}.get(
            getattr(kind, "__name__", ""), "VALUE"
        )
        value = value.replace("|", "\\|")
    return f"{parameter.opts[0]} {value}"


def default(parameter: Any) -> str:
    """Return the default as the help shows it."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    value = getattr(value, "value", value)
    return "" if value is None or value is False or callable(value) else f"`{value}`"


def page() -> str:
    """Return the page with every table written anew."""
    text = PAGE.read_text(encoding="utf-8")
    return TABLE.sub(lambda match: f"<!-- flags of {match['verb']} -->\n{table(match['verb'])}\n<!-- end -->", text)


if __name__ == "__main__":
    new = page()
    if "--check" in sys.argv:
        sys.exit(new != PAGE.read_text(encoding="utf-8") and "docs/cli.md is out of date: run `make golden`")
    PAGE.write_text(new, encoding="utf-8")
