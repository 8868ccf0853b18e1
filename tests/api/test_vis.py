"""`vis`: which rows are drawn, what is written, and what happens to what is there already."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.vis import VisConfig, choose, parse_indices, vis
from groundprep.containers import Row
from groundprep.errors import FormatError, PayloadError, UsageError
from groundprep.source import Source


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """Twelve rows that share two images, one of them in a folder with an umlaut."""
    (tmp_path / "bä").mkdir()
    Image.new("RGB", (61, 37), "navy").save(tmp_path / "bä" / "a.png")
    Image.new("L", (37, 80), 200).save(tmp_path / "b.jpg")
    path = tmp_path / "boxes.jsonl"
    rows = [
        {
            "image_name": "bä/a.png" if i % 2 else "b.jpg",
            "ans": [7.5, 3, 30, 21 + i],
            "category": "Hund",
            "referring": f"der Hund {i}",
            "candidate_boxes": [{"bbox": [7, 3, 31, 21], "category": "Hund", "score": 0.5}],
        }
        for i in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(source: Any, out_dir: Any, **options: Any) -> Any:
    return vis(VisConfig(SourceConfig((str(source),)), str(out_dir), **options))


def size_of_png(path: Any) -> Any:
    with Image.open(path, formats=["PNG"]) as picture:
        return picture.size


def digests(out_dir: Any) -> Any:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out_dir.iterdir())}


def rows_of(count: Any) -> Any:
    return [Row(Source("x", i + 1), {"i": i}) for i in range(count)]


def chosen_by(count: Any, **options: Any) -> Any:
    config = VisConfig(SourceConfig(("x",)), "out", **options)
    chosen, read = choose(iter(rows_of(count)), config)
    return [index for index, _ in chosen], read


def test_one_picture_a_row_named_by_its_index_and_every_row_counted(source: Any, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out", num_samples=5)
    assert result.records == len(result.written) == 5
    assert sorted(str(path) for path in (tmp_path / "out").iterdir()) == sorted(result.written)
    assert all(size_of_png(path)[0] > 0 for path in result.written)
    assert result.counts["read"] == 12
    assert result.counts["not_selected"] == 7
    assert result.counts["written"] == 5
    assert not (tmp_path / "out.groundprep").exists()


def test_equal_runs_give_equal_bytes_whatever_the_workers(source: Any, tmp_path: Path) -> None:
    run(source, tmp_path / "one", workers=1)
    run(source, tmp_path / "four", workers=4)
    assert digests(tmp_path / "one") == digests(tmp_path / "four")
    assert len(digests(tmp_path / "one")) == 10


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 5))
def test_lots_are_drawn_without_replacement_and_the_file_order_is_kept(count: Any, num_samples: Any, seed: Any) -> None:
    indices, read = chosen_by(count, num_samples=num_samples, seed=seed)
    assert read == count
    assert len(indices) == min(count, num_samples)
    assert indices == sorted(set(indices))
    assert indices == chosen_by(count, num_samples=num_samples, seed=seed)[0]


def test_every_row_has_the_same_chance() -> None:
    hits = [0] * 20
    for seed in range(600):
        for index in chosen_by(20, num_samples=5, seed=seed)[0]:
            hits[index] += 1
    assert all(100 < hit < 200 for hit in hits), hits  # 150 expected, sd about 11


def test_never_more_rows_are_held_than_are_drawn() -> None:
    alive = 0
    most = 0

    class Counted(Row):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Any:
        nonlocal alive, most
        for i in range(5_000):
            alive += 1
            most = max(most, alive)
            yield Counted(Source("x", i), {})

    choose(rows(), VisConfig(SourceConfig(("x",)), "out", num_samples=7))
    assert most <= 7 + 3


def test_indices_count_from_zero_and_reading_ends_at_the_last(source: Any, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out", indices=(0, 5, 7))
    assert [path.rsplit("/", 1)[1] for path in result.written] == [
        "sample_000000.png",
        "sample_000005.png",
        "sample_000007.png",
    ]
    assert result.counts["read"] == 8


def test_an_index_past_the_end_names_the_range_and_writes_nothing(source: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found 12, 99; expected 0 to 11") as error:
        run(source, tmp_path / "out", indices=(3, 12, 99))
    assert error.value.code == "index-out-of-range"
    assert not (tmp_path / "out").exists()


def test_indices_are_read_from_commas_and_spaces() -> None:
    assert parse_indices(["7,0", "5 7"]) == (0, 5, 7)
    for bad in ("-1", "x", "", "1.5", "٣", "9" * 13):
        with pytest.raises(UsageError) as error:
            parse_indices([bad])
        assert error.value.code == "bad-index"


def test_a_picture_that_is_there_already_is_kept_if_equal_and_protected_if_not(source: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(source, out, indices=(0, 1))
    again = run(source, out, indices=(0, 1, 2))
    assert again.unchanged == 2
    (out / "sample_000001.png").write_bytes(b"mine")
    before = digests(out)
    with pytest.raises(UsageError, match="sample_000001") as error:
        run(source, out, indices=(0, 1, 3))
    assert error.value.code == "output-exists"
    assert digests(out) == before
    run(source, out, indices=(1,), overwrite=True)
    assert size_of_png(out / "sample_000001.png")[0] == 61 * 13 + 20


def test_a_broken_image_ends_the_run_with_nothing_in_place(source: Any, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:200])
    with pytest.raises(PayloadError, match=r"boxes\.jsonl:1: "):
        run(source, tmp_path / "out", indices=(0, 1))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.groundprep").exists()


def test_a_broken_image_and_a_broken_row_are_dropped_if_asked_and_named(source: Any, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").unlink()
    lines = source.read_text(encoding="utf-8").splitlines()
    lines[1] = '{"image_name": 7'
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run(source, tmp_path / "out", indices=(0, 1, 3), on_error="drop")
    assert [(drop["code"], drop["source"]) for drop in result.dropped] == [
        ("image-missing", f"{source}:1"),
        ("bad-json", f"{source}:2"),
    ]
    assert result.counts["dropped"] == 2
    assert [path.rsplit("/", 1)[1] for path in result.written] == ["sample_000003.png"]


def test_a_source_without_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError) as error:
        run(tmp_path / "empty.json", tmp_path / "out")
    assert error.value.code == "no-rows"


def test_the_destination_may_not_be_a_file(source: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(source, source)
    assert error.value.code == "not-a-directory"
    assert source.exists()


def test_boxes_in_a_trainers_frame_are_drawn_on_the_stored_image(source: Any, tmp_path: Path) -> None:
    """The parquet's integers are in another frame: drawn, they lie where the original's boxes lie."""
    convert(ConvertConfig(SourceConfig((str(source),)), str(tmp_path / "train.parquet"), profile="easyr1"))
    run(source, tmp_path / "original", indices=(0,))
    run(tmp_path / "train.parquet", tmp_path / "parquet", indices=(0,))
    boxes = []
    for name in ("original", "parquet"):
        with Image.open(tmp_path / name / "sample_000000.png") as opened:
            picture = opened.convert("RGB")
        blue = Image.eval(picture.crop((0, 60, picture.width, 820)).getchannel("R"), lambda value: 255 * (value == 0))
        boxes.append(blue.getbbox())
    assert max(abs(a - b) for a, b in zip(*boxes, strict=True)) <= 4  # less than half of an enlarged pixel


def test_a_tsv_is_drawn_like_the_files_it_was_made_from(source: Any, tmp_path: Path) -> None:
    convert(ConvertConfig(SourceConfig((str(source),)), str(tmp_path / "toy"), to="tsv"))
    result = run(tmp_path / "toy", tmp_path / "out", indices=(0, 1))
    assert result.records == 2
    assert size_of_png(tmp_path / "out" / "sample_000001.png")[0] == 61 * 13 + 20
