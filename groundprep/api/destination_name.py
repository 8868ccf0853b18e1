"""Does the name of a destination say what is written? Trainers, and our own readers, tell a container by its extension."""

from __future__ import annotations

from pathlib import Path

from groundprep.checks.loader_files import NOT_JSONL, VLMR1
from groundprep.containers import CONTAINERS, STDIN, container_of_name
from groundprep.containers.tsv import ANNOTATIONS, IMAGES, LINE_INDEX
from groundprep.errors import UsageError
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

DOCUMENT = ".json"
"""The extension of every corpus that is written."""


def extensions_of(container: str) -> tuple[str, ...]:
    """Return the extensions that a file of this container or corpus may have."""
    return CONTAINERS[container].extensions if container in CONTAINERS else (DOCUMENT,)


def has_foreign_extension(dst: str) -> bool:
    """Say whether a name has an extension, and no container is known by it."""
    return dst != STDIN and Path(dst).suffix != "" and container_of_name(dst) is None


def require_name(dst: str, container: str, *, is_named: bool) -> None:
    """Raise UsageError (`destination-name`) for a name that says something else than what is written.

    Args:
        dst: the destination.
        container: what is written.
        is_named: a person named the container, whatever the destination is called.
    """
    if container == "tsv":
        _require_prefix(dst)
    elif not is_named and has_foreign_extension(dst):
        raise UsageError(
            f"the destination's extension is not that of {container}, which would be written",
            code="destination-name",
            found=dst,
            expected=" or ".join(f"a name that ends in {extension}" for extension in extensions_of(container)),
            fix=f"rename it, or pass --to {container} to write {container} under this name",
        )


def name_findings(dst: str, container: str, dialect: str, profile: Profile | None) -> list[Finding]:
    """Return what is doubtful about a destination: its name, and whether the trainer reads such a file."""
    return [
        finding
        for finding in (_misnamed(dst, container), _unread(dst, container, dialect, profile))
        if finding is not None
    ]


def _misnamed(dst: str, container: str) -> Finding | None:
    """Return what is doubtful about a name: none of the container's extensions; a TSV has a prefix, whatever it is."""
    if dst == STDIN or container == "tsv" or dst.endswith(extensions_of(container)):
        return None
    suffix = Path(dst).suffix
    return Finding(
        code="misnamed",
        severity=Severity.WARNING,
        record=None,
        source=dst,
        message=f"the file is named {suffix} but holds {container}"
        if suffix
        else f"the file's name has no extension, by which trainers would know that it holds {container}",
        fix=f"call it {Path(dst).stem}{extensions_of(container)[0]}",
    )


def _unread(dst: str, container: str, dialect: str, profile: Profile | None) -> Finding | None:
    """Return what is to be said where a trainer that reads one row a line gets a JSON array."""
    if profile is None or dialect not in VLMR1 or container != "json":
        return None
    return Finding(
        code=NOT_JSONL.code,
        severity=Severity.WARNING,
        record=None,
        source=dst,
        message=f"{profile.name} reads one row a line, and {dst} is one JSON array",
        expected="JSON lines",
        fix="name a destination that ends in .jsonl",
    )


def _require_prefix(dst: str) -> None:
    for suffix in (ANNOTATIONS + LINE_INDEX, IMAGES, ANNOTATIONS, LINE_INDEX):
        if dst.endswith(suffix):
            prefix = dst.removesuffix(suffix)
            raise UsageError(
                "the destination of a TSV is a prefix of three files",
                code="destination-name",
                found=dst,
                expected=f"{prefix}, for {prefix}{IMAGES}, {prefix}{ANNOTATIONS} and {prefix}{ANNOTATIONS}{LINE_INDEX}",
                fix="leave the ending out",
            )
