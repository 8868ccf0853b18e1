"""`groundprep schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep.cli.options import Globals

NAME = "schema"
HELP = "Print the JSON Schema of a dialect's rows, of the manifest or of findings; without a name, list them."
EPILOG = "Example: groundprep schema rexthinker > rexthinker.schema.json"


def run(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="What to describe.", show_default=False)] = None,
    *,
    options: Globals,
) -> int:
    """Print the names with their titles, or one schema."""
    from groundprep.api.schema import encode_schema, json_schema, schema_types
    from groundprep.cli.out import Out

    out = Out(options)
    if name is None:
        titles = {known: title for known, (_, title) in schema_types().items()}
        out.json({"schemas": [{"name": known, "title": title} for known, title in titles.items()]})
        out.table(("name", "title"), titles.items())
        return 0
    schema = json_schema(name)
    out.json(schema)
    if out.is_human:
        out.stream.write(encode_schema(name).decode())
    return 0
