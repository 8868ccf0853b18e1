"""A file converted for a trainer, read back by the letter of the trainer's specification, and held against its source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundprep.api.convert_config import ConvertResult
from groundprep.trainers import get_profile
from tests.contracts.samples import run
from tests.spec_readers import easydistill, easyr1, qwen_vl, rexomni, rexthinker, trl, vlmr1
from tests.spec_readers.cases import Case
from tests.spec_readers.facts import Fact, SpecRow

READERS: dict[str, Callable[[Path, Path], list[SpecRow]]] = {
    "rexthinker@5038b47": lambda path, _: rexthinker.read(path),
    "easyr1@b44b311": lambda path, _: easyr1.read(path),
    "rexomni-sft@478e44f": lambda path, _: rexomni.read(path, "grounding@S"),
    "rexomni-sft@8c474a3": lambda path, _: rexomni.read(path, "grounding@U"),
    "rexomni-grpo@478e44f": lambda path, _: rexomni.read(path, "grpo"),
    "trl@1.16": lambda path, _: trl.read_grpo(path),
    "trl-sft@1.16": lambda path, _: trl.read_sft(path),
    "qwen2-vl@23d3cce": lambda path, root: qwen_vl.read(path, root, "qwen2-vl"),
    "qwen2.5-vl@23d3cce": lambda path, root: qwen_vl.read(path, root, "qwen2.5-vl"),
    "qwen3-vl@23d3cce": lambda path, root: qwen_vl.read(path, root, "qwen3-vl"),
    "vlmr1@90052f4": lambda path, root: vlmr1.read_rec(path, root, vlmr1.pixels),
    "vlmr1-internvl@90052f4": lambda path, root: vlmr1.read_rec(path, root, vlmr1.thousandths),
    "vlmr1-ovd@90052f4": vlmr1.read_ovd,
    "vlmr1-seg@dd9f79b": vlmr1.read_seg,
    "easydistill@acbe49b": lambda path, _: easydistill.read(path),
    "easydistill-single@acbe49b": lambda path, _: easydistill.read(path),
}
"""Profile → the reader of its trainer, given the written file and where image names start."""


@dataclass(frozen=True)
class Carried:
    """What became of a file.

    Args:
        source: what the file says.
        result: what `convert` reported.
        written: what the trainer's reader sees; nothing where no row was written.
        dropped: the dropped rows: code, 1-based row, and part where one row holds several expressions.
    """

    source: list[SpecRow]
    result: ConvertResult
    written: list[SpecRow]
    dropped: list[tuple[str, int, int | None]]

    @property
    def drops(self) -> dict[str, int]:
        """Code → number of dropped rows."""
        return dict(Counter(code for code, _, _ in self.dropped))

    def surviving(self) -> list[Fact]:
        """Return the facts of the source that no dropped row took along."""
        by_image = any(change.stage == "group" for change in self.result.units)
        gone: set[tuple[int, int]] = set()
        for _, number, part in self.dropped:
            places = {place for place, row in enumerate(self.source) if row.number == number}
            facts = [fact for place in places for fact in self.source[place].facts]
            if by_image and any(fact.kind != "text" for fact in facts):  # a question stays a row of its own
                images = {fact.image for fact in facts}
                places = {p for p, row in enumerate(self.source) if any(fact.image in images for fact in row.facts)}
            gone |= {(place, i) for place in places for i in _of_part(self.source[place], part)}
        return [
            fact for place, row in enumerate(self.source) for i, fact in enumerate(row.facts) if (place, i) not in gone
        ]


def target_of(profile_name: str, folder: Path) -> Path:
    """Return where the rows for a trainer are written."""
    container = get_profile(profile_name).container
    return folder / "out" / ("rows" if container == "tsv" else f"rows.{container}")


def carry(case: Case, profile_name: str, folder: Path, *, on_error: str = "drop") -> Carried:
    """Convert the case's file for a trainer and read the result; raises RefusedError where the trainer would not take it."""
    src, dst = case.prepare(folder), target_of(profile_name, folder)
    source = case.read(src)
    names_files = dst.suffix == ".jsonl"
    image_out = folder / "ausgabe" if case.embeds_images and names_files else None
    root = None if case.embeds_images else str(src.parent)
    result = run(
        src,
        dst,
        profile=profile_name,
        image_root=root,
        image_out=None if image_out is None else str(image_out),
        on_error=on_error,
        limit=case.rows,
        **case.flags,
    )
    written = READERS[profile_name](dst, image_out or src.parent) if result.counts["written"] else []
    return Carried(source, result, written, list(_dropped(result)))


def _dropped(result: ConvertResult) -> Iterable[tuple[str, int, int | None]]:
    if result.dropped_file is None:
        return
    for line in Path(result.dropped_file).read_text(encoding="utf-8").splitlines():
        item: dict[str, Any] = json.loads(line)
        row, _, part = item["source"].rpartition(":")[2].partition("#")
        yield item["code"], int(row), int(part) if part else None


def _of_part(row: SpecRow, part: int | None) -> list[int]:
    """Return the places of a row's facts, or of those of its n-th expression."""
    if part is None:
        return list(range(len(row.facts)))
    if "part" in row.said:  # the source itself counts its parts
        return list(range(len(row.facts))) if row.said["part"] == part else []
    phrases = list(dict.fromkeys(fact.phrase for fact in row.facts))
    return [place for place, fact in enumerate(row.facts) if fact.phrase == phrases[part - 1]]
