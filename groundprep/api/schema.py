"""`groundprep schema`: the JSON Schema of everything that groundprep reads or writes as JSON, made from the code.

`python -m groundprep.api.schema DIR` writes one `<name>.schema.json` per name; a test compares them with the code.
A schema describes types and keys. What it cannot say (a box has four numbers, a phrase or a caption must be there) is
checked when a row is read. Bytes, which only parquet holds, appear as base64 text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from groundprep.api.mixture import Mixture
from groundprep.dialects import DIALECTS
from groundprep.dialects.rexomni import RexOmniAnnotation
from groundprep.errors import UsageError
from groundprep.finding import Finding
from groundprep.manifest import Manifest
from groundprep.output import writing

JSON_SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"
SUFFIX = ".schema.json"


def schema_types() -> dict[str, tuple[type[msgspec.Struct], str]]:
    """Return name → (type, title) of every schema: the rows of each dialect, then our own files."""
    rows = {name: (dialect.row_type, dialect.title) for name, dialect in DIALECTS.items()}
    return rows | {
        "rexomni-annotation": (RexOmniAnnotation, "Rex-Omni annotations: the second column of an annotations TSV"),
        "mixture": (Mixture, "Mixture: several sources, wherever one may stand"),
        "manifest": (Manifest, "manifest.json: what an output was made from"),
        "finding": (Finding, "One finding of a check, as in the reports of groundprep validate"),
    }


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of that name; raises UsageError (`no-such-schema`) naming those that exist."""
    types = schema_types()
    if name not in types:
        raise UsageError("no such schema", code="no-such-schema", found=name, expected=", ".join(types))
    kind, title = types[name]
    schema: dict[str, Any] = {"$schema": JSON_SCHEMA_DRAFT, "title": title} | msgspec.json.schema(kind)
    for definition in schema.get("$defs", {}).values():
        if "description" in definition:
            definition["description"] = cleandoc(definition["description"])
    return schema


def encode_schema(name: str) -> bytes:
    """Return the schema as the text that is committed: indented, keys in a fixed order, a line end at the end."""
    return (json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n").encode()


def write_schemas(directory: Path) -> list[Path]:
    """Write every schema as `<name>.schema.json`; returns the files; raises FormatError (`write-failed`)."""
    files = []
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        for name in schema_types():
            path = directory / (name + SUFFIX)
            path.write_bytes(encode_schema(name))
            files.append(path)
    return files


def main(arguments: Sequence[str]) -> int:
    """Write the schemas into the directory that is the one argument."""
    if len(arguments) != 1:
        print("usage: python -m groundprep.api.schema DIRECTORY", file=sys.stderr)  # noqa: T201 (a script's own message)
        return 2
    for path in write_schemas(Path(arguments[0])):
        print(path)  # noqa: T201 (the script's result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
