"""`groundprep sample`: the layout and frame of the source, counts, manifests, bad rows, standard input."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sample import SampleConfig, SampleResult, sample
from groundprep.api.sources import SourceConfig
from groundprep.errors import ExitCode, FormatError, GroundprepError, RecordError, UsageError

ROWS = [
    {
        "id": f"r-{n}",
        "image_name": f"bild_{n % 3}.png",
        "ans": [7.5, 3, 40.25, 21],
        "category": "чашка",
        "referring": f"чашка №{n}",
        "note": {"k": n},
        "candidate_boxes": [{"bbox": [7.5, 3, 40.25, 21], "category": "чашка"}],
    }
    for n in range(10)
]


@pytest.fixture
def src(tmp_path: Path) -> Path:
    for n in range(3):
        buffer = io.BytesIO()
        Image.new("RGB", (61 + n, 37), (20 * n, 90, 40)).save(buffer, "PNG")
        (tmp_path / f"bild_{n}.png").write_bytes(buffer.getvalue())
    path = tmp_path / "boxes.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return path


def take(src: Path | str, dst: Path | str, strategy: str, **options: Any) -> SampleResult:
    return sample(SampleConfig(SourceConfig((str(src),)), str(dst), strategy, **options))


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_of_jsonl_are_the_very_rows_of_the_source(src: Path, tmp_path: Path) -> None:
    result = take(src, tmp_path / "part.jsonl", "end:3")
    assert rows_of(tmp_path / "part.jsonl") == ROWS[-3:]
    assert result.counts | {"read": 10, "not_selected": 7, "written": 3} == result.counts
    assert (result.container, result.dialect, result.exit_code) == ("jsonl", "rexthinker", ExitCode.OK)


def test_a_random_sample_keeps_the_order_and_depends_on_the_seed_only(src: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        take(src, tmp_path / f"{name}.jsonl", "random:50%", seed=seed)
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b != c
    ids = [row["id"] for row in rows_of(tmp_path / "a.jsonl")]
    assert len(ids) == 5
    assert ids == sorted(ids)


def test_json_stays_json(src: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(src),)), str(tmp_path / "boxes.json")))
    take(tmp_path / "boxes.json", tmp_path / "part.json", "first:2")
    assert json.loads((tmp_path / "part.json").read_text(encoding="utf-8")) == ROWS[:2]


def test_a_sample_of_a_tsv_is_a_line_index_that_leads_to_the_rows_of_the_whole(src: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(src),)), str(tmp_path / "whole"), to="tsv"))
    result = take(tmp_path / "whole", tmp_path / "elsewhere/part", "end:4")
    part = tmp_path / "elsewhere/part.lineidx"
    assert result.outputs == (str(part),)
    assert sorted(path.name for path in part.parent.iterdir()) == ["part.lineidx", "part.lineidx.groundprep"]
    offsets = (tmp_path / "whole.annotations.tsv.lineidx").read_bytes().splitlines()
    assert part.read_bytes().splitlines() == offsets[-4:]
    # Its manifest leads to the other two files, from whatever directory and through further samples.
    again = take(part, tmp_path / "again.lineidx", "first:1")
    assert (again.counts["read"], (tmp_path / "again.lineidx").read_bytes().splitlines()) == (4, offsets[-4:-3])
    convert(ConvertConfig(SourceConfig((str(tmp_path / "again.lineidx"),)), str(tmp_path / "one"), to="tsv"))
    annotation = (tmp_path / "one.annotations.tsv").read_bytes().split(b"\t")[1]
    assert annotation == (tmp_path / "whole.annotations.tsv").read_bytes().splitlines(keepends=True)[6].split(b"\t")[1]
    assert (tmp_path / "one.images.tsv").read_bytes().count(b"\n") == 1


def test_a_line_index_is_refused_where_its_tsv_is_gone_or_was_written_again(src: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(src),)), str(tmp_path / "whole"), to="tsv"))
    take(tmp_path / "whole", tmp_path / "part", "first:2")
    part = str(tmp_path / "part.lineidx")
    for name in ("annotations", "images"):
        (tmp_path / f"whole.{name}.tsv").rename(tmp_path / f"moved {name}")
    with pytest.raises(FormatError) as caught:
        take(part, tmp_path / "x", "all")
    assert caught.value.code == "tsv-names"
    files = {name: str(tmp_path / f"moved {name}") for name in ("annotations", "images")}
    result = sample(SampleConfig(SourceConfig((part,), **files), str(tmp_path / "x"), "all"))
    assert result.counts["written"] == 2
    assert (tmp_path / "x.lineidx").read_bytes() == Path(part).read_bytes()
    for name in ("annotations", "images"):
        (tmp_path / f"moved {name}").rename(tmp_path / f"whole.{name}.tsv")
    with (tmp_path / "whole.annotations.tsv").open("ab") as file:
        file.write(b"0\t{}\n")
    with pytest.raises(FormatError) as caught:
        take(part, tmp_path / "y", "all")
    assert caught.value.code == "tsv-changed"
    with pytest.raises(UsageError, match="--annotations"):
        sample(SampleConfig(SourceConfig((str(src),), annotations="a"), str(tmp_path / "z"), "all"))


def test_negatives_come_from_the_whole_source_and_a_line_index_cannot_hold_them(src: Path, tmp_path: Path) -> None:
    result = take(src, tmp_path / "part.jsonl", "first:2", negatives=2, seed=3)
    rows = rows_of(tmp_path / "part.jsonl")
    assert (result.counts["exploded"], len(rows)) == (4, 6)
    phrases = {row["referring"]: row["image_name"] for row in ROWS}
    for row in rows:
        assert (row["ans"] == []) == (phrases[row["referring"]] != row["image_name"])
    convert(ConvertConfig(SourceConfig((str(src),)), str(tmp_path / "whole"), to="tsv"))
    with pytest.raises(UsageError) as caught:
        take(tmp_path / "whole", tmp_path / "none", "all", negatives=1)
    assert caught.value.code == "negatives-not-held"


def test_parquet_keeps_its_rows_and_says_in_which_frame_they_are(src: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    convert(
        ConvertConfig(SourceConfig((str(src),)), str(whole), profile="rexthinker", min_pixels=3_136, max_pixels=12_544)
    )
    take(whole, part, "random:4", seed=1)
    before, after = pq.read_table(whole), pq.read_table(part)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.num_rows == 4
    assert all(row in before.to_pylist() for row in after.to_pylist())


def test_training_rows_in_jsonl_keep_their_frame_in_the_manifest(src: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    convert(ConvertConfig(SourceConfig((str(src),)), str(whole), profile="easyr1", to="jsonl"))
    take(whole, part, "first:2")
    frames = [
        json.loads((Path(f"{path}.groundprep") / "manifest.json").read_text())["config"]["profile"]
        for path in (whole, part)
    ]
    assert frames[0] == frames[1] is not None


def test_the_same_command_is_done_already_and_another_is_refused(src: Path, tmp_path: Path) -> None:
    dst = tmp_path / "part.jsonl"
    first = take(src, dst, "random:3", seed=1)
    again = take(src, dst, "random", count=3, seed=1)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.counts == first.counts
    with pytest.raises(UsageError, match="seed was 1, now 2"):
        take(src, dst, "random:3", seed=2)


def test_bad_rows_end_the_run_or_are_dropped_before_anything_is_chosen(src: Path, tmp_path: Path) -> None:
    lines = src.read_text(encoding="utf-8").splitlines()
    lines[8] = lines[8].replace("7.5", "NaN")
    src.write_text("\n".join(lines) + "\n", encoding="utf-8")
    dst = tmp_path / "part.jsonl"
    with pytest.raises(RecordError) as caught:
        take(src, dst, "end:2")
    assert "boxes.jsonl:9" in str(caught.value)
    assert not dst.exists()
    result = take(src, dst, "end:2", on_error="drop")
    assert [row["id"] for row in rows_of(dst)] == ["r-7", "r-9"]
    assert result.exit_code == ExitCode.DROPPED
    assert result.dropped_file is not None
    assert len(rows_of(Path(result.dropped_file))) == 1


def test_the_limit_is_what_is_sampled_from(src: Path, tmp_path: Path) -> None:
    take(src, tmp_path / "part.jsonl", "end:2", limit=5)
    assert [row["id"] for row in rows_of(tmp_path / "part.jsonl")] == ["r-3", "r-4"]


@pytest.mark.parametrize(
    ("dst", "strategy", "code"),
    [
        ("part.json", "first:1", "sample-container"),
        ("part.parquet", "first:1", "sample-container"),
        ("part.lineidx", "first:1", "sample-container"),
        ("part.jsonl", "newest:1", "bad-strategy"),
    ],
)
def test_another_container_and_an_unknown_strategy_are_usage_errors(
    src: Path, tmp_path: Path, dst: str, strategy: str, code: str
) -> None:
    with pytest.raises(GroundprepError) as caught:
        take(src, tmp_path / dst, strategy)
    assert (caught.value.code, caught.value.exit_code) == (code, ExitCode.USAGE)
    assert not (tmp_path / dst).exists()


def command(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "groundprep.cli", "sample", *arguments], input=stdin, capture_output=True, check=False
    )


@pytest.mark.parametrize("strategy", ["end:2", "random:2", "first:10%"])
def test_what_needs_two_passes_refuses_standard_input(strategy: str) -> None:
    with pytest.raises(UsageError) as caught:
        take("-", "-", strategy)
    assert caught.value.code == "stdin-twice"
