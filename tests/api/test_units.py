"""A row is what the target's unit says: explode and group are inserted where the source differs, told, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from groundprep.cli import app
from tests.contracts.samples import make_images, read_jsonl, rexomni_row, rexthinker_row, run, write_jsonl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path)
    write_jsonl(tmp_path / "expressions.jsonl", map(rexthinker_row, range(7)))
    write_jsonl(tmp_path / "images.jsonl", map(rexomni_row, range(3)))
    return tmp_path


def stages(result: Any) -> list[tuple[str, str, str]]:
    return [(change.stage, change.source, change.target) for change in result.units]


def annotations(prefix: Path) -> list[Any]:
    lines = Path(f"{prefix}.annotations.tsv").read_text(encoding="utf-8").splitlines()
    return [json.loads(line.split("\t")[1]) for line in lines]


@pytest.mark.parametrize("profile", ["rexomni-sft", "rexomni-grpo"])
def test_a_trainer_of_images_gets_one_row_for_each_image(folder: Path, profile: str) -> None:
    result = run(folder / "expressions.jsonl", folder / "out", profile=profile)
    assert stages(result) == [("group", "expression", "image")]
    assert (result.counts["read"], result.counts["merged"], result.counts["written"]) == (7, 4, 3)
    assert [[entry["phrase"] for entry in row["boxes"]] for row in annotations(folder / "out")] == [
        [f"le chien n°{n} à gauche 狗" for n in numbers] for numbers in ((0, 3, 6), (1, 4), (2, 5))
    ]
    assert all(entry["bbox"] == [7.5, 3, 40, 21.25] for row in annotations(folder / "out") for entry in row["boxes"])


def test_a_tsv_for_no_trainer_keeps_a_row_for_each_expression(folder: Path) -> None:
    result = run(folder / "expressions.jsonl", folder / "out", to="tsv")
    assert stages(result) == []
    assert result.counts["written"] == 7


def test_rows_of_images_for_a_trainer_of_images_stay_as_they_are(folder: Path) -> None:
    result = run(folder / "images.jsonl", folder / "out", profile="rexomni-sft")
    assert stages(result) == []
    assert [row["boxes"] for row in annotations(folder / "out")] == [rexomni_row()["annotation"]["boxes"]] * 3


def test_a_trainer_of_expressions_gets_one_row_for_each_phrase(folder: Path) -> None:
    result = run(folder / "images.jsonl", folder / "out.parquet", profile="easyr1")
    assert stages(result) == [("explode", "image", "expression")]
    assert (result.counts["read"], result.counts["exploded"], result.counts["written"]) == (3, 6, 9)


@pytest.mark.parametrize("layout", ["qwen-vl", "trl-sft"])
def test_conversations_about_one_phrase_each_become_one_row_that_claims_no_other_phrase_absent(
    folder: Path, layout: str
) -> None:
    profile = {"qwen-vl": "qwen3-vl", "trl-sft": "trl-sft"}[layout]
    run(folder / "expressions.jsonl", folder / "rows.jsonl", profile=profile)
    assert len(read_jsonl(folder / "rows.jsonl")) == 7
    result = run(folder / "rows.jsonl", folder / "out", profile="rexomni-grpo")
    assert stages(result) == [("group", "expression", "image")]
    assert [[entry["phrase"] for entry in row["boxes"]] for row in annotations(folder / "out")] == [
        [f"le chien n°{n} à gauche 狗" for n in numbers] for numbers in ((0, 3, 6), (1, 4), (2, 5))
    ]
    assert not any(loss["added"] for name, loss in result.losses.items() if name.endswith("absent"))
    mixed = [*read_jsonl(folder / "rows.jsonl")]
    words = json.dumps(mixed[0], ensure_ascii=False).replace("le chien n°0 à gauche 狗", "der Baum")
    write_jsonl(folder / "rows.jsonl", [mixed[0], json.loads(words)])
    counts = run(folder / "rows.jsonl", folder / "back.jsonl", profile="vlmr1").counts
    assert (counts["read"], counts.get("merged", 0), counts["written"]) == (2, 0, 2)


@pytest.mark.parametrize("profile", ["vlmr1", "easyr1", "trl-sft", "rexomni-sft"])
def test_a_corpus_lists_each_image_once_with_its_boxes_whatever_the_trainer_reads(folder: Path, profile: str) -> None:
    for source, changes in (("expressions", [("group", "expression", "image")]), ("images", [])):
        flags = {"profile": profile, "resize": "fixed-point", "image_out": str(folder / profile)}
        result = run(folder / f"{source}.jsonl", folder / f"{source}.json", to="coco", **flags)
        assert stages(result) == (changes or [("group", "image", "image")])
        document = json.loads((folder / f"{source}.json").read_text(encoding="utf-8"))
        assert len(document["images"]) == 3
        assert len(document["annotations"]) == {"expressions": 7, "images": 9}[source]


def test_contradictions_are_warnings_and_no_lossless_conversion(folder: Path) -> None:
    rows = [rexthinker_row(0, referring="狗"), rexthinker_row(0, referring="狗", ans=[])]
    write_jsonl(folder / "in.jsonl", rows)
    result = run(folder / "in.jsonl", folder / "out", profile="rexomni-sft")
    assert [warning["code"] for warning in result.warnings] == ["group-contradiction"]
    assert result.losses["regions.absent"]["lost"] == 1
    assert [[e["bbox"] for e in row["boxes"]] for row in annotations(folder / "out")] == [[[7.5, 3, 40, 21.25]]]


def test_bytes_do_not_depend_on_workers_or_on_a_rehearsal(folder: Path) -> None:
    written = []
    for workers in (1, 3):
        run(folder / "expressions.jsonl", folder / f"dry{workers}.json", to="coco", workers=workers, dry_run=True)
        run(folder / "expressions.jsonl", folder / f"w{workers}.json", to="coco", workers=workers)
        written.append((folder / f"w{workers}.json").read_bytes())
        assert not (folder / f"dry{workers}.json").exists()
    assert written[0] == written[1]


def test_nothing_stays_behind_after_a_failure(folder: Path) -> None:
    rows = [rexthinker_row(0), rexthinker_row(1, image_name="fehlt.png")]
    write_jsonl(folder / "in.jsonl", rows)
    before = sorted(folder.rglob("*"))
    with pytest.raises(Exception, match=r"in\.jsonl:2"):
        run(folder / "in.jsonl", folder / "out.json", to="coco")
    assert sorted(folder.rglob("*")) == before


def test_a_dropped_group_shows_the_rows_that_it_was_made_of(folder: Path) -> None:
    rows = [rexthinker_row(0), *(rexthinker_row(n, image_name="fehlt.png") for n in (1, 2))]
    write_jsonl(folder / "in.jsonl", rows)
    counts = run(folder / "in.jsonl", folder / "out.json", to="coco", on_error="drop").counts
    assert (counts["read"], counts["merged"], counts["dropped"], counts["written"]) == (3, 1, 1, 1)
    (dropped,) = read_jsonl(folder / "out.json.groundprep/dropped.jsonl")
    assert [row["image_id"] for row in dropped["row"]["rows"]] == [1, 2]


def test_the_command_line_says_what_was_inserted(folder: Path) -> None:
    arguments = [str(folder / "expressions.jsonl"), str(folder / "out"), "--for", "rexomni-sft", "--format", "json"]
    printed = CliRunner().invoke(app, ["convert", *arguments])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout)["units"] == [{"stage": "group", "source": "expression", "target": "image"}]
    assert "group: the rows of an image become one row" in printed.stderr
