"""`validate --for`: what right and useless answers earn, where boxes lie for the trainer, and which frame a file says."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, ValidateResult, validate
from groundprep.errors import UsageError
from groundprep.finding import Severity

ROOT = Path(__file__).parents[2]
TOY = ROOT / "toy_data"
FIXTURES = ROOT / "tests" / "fixtures"

ABOUT_REWARDS = (
    "frame-mismatch",
    "frame-unknown",
    "absent-not-held",
    "answer-not-in-hint",
    "reward-ceiling-low",
    "reward-unreachable",
    "useless-answer-scores",
    "useless-policy-scores",
)


class Bench:
    """Writes rows about photos of chosen sizes, converts and validates them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def image(self, name: str, size_wh: tuple[int, int]) -> str:
        path = self.directory / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size_wh, (30, 90, 200)).save(path)
        return name

    def write(self, rows: Sequence[dict[str, Any]], name: str = "x.jsonl") -> Path:
        path = self.directory / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    def source(self, path: Path, **more: Any) -> SourceConfig:
        return SourceConfig((str(path),), image_root=str(self.directory), **more)

    def check(self, path: Path, profile: str | None, source_frame: str | None = None, **more: Any) -> ValidateResult:
        return validate(ValidateConfig(self.source(path, source_frame=source_frame), profile, **more))

    def codes(self, path: Path, profile: str, **more: Any) -> list[str]:
        return [finding.code for finding in self.check(path, profile, select=ABOUT_REWARDS, **more).findings]

    def converted(self, src: Path, name: str, profile: str, **more: Any) -> Path:
        convert(ConvertConfig(self.source(src), str(self.directory / name), profile=profile, overwrite=True, **more))
        return self.directory / name

    def photos(self, count: int, *, answer: int | None = None, shift: float = 0.0) -> list[dict[str, Any]]:
        """Return rows of three candidates; the answer stands at a place, anywhere by default, `shift` pixels beside."""
        draw = random.Random(11)
        rows = []
        for number in range(count):
            boxes = [[x, y, x + 300.0, y + 200.0] for x, y in ((100, 150), (700, 300.5), (1400, 700))]
            place = draw.randrange(3) if answer is None else answer
            moved = [value + shift for value in boxes[place]]
            candidates = [{"bbox": box, "category": "garçon"} for box in boxes]
            rows.append(
                {"image_name": self.image("é.png", (1920, 1080)), "id": number, "ans": moved, "category": "garçon"}
                | {"referring": f"le garçon {number}", "candidate_boxes": candidates}
            )
        return rows


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ceilings(result: ValidateResult) -> dict[str, Any]:
    data: dict[str, Any] = result.as_data()["ceilings"]
    return data


def test_rows_made_for_one_trainer_are_found_and_earn_nothing_with_another(bench: Bench) -> None:
    made = bench.converted(bench.write(bench.photos(24)), "x.parquet", "rexthinker")
    own = bench.check(made, "rexthinker", select=ABOUT_REWARDS)
    assert own.findings == ()
    assert (ceilings(own)["mean"], own.as_data()["alignment"]["max_error_px"]) == (1.0, 0.0)
    other = bench.check(made, "easyr1", select=ABOUT_REWARDS)
    (finding,) = other.findings
    assert (finding.code, finding.severity, finding.source) == ("frame-mismatch", "error", str(made))
    assert "its boxes are up to" in finding.message
    assert (ceilings(other)["mean"], ceilings(other)["best_hint"]) == (0.1, 1.0)
    assert other.as_data()["alignment"]["max_error_px"] > 500
    assert other.as_data()["alignment"]["where"] == f"{made}:1"


def test_other_limits_of_the_same_trainer_are_found_and_measured(bench: Bench) -> None:
    made = bench.converted(bench.write(bench.photos(3)), "x.parquet", "easyr1", max_pixels=1_003_520, min_pixels=12_544)
    result = bench.check(made, "easyr1", select=ABOUT_REWARDS)
    (finding,) = result.findings
    assert finding.code == "frame-mismatch"
    assert "px beside" in finding.message
    assert ceilings(result)["mean"] == 0.1
    assert bench.codes(made, "easyr1", max_pixels=1_003_520, min_pixels=12_544) == []


@pytest.mark.parametrize("profile", ["vlmr1-ovd", "easydistill-single"])
def test_a_manifest_beside_a_file_says_its_frame_in_every_layout(profile: str, bench: Bench) -> None:
    rows = [row | {"candidate_boxes": []} for row in bench.photos(3)]
    made = bench.converted(bench.write(rows), "y.jsonl", profile)
    assert bench.codes(made, profile) == []
    assert bench.codes(made, profile, max_pixels=500_000) == ["frame-mismatch"]
    shutil.rmtree(f"{made}.groundprep")
    assert bench.codes(made, profile) == ["frame-unknown"]
    assert bench.codes(made, profile, source_frame=profile) == []
    assert bench.codes(made, profile, source_frame="pixels") == ["frame-mismatch"]


