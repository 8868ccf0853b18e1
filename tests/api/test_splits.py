"""Leaks between the splits of one data set: what `split` wrote, and corpora whose rows name their split."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.split import SplitConfig, split
from groundprep.api.splits import split_of_file, with_parts
from groundprep.api.validate import ValidateConfig, ValidateResult, validate
from groundprep.checks.base import Split
from groundprep.errors import FormatError
from tests.contracts.samples import make_image, make_images, read_jsonl, rexthinker_row, write_jsonl

REFCOCO = Path(__file__).parents[1] / "fixtures/refcoco"
LEAKS = ("leaked-row", "leaked-image", "leaked-similar-image", "leaked-expression")


def judged(*paths: Path | str, root: Path | None = None, **options: Any) -> ValidateResult:
    sources = SourceConfig(tuple(map(str, paths)), image_root=None if root is None else str(root))
    return validate(ValidateConfig(sources, **({"select": LEAKS} | options)))


def leaks(result: ValidateResult) -> list[tuple[str, str, str]]:
    return [(f.code, str(f.severity), Path(f.source).name) for f in result.findings]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """The directory of 10 rows on as many images, in three parts."""
    for number in range(10):
        make_image(tmp_path / f"é {number}.png", (61 + 9 * number, 37), seed=number)
    rows = [rexthinker_row(n, image_name=f"é {n}.png", id=n, referring=f"狗 {n}") for n in range(10)]
    src = write_jsonl(tmp_path / "boxes.jsonl", rows)
    split(SplitConfig(SourceConfig((str(src),)), str(tmp_path / "parts"), val=0.2, test=0.2))
    return tmp_path / "parts"


def test_the_parts_of_a_split_share_nothing_and_are_named_by_their_directory(parts: Path) -> None:
    result = judged(parts, root=parts.parent)
    assert (result.records, leaks(result)) == (10, [])
    assert with_parts(SourceConfig((f"{parts}/",))).paths == tuple(
        f"{parts}/{name}.jsonl" for name in ("train", "val", "test")
    )
    assert split_of_file(str(parts / "val.jsonl")) == Split(str(parts), "val")
    assert split_of_file(str(parts.parent / "boxes.jsonl")) is None


def test_a_row_that_came_into_two_parts_is_told_at_the_one_to_train_on(parts: Path) -> None:
    train, val = (read_jsonl(parts / f"{name}.jsonl") for name in ("train", "val"))
    write_jsonl(parts / "train.jsonl", [*train, val[0]])
    assert leaks(judged(parts, root=parts.parent)) == [("leaked-row", "error", f"train.jsonl:{len(train) + 1}")]
    in_any_order = judged(parts / "val.jsonl", parts / "train.jsonl", root=parts.parent)
    assert leaks(in_any_order) == [("leaked-row", "error", f"train.jsonl:{len(train) + 1}")]
    assert leaks(judged(parts / "train.jsonl", root=parts.parent)) == []
    assert leaks(judged(parts, root=parts.parent, select=("box-outside",))) == []


def test_copies_that_look_the_same_are_found_where_they_are_decoded(parts: Path) -> None:
    train, val = (read_jsonl(parts / f"{name}.jsonl") for name in ("train", "val"))
    with Image.open(parts.parent / val[1]["image_name"]) as image:
        image.resize((image.width * 2, image.height * 2)).save(parts.parent / "copie.png")
    write_jsonl(parts / "train.jsonl", [*train, train[0] | {"image_name": "copie.png", "referring": "le chat"}])
    result = judged(parts, root=parts.parent)
    assert leaks(result) == [("leaked-similar-image", "warning", f"train.jsonl:{len(train) + 1}")]
    assert "an image of the split val" in result.findings[0].message
    assert leaks(judged(parts, root=parts.parent, verify="header")) == []


def test_what_two_held_out_parts_share_is_a_warning(parts: Path) -> None:
    val, test = (read_jsonl(parts / f"{name}.jsonl") for name in ("val", "test"))
    write_jsonl(parts / "val.jsonl", [*val, test[0] | {"referring": "le chat"}])
    result = judged(parts, root=parts.parent)
    assert leaks(result) == [("leaked-image", "warning", f"val.jsonl:{len(val) + 1}")]


def test_line_indexes_of_one_tsv_are_its_parts(parts: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(tmp_path / "boxes.jsonl"),)), str(tmp_path / "tsv"), profile="rexomni-sft"))
    split(SplitConfig(SourceConfig((str(tmp_path / "tsv"),)), str(tmp_path / "teile"), val=0.2))
    assert leaks(judged(tmp_path / "teile")) == []
    train, val = (tmp_path / f"teile/{name}.lineidx" for name in ("train", "val"))
    train.write_bytes(train.read_bytes() + val.read_bytes().splitlines(keepends=True)[0])
    assert [code for code, _, _ in leaks(judged(tmp_path / "teile"))] == ["leaked-image"]


def test_parts_of_two_runs_are_not_compared(parts: Path, tmp_path: Path) -> None:
    src = SourceConfig((str(tmp_path / "boxes.jsonl"),))
    split(SplitConfig(src, str(tmp_path / "other"), val=0.2, test=0.2, seed=5))
    assert leaks(judged(parts / "train.jsonl", tmp_path / "other/val.jsonl", root=tmp_path)) == []


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    """References whose val split asks for the image of the train split, with the same words."""
    make_images(tmp_path)
    shutil.copy(REFCOCO / "instances.json", tmp_path)
    first, second = pickle.loads((REFCOCO / "refs(google).p").read_bytes())
    copied = first | {"ref_id": 3, "split": "val"}
    (tmp_path / "refs(google).p").write_bytes(pickle.dumps([copied, first, second]))
    return tmp_path / "refs(google).p"


@pytest.mark.parametrize(("verify", "severity"), [("decode", "error"), ("none", "warning")])
def test_splits_that_the_rows_name_are_compared(refs: Path, verify: str, severity: str) -> None:
    assert leaks(judged(refs, verify=verify)) == [("leaked-row", severity, "refs(google).p:2")]
    assert leaks(judged(f"{refs}@train", f"{refs}@val", verify=verify)) == [
        ("leaked-row", severity, "refs(google).p:2")
    ]
    assert leaks(judged(f"{refs}@train", verify=verify)) == []


def test_without_the_package_that_tells_looks_bytes_and_names_are_compared(
    refs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundprep.api.against.can_hash", lambda: False)
    assert leaks(judged(refs)) == [("leaked-row", "error", "refs(google).p:2")]


def test_a_directory_that_no_split_wrote_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(FormatError, match="is a directory"):
        judged(tmp_path / "d")
