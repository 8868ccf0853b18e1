"""Mixtures as a destination: read by readers made from the trainers' own steps, and read back as what they were."""

from __future__ import annotations

import json
import math
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundprep.api.mixture import expand
from groundprep.errors import FormatError, GroundprepError, PayloadError, UsageError
from tests.contracts.samples import make_image, make_images, read_jsonl, rexomni_row, rexthinker_row, run, write_jsonl

GROUNDPREP = [sys.executable, "-c", "from groundprep.cli import main; main()"]
LABELLED = [{"bbox": [7.5, 3, 40, 21.25], "phrase": "0"}, {"bbox": [1, 2, 30, 36], "phrase": "2"}]


def parts(folder: Path) -> Path:
    """Two files with an image root each, whose images have the same names and other bytes and sizes; and a mixture."""
    for name, size_wh, count in (("é", (61, 37), 7), ("b", (90, 33), 4)):
        make_image(folder / name / "bild 0.png", size_wh, seed=count)
        make_image(folder / name / "bild 1.png", (size_wh[0] + 30, size_wh[1]), seed=count + 1)
        rows = [
            rexthinker_row(n, image_name=f"bild {n % 2}.png", referring=f"{name} {n} 狗", candidate_boxes=[])
            for n in range(count)
        ]
        write_jsonl(folder / f"{name}.jsonl", rows)
    text = (
        "sources:\n- {path: é.jsonl, image_root: é}\n- {path: b.jsonl, image_root: b, sample: 'first:50%'}\nseed: 3\n"
    )
    (folder / "mix.yaml").write_text(text, encoding="utf-8")
    return folder / "mix.yaml"


def sampled(rows: list[Any], strategy: str) -> list[Any]:
    """Return what the trainers' loader takes. Source: specs/vlmr1_easydistill.md §3.3."""
    if ":" not in strategy:
        return rows
    name, number = strategy.split(":")
    count = math.ceil(int(number.split("%")[0]) * len(rows) / 100) if "%" in number else int(number)
    if name == "random":
        random.shuffle(rows)
    return rows[-count:] if name == "end" else rows[:count] if name in ("first", "random") else rows


def listed(path: Path) -> list[dict[str, Any]]:
    """Return the records that a YAML's trainers load, in its order: .json is a list, .jsonl a record a line (§3.2)."""
    records: list[dict[str, Any]] = []
    for dataset in yaml.safe_load(path.read_text(encoding="utf-8"))["datasets"]:
        text = Path(dataset["json_path"]).read_text(encoding="utf-8")
        is_list = dataset["json_path"].endswith(".json")
        rows = json.loads(text) if is_list else [json.loads(line) for line in text.splitlines()]
        records += sampled(rows, dataset.get("sampling_strategy", "all"))
    return records


def distilled(path: Path) -> list[tuple[str, Any]]:
    """Return (instruction, abs_box) as EasyDistill reads them: every image must be there under its own name (§3.2)."""
    return [(r["instruction"], r["abs_box"]) for r in listed(path) if Path(r["image_path"]).is_file()]


def grpo_rows(arguments: str) -> list[tuple[str, str, str]]:
    """Return (image file, question, answer) as grpo_jsonl.py joins them. Source: specs/vlmr1_easydistill.md §1.2."""
    words = shlex.split(arguments)
    given = dict(zip(words[::2], words[1::2], strict=True))
    files, folders = (given[name].split(":") for name in ("--data_file_paths", "--image_folders"))
    assert len(files) == len(folders)
    rows = []
    for file, folder in zip(files, folders, strict=True):
        for line in Path(file).read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            image = f"{folder}/{row['image']}"
            assert Path(image).is_file()
            rows.append((image, row["conversations"][0]["value"], str(row["conversations"][1]["value"])))
    return rows


