"""Mixtures and parts of files: what a SRC stands for, exact counts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundprep.api.convert import ConvertConfig, ConvertResult, convert
from groundprep.api.mixture import expand
from groundprep.api.sample import SampleConfig, sample
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from groundprep.containers.choice import Strategy
from groundprep.errors import FormatError, UsageError
from tests.contracts.samples import make_image, read_jsonl, rexthinker_row, write_jsonl


def turn(src: Path | str, dst: Path | str, **options: Any) -> ConvertResult:
    names = {"image_root", "source_frame"} & options.keys()
    return convert(ConvertConfig(SourceConfig((str(src),), **{n: options.pop(n) for n in names}), str(dst), **options))


def yaml(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("suffix", "count"), [("#3", 3), ("#99", 7), ("%50", 4), ("%1", 1), ("%100", 7)])
def test_part_of_a_file_may_stand_for_the_file(data: Path, suffix: str, count: int) -> None:
    src = f"{data / 'expressions.jsonl'}{suffix}"
    result = turn(src, data / "part.jsonl")
    rows, whole = read_jsonl(data / "part.jsonl"), read_jsonl(data / "expressions.jsonl")
    numbers = [whole.index(row) for row in rows]
    assert len(rows) == count
    assert numbers == sorted(numbers)
    assert result.counts | {"read": 7, "not_selected": 7 - count, "written": count} == result.counts
    assert validate(ValidateConfig(SourceConfig((src,)))).records == count
    assert turn(src, data / "part.jsonl").unchanged
    if count < 7:
        with pytest.raises(UsageError, match="parts was"):
            turn(data / "expressions.jsonl", data / "part.jsonl")


def test_a_file_of_that_very_name_comes_first(data: Path) -> None:
    odd = data / "expressions.jsonl#3"
    odd.write_bytes((data / "expressions.jsonl").read_bytes())
    assert turn(odd, data / "out.jsonl", to="jsonl").counts["written"] == 7
    (part,) = expand(f"{odd}#2")
    assert (part.path, part.selection.strategy) == (str(odd), Strategy("random", 2))


@pytest.mark.parametrize("suffix", ["#0", "%0", "%101"])
def test_no_rows_and_more_than_all_are_refused(data: Path, suffix: str) -> None:
    with pytest.raises(UsageError) as caught:
        turn(f"{data / 'expressions.jsonl'}{suffix}", data / "x.jsonl")
    assert caught.value.code == "bad-strategy"
    with pytest.raises(UsageError) as caught:
        turn("-#5", data / "x.jsonl")
    assert caught.value.code == "stdin-twice"


def test_a_mixture_stands_wherever_a_source_may(data: Path) -> None:
    mixture = yaml(
        data / "m/mix.yaml",
        "sources:\n"
        "  - {path: ../expressions.jsonl, sample: 'end:4', weight: 2.5}\n"
        "  - {path: ../regions.jsonl, weight: 0.5}\n",
    )
    result = turn(mixture, data / "out.parquet", profile="easyr1")
    # 10 of the 4 last expressions, and 2 of 4 images with 3 phrases each
    assert result.counts | {"read": 11, "repeated": 6, "not_selected": 5, "exploded": 4, "written": 16} == result.counts
    assert validate(ValidateConfig(SourceConfig((str(mixture),)), limit=5)).records == 5
    one = yaml(data / "one.yml", "sources: [{path: expressions.jsonl, sample: 'first:2'}, {path: expressions.jsonl}]")
    sample(SampleConfig(SourceConfig((str(one),)), str(data / "s.jsonl"), "first:3"))
    rows = read_jsonl(data / "expressions.jsonl")
    assert read_jsonl(data / "s.jsonl") == [rows[0], rows[1], rows[0]]
    with pytest.raises(UsageError) as caught:
        sample(SampleConfig(SourceConfig((str(mixture),)), str(data / "t.jsonl"), "first:3"))
    assert caught.value.code == "mixed-layouts"


def test_image_roots_that_differ_need_images_that_are_written(tmp_path: Path) -> None:
    for name, size_wh in (("a", (61, 37)), ("b", (90, 33))):
        make_image(tmp_path / name / "é.png", size_wh)
        write_jsonl(tmp_path / f"{name}.jsonl", [rexthinker_row(image_name="é.png", referring=name)])
    text = "sources: [{path: a.jsonl, image_root: a}, {path: b.jsonl, image_root: b}]"
    mixture = yaml(tmp_path / "mix.yaml", text)
    with pytest.raises(UsageError) as caught:
        turn(mixture, tmp_path / "out.jsonl")
    assert (caught.value.code, str(caught.value.source)) == ("image-roots-differ", f"{tmp_path / 'b.jsonl'}:1")
    turn(mixture, tmp_path / "out.jsonl", image_out=str(tmp_path / "images"))
    names = [row["image_name"] for row in read_jsonl(tmp_path / "out.jsonl")]
    assert len(set(names)) == 2
    assert [(tmp_path / "images" / name).read_bytes() for name in names] == [
        (tmp_path / f"{folder}/é.png").read_bytes() for folder in "ab"
    ]
    pair = f"{tmp_path / 'a.jsonl'}:{tmp_path / 'b.jsonl'}"
    roots = f"{tmp_path / 'a'}:{tmp_path / 'b'}"
    assert turn(pair, tmp_path / "pair", to="tsv", image_root=roots).counts["written"] == 2
    with pytest.raises(UsageError, match="one image root"):
        turn(pair, tmp_path / "x", to="tsv", image_root=f"{roots}:{roots}")


def test_the_trainers_own_files_are_mixtures(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = "    sampling_strategy: random:33%\n"
    text = f"datasets:\n  - json_path: expressions.jsonl\n{strategy}  - json_path: {data}/expressions.jsonl\n"
    result = turn(yaml(data / "rec.yaml", text), data / "out.jsonl")
    assert result.counts | {"read": 14, "not_selected": 4, "written": 10} == result.counts
    (data / "m").mkdir()
    yaml(data / "m/rec.yaml", text)
    monkeypatch.chdir(data)  # as the trainers do, the current directory is looked into
    assert turn("m/rec.yaml", "again.jsonl").counts["written"] == 10
    (data / "m/expressions.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="two files have this name"):
        turn("m/rec.yaml", "third.jsonl")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sources: [{path: expressions.jsonl, wieght: 2}]", "bad-mixture"),
        ("sources: [{path: expressions.jsonl, weight: 0}]", "bad-mixture"),
        ("sources: [{path: expressions.jsonl, weight: .nan}]", "bad-mixture"),
        ("sources: [{path: 'expressions.jsonl#2', sample: 'first:1'}]", "bad-mixture"),
        ("sources: [{path: expressions.jsonl, sample: 'last:5'}]", "bad-strategy"),
        ("sources: [{path: mix.yaml}]", "bad-mixture"),
        ("sources: [{path: '-'}]", "bad-mixture"),
        ("sources: []", "bad-mixture"),
        ("datasets: []", "bad-mixture"),
        ("datasets: [{json_path: expressions.jsonl, sampling_strategy: 'all:5'}]", "bad-strategy"),
        ("datasets: [{json_path: expressions.jsonl, weight: 2}]", "bad-mixture"),
        ("- expressions.jsonl", "bad-mixture"),
        ("a: &x [1]\nb: *x", "bad-mixture"),
        ("{", "bad-mixture"),
        ("sources: [{path: fehlt.jsonl}]", "file-missing"),
    ],
)
def test_what_a_trainer_would_silently_misread_is_refused(data: Path, text: str, code: str) -> None:
    with pytest.raises((UsageError, FormatError)) as caught:
        turn(yaml(data / "mix.yaml", text), data / "out.jsonl")
    assert caught.value.code == code
    assert not list(data.glob("out*"))


def xywh_rows(data: Path) -> Path:
    boxes = [[30, 15, 6, 5.5], [2, 1, 40, 20]]  # the second one touches the border: it cannot be a centre and its sides
    rows = [rexthinker_row(n, ans=boxes[n % 2], candidate_boxes=[]) for n in range(60)]
    return write_jsonl(data / "xywh.jsonl", rows)


def test_convert_refuses_boxes_of_another_frame_and_leaves_nothing_behind(data: Path) -> None:
    src = xywh_rows(data)
    for dst, options in (("out.jsonl", {}), ("out.parquet", {"profile": "easyr1"}), ("out.jsonl", {"dry_run": True})):
        with pytest.raises(FormatError) as caught:
            turn(src, data / dst, **options)
        assert caught.value.code == "frame-contradicted"
        assert "--source-frame pixels-xywh" in (caught.value.fix or "")
        assert not list(data.glob("out*"))
    result = turn(src, data / "out.jsonl", source_frame="pixels-xywh")
    assert read_jsonl(data / "out.jsonl")[0]["ans"] == [30, 15, 36, 20.5]
    assert not result.warnings
    kept = turn(src, data / "kept.jsonl", source_frame="pixels")
    assert kept.counts["written"] == 60
    assert {warning["code"] for warning in kept.warnings} == {"box-inverted"}
    mixture = yaml(
        data / "mix.yaml", "sources: [{path: xywh.jsonl, source_frame: pixels-xywh}, {path: expressions.jsonl}]"
    )
    assert turn(mixture, data / "mixed.jsonl").counts["written"] == 67


def test_validate_says_which_frame_a_file_looks_like(data: Path) -> None:
    result = validate(ValidateConfig(SourceConfig((str(xywh_rows(data)),)), select=("frame-contradicted",)))
    (finding,) = result.findings
    assert (result.errors, finding.source) == (1, str(data / "xywh.jsonl"))
    assert "pixels-xywh" in finding.message
    named = SourceConfig((str(data / "xywh.jsonl"),), source_frame="pixels-xywh")
    assert validate(ValidateConfig(named)).errors == 0
    assert validate(ValidateConfig(SourceConfig((str(data / "expressions.jsonl"),)))).errors == 0


def test_negatives_of_images_become_regions_and_of_expressions_rows(data: Path) -> None:
    turn(data / "regions.jsonl", data / "none.jsonl", negatives=3)  # every image has all the phrases that there are
    assert read_jsonl(data / "none.jsonl") == read_jsonl(data / "regions.jsonl")
    rows = read_jsonl(data / "regions.jsonl")
    rows[1]["annotation"]["boxes"] = [{"bbox": [1, 2, 30, 36], "phrase": "кот"}]
    write_jsonl(data / "two.jsonl", rows[:2])
    turn(data / "two.jsonl", data / "more.jsonl", negatives=1, seed=2)
    first, second = read_jsonl(data / "more.jsonl")
    assert first["annotation"]["boxes"] == [*rows[0]["annotation"]["boxes"], {"bbox": None, "phrase": "кот"}]
    assert second["annotation"]["boxes"][1]["bbox"] is None
    result = turn(data / "two.jsonl", data / "rows.jsonl", dialect="rexthinker", negatives=2)
    absent = [row["referring"] for row in read_jsonl(data / "rows.jsonl") if row["ans"] == []]
    assert len(absent) == 4  # one that the row states, one and two that were added
    assert result.counts["written"] == len(read_jsonl(data / "rows.jsonl"))
    assert {w["code"] for w in result.warnings} == {"negatives-few"}
    with pytest.raises(UsageError) as caught:
        turn(data / "two.jsonl", data / "x", profile="rexomni-grpo", negatives=1)
    assert caught.value.code == "negatives-not-held"
    assert "rexomni-grpo@478e44f" in str(caught.value)
    assert json.loads((data / "more.jsonl.groundprep/manifest.json").read_text())["config"]["flags"]["negatives"] == [
        1,
        2,
    ]
