"""What a trainer is told of a mixture: the names of its files, its YAML, its arguments."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from groundprep.api.conversion import Job
from groundprep.api.mixture import SEPARATOR, Part
from groundprep.api.mixture_target import MixtureTarget
from groundprep.containers.tsv import LINE_INDEX
from groundprep.errors import UsageError

_UNSAFE = re.compile(r"[^\w.()+-]+")


def file_names(parts: Sequence[Part], extension: str) -> list[str]:
    """Return a name for the file of each source: the source's own, made safe and unique."""
    names: list[str] = []
    for part in parts:
        stem = Path(part.path.removesuffix(LINE_INDEX)).stem
        stem = _UNSAFE.sub("_", stem).strip("._") or "source"
        name, number = stem + extension, 1
        while name.casefold() in map(str.casefold, names):
            number += 1
            name = f"{stem}-{number}{extension}"
        names.append(name)
    return names


def yaml_text(files: Sequence[Path], strategies: Sequence[str]) -> str:
    """Return the trainers' YAML. Relative names would mean their working directory (§3.2): they are absolute."""
    import yaml

    datasets = [
        {"json_path": os.path.abspath(file), "sampling_strategy": strategy}  # noqa: PTH100 (lexical: links stay links)
        for file, strategy in zip(files, strategies, strict=True)
    ]
    return str(yaml.safe_dump({"datasets": datasets}, allow_unicode=True, sort_keys=False, width=10_000))


def yaml_arguments(mixture: MixtureTarget, job: Job) -> str:
    """Return how the trainer is told of the YAML (§1.1, §3.1)."""
    path = os.path.abspath(mixture.config.dst)  # noqa: PTH100 (lexical: links stay links)
    if job.target.dialect.name == "vlmr1-refcoco":
        return f"--dataset_name {shlex.quote(path)} --image_root {shlex.quote(_root_of(job))}"
    return f'"labeled_path": {json.dumps(path, ensure_ascii=False)}'


def launch_arguments(mixture: MixtureTarget, jobs: Sequence[Job]) -> str:
    """Return VLM-R1's arguments; raises UsageError for a colon in a path, where it would split (§1.2)."""
    files = [os.path.abspath(name) for name in mixture.files]  # noqa: PTH100 (lexical: links stay links)
    roots = [_root_of(one) for one in jobs]
    for path in (*files, *roots):
        if SEPARATOR in path:
            raise UsageError(
                "VLM-R1 splits paths at colons, and this one has one",
                code="bad-mixture",
                found=path,
                fix="move it to a path without `:`",
            )
    arguments = {"--data_file_paths": files, "--image_folders": roots}
    return " ".join(f"{flag} {shlex.quote(SEPARATOR.join(paths))}" for flag, paths in arguments.items())


def _root_of(job: Job) -> str:
    """Return the directory in which the written image names start."""
    if job.config.image_out is not None:
        return os.path.abspath(job.config.image_out)  # noqa: PTH100 (lexical: links stay links)
    return os.path.dirname(job.sources.contexts[0].images.locate("x").path)  # noqa: PTH120 (a plain string)