@pytest.mark.parametrize("sampling", [None, "keep", "apply"])
def test_easydistill_reads_every_source_from_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampling: Any
) -> None:
    result = run(parts(tmp_path), tmp_path / "aus/train.yaml", profile="easydistill-single", sampling=sampling)
    assert [Path(name).relative_to(tmp_path).as_posix() for name in result.outputs] == [
        "aus/train/é.jsonl",
        "aus/train/b.jsonl",
        "aus/train.yaml",
    ]
    assert result.warnings == []
    kept = sampling != "apply"
    assert result.counts == result.counts | {"read": 11, "written": 11 if kept else 9, "not_selected": 0 if kept else 2}
    document = yaml.safe_load((tmp_path / "aus/train.yaml").read_text(encoding="utf-8"))
    assert [dataset["sampling_strategy"] for dataset in document["datasets"]] == ["all", "first:50%" if kept else "all"]
    monkeypatch.chdir("/")  # whatever the trainer's working directory is
    rows = distilled(tmp_path / "aus/train.yaml")
    assert len(rows) == 9
    assert [f"é {n} 狗" in text for n, (text, _) in enumerate(rows[:7])] == [True] * 7
    assert [f"b {n} 狗" in text for n, (text, _) in enumerate(rows[7:])] == [True] * 2
    assert result.paste == f'"labeled_path": "{tmp_path}/aus/train.yaml"'


def test_what_was_written_is_read_back_as_a_mixture_in_its_frame(tmp_path: Path) -> None:
    run(parts(tmp_path), tmp_path / "train.yaml", profile="easydistill-single")
    selections = [(Path(part.path).name, str(part.selection.strategy)) for part in expand(str(tmp_path / "train.yaml"))]
    assert selections == [("é.jsonl", "all"), ("b.jsonl", "first:50%")]
    flags = {"dialect": "rexthinker", "image_out": str(tmp_path / "bilder")}
    run(tmp_path / "mix.yaml", tmp_path / "direct.jsonl", **flags)
    run(tmp_path / "train.yaml", tmp_path / "back.jsonl", **flags, overwrite=True)
    before, after = read_jsonl(tmp_path / "direct.jsonl"), read_jsonl(tmp_path / "back.jsonl")
    assert [row["referring"] for row in after] == [row["referring"] for row in before]
    gaps = [abs(a - b) for x, y in zip(before, after, strict=True) for a, b in zip(x["ans"], y["ans"], strict=True)]
    assert max(gaps) < 1.5  # the trainer's pixels are whole


def test_vlmr1_reads_files_between_colons_each_with_its_own_image_folder(tmp_path: Path) -> None:
    files = f"{tmp_path}/x/é.jsonl:{tmp_path}/y/b.jsonl"
    result = run(parts(tmp_path), files, profile="vlmr1")
    rows = grpo_rows(result.paste or "")
    assert [image for image, _, _ in rows] == [f"{tmp_path}/é/bild {n % 2}.png" for n in range(7)] + [
        f"{tmp_path}/b/bild {n % 2}.png" for n in range(2)
    ]
    assert {answer for _, _, answer in rows} == {"[7.5, 3, 40, 21.25]"}
    assert result.counts["not_selected"] == 2
    again = run(tmp_path / "mix.yaml", files, profile="vlmr1")
    assert (again.unchanged, again.counts, again.paste) == (True, result.counts, result.paste)
    back = run(files, tmp_path / "back", to="tsv", image_root=f"{tmp_path}/é:{tmp_path}/b")
    assert back.counts["written"] == 9
    (tmp_path / "y/b.jsonl").unlink()
    assert run(tmp_path / "mix.yaml", files, profile="vlmr1", overwrite=True).counts == result.counts
    assert grpo_rows(result.paste or "") == rows


