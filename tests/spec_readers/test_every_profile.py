"""Every real-shaped file, converted for every trainer, is read by that trainer's rules and says what its source said.

The readers follow the specifications and know nothing of groundprep. What they see is held against the source, fact by fact:
each box in stored pixels within the rounding of its frame, the largest error as large as the loss report says, nothing made up,
and what is missing declared lost or dropped with its reason.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from groundprep.corpora import CORPORA
from groundprep.dialects import DIALECTS
from groundprep.errors import GroundprepError
from groundprep.finding import Severity
from groundprep.trainers import PROFILES, get_profile
from tests.contracts.samples import run
from tests.spec_readers.carried import READERS, Carried, carry, target_of
from tests.spec_readers.cases import CASES, Case
from tests.spec_readers.expected import DROPS, REFUSED, SKIPPED
from tests.spec_readers.facts import Fact, RefusedError
from tests.spec_readers.matching import matched
from tests.spec_readers.vlmr1 import seen_wh

HERE = Path(__file__).parent
ERRORS = (HERE.parents[1] / "docs/errors.md").read_text(encoding="utf-8")
WITH_GROUNDPREP = {"test_every_profile.py", "carried.py", "expected.py"}
SHAPES = ("polygon", "mask")


@pytest.mark.parametrize("profile", READERS)
@pytest.mark.parametrize("name", CASES)
def test_the_trainer_reads_what_the_source_says(tmp_path: Path, name: str, profile: str) -> None:
    if (name, profile) in REFUSED:
        rule, code = REFUSED[name, profile]
        with pytest.raises(RefusedError, match=rule):
            carry(CASES[name], profile, tmp_path)
        assert code in found_by_validate(CASES[name], profile, tmp_path)
        return
    carried = carry(CASES[name], profile, tmp_path)
    assert carried.drops == DROPS.get((name, profile), {})
    counts = carried.result.counts
    assert counts["read"] == len(carried.source)
    assert counts["written"] == len(carried.written)
    assert sum(bool(row.said.get("skipped")) for row in carried.written) == SKIPPED.get((name, profile), 0)
    account(carried, shapes_only=profile.startswith("vlmr1-seg"))


def found_by_validate(case: Case, profile: str, folder: Path) -> set[str]:
    """Return the codes of the errors that `validate` finds in what was written."""
    written = target_of(profile, folder)
    root = folder / case.folder
    sources = SourceConfig((str(written),), from_name=get_profile(profile).dialect, image_root=str(root))
    result = validate(ValidateConfig(sources, profile=profile))
    return {finding.code for finding in result.findings if finding.severity is Severity.ERROR}


@pytest.mark.parametrize(("name", "profile"), DROPS)
def test_a_row_that_cannot_be_carried_has_a_documented_code_and_nothing_is_written(
    tmp_path: Path, name: str, profile: str
) -> None:
    with pytest.raises(GroundprepError) as caught:
        carry(CASES[name], profile, tmp_path, on_error="fail")
    assert caught.value.code in DROPS[name, profile]
    assert f"### `{caught.value.code}`" in ERRORS
    assert not list((tmp_path / "out").glob("rows*"))


@pytest.mark.parametrize(("name", "profile"), [
    ("rexthinker", "vlmr1-ovd@90052f4"), ("rexthinker", "easydistill-single@acbe49b"), ("refcoco", "vlmr1-seg@dd9f79b"),
    ("lvis", "vlmr1-ovd@90052f4"), ("easydistill-single", "easydistill-single@acbe49b"),
])  # fmt: skip
def test_an_image_at_a_fixed_point_is_seen_as_it_is_stored(tmp_path: Path, name: str, profile: str) -> None:
    case, dst = CASES[name], target_of(profile, tmp_path)
    src, images = case.prepare(tmp_path), tmp_path / "ausgabe"
    run(
        src,
        dst,
        profile=profile,
        image_root=str(src.parent),
        image_out=str(images),
        resize="fixed-point",
        on_error="drop",
    )
    rows = READERS[profile](dst, images)
    assert rows
    for row in rows:
        assert row.image is not None
        assert seen_wh(row.image.size_wh) == row.image.size_wh


def account(carried: Carried, *, shapes_only: bool) -> None:
    """Match what was written with what the source says, and the rest with the loss report."""
    labels, losses = labels_of(carried), carried.result.losses
    written = [fact for row in carried.written for fact in row.facts]
    found = matched(written, carried.surviving(), partial(is_same, labels=labels, shapes_only=shapes_only))
    made_up, missing = (Counter(fact.kind for fact in facts) for facts in (found.made_up, found.missing))
    assert made_up.pop("absent", 0) <= sum_of(losses, "absent", "added"), found.made_up
    assert not made_up, found.made_up
    # What two rows of an image said alike is said once; the report counts it, of whatever kind it is.
    repeated = losses.get("regions.repeated", {}).get("renamed", 0)
    for kind in ("box", "point", "absent", "candidate"):
        surplus = missing[kind] - sum_of(losses, kind, "lost")
        # A dropped row may have been counted before it was refused.
        assert surplus <= repeated, (kind, found.missing)
        assert surplus >= 0 or carried.dropped, (kind, found.missing)
        repeated -= max(surplus, 0)
    assert repeated == 0 or carried.dropped, found.missing
    largest = max((losses.get(f"{role}.{part}", {}).get("largest_error_px", 0) for role, part in GEOMETRY), default=0)
    assert found.worst_px <= largest + 2e-6
    if not shapes_only and not carried.dropped:
        assert found.worst_px == pytest.approx(largest, abs=2e-6)


GEOMETRY = [(role, part) for role in ("answers", "regions") for part in ("box", "point")]


def is_same(fact: Fact, known: Fact, *, labels: dict[str, str], shapes_only: bool) -> bool:
    """Say whether a fact that was written is one of the source's."""
    if fact.image != known.image:
        return False
    if fact.kind == "text":
        return known.kind == "text"
    if fact.phrase not in (known.phrase, *(labels.get(name or "") for name in (known.phrase, known.category))):
        return False
    if shapes_only:
        return known.kind in SHAPES
    return fact.kind == known.kind and fact.may_be(known.numbers)


def sum_of(losses: dict[str, dict[str, float]], kind: str, what: str) -> float:
    """Return how many values of a kind the loss report declares."""
    names = ["candidates"] if kind == "candidate" else [f"answers.{kind}", f"regions.{kind}"]
    return sum(losses.get(name, {}).get(what, 0) for name in names)


def labels_of(carried: Carried) -> dict[str, str]:
    """Return what phrases are called now, where the trainer knows numbers only: groundprep writes the table beside the rows."""
    sidecars = [Path(f"{path}.groundprep/labels.json") for path in carried.result.outputs]
    table: dict[str, Any] = next(
        (json.loads(path.read_text(encoding="utf-8")) for path in sidecars if path.exists()), {}
    )
    return {str(name): str(label) for name, label in table.items()}


def test_every_dialect_corpus_and_profile_takes_part() -> None:
    assert READERS.keys() == PROFILES.keys()
    assert {name.split(" ")[0].replace("refcocog", "refcoco") for name in CASES} == {*DIALECTS, *CORPORA}
    assert {*DROPS, *REFUSED, *SKIPPED} <= {(a, b) for a in CASES for b in READERS}


def test_the_readers_know_nothing_of_groundprep() -> None:
    for path in HERE.glob("*.py"):
        if path.name in WITH_GROUNDPREP:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not [name for name in names if name.split(".")[0] == "groundprep" or "contracts" in name], path.name
