from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.easydistill_rows import easydistill_findings, sft_findings
from groundprep.finding import Finding
from groundprep.geometry.frames import PIXELS
from groundprep.profile import RowFrame
from groundprep.record import Record
from groundprep.rewards import get_scorer
from groundprep.source import Source
from groundprep.trainers import get_profile

MULTI = {"0": [[10, 20, 90, 110]], "1": [], "2": [[5, 6, 70, 80]], "3": []}


def check(truth: Any, profile: str = "easydistill", **changes: Any) -> list[Finding]:
    row = {"image_path": "/été/260.jpg", "instruction": "Où ?", "abs_box": truth} | changes
    record = Record(Source("é.jsonl", 5), id="r5")
    return list(easydistill_findings(Subject(record, profile=get_profile(profile), row=row, is_native=True)))


def sft(answer: str, question: str = "<image>Où ?", roles: tuple[str, str] = ("user", "assistant")) -> list[Finding]:
    value = {
        "messages": [{"role": roles[0], "content": question}, {"role": roles[1], "content": answer}],
        "images": "260.jpg",
    }
    record = Record(Source("é.json", 2)).with_origin("easydistill-sft", value, RowFrame(PIXELS))
    return list(sft_findings(Subject(record)))


def test_a_row_with_all_labels_and_whole_numbers_is_sound() -> None:
    assert check(MULTI) == []
    assert check([10, 20, 90, 110], "easydistill-single", bbox=[10, 20, 90, 110]) == []


def test_without_the_label_0_the_reward_itself_gives_nothing_to_the_right_answer() -> None:
    truth = {label: MULTI[label] for label in "123"}
    (finding,) = check(truth)
    assert (finding.code, finding.severity, finding.found) == ("label-missing", "error", "no 0")
    score = get_scorer("easydistill:multi_gaussian_point")("{1: [], 2: [[5, 6, 70, 80]], 3: []}", truth)
    assert set(score.parts.values()) == {0.0}
    (finding,) = check({label: MULTI[label] for label in "013"})
    assert (finding.severity, finding.found) == ("warning", "no 2")


def test_a_label_that_is_no_number_spoils_the_reward_for_the_others_too() -> None:
    truth = MULTI | {"chien": [[1, 2, 30, 40]]}
    (finding,) = check(truth)
    assert (finding.code, finding.found, finding.record) == ("label-needed", "chien", "r5")
    score = get_scorer("easydistill:multi_gaussian_point")("{0: [[10, 20, 90, 110]]}", truth)
    assert set(score.parts.values()) == {0.0}


def test_an_unknown_label_and_a_missing_one_are_two_defects() -> None:
    assert [finding.code for finding in check({"0": [], "1": [], "2": [], "dritte": []})] == [
        "label-needed",
        "label-missing",
    ]


@pytest.mark.parametrize(("number", "found"), [(10, []), (10.0, []), (10.5, ["box-not-integer"])])
def test_only_fractions_are_found_where_nobody_learns_the_spelling(number: float, found: list[str]) -> None:
    assert [finding.code for finding in check([number, 20, 90, 110], "easydistill-single")] == found
    assert [finding.code for finding in check(MULTI | {"3": [[number, 20, 90, 110]]})] == found


def test_the_number_of_boxes_with_fractions_is_told() -> None:
    (finding,) = check(MULTI | {"3": [[0.5, 20, 90, 110], [1.5, 20, 90, 110]]})
    assert "2 of 4 boxes" in finding.message


def test_the_wrong_kind_of_boxes_is_one_finding_and_not_one_for_each_label() -> None:
    assert [finding.code for finding in check([10, 20, 90, 110])] == ["abs-box-kind"]
    assert [finding.code for finding in check({"0": []}, "easydistill-single")] == ["abs-box-kind"]


@pytest.mark.parametrize(("path", "found"), [("/été/260.jpg", []), ("260.jpg", ["image-path-relative"])])
def test_the_path_must_be_absolute(path: str, found: list[str]) -> None:
    assert [finding.code for finding in check(MULTI, image_path=path)] == found


def test_the_published_companion_row_is_sound() -> None:
    """Source: specs/vlmr1_easydistill.md §3.2."""
    assert sft("{0: [], 1: [], 2: [[619, 264, 723, 332], [961, 479, 1104, 557]], 3: []}") == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("{0: [], 1: [], 2: []}", "label-missing"),
        ("{0: [], 1: [], 2: [], 3: [], 4: []}", "label-needed"),
        ("{0: [[10.0, 20, 90, 110]], 1: [], 2: [], 3: []}", "box-not-integer"),
    ],
)
def test_the_companions_answer_is_learned_as_it_is_spelled(answer: str, code: str) -> None:
    assert [finding.code for finding in sft(answer)] == [code]


def test_the_companions_messages_are_a_question_with_one_image_and_its_answer() -> None:
    sound = "{0: [], 1: [], 2: [], 3: []}"
    assert [finding.code for finding in sft(sound, "Où ?")] == ["image-mark"]
    assert [finding.code for finding in sft(sound, "<image><image>Où ?")] == ["image-mark"]
    assert [finding.code for finding in sft(sound, roles=("assistant", "user"))] == ["turns-swapped"]


def test_records_of_other_layouts_are_no_companions() -> None:
    record = Record(Source("é.json", 2)).with_origin("easydistill", {"messages": []}, RowFrame(PIXELS))
    assert list(sft_findings(Subject(record))) == []
    assert list(sft_findings(Subject(Record(Source("é.json", 2))))) == []
