"""`validate` end to end: what it says before a conversion must be what it says after, and what a reward would do."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, ValidateResult
from groundprep.api.validate import validate as validate_all
from groundprep.errors import FormatError, UsageError

BESIDE = ("rows-few", "candidate-single", "same-expression-different-answers", "answer-position", "prompt-too-long")

BOX = [7.5, 3.0, 40.0, 21.0]
OTHER = [1, 2, 30, 33]
SIZES_WH = {"é.jpg": (61, 37), "large.jpg": (1920, 1080), "low.jpg": (90, 20), "strip.png": (6100, 30)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("images")
    for name, size_wh in SIZES_WH.items():
        Image.new("RGB", size_wh, (30, 90, 200)).save(directory / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (61, 37)).save(directory / "turned.jpg", exif=exif)
    (directory / "half.jpg").write_bytes((directory / "large.jpg").read_bytes()[:3000])
    return directory


def validate(config: ValidateConfig) -> ValidateResult:
    """Validate without what is true of these rows, and no matter here: they are few, alike, and their images large."""
    return validate_all(dataclasses.replace(config, ignore=(*config.ignore, *BESIDE)))


class Bench:
    """Writes rows and validates them."""

    def __init__(self, directory: Path, images: Path) -> None:
        self.directory = directory
        self.images = images

    def write(self, rows: list[dict[str, Any]], name: str = "x.jsonl") -> Path:
        path = self.directory / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    def source(self, *paths: Path, **more: Any) -> SourceConfig:
        return SourceConfig(tuple(map(str, paths)), image_root=str(self.images), **more)

    def check(self, *rows: dict[str, Any], **more: Any) -> ValidateResult:
        return validate(ValidateConfig(self.source(self.write(list(rows))), **more))

    def codes(self, *rows: dict[str, Any], **more: Any) -> list[str]:
        return [finding.code for finding in self.check(*rows, **more).findings]

    def converted(self, profile: str, rows: list[dict[str, Any]], **more: Any) -> Path:
        dst = self.directory / f"{profile}.parquet"
        convert(ConvertConfig(self.source(self.write(rows)), str(dst), profile=profile, overwrite=True, **more))
        return dst


@pytest.fixture
def bench(tmp_path: Path, images: Path) -> Bench:
    return Bench(tmp_path, images)


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    candidates = [{"bbox": BOX, "category": "garçon"}, {"bbox": OTHER, "category": "garçon"}]
    good = {"image_name": "é.jpg", "id": number, "ans": BOX, "category": "garçon", "referring": "le garçon"}
    return good | {"candidate_boxes": candidates} | changes


def boxes(*numbers: list[float]) -> list[dict[str, Any]]:
    return [{"bbox": list(box), "category": "garçon"} for box in numbers]


TROUBLE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "an answer beside the hints": ({"ans": [7.5, 3.0, 41.0, 21.0]}, ["answer-not-in-hint"]),
    "one of two answers beside": ({"ans": [BOX, [7.5, 3.0, 41.0, 21.0]]}, ["answer-not-in-hint"]),
    "an answer equal after rounding": ({"ans": [7.5001, 3.0, 40.0001, 21.0]}, []),
    "hints equal after rounding": ({"candidate_boxes": boxes(BOX, [7.5001, 3.0, 40.0, 21.0])}, ["hint-duplicate"]),
    "answers equal after rounding": ({"ans": [BOX, [7.5001, 3.0, 40.0, 21.0]]}, ["answer-duplicate"]),
    "no candidates": ({"candidate_boxes": []}, ["no-candidates"]),
    "candidates never proposed": ({"candidate_boxes": None}, ["no-candidates"]),
    "an absent object": ({"ans": []}, []),
    "digits in brackets": ({"referring": "le garçon [12]"}, ["digits-in-brackets"]),
    "an image mark": ({"referring": "le <image>"}, ["image-mark"]),
}


@pytest.mark.parametrize("profile", ["rexthinker", "easyr1"])
@pytest.mark.parametrize(("changes", "codes"), list(TROUBLE.values()), ids=list(TROUBLE))
def test_the_findings_before_a_conversion_are_those_after_it(
    changes: dict[str, Any], codes: list[str], profile: str, bench: Bench
) -> None:
    assert bench.codes(row(**changes), profile=profile) == codes
    dst = bench.converted(profile, [row(**changes)])
    after = validate(ValidateConfig(bench.source(dst), profile=profile, ignore=("box-repeated",)))  # equal by now
    assert [finding.code for finding in after.findings] == codes


@pytest.mark.parametrize("profile", ["rexthinker", "easyr1"])
def test_random_rows_give_the_same_verdict_before_and_after_a_conversion(profile: str, bench: Bench) -> None:
    draw = random.Random(7)
    rows = []
    for number in range(60):
        name = draw.choice(["é.jpg", "large.jpg"])
        w, h = SIZES_WH[name]
        near = draw.choice([0, 0.05, 0.3, 1.5])
        x, y = draw.uniform(0, w * 0.5), draw.uniform(0, h * 0.5)
        box = [x, y, x + w * 0.3, y + h * 0.4]
        moved = [value + near for value in box]
        rows.append(
            row(number, image_name=name, ans=moved, candidate_boxes=boxes(box, [1, 1, w - 1, h - 1], [*box[:2], w, h]))
        )
    before = validate(ValidateConfig(bench.source(bench.write(rows)), profile=profile))
    after = validate(ValidateConfig(bench.source(bench.converted(profile, rows)), profile=profile))

    def verdicts(result: ValidateResult) -> list[tuple[str, str, str | None]]:
        return [(finding.code, finding.source.rsplit(":", 1)[1], finding.found) for finding in result.findings]

    assert verdicts(before) == verdicts(after)
    assert 0 < before.errors < 60
    assert {finding.code for finding in before.findings} == {"answer-not-in-hint"}


def test_the_frame_decides_whether_two_boxes_are_equal(bench: Bench) -> None:
    close = row(
        image_name="large.jpg", ans=[301.2, 200.0, 600.0, 500.0], candidate_boxes=boxes([300.2, 200.0, 600.0, 500.0])
    )
    assert bench.codes(close, profile="rexthinker") == []  # 1920 pixels become 1344
    assert bench.codes(close, profile="easyr1") == ["answer-not-in-hint"]  # 1920 pixels become 1932
    assert bench.codes(close, profile="easyr1", max_pixels=1_003_520) == []


def test_a_box_that_vanishes_in_the_trainers_pixels_is_found_before_the_conversion(bench: Bench) -> None:
    thin = row(
        image_name="large.jpg", ans=[300.1, 200, 300.4, 500], candidate_boxes=boxes([300.1, 200, 300.4, 500], OTHER)
    )
    assert bench.codes(thin) == []
    assert bench.codes(thin, profile="rexthinker") == ["box-collapsed", "box-collapsed"]
    dst = bench.converted("rexthinker", [thin])
    after = validate(ValidateConfig(bench.source(dst), profile="rexthinker"))
    assert {finding.code for finding in after.findings} == {"box-degenerate"}


@pytest.mark.parametrize("profile", ["rexthinker", "rexomni-sft", "rexomni-grpo", "easyr1"])
def test_an_image_that_the_trainer_refuses_is_found_before_it_stops(profile: str, bench: Bench) -> None:
    strip = row(image_name="strip.png", ans=[1, 2, 30, 18], candidate_boxes=boxes([1, 2, 30, 18]))
    (finding,) = bench.check(strip, profile=profile).findings
    assert (finding.code, finding.severity) == ("size-refused", "error")
    assert finding.found == ("7300x35" if profile == "easyr1" else "6100x30")  # easyr1 enlarges it first
    assert finding.expected == "a ratio of at most 200"
    low = row(image_name="low.jpg", ans=[1, 2, 30, 18], candidate_boxes=boxes([1, 2, 30, 18]))
    assert bench.codes(low, profile=profile) == (["size-refused"] if profile == "rexomni-sft" else [])


def test_images_are_decoded_and_compared_with_what_the_data_says(bench: Bench) -> None:
    assert bench.codes(row(image_name="half.jpg", ans=[1, 2, 3, 4])) == ["image-broken"]
    assert bench.codes(row(image_name="half.jpg", ans=[1, 2, 3, 4]), verify="header") == []
    assert bench.codes(row(image_name="turned.jpg")) == ["exif-rotated"]
    assert bench.codes(row(width=61, height=37)) == []
    assert bench.codes(row(width=37, height=61)) == ["size-differs"]
    assert bench.codes(row(image_name="nirgends.jpg"), profile="rexthinker") == ["image-missing"]


def test_geometry_findings_need_no_trainer_and_are_errors(bench: Bench) -> None:
    result = bench.check(row(ans=[BOX, BOX, [40, 3, 7, 21], [7, 3, 7, 21], [7, 3, 640, 21]]), row(referring="  "))
    assert [(finding.severity, finding.code) for finding in result.findings] == [
        ("error", "box-inverted"),
        ("error", "box-degenerate"),
        ("error", "box-outside"),
        ("warning", "box-repeated"),
        ("error", "expression-empty"),
        ("warning", "repeated-id"),
    ]
    assert (result.records, result.errors, result.warnings, result.truncated) == (2, 4, 2, False)


def test_the_file_must_be_written_for_this_trainer_with_these_limits(bench: Bench) -> None:
    dst = bench.converted("easyr1", [row()])

    def codes(**more: Any) -> list[str]:
        return [finding.code for finding in validate(ValidateConfig(bench.source(dst), **more)).findings]

    assert codes() == []
    assert codes(profile="easyr1") == []
    assert codes(profile="easyr1@b44b311") == []
    assert codes(profile="easyr1", max_pixels=1_000_000) == ["frame-mismatch"]
    assert codes(profile="easyr1", min_pixels=1_000) == ["frame-mismatch"]
    assert codes(profile="rexthinker") == ["frame-mismatch"]
    rows = bench.directory / "copy.jsonl"
    convert(
        ConvertConfig(
            bench.source(dst), str(rows), to="easyr1", dialect="easyr1", image_out=str(bench.directory / "out")
        )
    )
    (bench.directory / "copy.jsonl.groundprep" / "manifest.json").unlink()
    source = dataclasses.replace(bench.source(rows), image_root=str(bench.directory / "out"))
    unknown = validate(ValidateConfig(source, profile="easyr1"))
    assert [(finding.code, finding.severity) for finding in unknown.findings] == [("frame-unknown", "warning")]
    named = dataclasses.replace(source, source_frame="easyr1")
    assert validate(ValidateConfig(named, profile="easyr1")).findings == ()
    with pytest.raises(UsageError) as caught:
        validate(ValidateConfig(source))
    assert caught.value.code == "frame-unknown"


def omni(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"image_name": "é.jpg", "annotation": {"boxes": list(entries)} | more}


def test_rex_omni_rows_are_checked_for_phrases_absences_and_keys(bench: Bench) -> None:
    rows = [
        omni({"bbox": BOX, "phrase": "chien"}),
        omni({"bbox": BOX, "phrase": "traffic_light"}, {"bbox": None, "phrase": "chat"}),
        omni({"bbox": BOX, "phrase": "chien"}, note="x"),
        omni(points=[{"point": [60, 90], "phrase": "chien"}]),
    ]
    assert bench.codes(*rows) == ["point-outside"]
    assert bench.codes(*rows, profile="rexomni-sft") == ["phrase-not-normal", "point-outside"]
    first = bench.check(*rows, profile="rexomni-sft@478e44f")
    assert [finding.code for finding in first.findings] == [
        "phrase-not-normal",
        "absent-not-held",
        "point-outside",
        "list-ignored",
    ]
    assert (first.errors, first.warnings) == (2, 2)
    grpo = bench.check(*rows, profile="rexomni-grpo")
    assert [(finding.code, finding.source[-1]) for finding in grpo.findings] == [
        ("phrase-not-normal", "2"),
        ("absent-not-held", "2"),
        ("keys-differ", "3"),
        ("point-outside", "4"),
        ("keys-differ", "4"),
    ]
    assert grpo.warnings == 0


def test_rows_of_whole_images_are_checked_per_phrase_for_a_trainer_of_expressions(bench: Bench) -> None:
    result = bench.check(
        omni({"bbox": BOX, "phrase": "chien"}, {"bbox": OTHER, "phrase": "chat [3]"}), profile="easyr1"
    )
    assert [(finding.code, finding.source.rsplit(":", 1)[1]) for finding in result.findings] == [
        ("no-candidates", "1#1"),
        ("digits-in-brackets", "1#2"),
        ("no-candidates", "1#2"),
    ]
    nothing = bench.check({"image_name": "é.jpg", "annotation": {"boxes": []}}, profile="easyr1")
    assert [finding.code for finding in nothing.findings] == ["no-phrase"]


def test_the_order_of_findings_is_that_of_the_rows_whatever_the_workers(bench: Bench) -> None:
    rows = [
        row(n, image_name=["é.jpg", "nirgends.jpg", "half.jpg", "large.jpg"][n % 4], ans=[40, 30, 7, 21])
        for n in range(80)
    ]
    one = bench.check(*rows, profile="rexthinker", workers=1)
    many = bench.check(*rows, profile="rexthinker", workers=16)
    assert one == many
    places = [int(finding.source.rsplit(":", 1)[1]) for finding in one.findings]
    assert places == sorted(places)
    assert set(places) == set(range(1, 81))


def test_only_so_many_findings_are_kept_and_all_are_counted(bench: Bench) -> None:
    rows = [row(n, ans=[40, 30, 7, 21]) for n in range(30)]
    result = bench.check(*rows, max_findings=7)
    assert (len(result.findings), result.errors, result.truncated) == (7, 30, True)
    assert bench.check(*rows, max_findings=30).truncated is False
    none = bench.check(*rows, max_findings=0)
    assert (none.findings, none.errors, none.truncated) == ((), 30, True)
    assert bench.check(*rows, limit=5).records == 5


def test_codes_can_be_selected_and_ignored_and_must_exist(bench: Bench) -> None:
    bad = row(ans=[[40, 3, 7, 21], [7, 3, 640, 21]])
    assert bench.codes(bad) == ["box-inverted", "box-outside"]
    assert bench.codes(bad, select=("box-outside",)) == ["box-outside"]
    assert bench.codes(bad, ignore=("box-outside",)) == ["box-inverted"]
    assert bench.check(bad, ignore=("box-outside", "box-inverted")).errors == 0
    for more in ({"select": ("box",)}, {"ignore": ("box-outsid",)}):
        with pytest.raises(UsageError) as caught:
            bench.check(bad, **more)
        assert caught.value.code == "no-such-code"
        assert "box-outside" in str(caught.value.expected)


def test_limits_without_a_trainer_are_a_usage_error(bench: Bench) -> None:
    for more in ({"min_pixels": 5}, {"max_pixels": 5}, {"frame": "converter"}):
        with pytest.raises(UsageError):
            bench.check(row(), **more)
    with pytest.raises(UsageError):
        bench.check(row(), profile="nobody")


def test_fail_on_says_which_findings_fail() -> None:
    def fails(errors: int, warnings: int) -> list[bool]:
        result = ValidateResult(3, errors, warnings, (), truncated=False)
        return [result.fails("error"), result.fails("warning"), result.fails("never")]

    assert fails(0, 0) == [False, False, False]
    assert fails(0, 2) == [False, True, False]
    assert fails(1, 0) == [True, True, False]


def test_a_report_holds_the_result_or_all_findings(bench: Bench) -> None:
    rows = [row(n, ans=[40, 30, 7, 21]) for n in range(9)]
    whole, flat = bench.directory / "r.json", bench.directory / "r.jsonl"
    result = bench.check(*rows, max_findings=4, report=str(whole))
    assert json.loads(whole.read_bytes()) == result.as_data()
    bench.check(*rows, max_findings=4, report=str(flat))
    lines = [json.loads(line) for line in flat.read_bytes().splitlines()]
    assert len(lines) == 9
    assert lines[:4] == result.as_data()["findings"]
    assert sorted(path.name for path in bench.directory.iterdir()) == ["r.json", "r.jsonl", "x.jsonl"]


def test_a_report_is_not_touched_when_the_run_fails(bench: Bench) -> None:
    report = bench.directory / "r.jsonl"
    report.write_text("old", encoding="utf-8")
    src = bench.write([row()])
    src.write_bytes(src.read_bytes() + b'{"cut": ')
    with pytest.raises(FormatError) as caught:
        validate(ValidateConfig(bench.source(src), report=str(report)))
    assert caught.value.code == "cut-off"
    assert report.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in bench.directory.iterdir()) == ["r.jsonl", "x.jsonl"]
    with pytest.raises(UsageError):
        validate(ValidateConfig(bench.source(src), report="r.txt"))


def test_several_sources_are_one_data_set(bench: Bench) -> None:
    one, two = bench.write([row(1), row(2)], "a.jsonl"), bench.write([row(2)], "b.jsonl")
    result = validate(ValidateConfig(bench.source(one, two)))
    assert (result.records, [finding.code for finding in result.findings]) == (3, ["repeated-id"])
