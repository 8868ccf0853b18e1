"""Which parts a SRC stands for: a file, part of a file (`path#500`, `path%50`), or a mixture of files.

A mixture is a YAML file and may stand wherever a SRC may:
    sources:
      - {path: refcoco.jsonl, image_root: images, sample: random:10%, weight: 2}
EasyDistill's and VLM-R1's `datasets: [{json_path, sampling_strategy}]` and VLM-R1's `a.jsonl:b.jsonl` with `--image-root x:y`
are read as mixtures too. Unknown keys and unknown strategies are refused: the trainers silently keep everything there.
Source: specs/vlmr1_easydistill.md §1.1, §1.2, §3.2, §3.3 (om-ai-lab/VLM-R1 @90052f4, modelscope/easydistill @acbe49b).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from groundprep.api.yaml_text import read_yaml
from groundprep.containers import STDIN
from groundprep.containers.choice import ALL, Strategy, parse_strategy
from groundprep.containers.selected import Selection
from groundprep.containers.tsv import ANNOTATIONS
from groundprep.errors import UsageError

SUFFIXES = (".yaml", ".yml")
SEPARATOR = ":"
_PART = re.compile(r"(?P<path>.+)(?P<kind>[#%])(?P<amount>[0-9]{1,15})", re.DOTALL)


class MixtureSource(msgspec.Struct, forbid_unknown_fields=True, rename={"from_name": "from"}):
    """One source of a mixture.

    Args:
        path: a file, relative to the mixture's own directory; `path#500` and `path%50` are understood.
        image_root: where its image names start, relative as the path; None: `--image-root`, else the file's directory.
        from_name: its container or dialect, where detection shall not decide.
        source_frame: what its numbers mean, where the file does not say it.
        sample: `all`, `first:N`, `end:N` or `random:N`; N is a number or a share such as `10%`.
        weight: how often its rows come, above 0: 2 is twice, 0.5 a random half of them.
    """

    path: str
    image_root: str | None = None
    from_name: str | None = None
    source_frame: str | None = None
    sample: str = "all"
    weight: int | float = 1


class Mixture(msgspec.Struct, forbid_unknown_fields=True):
    """Several sources that are read one after the other.

    Args:
        sources: in order.
        seed: decides the random choices of `sample`, `weight`, `#` and `%`.
    """

    sources: list[MixtureSource]
    seed: int = 0


class TrainerDataset(msgspec.Struct, forbid_unknown_fields=True):
    """One source of EasyDistill's and VLM-R1's YAML."""

    json_path: str
    sampling_strategy: str = "all"


class TrainerMixture(msgspec.Struct, forbid_unknown_fields=True):
    """EasyDistill's and VLM-R1's YAML."""

    datasets: list[TrainerDataset]


@dataclass(frozen=True, slots=True)
class Part:
    """One file to be read.

    Args:
        path: the file.
        selection: which of its rows.
        image_root, from_name, source_frame: what a mixture says of it; None where it says nothing.
        is_listed: a mixture lists it.
    """

    path: str
    selection: Selection
    image_root: str | None = None
    from_name: str | None = None
    source_frame: str | None = None
    is_listed: bool = False

    def as_data(self) -> dict[str, Any]:
        """Return what decides the rows, as JSON values; paths apart, which the input files are known by."""
        return {
            "sample": str(self.selection.strategy),
            "weight": str(self.selection.weight),
            "seed": self.selection.seed,
            "image_root": self.image_root or str(Path(self.path).parent),
            "from": self.from_name,
            "source_frame": self.source_frame,
        }


def expand(path: str, image_root: str | None = None) -> tuple[Part, ...]:
    """Return the files that a SRC stands for; raises UsageError (`bad-mixture`, `bad-strategy`, `stdin-twice`).

    Args:
        path: a SRC as the user named it; what exists under that very name is that file.
        image_root: `--image-root`: `x:y` belongs to the files of `a.jsonl:b.jsonl`, one each.
    """
    if path != STDIN and not _exists(path):
        names = path.split(SEPARATOR)
        if len(names) > 1 and all(_exists(name) for name in names):
            return _listed_by_colons(names, image_root)
    if path.lower().endswith(SUFFIXES):
        return tuple(_read_mixture(path))
    name, strategy = split_selection(path)
    return (Part(name, Selection(strategy)),)


def split_selection(path: str) -> tuple[str, Strategy]:
    """Return the file and the strategy of `path#500` or `path%50`; a file of that very name comes first."""
    match = _PART.fullmatch(path)
    if match is None or _exists(path):
        return path, ALL
    if match["path"] == STDIN:
        raise UsageError(
            "rows are chosen by reading the source twice, and standard input can be read once",
            code="stdin-twice",
            found=path,
            fix="write standard input to a file first",
        )
    amount, is_percent = int(match["amount"]), match["kind"] == "%"
    if amount < 1 or (is_percent and amount > 100):
        raise UsageError(
            "no part of a file has this size",
            code="bad-strategy",
            found=path,
            expected=f"{match['path']}#N with N at least 1, or {match['path']}%N with N from 1 to 100",
        )
    return match["path"], Strategy("random", amount, is_percent)


def _exists(path: str) -> bool:
    return bool(path) and (Path(path).exists() or Path(path + ANNOTATIONS).exists())


def _listed_by_colons(names: list[str], image_root: str | None) -> tuple[Part, ...]:
    """Return VLM-R1's `a.jsonl:b.jsonl`; its image folders must be as many."""
    roots: list[str | None] = [None] * len(names)
    if image_root is not None and SEPARATOR in image_root and not Path(image_root).exists():
        roots = list(image_root.split(SEPARATOR))
        if len(roots) != len(names):
            raise UsageError(
                "there must be one image root for each file",
                code="bad-mixture",
                found=f"{len(roots)} roots for {len(names)} files",
                fix=f"pass {len(names)} directories to --image-root, separated by `:`, or one for all",
            )
    return tuple(Part(name, Selection(ALL), root, is_listed=True) for name, root in zip(names, roots, strict=True))


