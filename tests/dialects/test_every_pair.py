"""A → B → A for every pair of layouts that can be written: what has changed was declared in the loss reports, nothing else."""

from __future__ import annotations

import itertools
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import groundprep
from groundprep.api.convert import convert
from groundprep.api.convert_config import ConvertConfig, ConvertResult
from groundprep.api.sources import SourceConfig
from groundprep.containers import CONTAINERS
from groundprep.corpora import CORPORA, get_row_dialect
from groundprep.dialects import DIALECTS
from groundprep.geometry.frames import Space
from groundprep.image_loader import ImageLoader
from groundprep.record import Header, Record
from groundprep.trainers import PROFILES
from tests.contracts.records import HEADER, records
from tests.contracts.samples import make_images
from tests.contracts.statements import Statement, header_statements, statements_of, undeclared

EXAMPLES = 5
WRITABLE = [*DIALECTS, *(name for name, corpus in CORPORA.items() if corpus.writer is not None)]
PAIRS = list(itertools.permutations(WRITABLE, 2))
LABELLED = {"easydistill", "easydistill-sft"}
"""Layouts that know the labels 0 to 3 only."""
SHAPED = {"vlmr1-seg"}
"""Layouts that hold shapes only."""
SINGLE = {"vlmr1", "vlmr1-refcoco", "vlmr1-seg", "easydistill-single"}
"""Layouts that hold exactly one answer."""

BOXES_ONLY = (
    *(
        "rexthinker",
        "easyr1",
        "rexthinker-parquet",
        "humanref-cot",
        "rexomni-engine",
        "trl",
        "trl-sft",
        "qwen-vl",
        "vlmr1",
    ),
    *("vlmr1-ovd", "vlmr1-refcoco", "easydistill", "easydistill-single", "easydistill-sft"),
)
"""Layouts that hold no outline."""

IMPOSSIBLE = {
    **{(a, "vlmr1-seg"): "no-mask" for a in BOXES_ONLY},
    **{("vlmr1-seg", b): "no-box" for b in BOXES_ONLY},
    ("rexomni-engine", "easydistill"): "phrase-not-in-caption",
    ("rexomni-engine", "easydistill-sft"): "phrase-not-in-caption",
}
"""(A, B) → the code with which every row is refused, there or on the way back: the labels that EasyDistill adds are no words of
the caption that the engine's row brought along."""


@dataclass(frozen=True)
class Way:
    """One way of writing a layout."""

    name: str
    container: str
    profile: str | None

    @property
    def embeds_images(self) -> bool:
        return self.container in CONTAINERS and CONTAINERS[self.container].writer.embeds_images

    def path(self, folder: Path, stem: str) -> Path:
        suffix = {"tsv": "", "coco": ".json", "lvis": ".json"}.get(self.container, f".{self.container}")
        return folder / f"{stem}{suffix}"

    @property
    def frame(self) -> str | None:
        """What the numbers mean, where the layout fixes it; a trainer's frame stands in the file or its manifest."""
        frame = get_row_dialect(self.name).frame
        return frame.name if self.profile is None and frame.space is not Space.SEEN else None

    def flags(self) -> dict[str, Any]:
        dialect = {} if self.name in CORPORA else {"dialect": self.name}
        return {"to": self.container, "profile": self.profile, "on_error": "drop", "overwrite": True, **dialect}


def ways(name: str) -> list[Way]:
    """Return every container and profile of a layout."""
    dialect = get_row_dialect(name)
    profiles = [profile.full_name for profile in PROFILES.values() if profile.dialect == name]
    needs_profile = dialect.frame.space is Space.SEEN
    chosen = profiles if needs_profile else [None, *profiles]
    return [Way(name, container, profile) for container in dialect.containers for profile in chosen]


def carry(src: Path, there: Way, dst: Path, here: Way, *, image_root: Path, image_out: Path) -> ConvertResult:
    """Convert; images get files of their own where the target names them and the source does not."""
    makes_files = there.embeds_images and not here.embeds_images
    root = None if there.embeds_images else str(image_root)
    source = SourceConfig((str(src),), from_name=there.name, image_root=root, source_frame=there.frame)
    return convert(ConvertConfig(source, str(dst), image_out=str(image_out) if makes_files else None, **here.flags()))


def read(path: Path, way: Way, *, root: Path) -> tuple[Header, list[Record]]:
    """Return what a file of a layout says."""
    image_root = None if way.embeds_images else str(root)
    header, found = groundprep.read(path, from_name=way.name, image_root=image_root, source_frame=way.frame)
    return header, list(found)


