"""`groundprep split`: every layout, counts, manifests, bad rows, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.split import SplitConfig, SplitResult, split
from groundprep.errors import ExitCode, FormatError, GroundprepError, PayloadError, UsageError
from tests.contracts.samples import make_image, read_jsonl, rexthinker_row, write_jsonl


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """60 rows on 10 different images, each stored under two names."""
    for number in range(10):
        path = make_image(tmp_path / f"bilder/é {number}.png", (61 + number, 37), seed=number)
        (tmp_path / f"bilder/copie {number}.png").write_bytes(path.read_bytes())
    names = [f"bilder/{'copie' if row % 3 else 'é'} {row % 10}.png" for row in range(60)]
    return write_jsonl(
        tmp_path / "boxes.jsonl", (rexthinker_row(row, image_name=name, id=row) for row, name in enumerate(names))
    )


def cut(src: Path | str, dst: Path | str, **options: Any) -> SplitResult:
    return split(SplitConfig(SourceConfig((str(src),)), str(dst), **options))


def test_the_parts_hold_every_row_once_in_order_and_share_no_image(src: Path, tmp_path: Path) -> None:
    result = cut(src, tmp_path / "parts", val=0.2, test=0.1)
    assert [(part.name, part.images) for part in result.parts] == [("train", 7), ("val", 2), ("test", 1)]
    rows = {part.name: read_jsonl(Path(part.output)) for part in result.parts}
    assert [len(rows[part.name]) for part in result.parts] == [part.rows for part in result.parts]
    assert sorted(row["id"] for part in rows.values() for row in part) == list(range(60))
    whole = read_jsonl(src)
    images: list[set[bytes]] = []
    for part in rows.values():
        assert part == [whole[row["id"]] for row in part]
        assert [row["id"] for row in part] == sorted(row["id"] for row in part)
        images.append({(tmp_path / row["image_name"]).read_bytes() for row in part})
    assert [len(found) for found in images] == [7, 2, 1]
    assert len(set().union(*images)) == 10
    assert result.counts | {"read": 60, "written": 60, "not_selected": 0} == result.counts
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["test.jsonl", "train.jsonl", "val.jsonl"]
    assert (tmp_path / "parts.groundprep/manifest.json").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_test_part_of_another_origin_is_refused_and_left_alone(src: Path, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/test.jsonl").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not of this split") as caught:
        cut(src, tmp_path / "parts", val=0.2, overwrite=overwrite)
    assert caught.value.code == "output-exists"
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["test.jsonl"]
    assert not (tmp_path / "parts.groundprep").exists()


def test_a_tsv_is_split_into_line_indices_over_the_same_files(src: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(src),)), str(tmp_path / "whole"), to="tsv"))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("whole.*tsv*")}
    cut(tmp_path / "whole", tmp_path / "parts", val=0.3)
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["train.lineidx", "val.lineidx"]
    train, val = ((tmp_path / f"parts/{name}.lineidx").read_bytes().splitlines() for name in ("train", "val"))
    whole = before["whole.annotations.tsv.lineidx"].splitlines()
    assert sorted(train + val, key=int) == whole
    assert {path.name: path.read_bytes() for path in tmp_path.glob("whole.*tsv*")} == before
    again = convert(ConvertConfig(SourceConfig((str(tmp_path / "parts/val.lineidx"),)), str(tmp_path / "v"), to="tsv"))
    assert again.counts["written"] == len(val)
    by_name = cut(src, tmp_path / "others", val=0.3)  # the same images fall into the same parts, whatever the layout
    assert [part.rows for part in by_name.parts] == [len(train), len(val)]


def test_a_part_says_in_which_frame_its_rows_are(src: Path, tmp_path: Path) -> None:
    for name in ("whole.parquet", "whole.jsonl"):
        config = ConvertConfig(SourceConfig((str(src),)), str(tmp_path / name), profile="easyr1", to=name.split(".")[1])
        convert(config)
        result = cut(tmp_path / name, tmp_path / f"{name}-parts", val=0.5)
        parts = [part.output for part in result.parts]
        assert sum(part.rows for part in result.parts) == 60
        sources = SourceConfig(tuple(parts), image_root=str(tmp_path))
        back = convert(ConvertConfig(sources, str(tmp_path / f"{name}-back.parquet"), profile="easyr1"))
        assert back.profile == config_profile(tmp_path / name)
    assert pq.read_metadata(tmp_path / "whole.parquet-parts/val.parquet").metadata[b"groundprep"]


def config_profile(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(Path(f"{path}.groundprep/manifest.json").read_text())
    profile: dict[str, Any] = manifest["config"]["profile"]
    return profile


def test_the_same_command_is_done_already_and_a_smaller_split_leaves_no_old_part(src: Path, tmp_path: Path) -> None:
    dst = tmp_path / "parts"
    first = cut(src, dst, val=0.2, test=0.2, seed=3)
    again = cut(src, f"{dst}/", val=0.2, test=0.2, seed=3)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.parts == first.parts
    with pytest.raises(UsageError, match="seed was 3, now 4"):
        cut(src, dst, val=0.2, test=0.2, seed=4)
    cut(src, dst, val=0.2, seed=4, overwrite=True)
    assert sorted(path.name for path in dst.iterdir()) == ["train.jsonl", "val.jsonl"]


def test_bad_rows_end_the_run_or_are_dropped_once(src: Path, tmp_path: Path) -> None:
    (tmp_path / "bilder/é 3.png").unlink()
    lines = src.read_text(encoding="utf-8").splitlines()
    lines[7] = "{"
    src.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(GroundprepError):
        cut(src, tmp_path / "parts")
    assert not list(tmp_path.glob("parts*"))
    result = cut(src, tmp_path / "parts", on_error="drop")
    missing = sum(row % 10 == 3 and row % 3 == 0 for row in range(60))
    assert result.counts["dropped"] == missing + 1
    assert result.counts["written"] == 60 - missing - 1
    assert result.exit_code == ExitCode.DROPPED
    assert result.dropped_file is not None
    reasons = read_jsonl(Path(result.dropped_file))
    assert sorted(reason["code"] for reason in reasons) == ["bad-json", *["image-missing"] * missing]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"val": 0.0}, "bad-share"),
        ({"val": 1.5}, "bad-share"),
        ({"val": float("nan")}, "bad-share"),
        ({"val": 0.6, "test": 0.4}, "bad-share"),
        ({"val": 0.9, "test": 0.09}, "split-too-small"),
    ],
)
def test_shares_that_leave_nothing_are_refused(src: Path, tmp_path: Path, options: dict[str, float], code: str) -> None:
    with pytest.raises(GroundprepError) as caught:
        cut(src, tmp_path / "parts", **options)
    assert caught.value.code == code
    assert not list(tmp_path.glob("parts*"))


def test_what_cannot_be_split_is_refused(src: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        cut("-", tmp_path / "parts")
    assert caught.value.code == "stdin-twice"
    with pytest.raises(UsageError) as caught:
        cut(src, src)
    assert caught.value.code == "not-a-directory"
    (tmp_path / "bilder/é 3.png").write_bytes(b"no image")
    with pytest.raises(PayloadError):
        cut(src, tmp_path / "parts")
    with pytest.raises(FormatError):
        cut(tmp_path / "fehlt.jsonl", tmp_path / "parts")
