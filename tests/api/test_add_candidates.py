"""add-candidates as a user meets it: what is written, what is kept, what a killed run leaves, what bad rows do."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.add_candidates import AddCandidatesConfig, AddCandidatesResult, add_candidates
from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.detect.base import DetectorOptions
from groundprep.errors import FormatError, GroundprepError, UsageError
from groundprep.stages.candidates import CandidateSettings
from groundprep.trainers import get_profile
from tests.detect import colour_detector
from tests.detect.colour_detector import ColourDetector
from tests.detect.colour_scenes import read_rows, write_rows, write_scenes

SCRIPT = Path(colour_detector.__file__)
Rows = list[dict[str, Any]]


@pytest.fixture
def scenes(tmp_path: Path) -> tuple[Path, Path, Rows]:
    return write_scenes(tmp_path, 20)


def run(
    source: Path, dst: Path, root: Path, detector: ColourDetector | None = None, **options: Any
) -> AddCandidatesResult:
    settings = {name: options.pop(name) for name in ("policy", "order", "seed", "keep_existing") if name in options}
    config = AddCandidatesConfig(
        SourceConfig((str(source),), None, str(root)), str(dst), candidates=CandidateSettings(**settings), **options
    )
    return add_candidates(config, detector=detector or ColourDetector())


def answers_of(row: dict[str, Any]) -> list[list[float]]:
    ans = row["ans"]
    return ans if not ans or isinstance(ans[0], list) else [ans]


@pytest.mark.parametrize("policy", ["snap-answer", "snap-candidate", "append"])
@pytest.mark.parametrize("limits", [(None, None), (3136, 5000)])
def test_in_the_trainers_frame_every_answer_is_exactly_one_hint(
    tmp_path: Path, scenes: tuple[Path, Path, Rows], policy: str, limits: tuple[int | None, int | None]
) -> None:
    source, root, _ = scenes
    low, high = limits
    dst = tmp_path / "kandidaten.jsonl"
    result = run(source, dst, root, policy=policy, profile="easyr1", min_pixels=low, max_pixels=high)
    profile = get_profile("easyr1").with_limits(low, high)
    for row in read_rows(dst):
        with Image.open(root / row["image_name"]) as image:
            seen_wh, size_wh = profile.seen_wh(image.size), image.size
        integers = [
            tuple(profile.frame.box_from_stored(box, size_wh=size_wh, seen_wh=seen_wh))
            for box in [*answers_of(row), *(c["bbox"] for c in row["candidate_boxes"])]
        ]
        answer, hints = integers[0], integers[1:]
        assert hints.count(answer) == 1
        assert len(set(hints)) == len(hints)
    assert result.counts["written"] == len(read_rows(dst))
    assert result.answers["matched"] + result.answers["appended"] == result.counts["written"]
    if high is not None:
        assert result.answers["merged_candidates"] > 0


def test_candidates_survive_the_conversion_to_the_trainers_rows(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    import pyarrow.parquet as pq

    source, root, _ = scenes
    run(source, tmp_path / "a.jsonl", root, profile="easyr1")
    convert(
        ConvertConfig(
            SourceConfig((str(tmp_path / "a.jsonl"),), None, str(root)), str(tmp_path / "a.parquet"), "easyr1"
        )
    )
    run(source, tmp_path / "b.parquet", root, profile="easyr1")
    converted, direct = (pq.read_table(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert converted["problem"].to_pylist() == direct["problem"].to_pylist()
    assert converted["answer"].to_pylist() == direct["answer"].to_pylist()


def test_crowds_that_become_answers_are_counted_and_can_be_taken_out_first(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    _, root, rows = scenes
    with Image.open(root / rows[0]["image_name"]) as image:
        size = dict(zip(("width", "height"), image.size, strict=True))
    annotation = {"image_id": 7, "category_id": 3, "bbox": [2, 3, 20, 11.5], "area": 230}
    document = {
        "images": [{"id": 7, "file_name": rows[0]["image_name"]} | size],
        "annotations": [annotation | {"id": 5, "iscrowd": 0}, annotation | {"id": 6, "iscrowd": 1}],
        "categories": [{"id": 3, "name": rows[0]["category"]}],
    }
    coco = tmp_path / "coco.json"
    coco.write_text(json.dumps(document), encoding="utf-8")
    (warning,) = run(coco, tmp_path / "hints.jsonl", root, profile="easyr1").warnings
    assert (warning["code"], warning["count"]) == ("crowd-as-object", 1)
    assert warning["fix"] == "take them out first: groundprep convert SRC OUT.json --crowds drop"
    convert(ConvertConfig(SourceConfig((str(coco),), None, str(root)), str(tmp_path / "single.json"), crowds="drop"))
    result = run(tmp_path / "single.json", tmp_path / "single.jsonl", root, profile="easyr1")
    assert (result.warnings, result.answers["matched"] + result.answers["appended"]) == ([], 1)


def test_one_forward_per_distinct_image_and_category(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    write_rows(source, rows + [row | {"referring": "noch einmal"} for row in rows])
    detector = ColourDetector()
    result = run(source, tmp_path / "dst.jsonl", root, detector)
    pairs = {(row["image_name"], row["category"]) for row in rows}
    assert result.detections["forwards"] == result.detections["pairs"] == len(pairs)
    assert sum(map(len, detector.forwards)) == len(pairs)
    assert result.detections["images"] == len({row["image_name"] for row in rows})


def test_the_prompt_is_the_category_lower_cased_with_a_full_stop(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    write_rows(source, [rows[0] | {"category": category} for category in ("  GRÜN ", "Grün.", "man . Woman")])
    detector = ColourDetector()
    run(source, tmp_path / "dst.jsonl", root, detector)
    assert sorted(prompt for batch in detector.forwards for _, prompt in batch) == ["grün.", "man . woman."]


def test_rows_keep_their_keys_and_say_where_the_answer_was_drawn(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    rows[0] = {
        "id": "ü-7",
        "vorher": 1,
        "candidate_boxes": [{"bbox": [1, 2, 3, 4], "category": "alt"}],
        **rows[0],
        "nachher": [1.5],
    }
    write_rows(source, rows)
    run(source, tmp_path / "dst.jsonl", root)
    written = read_rows(tmp_path / "dst.jsonl")
    assert list(written[0]) == [*rows[0], "answer_annotated"]
    assert [1, 2, 3, 4] not in [c["bbox"] for c in written[0]["candidate_boxes"]]
    for before, after in zip(rows, written, strict=True):
        unmoved = before.keys() - {"ans", "candidate_boxes"}
        assert {k: after[k] for k in unmoved} == {k: before[k] for k in unmoved}
        assert after["answer_annotated"] == [before["ans"]]
        assert after["ans"] in [c["bbox"] for c in after["candidate_boxes"]]
        with Image.open(root / after["image_name"]) as image:
            w, h = image.size
        for candidate in after["candidate_boxes"]:
            x0, y0, x1, y1 = candidate["bbox"]
            assert 0 <= x0 < x1 <= w
            assert 0 <= y0 < y1 <= h
            assert candidate["category"] == before["category"]
            assert 0 < candidate["score"] < 1


def test_running_on_its_own_output_starts_from_what_was_drawn(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    rows[0] |= {"id": "ü-7", "quelle": [1.0]}
    write_rows(source, rows)
    run(source, tmp_path / "a.jsonl", root)
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", root)
    assert read_rows(tmp_path / "b.jsonl") == read_rows(tmp_path / "a.jsonl")
    run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", root, policy="append")
    written = read_rows(tmp_path / "c.jsonl")
    assert [{k: v for k, v in row.items() if k != "candidate_boxes"} for row in written] == rows


def test_legacy_equals_the_reference_script_field_for_field(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    rows[1] = {"candidate_boxes": "weg damit", **rows[1], "zuletzt": "é"} | {"candidate_boxes": []}
    rows[2] = rows[2] | {"ans": [0, 0, 5, 3]}
    write_rows(source, rows)
    run(source, tmp_path / "dst.jsonl", root, policy="legacy")
    expected = []
    for row in rows:
        with Image.open(root / row["image_name"]) as image:
            found = (
                ColourDetector().detect([image.convert("RGB")], [row["category"].lower() + "."])[0].boxes_N4.tolist()
            )
        if not any(reference_iou(row["ans"], box) >= 0.5 for box in found):
            found = [*found, row["ans"]]
        boxes = [{"bbox": box, "category": row["category"]} for box in found]
        expected.append({**row, "candidate_boxes": boxes})
    written = read_rows(tmp_path / "dst.jsonl")
    assert written == expected
    assert [list(row) for row in written] == [list(row) for row in expected]
    assert json.dumps(written[2]["candidate_boxes"][-1]["bbox"]) == "[0, 0, 5, 3]"


def reference_iou(a: list[float], b: list[float]) -> float:
    """Overlap without +1, as specs/rexthinker.md §1.4 states it."""
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def test_several_answers_and_none_are_settled_too(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    by_pair = {(r["image_name"], r["category"]): [] for r in rows}
    for row in rows:
        by_pair[row["image_name"], row["category"]].append(row["ans"])
    several = next(boxes for boxes in by_pair.values() if len(boxes) > 1)
    first = next(r for r in rows if r["ans"] == several[0])
    write_rows(
        source,
        [first | {"ans": several}, first | {"ans": [], "category": "blue"}, first | {"ans": [], "category": "schwarz"}],
    )
    for policy in ("snap-answer", "snap-candidate", "append", "legacy"):
        run(source, tmp_path / f"{policy}.jsonl", root, policy=policy)
        two, none, nothing_found = read_rows(tmp_path / f"{policy}.jsonl")
        assert len(two["ans"]) == len(several)
        assert (none["ans"], nothing_found["ans"], nothing_found["candidate_boxes"]) == ([], [], [])
        if policy != "legacy":
            assert all(answer in [c["bbox"] for c in two["candidate_boxes"]] for answer in two["ans"])


def test_the_answers_place_is_uniform(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    alone = next(
        r for r in rows if sum(o["image_name"] == r["image_name"] and o["category"] == r["category"] for o in rows) == 2
    )
    write_rows(source, [alone | {"referring": f"№ {i}"} for i in range(600)])
    run(source, tmp_path / "dst.jsonl", root)
    places = Counter()
    for row in read_rows(tmp_path / "dst.jsonl"):
        boxes = [c["bbox"] for c in row["candidate_boxes"]]
        assert len(boxes) == 4
        places[boxes.index(row["ans"])] += 1
    assert sum((places[place] - 150) ** 2 / 150 for place in range(4)) < 16.3  # probability 0.001


def test_a_grown_input_detects_only_what_is_new(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    write_rows(source, rows[:15])
    first = run(source, tmp_path / "dst.jsonl", root)
    (root / rows[0]["image_name"]).rename(root / "umbenannt.png")
    rows = [r | {"image_name": "umbenannt.png"} if r["image_name"] == rows[0]["image_name"] else r for r in rows]
    write_rows(source, rows)
    detector = ColourDetector()
    grown = run(source, tmp_path / "dst.jsonl", root, detector, overwrite=True)
    assert grown.detections["reused"] == first.detections["pairs"]
    assert grown.detections["forwards"] == sum(map(len, detector.forwards))
    assert grown.detections["pairs"] == grown.detections["forwards"] + grown.detections["reused"]
    run(source, tmp_path / "direct.jsonl", root)
    assert (tmp_path / "dst.jsonl").read_bytes() == (tmp_path / "direct.jsonl").read_bytes()


def test_another_detector_or_a_fresh_start_detects_again(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, _ = scenes
    pairs = run(source, tmp_path / "dst.jsonl", root).detections["pairs"]
    assert run(source, tmp_path / "dst.jsonl", root).unchanged
    with pytest.raises(UsageError, match=r"detector\.version was 1, now 2"):
        run(source, tmp_path / "dst.jsonl", root, ColourDetector(version=2))
    assert run(source, tmp_path / "dst.jsonl", root, overwrite=True).detections["forwards"] == 0
    assert (
        run(source, tmp_path / "dst.jsonl", root, ColourDetector(version=2), overwrite=True).detections["forwards"]
        == pairs
    )
    assert (
        run(source, tmp_path / "dst.jsonl", root, ColourDetector(version=2), overwrite=True, fresh=True).detections[
            "forwards"
        ]
        == pairs
    )


def test_with_keep_existing_hand_made_candidates_stay_and_are_not_detected(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    drawn = [
        {"bbox": [1, 2, 30, 40], "category": "von Hand"},
        {"bbox": [5, 2.5, 30, 40], "category": "von Hand", "id": 7},
    ]
    rows[0] = rows[0] | {"ans": [2, 2, 30, 40], "candidate_boxes": drawn}
    write_rows(source, rows[:1])
    detector = ColourDetector()
    result = run(source, tmp_path / "dst.jsonl", root, detector, keep_existing=True)
    (row,) = read_rows(tmp_path / "dst.jsonl")
    assert sorted(row["candidate_boxes"], key=str) == sorted(drawn, key=str)
    assert row["ans"] == [1, 2, 30, 40]
    assert (detector.forwards, result.answers["kept_rows"]) == ([], 1)


def bad_rows(root: Path, rows: Rows) -> Rows:
    whole = (root / rows[0]["image_name"]).read_bytes()
    (root / "kaputt.png").write_bytes(whole[: len(whole) * 2 // 3])
    return [
        rows[0] | {"category": "  . "},
        {k: v for k, v in rows[1].items() if k != "category"},
        rows[2] | {"image_name": "fehlt.png"},
        rows[3] | {"image_name": "kaputt.png"},
        rows[4] | {"category": "rot " * 20},
        rows[5] | {"ans": [1, 2, 3]},
    ]


class Told:
    """Keeps what a listener is told."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.rows = self.total = 0

    def begin(self, what: str, rows: int) -> None:
        self.total = rows

    def advance(self, rows: int) -> None:
        self.rows += rows

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def bad_row(self, dropped: Any) -> None:
        self.codes.append(dropped.code)