def _read_mixture(path: str) -> Iterator[Part]:
    data = read_yaml(path, what="mixture", unreadable="mixture-unreadable", invalid="bad-mixture")
    if not isinstance(data, dict):
        _refuse(path, "a mixture is a mapping", data, "sources: [{path: …}]")
    try:
        if "datasets" in data:
            yield from _parts_of_trainer(path, msgspec.convert(data, TrainerMixture))
        else:
            yield from _parts(path, msgspec.convert(data, Mixture))
    except msgspec.ValidationError as error:
        expected = (
            "json_path, sampling_strategy"
            if "datasets" in data
            else "path, image_root, from, source_frame, sample, weight"
        )
        _refuse(path, f"it does not fit: {error}", None, f"a list of sources with the keys {expected}")


def _parts(path: str, mixture: Mixture) -> Iterator[Part]:
    if not mixture.sources:
        _refuse(path, "the mixture has no sources", None, "at least one source")
    folder = os.path.dirname(path)  # noqa: PTH120 (names stay as they are written)
    for source in mixture.sources:
        _require_file_name(path, source.path)
        name, strategy = split_selection(os.path.join(folder, source.path))  # noqa: PTH118 (as above)
        if source.sample != "all":
            if strategy is not ALL:
                _refuse(path, "the rows are chosen twice", f"{source.path} and sample: {source.sample}", "one of them")
            strategy = _strategy(path, source.sample)
        root = source.image_root
        yield Part(
            name,
            Selection(strategy, _weight(path, source.weight), mixture.seed),
            None if root is None else os.path.join(folder, root),  # noqa: PTH118 (as above)
            source.from_name,
            source.source_frame,
            is_listed=True,
        )


def _parts_of_trainer(path: str, mixture: TrainerMixture) -> Iterator[Part]:
    """Yield the parts of a trainer's YAML; a relative name means the current directory there, we look beside the YAML too."""
    if not mixture.datasets:
        _refuse(path, "the mixture has no datasets", None, "at least one dataset")
    for dataset in mixture.datasets:
        _require_file_name(path, dataset.json_path)
        beside = os.path.join(os.path.dirname(path), dataset.json_path)  # noqa: PTH118, PTH120 (names stay as written)
        places = [name for name in dict.fromkeys((dataset.json_path, beside)) if Path(name).exists()]
        if len(places) == 2 and not Path(places[0]).samefile(places[1]):
            _refuse(path, "two files have this name", " and ".join(places), "an absolute json_path")
        name = places[0] if places else beside
        yield Part(name, Selection(_strategy(path, dataset.sampling_strategy)), is_listed=True)


def _require_file_name(path: str, name: str) -> None:
    if not name or name == STDIN or name.lower().endswith(SUFFIXES):
        _refuse(path, "a source of a mixture is a data file", name, "a file, no other mixture and no standard input")


def _strategy(path: str, text: str) -> Strategy:
    try:
        return parse_strategy(text)
    except UsageError as error:
        raise error.at(path) from error


def _weight(path: str, weight: float) -> Fraction:
    if not (math.isfinite(weight) and weight > 0):
        _refuse(path, "a weight is a number above 0", weight, "such as 1, 2 or 0.5")
    return Fraction(str(weight))


def _refuse(path: str, message: str, found: object, expected: str) -> NoReturn:
    raise UsageError(
        message, code="bad-mixture", source=path, found=found, expected=expected, fix="see docs/mixtures.md"
    )
