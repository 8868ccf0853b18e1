from __future__ import annotations

import json
from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.vlmr1_answers import BOX_METHODS, TEXT_METHODS, ovd_findings, rec_findings
from groundprep.dialects.answers_text import format_ovd_question
from groundprep.finding import Finding
from groundprep.record import Record
from groundprep.rewards import get_scorer
from groundprep.source import Source
from groundprep.trainers import get_profile

FENCE = "```"


def subject(profile: str, question: str, answer: Any, **row: Any) -> Subject:
    turns = [{"from": "human", "value": f"<image>{question}"}, {"from": "gpt", "value": answer}]
    return Subject(Record(Source("é.jsonl", 2)), profile=get_profile(profile), row={"conversations": turns} | row)


def rec(answer: Any) -> list[Finding]:
    return list(rec_findings(subject("vlmr1", "Où ?", answer)))


def ovd(answer: Any, question: str | None = None, **row: Any) -> list[Finding]:
    asked = format_ovd_question(["chien", "狗"]) if question is None else question
    return list(ovd_findings(subject("vlmr1-ovd", asked, answer, **row)))


def fenced(*objects: Any) -> str:
    return f"{FENCE}json\n{json.dumps(objects, ensure_ascii=False)}\n{FENCE}"


DOG = {"bbox_2d": [3, 21, 79, 53], "label": "chien"}


def test_a_box_that_can_never_be_hit_earns_nothing_from_the_reward_itself() -> None:
    for answer, found in (([10, 10, 11, 40], ["box-one-pixel"]), ([10, 10, 12, 40], [])):
        truth = {"solution": f"<answer> {answer} </answer>", "image_size": [61, 47], "seen_size": [61, 47]}
        said = f'<think>x</think><answer>{{"bbox_2d": {answer}}}</answer>'
        score = get_scorer("vlmr1:rec")(said, truth).parts["accuracy"]
        assert [finding.code for finding in rec(answer)] == found
        assert (score == 0) == bool(found)


@pytest.mark.parametrize("answer", [[0.1, 0.2, 0.5, 0.6], "[0, 0, 1, 1]", [10.5, 3, 40, 4.0]])
def test_a_side_of_one_pixel_or_less_is_an_error_in_either_spelling(answer: Any) -> None:
    assert [finding.code for finding in rec(answer)] == ["box-one-pixel"]


@pytest.mark.parametrize("answer", [[10, 20, 10, 40], [40, 20, 10, 40]])
def test_boxes_without_area_are_left_to_the_geometry(answer: Any) -> None:
    assert rec(answer) == []


@pytest.mark.parametrize(
    "answer", ["None", '["1", "2", "3", "4"]', [True, 1, 2, 3], {"bbox_2d": [1, 2, 30, 40]}, "[1, 2, 30, 40].", 7]
)
def test_an_answer_that_is_no_bare_list_of_four_numbers_is_an_error(answer: Any) -> None:
    (finding,) = rec(answer)
    assert (finding.code, finding.severity, finding.source) == ("answer-not-box", "error", "é.jsonl:2")


@pytest.mark.parametrize("answer", ["<answer> [1, 2, 30, 40] </answer>", "[1.5, 2, 30.25, 40]", " [1, 2, 30, 40]\n"])
def test_what_the_loader_makes_a_list_of_is_sound(answer: Any) -> None:
    assert rec(answer) == []


def test_an_answer_without_a_fence_is_what_the_reward_takes_for_nothing() -> None:
    bare = json.dumps([DOG])
    (finding,) = ovd(bare)
    assert finding.code == "answer-not-fenced"
    score = get_scorer("vlmr1:od")("<think>x</think><answer>None</answer>", f"<answer> {bare} </answer>")
    assert score.parts["od_ap"] == 1.0


@pytest.mark.parametrize(
    "answer", ["none", "None.", "[]", [DOG], f"{FENCE}JSON\n[]\n{FENCE}", f"{FENCE}json\n[1,\n{FENCE}"]
)
def test_neither_a_fence_nor_none_is_an_error(answer: Any) -> None:
    assert [finding.code for finding in ovd(answer)] == ["answer-not-fenced"]


@pytest.mark.parametrize("answer", ["None", "<answer>None</answer>", fenced(), fenced(DOG), f"Voici : {fenced(DOG)}"])
def test_a_fence_and_none_are_sound(answer: Any) -> None:
    assert ovd(answer) == []


def test_a_label_that_differs_by_case_names_the_one_that_is_meant() -> None:
    (finding,) = ovd(fenced(DOG | {"label": "CHIEN"}, DOG))
    assert (finding.code, finding.found, finding.expected) == ("label-not-asked", "CHIEN", "chien")
    assert "case or blanks" in finding.message


def test_a_foreign_label_lists_what_is_asked_for_and_comes_once() -> None:
    (finding,) = ovd(fenced(DOG | {"label": "chat"}, DOG | {"label": "chat", "bbox_2d": [1, 2, 30, 40]}))
    assert finding.expected == "chien, 狗"


def test_a_question_without_a_list_is_searched_for_the_label() -> None:
    assert ovd(fenced(DOG), "Trouve chaque chien.") == []
    (finding,) = ovd(fenced(DOG), "Trouve tout.")
    assert (finding.code, finding.severity, finding.expected) == ("label-not-asked", "warning", None)


@pytest.mark.parametrize("method", sorted(BOX_METHODS))
def test_methods_that_read_boxes_are_held_to_their_rules(method: str) -> None:
    assert ovd(fenced(DOG), accu_reward_method=method) == []
    assert [finding.code for finding in ovd("nichts", accu_reward_method=method)] == ["answer-not-fenced"]


@pytest.mark.parametrize("method", sorted(TEXT_METHODS))
def test_methods_that_read_text_are_not(method: str) -> None:
    assert ovd("nichts", accu_reward_method=method) == []


def test_a_method_that_is_none_is_an_error_whatever_its_case() -> None:
    assert [finding.code for finding in ovd(fenced(DOG), accu_reward_method="OD_AP")] == ["reward-method"]


def test_only_some_methods_stumble_over_a_second_line() -> None:
    assert [finding.code for finding in ovd("drei\nvier", accu_reward_method="llm")] == ["answer-lines"]
    assert ovd("drei\nvier", accu_reward_method="math") == []
    assert ovd("\nB\n", accu_reward_method="mcq") == []
