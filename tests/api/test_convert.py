"""`convert` as a library function: equal bytes whatever the workers, atomic output, honest refusals."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from groundprep.errors import FormatError, GroundprepError, PayloadError, RecordError, UsageError
from tests.contracts.samples import (
    make_image,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)

GROUNDPREP = [sys.executable, "-c", "from groundprep.cli import main; main()"]


def files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    """The data files and the manifest of an output; run.json holds times."""
    found = [path for path in sorted(folder.rglob(prefix + "*")) if path.is_file()]
    found += [path for path in sorted(folder.glob(f"{prefix}*.groundprep/*")) if path.name != "run.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


TARGETS: dict[str, dict[str, Any]] = {
    "out.jsonl": {},
    "out.json": {},
    "out": {"to": "tsv"},
    "out.parquet": {"profile": "easyr1"},
    "out2.parquet": {"profile": "rexthinker", "frame": "converter"},
}


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, name: str) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", map(rexthinker_row, range(120)))
    outputs = []
    for workers in (1, 2, 4):
        (tmp_path / f"w{workers}").mkdir()
        run(tmp_path / "in.jsonl", tmp_path / f"w{workers}" / name, workers=workers, **TARGETS[name])
        outputs.append(files_of(tmp_path / f"w{workers}", "out"))
    assert outputs[0] == outputs[1] == outputs[2]
    assert any(path.endswith("manifest.json") for path in outputs[0])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("on_error", ["fail", "drop"])
def test_rows_read_are_rows_written_or_dropped(data: Path, name: str, on_error: str) -> None:
    bad = [
        '{"image_name": "fehlt é.png", "referring": "x", "ans": [1, 2, 3, 4]}',
        "{oops}",
        '{"x": NaN}',
        '{"image_name": 7}',
    ]
    lines = (data / "expressions.jsonl").read_text(encoding="utf-8").splitlines()
    (data / "in.jsonl").write_text("\n".join([lines[0], *bad, *lines[1:]]) + "\n", encoding="utf-8")
    reads_images = name not in ("out.jsonl", "out.json")
    if on_error == "fail":
        before = everything(data)
        with pytest.raises(RecordError if not reads_images else GroundprepError) as caught:
            run(data / "in.jsonl", data / name, **TARGETS[name])
        assert f"in.jsonl:{2 if reads_images else 3}" in str(caught.value)
        assert everything(data) == before, "something half-written stayed behind"
        return
    counts = run(data / "in.jsonl", data / name, on_error="drop", **TARGETS[name]).counts
    assert counts["read"] == counts["written"] + counts["dropped"] == 11
    dropped = read_jsonl(data / f"{name}.groundprep/dropped.jsonl")
    assert [row["source"].split(":")[-1] for row in dropped] == ([] if not reads_images else ["2"]) + ["3", "4", "5"]
    assert all(row["code"] and row["message"] and "row" in row for row in dropped)


def test_the_same_command_again_does_nothing(data: Path) -> None:
    first = run(data / "expressions.jsonl", data / "out.jsonl")
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    again = run(data / "expressions.jsonl", data / "out.jsonl")
    assert again.unchanged
    assert not first.unchanged
    assert (again.counts, again.losses, again.outputs) == (first.counts, first.losses, first.outputs)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"limit": 3}, "limit"),
        ({"on_error": "drop"}, "on_error"),
        ({"verify": "decode"}, "verify"),
        ({"image_root": "."}, "image_root"),
        ({"source_frame": "pixels-xywh"}, "source_frame"),
        ({"dialect": "rexomni"}, "dialect"),
        ({"profile": "vlmr1", "dialect": "rexthinker"}, "profile"),
    ],
)
def test_other_flags_are_refused_by_name(data: Path, flags: dict[str, Any], named: str) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl")
    before = (data / "out.jsonl").read_bytes()
    with pytest.raises(UsageError) as caught:
        run(data / "expressions.jsonl", data / "out.jsonl", **flags)
    assert caught.value.code == "output-differs"
    assert named in str(caught.value)
    assert (data / "out.jsonl").read_bytes() == before
    run(data / "expressions.jsonl", data / "out.jsonl", overwrite=True, **flags)


def test_other_input_of_the_same_name_is_refused(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl")
    write_jsonl(data / "expressions.jsonl", [rexthinker_row(1)])
    with pytest.raises(UsageError, match="input files had another content"):
        run(data / "expressions.jsonl", data / "out.jsonl")


def test_equal_rows_beside_other_images_are_another_input(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        make_image(tmp_path / folder / "é.png", seed=seed)
        write_jsonl(tmp_path / folder / "in.jsonl", [rexthinker_row(0, image_name="é.png")])
    run(tmp_path / "a/in.jsonl", tmp_path / "out.parquet")
    with pytest.raises(UsageError, match="image_root"):
        run(tmp_path / "b/in.jsonl", tmp_path / "out.parquet")


def test_other_limits_are_another_profile(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.parquet", profile="easyr1")
    with pytest.raises(UsageError, match="easyr1@b44b311"):
        run(data / "expressions.jsonl", data / "out.parquet", profile="easyr1", max_pixels=500_000)


def test_a_foreign_file_is_never_replaced_without_overwrite(data: Path) -> None:
    (data / "out.jsonl").write_text("mine")
    with pytest.raises(UsageError) as caught:
        run(data / "expressions.jsonl", data / "out.jsonl")
    assert caught.value.code == "output-exists"
    assert (data / "out.jsonl").read_text() == "mine"
    assert not (data / "out.jsonl.groundprep").exists()
    run(data / "expressions.jsonl", data / "out.jsonl", overwrite=True)
    assert len(read_jsonl(data / "out.jsonl")) == 7


def test_a_failed_overwrite_leaves_the_old_output_in_place(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl")
    before = files_of(data, "out")
    (data / "bad.jsonl").write_text('{"image_name": "é.png", "referring": "x", "ans": [1]}\n', encoding="utf-8")
    with pytest.raises(RecordError):
        run(data / "bad.jsonl", data / "out.jsonl", overwrite=True)
    assert files_of(data, "out") == before
    assert run(data / "expressions.jsonl", data / "out.jsonl").unchanged


@pytest.mark.parametrize("name", TARGETS)
def test_a_rehearsal_says_what_would_be_and_writes_nothing(data: Path, name: str) -> None:
    before = everything(data)
    rehearsal = run(data / "expressions.jsonl", data / name, dry_run=True, **TARGETS[name])
    assert everything(data) == before
    real = run(data / "expressions.jsonl", data / name, **TARGETS[name])
    assert (rehearsal.counts, rehearsal.losses) == (real.counts, real.losses)
    assert rehearsal.outputs == ()


def test_a_rehearsal_finds_every_bad_image_that_the_run_would(data: Path) -> None:
    write_jsonl(data / "in.jsonl", (rexomni_row(1, image_name="é fehlt.png") for _ in range(5)))
    flags = {"to": "tsv", "on_error": "drop"}
    rehearsal = run(data / "in.jsonl", data / "out", dry_run=True, **flags)
    assert rehearsal.counts["dropped"] == 5 == run(data / "in.jsonl", data / "out", **flags).counts["dropped"]


def test_strict_lossless_lets_lossless_pass_and_stops_the_rest_before_anything_appears(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl", strict_lossless=True)
    before = everything(data)
    with pytest.raises(FormatError) as caught:
        run(data / "expressions.jsonl", data / "out.parquet", strict_lossless=True)
    assert caught.value.code == "lossy"
    assert "answers.box" in str(caught.value)
    assert everything(data) == before
    run(data / "expressions.jsonl", data / "lossy.parquet")
    with pytest.raises(FormatError, match="would lose"):
        run(data / "expressions.jsonl", data / "lossy.parquet", strict_lossless=True)


def test_several_sources_of_several_dialects_are_written_in_order(data: Path) -> None:
    result = run([data / "expressions.jsonl", data / "regions.jsonl"], data / "out.jsonl")
    assert result.counts["read"] == 11
    assert result.counts["exploded"] == 8
    assert result.dialect == "rexthinker"
    rows = read_jsonl(data / "out.jsonl")
    assert [row["referring"] for row in rows[:7]] == [rexthinker_row(n)["referring"] for n in range(7)]
    assert [row["referring"] for row in rows[7:10]] == ["chien à gauche", "狗", "Straßenbahn"]
    assert len(rows) == 19


def test_sources_in_different_folders_find_their_own_images(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        make_image(tmp_path / folder / "é.png", seed=seed)
        write_jsonl(tmp_path / folder / "in.jsonl", [rexomni_row(0, image_name="é.png")])
    run([tmp_path / "a/in.jsonl", tmp_path / "b/in.jsonl"], tmp_path / "out", to="tsv")
    assert len((tmp_path / "out.images.tsv").read_bytes().splitlines()) == 2
    run(tmp_path / "out", tmp_path / "back.jsonl", image_out=str(tmp_path / "aus"))
    images = [(tmp_path / "aus" / row["image_name"]).read_bytes() for row in read_jsonl(tmp_path / "back.jsonl")]
    assert images == [(tmp_path / folder / "é.png").read_bytes() for folder in "ab"]


def test_a_limit_reads_that_many_rows_of_all_sources_together(data: Path) -> None:
    result = run([data / "expressions.jsonl", data / "expressions.jsonl"], data / "out.jsonl", limit=9)
    assert (result.counts["read"], result.counts["written"]) == (9, 9)


def test_images_leave_a_parquet_as_the_bytes_that_they_were(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.parquet")
    run(data / "out.parquet", data / "neu/back.jsonl", dialect="rexthinker", image_out=str(data / "neu/aus"))
    for row in read_jsonl(data / "neu/back.jsonl"):
        assert (data / "neu/aus" / row["image_name"]).read_bytes() == (data / row["image_name"]).read_bytes()
    with pytest.raises(UsageError) as caught:
        run(data / "out.parquet", data / "ohne.jsonl", dialect="rexthinker")
    assert caught.value.code == "image-out-needed"
    assert not (data / "ohne.jsonl").exists()


def test_an_image_folder_with_another_image_of_that_name_is_left_alone(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.parquet")
    taken = make_image(data / "aus/bilder/straße 0.png", seed=99)
    before = taken.read_bytes()
    with pytest.raises(UsageError) as caught:
        run(data / "out.parquet", data / "back.jsonl", dialect="rexthinker", image_out=str(data / "aus"))
    assert caught.value.code == "output-exists"
    assert taken.read_bytes() == before
    assert not (data / "back.jsonl").exists()


def test_truncated_pixels_pass_as_a_header_and_are_found_when_decoded(data: Path) -> None:
    image = data / "bilder/straße 1.png"
    image.write_bytes(image.read_bytes()[:5000])
    write_jsonl(data / "in.jsonl", [rexomni_row(1)])
    run(data / "in.jsonl", data / "header", to="tsv")
    with pytest.raises(PayloadError, match="decoded"):
        run(data / "in.jsonl", data / "decode", to="tsv", verify="decode")


@pytest.mark.parametrize(
    ("dst", "flags"),
    [
        ("out.jsonl", {"to": "nonsense"}),
        ("out.jsonl", {"profile": "nonsense"}),
        ("out.jsonl", {"from_name": "nonsense"}),
        ("out.jsonl", {"source_frame": "nonsense"}),
        ("out.parquet", {"dialect": "rexthinker"}),
        ("out", {"to": "tsv", "dialect": "rexthinker"}),
        ("out.jsonl", {"min_pixels": 1000}),
        ("out.parquet", {"min_pixels": 1000, "max_pixels": 500}),
        ("out.parquet", {"image_out": "aus"}),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(
    data: Path, dst: str, flags: dict[str, Any]
) -> None:
    before = everything(data)
    with pytest.raises(UsageError) as caught:
        run(data / "expressions.jsonl", data / dst, **flags)
    assert "\n" not in str(caught.value)
    assert everything(data) == before


@pytest.mark.parametrize(
    ("dst", "flags", "frame"),
    [
        ("o.jsonl", {"profile": "easyr1", "dialect": "rexthinker"}, "seen-truncated"),
        ("o.jsonl", {"profile": "easyr1", "to": "rexthinker"}, "seen-truncated"),
        ("o.json", {"profile": "easydistill", "dialect": "easydistill-sft"}, "seen-rounded"),
        ("o.jsonl", {"profile": "qwen3-vl", "dialect": "rexomni", "resize": "fixed-point"}, "rel1000"),
        ("o.json", {"profile": "trl", "to": "coco"}, "seen-truncated"),
        ("o.parquet", {"profile": "rexomni-sft", "dialect": "easyr1", "frame": "converter"}, None),
    ],
)
def test_rows_of_another_dialect_are_written_in_the_trainers_frame_or_not_at_all(
    data: Path, dst: str, flags: dict[str, Any], frame: str | None
) -> None:
    """A profile promises its trainer's numbers; a dialect that cannot hold them is refused in one line."""
    before = everything(data)
    if frame is None:
        result = run(data / "expressions.jsonl", data / dst, **flags)
        assert (result.profile or {})["frame"] == "pixels"
        return
    with pytest.raises(UsageError) as caught:
        run(data / "expressions.jsonl", data / dst, image_out=str(data / "aus") if "resize" in flags else None, **flags)
    assert (caught.value.code, "\n" in str(caught.value)) == ("frame-not-held", False)
    assert frame in str(caught.value.expected)
    assert everything(data) == before