def drops(result: ConvertResult) -> list[dict[str, Any]]:
    """Return the dropped rows with their reasons."""
    if result.dropped_file is None:
        return []
    return [json.loads(line) for line in Path(result.dropped_file).read_text(encoding="utf-8").splitlines()]


def codes_of(result: ConvertResult) -> set[str]:
    return {drop["code"] for drop in drops(result)}


def dropped_images(result: ConvertResult, by_row: dict[int, list[Record]], loader: ImageLoader) -> set[tuple[str, ...]]:
    """Return the images of which a row was dropped; their statements are compared no further."""
    rows = {int(drop["source"].rpartition(":")[2].partition("#")[0]) for drop in drops(result)}
    lost = [statements_of([record], loader)[0] for row in rows for record in by_row[row]]
    return {statement.images for statement in lost}


def rows_of(found: list[Record]) -> dict[int, list[Record]]:
    rows: dict[int, list[Record]] = {}
    for record in found:
        assert record.source.row is not None
        rows.setdefault(record.source.row, []).append(record)
    return rows


class TheRoundTrip:
    """One pair of layouts; counts how many records that point at something came through."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        self.images = images
        self.loader = ImageLoader()
        self.survived = 0
        self.codes: set[str] = set()

    def run(self, given_records: list[Record], way_a: Way, way_b: Way) -> None:
        folder = self.folder
        a, b, c = way_a.path(folder, "a"), way_b.path(folder, "b"), way_a.path(folder, "c")
        flags = way_a.flags() | {"for_": way_a.profile}
        del flags["profile"]
        if not groundprep.write(given_records, a, header=HEADER, **flags).counts["written"]:
            return
        header, before = read(a, way_a, root=self.images)
        there = carry(a, way_a, b, way_b, image_root=self.images, image_out=folder / "b bilder")
        self.codes |= codes_of(there)
        if not there.counts["written"]:
            return
        root_b = folder / "b bilder" if way_a.embeds_images and not way_b.embeds_images else self.images
        _, middle = read(b, way_b, root=root_b)
        back = carry(b, way_b, c, way_a, image_root=root_b, image_out=folder / "c bilder")
        self.codes |= codes_of(back)
        if not back.counts["written"]:
            return
        root_c = folder / "c bilder" if way_b.embeds_images and not way_a.embeds_images else root_b
        header_after, after = read(c, way_a, root=root_c)
        gone = dropped_images(there, rows_of(before), self.loader) | dropped_images(back, rows_of(middle), self.loader)
        self.survived += sum(bool(record.referring is not None or record.answers or record.regions) for record in after)
        left = self._kept(statements_of(before, self.loader), gone) + header_statements(header)
        right = self._kept(statements_of(after, self.loader), gone) + header_statements(header_after)
        problems = undeclared(left, right, there.losses, back.losses)
        declared = f"declared: {_declared(there)} and {_declared(back)}"
        assert not problems, "\n".join([f"{way_a} -> {way_b}", *problems, declared])

    @staticmethod
    def _kept(said: list[Statement], gone: set[tuple[str, ...]]) -> list[Statement]:
        return [statement for statement in said if statement.images not in gone]


def _declared(result: ConvertResult) -> dict[str, Any]:
    return {
        name: {kind: loss[kind] for kind in ("lost", "renamed", "rounded", "added") if loss[kind]}
        for name, loss in result.losses.items()
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bilder")
    make_images(folder)
    return folder


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_there_and_back_changes_only_what_the_loss_reports_declare(
    tmp_path: Path, images: Path, a: str, b: str
) -> None:
    trip = TheRoundTrip(tmp_path, images)
    unit = "image" if get_row_dialect(a).unit == "image" else "expression"
    given_records = st.lists(
        records(
            images,
            unit=unit,
            labels=bool({a, b} & LABELLED),
            needs_shape=bool({a, b} & SHAPED),
            one_box=bool({a, b} & SINGLE),
        ),
        min_size=1,
        max_size=3,
    )

    @seed(zlib.crc32(f"{a} {b}".encode()))
    @settings(
        max_examples=EXAMPLES + ((a, b) in IMPOSSIBLE),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(given_records, st.sampled_from(ways(a)), st.sampled_from(ways(b)))
    def check(found: list[Record], way_a: Way, way_b: Way) -> None:
        trip.run(found, way_a, way_b)

    check()
    if (a, b) in IMPOSSIBLE:
        assert trip.survived == 0
        assert IMPOSSIBLE[a, b] in trip.codes
    else:
        assert trip.survived > 0, trip.codes