def test_a_tsv_is_in_stored_pixels_for_every_trainer_that_reads_it(bench: Bench) -> None:
    rows = [row | {"candidate_boxes": []} for row in bench.photos(3)]
    convert(ConvertConfig(bench.source(bench.write(rows)), str(bench.directory / "t"), profile="rexomni-sft"))
    made = bench.directory / "t.annotations.tsv"
    result = bench.check(made, "rexomni-grpo", select=ABOUT_REWARDS)
    assert [(finding.code, finding.severity) for finding in result.findings] == [("frame-mismatch", "warning")]
    assert 0 < result.as_data()["alignment"]["max_error_px"] < 1
    assert bench.codes(made, "rexomni-sft") == []


def test_the_answer_that_was_not_snapped_is_one_error_a_row(bench: Bench) -> None:
    path = bench.write(bench.photos(5, shift=9.0))
    result = bench.check(path, "rexthinker", select=ABOUT_REWARDS)
    assert [finding.code for finding in result.findings] == ["answer-not-in-hint"] * 5
    data = ceilings(result)
    assert (data["mean"], data["best_hint"], data["unreachable"]) == (1.0, 0.1, 5)
    overlap = bench.check(path, "rexthinker", reward="iou", ignore=("answer-not-in-hint",), select=ABOUT_REWARDS)
    assert overlap.findings == ()
    assert 0.8 < ceilings(overlap)["best_hint"] < 1


def test_the_answer_appended_last_is_what_the_last_hint_earns(bench: Bench) -> None:
    data = ceilings(bench.check(bench.write(bench.photos(24, answer=2)), "rexthinker"))
    assert (data["useless"]["last_hint"], data["useless"]["first_hint"]) == (1.0, 0.1)
    fair = ceilings(bench.check(bench.write(bench.photos(90)), "rexthinker"))
    assert fair["useless"]["last_hint"] < 0.6


def test_useless_answers_that_were_planted_are_found_at_their_rows_and_no_others(bench: Bench) -> None:
    name = bench.image("é.png", (1280, 720))
    rows = [
        {
            "image_path": str(bench.directory / name),
            "instruction": "Où ?",
            "width": 1280,
            "height": 720,
            "abs_box": boxes,
        }
        for boxes in (
            {"0": [[10, 20, 90, 110]], "1": [], "2": [], "3": []},
            {"0": [], "1": [[10, 20, 90, 110]], "2": [], "3": []},
            {"0": [[2, 2, 1285, 726]], "1": [], "2": [], "3": []},
        )
    ]
    result = bench.check(bench.write(rows), "easydistill", select=("useless-answer-scores",))
    assert [(finding.source[-1], (finding.found or "").split()[0]) for finding in result.findings] == [
        ("2", "empty"),
        ("3", "full_image"),
    ]


def test_a_file_of_rejections_teaches_saying_nothing(bench: Bench) -> None:
    rows = [row | {"ans": []} if number % 12 else row for number, row in enumerate(bench.photos(36))]
    result = bench.check(bench.write(rows), "rexthinker", select=ABOUT_REWARDS)
    (finding,) = result.findings
    assert (finding.code, finding.record) == ("useless-policy-scores", None)


@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize("verify", ["header", "decode"])
def test_the_measures_are_the_same_for_every_number_of_workers(workers: int, verify: Any, bench: Bench) -> None:
    path = bench.write(bench.photos(41, shift=0.3))
    one = bench.check(path, "rexthinker", workers=1).as_data()
    other = bench.check(path, "rexthinker", workers=workers, verify=verify).as_data()
    assert (other["ceilings"], other["alignment"]) == (one["ceilings"], one["alignment"])


def test_a_reward_is_chosen_by_name_and_must_fit_the_rows(bench: Bench) -> None:
    path = bench.write(bench.photos(2))
    chosen = ceilings(bench.check(path, "easyr1", reward="box-f1", min_ceiling=0.95))
    assert (chosen["reward"], chosen["min_ceiling"]) == ("box-f1", 0.95)
    with pytest.raises(UsageError) as caught:
        bench.check(path, "easyr1", reward="vlmr1:rec")
    assert (caught.value.code, caught.value.expected) == ("reward-unfit", "rexthinker, iou, box-f1, rejection-aware")
    for more in ({"reward": "iou"}, {"min_ceiling": 0.5}):
        with pytest.raises(UsageError):
            bench.check(path, None, **more)
        with pytest.raises(UsageError):
            bench.check(path, "trl-sft", **more)