def test_vlmr1s_detection_rows_say_in_which_frame_each_file_is(tmp_path: Path) -> None:
    files = f"{tmp_path}/é2.jsonl:{tmp_path}/b2.jsonl"
    result = run(
        parts(tmp_path), files, profile="vlmr1-ovd", image_out=f"{tmp_path}/u:{tmp_path}/v", resize="fixed-point"
    )
    assert {Path(image).parent for image, _, _ in grpo_rows(result.paste or "")} == {tmp_path / "u", tmp_path / "v"}
    manifest = json.loads((tmp_path / "b2.jsonl.groundprep/manifest.json").read_text())
    assert manifest["config"]["profile"]["profile"] == "vlmr1-ovd"


def test_vlmr1s_yaml_holds_the_rows_that_its_sft_reads(tmp_path: Path) -> None:
    """sft.py joins one image root and reads image, problem and solution. Source: specs/vlmr1_easydistill.md §1.1."""
    parts(tmp_path)
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "mix.yaml", tmp_path / "rec.yaml", profile="vlmr1")
    assert caught.value.code == "image-roots-differ"
    assert not list(tmp_path.glob("rec*"))
    result = run(tmp_path / "mix.yaml", tmp_path / "rec.yaml", profile="vlmr1", image_out=str(tmp_path / "bilder é"))
    words = shlex.split(result.paste or "")
    records = listed(Path(words[1]))
    assert len(records) == 9
    assert all((Path(words[3]) / record["image"]).is_file() for record in records)
    assert {tuple(record["solution"]) for record in records} == {(7.5, 3, 40, 21.25)}
    names = [record["image"] for record in records]
    assert len({(Path(words[3]) / name).read_bytes() for name in names}) == 4  # equal names, other images


def test_labels_are_the_same_in_every_file(tmp_path: Path) -> None:
    make_images(tmp_path)
    for name, phrases in (("a", ("chat", "chien")), ("b", ("chien", "chien"))):
        boxes = [{"bbox": [n + 1, 2, n + 20, 30], "phrase": phrase} for n, phrase in enumerate(phrases)]
        write_jsonl(tmp_path / f"{name}.jsonl", [rexomni_row(n, annotation={"boxes": boxes}) for n in range(3)])
    flags = {"profile": "easydistill", "label_map": "chien=1,chat=3"}
    result = run([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "m.yaml", **flags)
    assert [[len(boxes) for boxes in truth.values()] for _, truth in distilled(tmp_path / "m.yaml")] == [
        [0, 1, 0, 1]
    ] * 3 + [[0, 2, 0, 0]] * 3
    assert [Path(name).name for name in result.side_files] == ["labels.json"]


def test_sources_of_one_name_get_files_of_their_own_and_odd_names_are_made_safe(tmp_path: Path) -> None:
    make_images(tmp_path)
    for name in ("a/x.jsonl", "B/X.jsonl", "c/$(rm é) 狗.jsonl"):
        write_jsonl(tmp_path / name, [rexthinker_row(0, image_name=f"{tmp_path}/bilder/straße 0.png")])
    sources = [tmp_path / "a/x.jsonl", tmp_path / "B/X.jsonl", tmp_path / "c/$(rm é) 狗.jsonl"]
    result = run(sources, tmp_path / "m.yaml", profile="easydistill-single")
    assert [Path(name).name for name in result.outputs] == ["x.jsonl", "X-2.jsonl", "(rm_é)_狗.jsonl", "m.yaml"]


def test_the_yaml_and_its_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    parts(tmp_path)
    rows = read_jsonl(tmp_path / "b.jsonl")
    write_jsonl(tmp_path / "b.jsonl", [*rows[:3], rexthinker_row(0, image_name="fehlt é.png")])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PayloadError):
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", profile="easydistill-single", image_out=str(tmp_path / "aus"))
    assert sorted(tmp_path.rglob("*")) == before
    flags = {"profile": "easydistill-single", "on_error": "drop"}
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", **flags)
    assert caught.value.code == "sampling-moved"
    assert sorted(tmp_path.rglob("*")) == before
    text = (tmp_path / "mix.yaml").read_text(encoding="utf-8").replace("first:50%", "end:75%")
    (tmp_path / "mix.yaml").write_text(text, encoding="utf-8")
    result = run(tmp_path / "mix.yaml", tmp_path / "m.yaml", sampling="apply", **flags)
    assert result.counts == result.counts | {"read": 11, "not_selected": 1, "dropped": 1, "written": 9}
    assert len(read_jsonl(Path(result.dropped_file or ""))) == 1


