"""A line index that stands alone: what sample and split write of a TSV, and how its other two files are found again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groundprep.containers.base import require_readable
from groundprep.containers.tsv import ANNOTATIONS, IMAGES, LINEIDX, Triple, find_triple
from groundprep.errors import FormatError
from groundprep.manifest import Manifest, read_manifest
from groundprep.output import SIDECAR_SUFFIX

MANIFEST_NAME = "manifest.json"
TRIPLE = (ANNOTATIONS, LINEIDX, IMAGES)
"""How the names of the three files end, after their prefix."""

FACTS = "line_index"
"""The fact of a manifest that says which annotations and images a line index belongs to."""


def facts_of(triple: Triple, line_index: Path) -> dict[str, Any]:
    """Return what the manifest says: both files relative to the line index, and their sizes in bytes."""
    folder = os.path.abspath(line_index.parent)  # noqa: PTH100 (lexical: links stay links)
    files = {"annotations": triple.annotations, "images": triple.images}
    return {
        FACTS: {
            name: {"path": os.path.relpath(os.path.abspath(file), folder), "bytes": file.stat().st_size}  # noqa: PTH100
            for name, file in files.items()
        }
    }


def triple_of(path: str, annotations: str | None = None, images: str | None = None) -> Triple:
    """Return the files of a line index: as named, as its manifest says, or beside it; raises FormatError."""
    require_readable(Path(path))
    manifest = manifest_of(path)
    facts = {} if manifest is None else manifest.facts.get(FACTS, {})
    return Triple(
        images=_file(path, "images", images, facts),
        annotations=_file(path, "annotations", annotations, facts),
        lineidx=Path(path),
    )


def _file(path: str, name: str, given: str | None, facts: dict[str, Any]) -> Path:
    if given is not None:
        file = Path(given)
    elif name not in facts:
        file = getattr(find_triple(path), name)
    else:
        file = Path(os.path.normpath(Path(path).parent / facts[name]["path"]))
        if file.exists() and file.stat().st_size != facts[name]["bytes"]:
            raise FormatError(
                "the TSV was written again since this line index was made, so that its offsets lead elsewhere",
                code="tsv-changed",
                source=path,
                found=f"{file}: {file.stat().st_size} bytes",
                expected=f"{facts[name]['bytes']} bytes",
                fix="write the line index again with sample or split",
            )
    if not file.exists():
        raise FormatError(
            f"the {name} TSV of this line index is not there",
            code="tsv-names",
            source=path,
            found=str(file),
            fix="pass --annotations FILE and --images FILE",
        )
    return file


def manifest_of(path: str) -> Manifest | None:
    """Return the manifest of an output; raises FormatError.

    It is beside the file itself, beside the prefix of a TSV's files, or beside the directory that the file was written into.
    """
    own = read_manifest(Path(path + SIDECAR_SUFFIX) / MANIFEST_NAME)
    if own is not None:
        return own
    prefix = next((path.removesuffix(ending) for ending in TRIPLE if path.endswith(ending)), None)
    of_triple = None if prefix is None else read_manifest(Path(prefix + SIDECAR_SUFFIX) / MANIFEST_NAME)
    if of_triple is not None and any(output.name == Path(path).name for output in of_triple.outputs):
        return of_triple
    file = Path(os.path.abspath(path))  # noqa: PTH100 (lexical: a link's own directory counts)
    shared = read_manifest(Path(str(file.parent) + SIDECAR_SUFFIX) / MANIFEST_NAME)
    is_in_it = shared is not None and any(output.name == file.name for output in shared.outputs)
    return shared if is_in_it else None


def write_line_index(path: Path, offsets: Iterable[int]) -> None:
    """Write a line index and flush it to disk."""
    with path.open("wb", 1 << 20) as file:
        for offset in offsets:
            file.write(b"%d\n" % offset)
        file.flush()
        os.fsync(file.fileno())
