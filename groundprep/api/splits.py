"""Sources that are the splits of one data set: what `split` wrote, and corpora whose rows name their split."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from groundprep.api.line_index import MANIFEST_NAME, manifest_of
from groundprep.api.sources import SourceConfig
from groundprep.checks.base import Split
from groundprep.containers import STDIN, Reader
from groundprep.corpora.refcoco import RefCocoReader
from groundprep.manifest import read_manifest
from groundprep.output import SIDECAR_SUFFIX

COMMAND = "split"
TRAIN = "train"


def with_parts(config: SourceConfig) -> SourceConfig:
    """Return the sources with every directory that `split` wrote replaced by its parts; raises FormatError."""
    return replace(config, paths=tuple(name for path in config.paths for name in _parts_of(path)))


def _parts_of(path: str) -> Sequence[str]:
    folder = path.rstrip("/")
    if not folder or not Path(folder).is_dir():
        return (path,)
    manifest = read_manifest(Path(folder + SIDECAR_SUFFIX) / MANIFEST_NAME)
    if manifest is None or manifest.config.command != COMMAND:
        return (path,)
    return [f"{folder}/{output.name}" for output in manifest.outputs]


def split_of_file(path: str) -> Split | None:
    """Return which split of a data set a file is, if `split` wrote it; raises FormatError."""
    if path == STDIN:
        return None
    manifest = manifest_of(path)
    if manifest is None or manifest.config.command != COMMAND:
        return None
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 (lexical: links stay links)
    return Split(folder, name.partition(".")[0])


def splits_of(readers: Iterable[Reader]) -> list[Split]:
    """Return the splits that are compared with each other: at least two of a data set, the one to train on first."""
    found: dict[Split, None] = {}
    for reader in readers:
        if isinstance(reader, RefCocoReader):
            names = reader.header.splits if reader.split is None else (reader.split,)
            found |= dict.fromkeys(Split(str(reader.refs_path), name) for name in names)
        elif (split := split_of_file(reader.path)) is not None:
            found[split] = None
    ordered = sorted(found, key=lambda split: split.name != TRAIN)  # the sort is stable
    data_sets = [split.data_set for split in ordered]
    return [split for split in ordered if data_sets.count(split.data_set) > 1]
