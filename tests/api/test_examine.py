"""Rows to findings: what needs an image's size, what does not, and equal output for every number of workers."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api import examine
from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.examine import Examiner, Setup, iter_chunks
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, ValidateResult, validate
from groundprep.checks.base import Check, Rule, Subject
from groundprep.finding import Finding, Severity

BOX, OTHER = [7.5, 3.0, 40.0, 21.0], [1, 2, 30, 33]
FEW = ("rows-few",)


def row(number: int, **changes: Any) -> dict[str, Any]:
    candidates = [{"bbox": box, "category": "garçon"} for box in (BOX, OTHER)]
    good = {"image_name": f"{number}.jpg", "id": number, "ans": BOX, "category": "garçon"}
    return good | {"referring": f"le garçon n°{number}", "candidate_boxes": candidates} | changes


def write(path: Path, rows: Iterable[dict[str, Any]]) -> SourceConfig:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return SourceConfig((str(path),))


def codes(source: SourceConfig, **more: Any) -> list[str]:
    return [finding.code for finding in validate(ValidateConfig(source, ignore=FEW, **more)).findings]


def test_without_verification_no_image_is_looked_for_and_declared_sizes_count(tmp_path: Path) -> None:
    rows = [row(1), row(2, ans=[7, 3, 640, 21]), row(3, ans=[7, 3, 640, 21], width=61, height=37)]
    source = write(tmp_path / "é.jsonl", rows)
    result = validate(ValidateConfig(source, verify="none"))
    assert [(finding.code, finding.source[-1]) for finding in result.findings] == [("box-outside", "3")]
    assert result.unsized == 2
    assert codes(source, verify="header")[:3] == ["image-missing"] * 3


@pytest.mark.parametrize("size", [(0, 37), (-61, 37), ("61", 37), (61.0, 37)])
def test_a_size_that_is_none_is_unknown(size: tuple[Any, Any], tmp_path: Path) -> None:
    source = write(tmp_path / "é.jsonl", [row(1, width=size[0], height=size[1])])
    result = validate(ValidateConfig(source, profile="easyr1", verify="none", ignore=FEW))
    assert (result.findings, result.unsized) == ((), 1)


WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "digits in brackets": ({"referring": "le garçon [12]"}, "digits-in-brackets"),
    "no candidates": ({"candidate_boxes": []}, "no-candidates"),
}


@pytest.mark.parametrize("profile", ["rexthinker", "easyr1", "trl"])
@pytest.mark.parametrize(("changes", "code"), list(WORDS.values()), ids=list(WORDS))
@pytest.mark.parametrize("verify", ["none", "header", "decode"])
def test_rules_on_words_need_no_image(
    changes: dict[str, Any], code: str, profile: str, verify: Any, tmp_path: Path
) -> None:
    source = write(tmp_path / "é.jsonl", [row(1), row(2, **changes)])
    found = codes(source, profile=profile, verify=verify)
    assert found == ([code] if verify == "none" else ["image-missing", "image-missing", code])


def test_rules_on_the_trainers_pixels_need_a_size_and_take_a_declared_one(tmp_path: Path) -> None:
    beside = {"ans": [7.5, 3.0, 41.0, 21.0]}
    unsized = write(tmp_path / "é.jsonl", [row(1, **beside)])
    sized = write(tmp_path / "ö.jsonl", [row(1, width=61, height=37, **beside)])
    assert codes(unsized, profile="easyr1", verify="none") == []
    assert codes(sized, profile="easyr1", verify="none") == ["answer-not-in-hint"]
    strip = write(tmp_path / "ü.jsonl", [row(1, width=6100, height=30, candidate_boxes=[])])
    assert codes(strip, profile="easyr1", verify="none") == ["size-refused"]


def test_training_rows_of_images_that_are_gone_are_checked_as_they_stand(tmp_path: Path) -> None:
    Image.new("RGB", (61, 37)).save(tmp_path / "1.jpg")
    source = write(tmp_path / "é.jsonl", [row(1, ans=[7.5, 3.0, 41.0, 21.0])])
    out = tmp_path / "rows.jsonl"
    convert(ConvertConfig(source, str(out), profile="easyr1", to="jsonl"))
    rows = SourceConfig((str(out),), image_root=str(tmp_path))
    assert codes(rows, profile="easyr1") == ["answer-not-in-hint"]
    (tmp_path / "1.jpg").unlink()
    assert codes(rows, profile="easyr1") == ["image-missing", "answer-not-in-hint"]
    assert codes(rows, profile="easyr1", verify="none") == ["answer-not-in-hint"]


def test_shares_of_an_image_that_is_not_looked_at_keep_order_and_area(tmp_path: Path) -> None:
    boxes = [[100, 200, 300, 400], [300, 200, 100, 400], [100, 200, 100, 400]]
    source = write(tmp_path / "é.jsonl", [row(n, ans=box, candidate_boxes=[]) for n, box in enumerate(boxes)])
    relative = dataclasses.replace(source, source_frame="rel1000")
    assert codes(relative, verify="none") == ["box-inverted", "box-degenerate"]


def defects(count: int) -> Iterator[dict[str, Any]]:
    """Yield rows of which every seventh has a defect, another one each time, and which have to do with each other."""
    kinds: list[dict[str, Any]] = [
        {"ans": [40, 3, 7, 21]},
        {"referring": "le garçon [12]"},
        {"candidate_boxes": []},
        {"id": 0},
        {"ans": [7.5, 3.0, 41.0, 21.0], "width": 61, "height": 37},
        {"ans": [1, 2, 3]},
        {"referring": " "},
    ]
    for number in range(count):
        yield row(number, **(kinds[number // 7 % len(kinds)] if number % 7 == 3 else {}))


def test_the_result_is_the_same_for_every_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundprep.api.validate.CHUNKS_ALONE", 2)
    source = write(tmp_path / "straße.jsonl", defects(6000))
    with (tmp_path / "straße.jsonl").open("ab") as file:
        file.write(b"\n{broken\r\n")
    for profile in (None, "easyr1"):
        config = ValidateConfig(source, profile=profile, verify="none", max_findings=5000)
        results = []
        for workers in (1, 2, 3):
            report = tmp_path / f"{profile}{workers}.jsonl"
            results.append((validate(dataclasses.replace(config, workers=workers, report=str(report))), report))
        assert results[0][0] == results[1][0] == results[2][0]
        assert len({report.read_bytes() for _, report in results}) == 1
        assert {"box-inverted", "box-shape", "repeated-id", "bad-json", "blank-line", "crlf"} <= set(
            results[0][0].by_code
        )
        places = [int(f.source.rpartition(":")[2]) for f in results[0][0].findings if f.code == "box-inverted"]
        assert places == sorted(places)
        assert len(places) == results[0][0].by_code["box-inverted"] > 100


@pytest.mark.parametrize("name", ["x.json", "-"])
def test_rows_of_other_containers_go_to_processes_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundprep.api.validate.CHUNKS_ALONE", 1)
    rows = list(defects(1500))
    if name == "-":
        path = tmp_path / "in.jsonl"
        write(path, rows)
    else:
        path = tmp_path / name
        path.write_text(json.dumps(rows), encoding="utf-8")

    def run(workers: int) -> ValidateResult:
        source = SourceConfig((name if name == "-" else str(path),))
        with path.open("rb") as file:
            monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file}))
            return validate(ValidateConfig(source, profile="easyr1", verify="none", workers=workers))

    assert run(1) == run(2)
    assert run(2).records == 1500


def test_the_last_line_of_a_file_that_is_cut_off_ends_the_run_from_a_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundprep.errors import FormatError

    monkeypatch.setattr("groundprep.api.validate.CHUNKS_ALONE", 0)
    source = write(tmp_path / "é.jsonl", defects(900))
    with (tmp_path / "é.jsonl").open("ab") as file:
        file.write(b'{"image_name": "x')
    with pytest.raises(FormatError) as caught:
        validate(ValidateConfig(source, verify="none", workers=2))
    assert (caught.value.code, str(caught.value.source)) == ("cut-off", f"{source.paths[0]}:901")


SEEN = Rule("phrase-empty", Severity.WARNING, "a stand-in")


class EveryThird:
    """Finds every third row, over all batches, when it is seen."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, subjects: Sequence[Subject]) -> list[Subject]:
        return list(subjects)

    def see(self, note: list[Subject]) -> Iterator[Finding]:
        for subject in note:
            self.count += 1
            if self.count % 3 == 0:
                yield subject.finding(SEEN, f"row {self.count}")

    def findings(self) -> Iterable[Finding]:
        return ()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_watch_sees_the_rows_in_order_and_its_findings_stand_beside_those_of_the_row(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (61, 37)).save(tmp_path / "a.jpg")
    rows = [row(n, image_name="a.jpg", ans=[40, 3, 7, 21]) for n in range(1, 100)]
    source = write(tmp_path / "é.jsonl", rows)
    checks = (*(check for check in examine.CHECKS if check.name == "boxes"), Check("thirds", (SEEN,), watch=EveryThird))
    monkeypatch.setattr(examine, "CHECKS", checks)
    found = validate(ValidateConfig(source, workers=workers)).findings
    expected = [("box-inverted", n) for n in range(1, 100)] + [("phrase-empty", n) for n in range(3, 100, 3)]
    assert [(f.code, int(f.source.rpartition(":")[2])) for f in found] == sorted(expected, key=lambda item: item[1])


def test_the_setup_and_what_was_examined_can_go_to_another_process(tmp_path: Path) -> None:
    from groundprep.api.sources import open_sources
    from groundprep.api.validate import _setup
    from groundprep.image_loader import ImageLoader
    from groundprep.trainers import PROFILES

    source = write(tmp_path / "é.jsonl", [row(n, width=61, height=37) for n in range(20)])
    sources = open_sources(source, ImageLoader())
    for profile in (None, *PROFILES.values()):
        setup = _setup(ValidateConfig(source, verify="none"), sources, profile)
        (chunk,) = iter_chunks(sources.readers, "none")
        copy: Setup = pickle.loads(pickle.dumps(setup))
        here, there = Examiner(setup)(chunk), Examiner(copy)(pickle.loads(pickle.dumps(chunk)))
        assert pickle.loads(pickle.dumps(there)).findings == here.findings


def test_a_limit_cuts_the_rows_of_all_sources(tmp_path: Path) -> None:
    sources = [write(tmp_path / f"{name}.jsonl", defects(10)).paths[0] for name in "äb"]
    for verify in ("none", "header"):
        config = ValidateConfig(SourceConfig(tuple(sources)), verify=verify, limit=13)  # type: ignore[arg-type]
        assert validate(config).records == 13