BAD_CODES = ["no-category", "no-category", "image-missing", "image-broken", "prompt-too-long", "box-shape"]


def test_bad_rows_are_all_told_after_all_good_work_is_done_and_kept(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    write_rows(source, bad_rows(root, rows) + rows)
    dst, told = tmp_path / "dst.jsonl", Told()
    config = AddCandidatesConfig(SourceConfig((str(source),), None, str(root)), str(dst))
    with pytest.raises(FormatError) as caught:
        add_candidates(config, detector=ColourDetector(), listener=told)
    assert (caught.value.code, int(caught.value.exit_code)) == ("rows-failed", 3)
    assert told.codes == BAD_CODES
    assert told.rows == told.total == len(rows) + len(BAD_CODES)
    assert not dst.exists()
    sidecar = tmp_path / "dst.jsonl.groundprep"
    assert sorted(p.name for p in sidecar.iterdir()) == ["detections.jsonl", "failed.jsonl"]
    assert [json.loads(line)["code"] for line in (sidecar / "failed.jsonl").read_text().splitlines()] == BAD_CODES
    write_rows(source, rows)
    fixed = run(source, dst, root)
    assert (fixed.detections["forwards"], fixed.counts["written"]) == (0, len(rows))
    assert not (sidecar / "failed.jsonl").exists()


def test_bad_rows_are_dropped_into_the_sidecar_if_so_told(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, rows = scenes
    write_rows(source, bad_rows(root, rows) + rows)
    result = run(source, tmp_path / "dst.jsonl", root, on_error="drop")
    assert (result.counts["dropped"], result.counts["written"]) == (len(BAD_CODES), len(rows))
    assert result.dropped_file is not None
    dropped = [json.loads(line) for line in Path(result.dropped_file).read_text().splitlines()]
    assert [row["code"] for row in dropped] == BAD_CODES
    assert [row["source"].rsplit(":", 1)[1] for row in dropped] == ["1", "2", "3", "4", "5", "6"]


def test_a_row_keeps_its_shuffle_when_a_row_before_it_is_dropped(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    run(source, tmp_path / "all.jsonl", root)
    rows[0] = rows[0] | {"image_name": "fehlt.png"}
    write_rows(source, rows)
    run(source, tmp_path / "dropped.jsonl", root, on_error="drop")
    assert read_rows(tmp_path / "dropped.jsonl") == read_rows(tmp_path / "all.jsonl")[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dst": "-"}, "more than once"),
        ({"batch_size": 0}, "batch-size"),
        ({"min_pixels": 5}, "--for PROFILE"),
        ({"to": "tsv"}, "hold no candidates"),
    ],
)
def test_senseless_options_are_refused(
    tmp_path: Path, scenes: tuple[Path, Path, Rows], change: dict[str, Any], message: str
) -> None:
    source, root, _ = scenes
    config = AddCandidatesConfig(SourceConfig((str(source),), None, str(root)), str(tmp_path / "dst.jsonl"))
    with pytest.raises(UsageError, match=message):
        add_candidates(replace(config, **change), detector=ColourDetector())


@pytest.mark.parametrize("profile", ["easyr1", "rexthinker", "trl"])
@pytest.mark.parametrize("to", [None, "jsonl", "rexthinker"])
def test_a_source_that_holds_no_candidates_becomes_rexthinker_rows_for_a_trainer_of_hints(
    tmp_path: Path, scenes: tuple[Path, Path, Rows], profile: str, to: str | None
) -> None:
    source, root, _ = scenes
    for name in ("vieles.jsonl", "instances.json"):
        flags = {"to": "coco"} if name.endswith("json") else {"dialect": "rexomni"}
        convert(ConvertConfig(SourceConfig((str(source),), None, str(root)), str(tmp_path / name), **flags))  # type: ignore[arg-type]
        dst = tmp_path / f"é {name}.jsonl"
        result = run(tmp_path / name, dst, root, profile=profile, to=to, on_error="drop")
        assert (result.dialect, result.container, result.profile) == ("rexthinker", "jsonl", None)
        assert result.counts["written"] == len(read_rows(dst)) > 0
        assert all(row["candidate_boxes"] for row in read_rows(dst))


def test_a_trainer_without_hints_gets_no_candidates_from_such_a_source(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, _ = scenes
    convert(ConvertConfig(SourceConfig((str(source),), None, str(root)), str(tmp_path / "v.jsonl"), dialect="rexomni"))
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "v.jsonl", tmp_path / "dst.jsonl", root, profile="rexomni-sft")
    assert caught.value.code == "no-candidates-in-dialect"


@pytest.mark.parametrize("value", [0.0, -0.5, 1.5, float("nan")])
def test_thresholds_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(UsageError, match="match-iou"):
        CandidateSettings(match_iou=value)
    with pytest.raises(UsageError, match="box-threshold"):
        DetectorOptions("x", box_threshold=value or 1.0)


def test_embedded_images_go_to_parquet_and_not_to_rows_that_name_files(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, rows = scenes
    convert(ConvertConfig(SourceConfig((str(source),), None, str(root)), str(tmp_path / "in.parquet"), "easyr1"))
    result = run(tmp_path / "in.parquet", tmp_path / "out.parquet", root, policy="append")
    assert result.counts["written"] == len(rows)
    assert result.detections["images"] == len({row["image_name"] for row in rows})
    with pytest.raises(GroundprepError) as caught:
        run(tmp_path / "in.parquet", tmp_path / "out.jsonl", root, to="rexthinker")
    assert caught.value.code == "image-out-needed"


def test_a_detector_that_runs_out_of_memory_is_given_smaller_batches_and_the_manifest_says_so(
    tmp_path: Path, scenes: tuple[Path, Path, Rows]
) -> None:
    source, root, _ = scenes
    result = run(source, tmp_path / "dst.jsonl", root, ColourDetector(largest_batch=1))
    whole = run(source, tmp_path / "whole.jsonl", root)
    assert result.detections["split_batches"] > 0
    assert whole.detections["split_batches"] == 0
    manifest = json.loads((tmp_path / "dst.jsonl.groundprep" / "manifest.json").read_text())
    assert manifest["facts"]["detections"]["split_batches"] == result.detections["split_batches"]
    assert (tmp_path / "dst.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_workers_do_not_change_the_bytes(tmp_path: Path, scenes: tuple[Path, Path, Rows]) -> None:
    source, root, _ = scenes
    for workers in (1, 5):
        run(source, tmp_path / f"{workers}.parquet", root, profile="easyr1", workers=workers)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "5.parquet").read_bytes()


@pytest.mark.kill
def test_a_run_that_is_killed_again_and_again_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    source, root, _ = write_scenes(tmp_path, 60)
    rng = random.Random(20260)
    whole = tmp_path / "whole" / "dst.jsonl"
    uninterrupted = start(source, whole, root, tmp_path / "whole.log")
    assert uninterrupted.wait(timeout=120) == 0
    kills = 0
    dst, log = tmp_path / "killed" / "dst.jsonl", tmp_path / "killed.log"
    for _ in range(40):
        process = start(source, dst, root, log)
        try:
            code = process.wait(timeout=rng.uniform(0.4, 1.6) if kills < 6 else 120)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            assert not dst.exists() or dst.read_bytes() == whole.read_bytes()
            continue
        assert code == 0
        break
    assert kills >= 2
    assert dst.read_bytes() == whole.read_bytes()
    sidecars = [path.with_name("dst.jsonl.groundprep") for path in (whole, dst)]
    for name in ("manifest.json", "detections.jsonl"):
        assert (sidecars[1] / name).read_bytes() == (sidecars[0] / name).read_bytes()
    assert [sorted(p.name for p in s.iterdir()) for s in sidecars] == [
        ["detections.jsonl", "manifest.json", "run.json"]
    ] * 2
    forwards = [sum(map(int, path.read_text().split())) for path in (tmp_path / "whole.log", log)]
    assert forwards[1] <= forwards[0] + 2 * kills  # at most the batch under way is lost at each kill


def start(source: Path, dst: Path, root: Path, log: Path) -> subprocess.Popen[bytes]:
    dst.parent.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, str(SCRIPT), str(source), str(dst), str(root), str(log), "0.03"])