def test_without_a_reward_the_result_says_why_and_without_a_trainer_nothing(bench: Bench) -> None:
    path = bench.write(bench.photos(2))
    data = bench.check(path, "rexomni-sft").as_data()
    assert data["ceilings"]["reward"] is None
    assert data["alignment"]["rows"] == 2
    assert not {"ceilings", "alignment"} & bench.check(path, None).as_data().keys()


def test_the_measures_do_not_depend_on_the_codes_that_are_reported(bench: Bench) -> None:
    path = bench.write(bench.photos(3))
    assert ceilings(bench.check(path, "easyr1", select=("box-outside",))) == ceilings(bench.check(path, "easyr1"))


TOY_FILES = {
    "rexthinker": "toy.candidates.rexthinker.jsonl",
    "easyr1": "toy.easyr1.parquet",
    "trl": "toy.candidates.rexthinker.jsonl",
}


@pytest.mark.parametrize("profile", list(TOY_FILES))
def test_every_right_answer_of_the_toy_data_reaches_its_ceiling(profile: str) -> None:
    config = SourceConfig((str(TOY / TOY_FILES[profile]),), image_root=str(TOY))
    result = validate(ValidateConfig(config, profile, select=ABOUT_REWARDS, verify="header"))
    assert result.findings == ()
    data = ceilings(result)
    assert (data["rows"], data["min"], data["best_hint"]) == (84, 1.0, 1.0)


def test_present_objects_of_the_toy_data_reach_rex_omnis_ceiling() -> None:
    config = SourceConfig((str(TOY / "toy.rexomni.jsonl"),), image_root=str(TOY))
    result = validate(ValidateConfig(config, "rexomni-grpo", select=ABOUT_REWARDS, verify="header"))
    assert {finding.code for finding in result.findings} == {"absent-not-held"}
    data = ceilings(result)
    assert data["below_min_ceiling"] == data["unreachable"] == len(result.findings) == 16


FIXTURE_ROWS = {
    "vlmr1": (FIXTURES / "vlmr1" / "rec.jsonl", slice(2), (640, 480)),
    "vlmr1-ovd": (FIXTURES / "vlmr1" / "ovd.jsonl", slice(None), (1000, 600)),
    "vlmr1-seg": (FIXTURES / "vlmr1_seg" / "chebyshev.jsonl", slice(None), (140, 112)),
    "easydistill": (FIXTURES / "easydistill" / "multi.jsonl", slice(1), (1280, 720)),
    "easydistill-single": (FIXTURES / "easydistill" / "single.jsonl", slice(1, 2), (1920, 1080)),
    "trl": (FIXTURES / "trl" / "rows.jsonl", slice(1), (61, 37)),
}


@pytest.mark.parametrize("profile", list(FIXTURE_ROWS))
def test_right_answers_of_the_clean_fixtures_reach_their_profiles_ceiling(profile: str, bench: Bench) -> None:
    file, rows, size_wh = FIXTURE_ROWS[profile]
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][rows]
    for row in kept:
        bench.image(row.get("image_path") or row.get("image") or row["images"][0], size_wh)
    result = bench.check(bench.write(kept), profile, select=ABOUT_REWARDS)
    assert [finding.code for finding in result.findings if finding.severity is Severity.ERROR] == []
    assert {finding.code for finding in result.findings} <= {"frame-unknown"}
    data = ceilings(result)
    assert data["rows"] == len(kept)
    assert data["min"] >= data["min_ceiling"]


def test_documented_rows_that_stop_their_trainer_are_not_called_clean(bench: Bench) -> None:
    """A REC row that is a multiple choice, EasyDistill's `bbox` without `abs_box`, its sample with a box without area."""
    rows = {
        "vlmr1": (FIXTURES / "vlmr1" / "rec.jsonl", 2),
        "easydistill-single": (FIXTURES / "easydistill" / "single.jsonl", 0),
        "easydistill": (FIXTURES / "easydistill" / "multi.jsonl", 1),
    }
    for profile, (file, number) in rows.items():
        row = json.loads(file.read_text(encoding="utf-8").splitlines()[number])
        names = row.get("image") or [row["image_path"]]
        for name in names:
            bench.image(name, (1920, 1080))
        result = bench.check(bench.write([row]), profile)
        assert ceilings(result)["min"] < 0.8
        assert {finding.severity for finding in result.findings} & {"error", "warning"}