def test_another_dialects_stored_pixels_are_the_trainers_once_images_are_resized(data: Path) -> None:
    flags: dict[str, Any] = {
        "profile": "easydistill",
        "dialect": "easydistill-sft",
        "label_map": "狗=1,chien à gauche=0",
    }
    write_jsonl(data / "two.jsonl", [rexomni_row(0), rexomni_row(1)])
    places: dict[str, Any] = {"resize": "fixed-point", "image_out": str(data / "aus"), "on_error": "drop"}
    flags["label_map"] += ",Straßenbahn=2"
    result = run(data / "two.jsonl", data / "aus/s.json", **flags, **places)
    assert result.counts["written"] == 2


def shell(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*GROUNDPREP, "convert", *arguments], input=stdin, capture_output=True, cwd=folder, check=False
    )


def test_standard_input_and_output_carry_rows_and_nothing_else(data: Path) -> None:
    text = (data / "expressions.jsonl").read_bytes()
    done = shell(data, "-", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == read_jsonl(data / "expressions.jsonl")
    assert b"7 rows" in done.stderr


def test_standard_input_is_read_whole_and_never_mistaken_for_what_was_written_before(data: Path) -> None:
    rows = [rexthinker_row(n) for n in range(200)]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert shell(data, "-", "out.jsonl", "--strict-lossless", stdin=text).returncode == 0
    assert read_jsonl(data / "out.jsonl") == rows
    again = shell(data, "-", "out.jsonl", stdin=text[: text.index(b"\n") + 1])
    assert again.returncode == 2
    assert b"output-differs" in again.stderr
    assert shell(data, "-", "-", "--strict-lossless", stdin=text).returncode == 2


def test_a_lossy_conversion_to_standard_output_prints_no_row_when_strict(data: Path) -> None:
    done = shell(data, "expressions.jsonl", "-", "--dialect", "rexomni", "--strict-lossless")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"error[lossy]" in done.stderr
    assert shell(data, "expressions.jsonl", "-", "--dry-run").stdout.count(b'"image_name"') == 0


@pytest.mark.kill
@pytest.mark.parametrize(("name", "flags"), [("out", ["--to", "tsv"]), ("out.parquet", ["--for", "easyr1"])])
def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(
    tmp_path: Path, name: str, flags: list[str]
) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", (rexomni_row(n) for n in range(600)))
    command = [*GROUNDPREP, "convert", "in.jsonl", name, "--no-dedupe-images", *flags]
    started = time.monotonic()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    duration_s = time.monotonic() - started
    expected = files_of(tmp_path, "out")
    for path in sorted(tmp_path.glob("out*"), reverse=True):
        subprocess.run(["rm", "-r", str(path)], check=True)
    rng, killed, names = random.Random(3), 0, everything(tmp_path)
    for _ in range(40):
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(rng.uniform(0.2, 1) * duration_s)
            os.kill(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        if killed == 5:
            break
        if process.returncode == 0:  # it was faster than the first run: begin again, sooner
            duration_s *= 0.8
            for path in sorted(tmp_path.glob("out*"), reverse=True):
                subprocess.run(["rm", "-r", str(path)], check=True)
    assert killed, "no run was killed: this test would prove nothing"
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert files_of(tmp_path, "out") == expected
    left = everything(tmp_path) - names
    assert left == set(expected) | {f"{name}.groundprep/run.json"}


@pytest.mark.parametrize(("name", "flags"), [("b.parquet", {"profile": "easyr1"}), ("b", {"to": "tsv"})])
def test_the_loss_report_counts_the_rows_that_are_written_and_no_dropped_one(
    data: Path, name: str, flags: dict[str, Any]
) -> None:
    good = [rexthinker_row(number) for number in range(40)]
    bad = [rexthinker_row(number, image_name="fehlt é.png", ans=[1.1, 2.2, 999.9, 30]) for number in range(5)]
    write_jsonl(data / "good.jsonl", good)
    write_jsonl(data / "both.jsonl", [*good[:7], *bad[:3], *good[7:], *bad[3:]])
    (data / "x").mkdir()
    alone = run(data / "good.jsonl", data / name, **flags)
    both = run(data / "both.jsonl", data / "x" / name, on_error="drop", workers=3, **flags)
    assert both.counts["dropped"] == 5
    assert both.losses == alone.losses


def test_standard_output_has_a_file_of_its_own_for_dropped_rows(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    make_images(tmp_path)
    good, bad = rexthinker_row(0), rexthinker_row(1, ans=[[1, 2, 3]])
    write_jsonl(tmp_path / "in.jsonl", [good, bad])
    with pytest.raises(UsageError, match="dropped rows need a file"):
        run(tmp_path / "in.jsonl", "-", on_error="drop")
    with pytest.raises(UsageError, match="lie in its sidecar"):
        run(tmp_path / "in.jsonl", tmp_path / "o.jsonl", on_error="drop", dropped=str(tmp_path / "weg.jsonl"))
    with pytest.raises(UsageError, match="no directory"):
        run(tmp_path / "in.jsonl", "-", on_error="drop", dropped=str(tmp_path / "nirgends/weg.jsonl"))
    capfdbinary.readouterr()
    result = run(tmp_path / "in.jsonl", "-", on_error="drop", dropped=str(tmp_path / "weg.jsonl"))
    assert [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()] == [good]
    assert (result.counts["written"], result.counts["dropped"]) == (1, 1)
    assert result.dropped_file == str(tmp_path / "weg.jsonl")
    (row,) = read_jsonl(tmp_path / "weg.jsonl")
    assert (row["code"], row["row"]) == ("box-shape", bad)
    with pytest.raises(UsageError, match="exists"):
        run(tmp_path / "in.jsonl", "-", on_error="drop", dropped=str(tmp_path / "weg.jsonl"))
    write_jsonl(tmp_path / "in.jsonl", [good])
    again = run(tmp_path / "in.jsonl", "-", on_error="drop", dropped=str(tmp_path / "weg.jsonl"), overwrite=True)
    assert again.dropped_file is None
    assert not (tmp_path / "weg.jsonl").exists()