def test_a_row_more_and_a_row_less_are_not_the_same_rows(tmp_path: Path) -> None:
    make_images(tmp_path)
    two, none = LABELLED, [{"bbox": None, "phrase": "0"}]
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(annotation={"boxes": entries}) for entries in (two, none)])
    (tmp_path / "mix.yaml").write_text("sources: [{path: a.jsonl, sample: 'first:1'}]\n", encoding="utf-8")
    flags = {"profile": "easydistill-single", "on_error": "drop"}
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", **flags)
    assert (caught.value.code, caught.value.found) == ("sampling-moved", "first:1 of 2 rows: 1 exploded, 1 dropped")
    result = run(tmp_path / "mix.yaml", tmp_path / "m.yaml", sampling="apply", **flags)
    assert result.counts == result.counts | {"exploded": 1, "not_selected": 1, "written": 2}


@pytest.mark.parametrize(
    ("profile", "names"), [("easydistill-single", ["é.jsonl", "b.jsonl"]), ("vlmr1", ["é.json", "b.json"])]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_the_name_of_the_yaml_is_not_that_of_the_rows_and_nothing_is_said_of_it(
    tmp_path: Path, profile: str, names: list[str], *, dry_run: bool
) -> None:
    flags = {"profile": profile, "image_out": str(tmp_path / "aus"), "dry_run": dry_run}
    result = run(parts(tmp_path), tmp_path / "m.yaml", **flags)
    assert result.warnings == []
    assert [Path(name).name for name in result.outputs] == ([] if dry_run else [*names, "m.yaml"])


def test_the_same_command_does_nothing_and_another_is_refused_or_replaces(tmp_path: Path) -> None:
    flags = {"profile": "easydistill-single"}
    first = run(parts(tmp_path), tmp_path / "m.yaml", **flags)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = run(tmp_path / "mix.yaml", tmp_path / "m.yaml", **flags)
    assert (again.unchanged, again.counts, again.outputs) == (True, first.counts, first.outputs)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", sampling="apply", **flags)
    assert caught.value.code == "output-differs"
    run(tmp_path / "b.jsonl", tmp_path / "m.yaml", image_root=str(tmp_path / "b"), overwrite=True, **flags)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["b.jsonl"]
    assert len(distilled(tmp_path / "m.yaml")) == 4


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    parts(tmp_path)
    found = []
    for workers in (1, 4):
        flags = {"image_out": str(tmp_path / "aus"), "resize": "fixed-point", "overwrite": True, "workers": workers}
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", profile="easydistill-single", **flags)
        found.append([path.read_bytes() for path in sorted(tmp_path.glob("m/*")) + sorted(tmp_path.glob("aus/*"))])
    assert found[0] == found[1]


def test_a_rehearsal_counts_every_source_and_writes_nothing(tmp_path: Path) -> None:
    parts(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for dst, profile in (
        (tmp_path / "m.yaml", "easydistill-single"),
        (f"{tmp_path}/1.jsonl:{tmp_path}/2.jsonl", "vlmr1"),
    ):
        rehearsal = run(tmp_path / "mix.yaml", dst, profile=profile, dry_run=True)
        assert sorted(tmp_path.rglob("*")) == before
        real = run(tmp_path / "mix.yaml", dst, profile=profile)
        assert (rehearsal.counts, rehearsal.losses) == (real.counts, real.losses)
        before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "mix.yaml", tmp_path / "n.yaml", profile="easydistill-single", strict_lossless=True)
    assert caught.value.code == "lossy"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("dst", "flags", "code"),
    [
        ("m.yaml", {"profile": "rexomni-sft"}, "bad-mixture"),
        ("m.yaml", {"profile": "vlmr1-ovd"}, "bad-mixture"),
        ("m.yaml", {"profile": "vlmr1-internvl"}, "bad-mixture"),
        ("m.yaml", {}, "bad-mixture"),
        ("m.yml", {"profile": "easydistill"}, "bad-mixture"),
        (".yaml", {"profile": "easydistill-single"}, "bad-mixture"),
        ("1.jsonl:2.jsonl", {"profile": "easydistill"}, "bad-mixture"),
        ("1.jsonl:2.json", {"profile": "vlmr1"}, "bad-mixture"),
        ("1.jsonl:2.jsonl:3.jsonl", {"profile": "vlmr1"}, "bad-mixture"),
        ("1.jsonl:2.jsonl", {"profile": "vlmr1", "image_out": "a:b:c"}, "bad-mixture"),
        ("1.jsonl:2.jsonl", {"profile": "vlmr1", "sampling": "keep"}, "usage"),
        ("m.jsonl", {"profile": "vlmr1", "sampling": "keep"}, "usage"),
        ("m.yaml", {"profile": "easydistill-single", "limit": 3}, "usage"),
        ("m.yaml", {"profile": "easydistill-single", "negatives": 3}, "usage"),
    ],
)
def test_what_no_trainer_reads_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dst: str, flags: dict[str, Any], code: str
) -> None:
    parts(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(GroundprepError) as caught:
        run("mix.yaml", dst, **flags)
    assert caught.value.code == code
    assert sorted(tmp_path.rglob("*")) == before


def test_a_weight_needs_its_rows_chosen_now(tmp_path: Path) -> None:
    parts(tmp_path)
    text = (tmp_path / "mix.yaml").read_text(encoding="utf-8").replace("sample: 'first:50%'", "weight: 2.5")
    (tmp_path / "mix.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no weights"):
        run(tmp_path / "mix.yaml", tmp_path / "m.yaml", profile="easydistill-single")
    run(tmp_path / "mix.yaml", tmp_path / "m.yaml", profile="easydistill-single", sampling="apply")
    assert len(distilled(tmp_path / "m.yaml")) == 17


def test_a_colon_in_a_root_would_split_there(tmp_path: Path) -> None:
    parts(tmp_path / "a:b")
    files = f"{tmp_path}/1.jsonl:{tmp_path}/2.jsonl"
    with pytest.raises(UsageError, match="colon"):
        run(tmp_path / "a:b/mix.yaml", files, profile="vlmr1")
    assert [path.name for path in tmp_path.iterdir()] == ["a:b"]


def test_the_command_line_writes_mixtures_and_prints_what_to_paste(tmp_path: Path) -> None:
    parts(tmp_path)
    for dst, flags, said in (
        ("m.yaml", ["--for", "easydistill-single", "--sampling", "apply"], '"labeled_path"'),
        ("1.jsonl:2.jsonl", ["--for", "vlmr1"], "--data_file_paths"),
    ):
        command = [*GROUNDPREP, "convert", "mix.yaml", dst, *flags]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert said in done.stdout
    assert len(distilled(tmp_path / "m.yaml")) == 9


@pytest.mark.kill
def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    parts(tmp_path)
    for name in ("é", "b"):
        rows = read_jsonl(tmp_path / f"{name}.jsonl")
        write_jsonl(tmp_path / f"{name}.jsonl", rows * 800)
    command = [*GROUNDPREP, "convert", "mix.yaml", "aus/m.yaml", "--for", "easydistill-single"]
    started = time.monotonic()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    duration_s = time.monotonic() - started
    expected = written(tmp_path / "aus")
    rng, killed = random.Random(5), 0
    for _ in range(30):
        shutil.rmtree(tmp_path / "aus", ignore_errors=True)
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(rng.uniform(0.3, 1) * duration_s)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        assert written(tmp_path / "aus") == expected
        if killed == 5:
            break
    assert killed, "no run was killed: this test would prove nothing"


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; run.json holds times."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
