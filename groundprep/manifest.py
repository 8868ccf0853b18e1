"""The manifest: what an output was made from. Deterministic: no times, hosts or worker counts (those go to run.json)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from groundprep.errors import FormatError, shown

FORMAT = 1
ABSENT = object()
"""What messages take for a value that one of two configurations does not have."""

T = TypeVar("T")


class InputFile(msgspec.Struct, frozen=True):
    """A file that was read: its path as given, size in bytes and SHA-256."""

    path: str
    bytes: int
    sha256: str


class OutputFile(msgspec.Struct, frozen=True):
    """A file that was written: its name and size in bytes."""

    name: str
    bytes: int


class RunConfig(msgspec.Struct, frozen=True):
    """All that decides an output's bytes, library versions apart.

    Args:
        command: the verb.
        inputs: the files read.
        flags: every flag that may change the output.
        profile: the profile's metadata, if the output is for a trainer.
    """

    command: str
    inputs: tuple[InputFile, ...]
    flags: dict[str, Any]
    profile: dict[str, Any] | None = None


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Written last: its presence means that the output is complete.

    `facts` holds what else a command counted, as deterministic as the output.
    """

    format: int
    groundprep: str
    config: RunConfig
    versions: dict[str, str]
    counts: dict[str, int]
    losses: dict[str, Any]
    outputs: tuple[OutputFile, ...]
    facts: dict[str, Any] = {}


def hash_inputs(files: Iterable[Path]) -> tuple[InputFile, ...]:
    """Return path, size and SHA-256 of each file; raises FormatError if one cannot be read."""
    inputs = []
    for path in files:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                inputs.append(InputFile(str(path), file.tell(), digest))
        except OSError as error:
            raise FormatError(
                "the file cannot be read", code="file-unreadable", source=str(path), found=error.strerror
            ) from error
    return tuple(inputs)


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of the packages whose behaviour may change bytes."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def encode(value: Any) -> bytes:
    """Return pretty JSON with sorted keys."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest, or None if there is none; raises FormatError if it cannot be read."""
    return _read(path, Manifest)


def read_config(path: Path) -> RunConfig | None:
    """Return the configuration of an unfinished run, or None; a torn file counts as none."""
    try:
        return _read(path, RunConfig)
    except FormatError:
        return None


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FormatError(
            "the manifest cannot be read",
            code="bad-manifest",
            source=str(path),
            found=shown(str(error)),
            fix="pass --overwrite",
        ) from error


def difference(old: RunConfig, new: RunConfig) -> str | None:
    """Return in words the first thing in which two configurations differ, or None."""
    if old.command != new.command:
        return f"it was written by `{old.command}`, not `{new.command}`"
    if [(i.sha256, i.bytes) for i in old.inputs] != [(i.sha256, i.bytes) for i in new.inputs]:
        return "its input files had another content"
    old_flags, new_flags = msgspec.to_builtins(old.flags), msgspec.to_builtins(new.flags)
    for name in sorted(old_flags.keys() | new_flags.keys()):
        if old_flags.get(name) != new_flags.get(name):
            return _change(name, old_flags.get(name), new_flags.get(name))
    if _name(old.profile) != _name(new.profile):
        return f"the profile was {_name(old.profile)}, now {_name(new.profile)}"
    old_profile, new_profile = msgspec.to_builtins(old.profile), msgspec.to_builtins(new.profile)
    return (
        None if old_profile == new_profile else _change(f"the profile {_name(new.profile)}:", old_profile, new_profile)
    )


def _change(name: str, old: Any, new: Any) -> str:
    """Return in words the first place within two different values where they differ, and what stands there."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = (*sorted(old.keys() & new.keys()), *sorted(old.keys() ^ new.keys()))  # values of both say the most
        key = next(key for key in keys if old.get(key, ABSENT) != new.get(key, ABSENT))
        joint = " " if name.endswith(":") else "."
        return _change(f"{name}{joint}{key}", old.get(key, ABSENT), new.get(key, ABSENT))
    if isinstance(old, list) and isinstance(new, list):
        pairs = enumerate(zip_longest(old, new, fillvalue=ABSENT))
        place, (before, after) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        return _change(f"{name}[{place}]", before, after)
    return f"{name} was {_text(old)}, now {_text(new)}"


def _text(value: Any) -> str:
    return "not there" if value is ABSENT else repr(value)


def _name(profile: Mapping[str, Any] | None) -> str:
    return "none" if profile is None else f"{profile.get('profile')}@{profile.get('revision')}"
