"""A destination's name says what is written, or the run says that it does not: nothing goes under a foreign name in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundprep.api.fix import FixConfig
from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from groundprep.errors import UsageError
from tests.contracts.samples import make_images, rexomni_row, rexthinker_row, run, write_jsonl


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    make_images(tmp_path)
    return write_jsonl(tmp_path / "in.jsonl", map(rexthinker_row, range(3)))


@pytest.mark.parametrize("name", ["out.txt", "out.csv", "out.jsonl.gz", "out.PARQUET", "out.v2"])
@pytest.mark.parametrize("flags", [{}, {"profile": "easyr1"}, {"dialect": "vlmr1-refcoco"}])
def test_a_foreign_extension_is_refused_and_nothing_is_written(rows: Path, name: str, flags: dict[str, Any]) -> None:
    before = set(rows.parent.rglob("*"))
    with pytest.raises(UsageError) as caught:
        run(rows, rows.parent / name, **flags)
    assert caught.value.code == "destination-name"
    assert "--to" in str(caught.value.fix)
    assert set(rows.parent.rglob("*")) == before


def test_naming_the_container_insists_and_a_name_of_another_one_is_told(rows: Path) -> None:
    result = run(rows, rows.parent / "anno.json", to="jsonl")  # as Rex-Thinker calls its JSON Lines
    assert [(w["code"], w["message"]) for w in result.warnings] == [
        ("misnamed", "the file is named .json but holds jsonl")
    ]
    assert result.container == "jsonl"
    assert (rows.parent / "anno.json").read_text(encoding="utf-8").count("\n") == 3
    assert run(rows, rows.parent / "out.txt", to="parquet").container == "parquet"


def test_a_name_without_extension_is_written_and_told(rows: Path) -> None:
    result = run(rows, rows.parent / "train", profile="easyr1")
    assert result.container == "parquet"
    (warning,) = result.warnings
    assert (warning["code"], warning["fix"]) == ("misnamed", "call it train.parquet")


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson", "out.json", "out.parquet"])
def test_a_name_that_says_the_container_is_not_talked_about(rows: Path, name: str) -> None:
    assert run(rows, rows.parent / name).warnings == []


@pytest.mark.parametrize("ending", [".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx", ".lineidx"])
@pytest.mark.parametrize("flags", [{"to": "tsv"}, {"profile": "rexomni-sft"}])
def test_one_file_of_a_tsv_is_not_taken_for_its_prefix(tmp_path: Path, ending: str, flags: dict[str, Any]) -> None:
    make_images(tmp_path)
    rows = write_jsonl(tmp_path / "in.jsonl", [rexomni_row()])
    with pytest.raises(UsageError) as caught:
        run(rows, tmp_path / f"toy{ending}", **flags)
    assert caught.value.code == "destination-name"
    assert str(caught.value.expected).startswith(f"{tmp_path / 'toy'}, for ")


def test_a_prefix_may_have_dots(tmp_path: Path) -> None:
    make_images(tmp_path)
    rows = write_jsonl(tmp_path / "in.jsonl", [rexomni_row()])
    result = run(rows, tmp_path / "toy.v1.2", to="tsv")
    assert result.warnings == []
    assert (tmp_path / "toy.v1.2.images.tsv").exists()


def test_a_prefix_that_ends_as_a_tsv_is_found_again_under_the_name_that_was_given(tmp_path: Path) -> None:
    make_images(tmp_path)
    rows = write_jsonl(tmp_path / "in.jsonl", [rexomni_row()])
    run(rows, tmp_path / "toy.tsv")
    assert (tmp_path / "toy.tsv.images.tsv").exists()
    assert run(tmp_path / "toy.tsv", tmp_path / "back.jsonl", image_out=str(tmp_path / "back")).counts["written"] == 1


def test_a_container_that_does_not_fit_is_called_by_the_name_that_says_it(tmp_path: Path) -> None:
    make_images(tmp_path)
    rows = write_jsonl(tmp_path / "in.jsonl", [rexomni_row()])
    with pytest.raises(UsageError) as caught:
        run(rows, tmp_path / "out.parquet", profile="rexomni-sft")
    assert "out.parquet" in str(caught.value.found)


def test_samples_and_fixes_refuse_foreign_extensions_too(rows: Path) -> None:
    from groundprep.api.fix import fix

    sources = SourceConfig((str(rows),))
    with pytest.raises(UsageError) as caught:
        sample(SampleConfig(sources, str(rows.parent / "part.txt"), "first:1"))
    assert caught.value.code == "sample-container"
    with pytest.raises(UsageError) as caught:
        fix(FixConfig(sources, str(rows.parent / "fixed.txt")))
    assert caught.value.code == "fix-container"


def test_vlm_r1_reads_lines_so_that_an_array_for_it_is_warned_of_but_not_its_older_rows(tmp_path: Path) -> None:
    make_images(tmp_path)
    rows = write_jsonl(tmp_path / "in.jsonl", [rexthinker_row()])
    array = run(rows, tmp_path / "a.json", profile="vlmr1")
    assert [finding["code"] for finding in array.warnings] == ["not-jsonl"]
    assert run(rows, tmp_path / "a.jsonl", profile="vlmr1").warnings == []
    assert run(rows, tmp_path / "b.json", dialect="vlmr1-refcoco").warnings == []
