from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.verdicts import Verdict
from groundprep.checks.vlmr1_rows import conversation_findings, is_qwen, is_vlmr1
from groundprep.dialects.answers_text import format_ovd_question
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import PROFILES, get_profile


def codes(
    profile: str = "vlmr1", question: str = "<image>Où ?", sizes: tuple[Any, ...] = ((61, 37),), **row: Any
) -> list[str]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": [1, 2, 30, 40]}]
    value = {"image": "é.jpg", "conversations": turns} | row
    subject = Subject(
        Record(Source("é.jsonl", 2)), tuple(map(Verdict, sizes)), get_profile(profile), value, is_native=True
    )
    return [finding.code for finding in conversation_findings(subject)]


def turns(*roles: str | None) -> list[dict[str, Any]]:
    return [{"value": "x"} | ({} if role is None else {"from": role}) for role in roles]


def test_the_loader_is_that_of_four_profiles_of_which_one_is_internvl() -> None:
    loaded = {profile.name for profile in PROFILES.values() if is_vlmr1(profile)}
    assert loaded == {"vlmr1", "vlmr1-internvl", "vlmr1-ovd", "vlmr1-seg"}
    assert {name for name in loaded if not is_qwen(get_profile(name))} == {"vlmr1-internvl"}


@pytest.mark.parametrize("roles", [("human", "gpt"), ("user", "assistant"), (None, None), ("human", None)])
def test_roles_that_ask_and_answer_or_say_nothing_are_sound(roles: tuple[str | None, ...]) -> None:
    assert codes(conversations=turns(*roles)) == []


@pytest.mark.parametrize("roles", [("gpt", "human"), ("system", "human"), ("human", "human"), ("system", "gpt")])
def test_roles_that_the_loader_mistakes_are_an_error(roles: tuple[str, ...]) -> None:
    assert codes(conversations=turns(*roles)) == ["turns-swapped"]


def test_a_systems_turn_in_front_is_one_defect() -> None:
    assert codes(conversations=turns("system", "human", "gpt")) == ["turns-swapped"]
    assert codes(conversations=turns("system", "human", "gpt", "human")) == ["turns-swapped", "turns-ignored"]


def test_further_turns_are_ignored() -> None:
    assert codes(conversations=turns("human", "gpt", "human", "gpt")) == ["turns-ignored"]


@pytest.mark.parametrize(
    ("image", "found"), [("é.jpg", []), (["é.jpg"], []), (["é.jpg", "狗.jpg"], ["one-image-needed"])]
)
def test_qwen_wants_one_image(image: Any, found: list[str]) -> None:
    assert codes(image=image) == found
    assert codes("vlmr1-internvl", image=image) == []


@pytest.mark.parametrize("profile", ["vlmr1", "vlmr1-internvl", "vlmr1-ovd", "vlmr1-seg"])
def test_no_image_is_an_error_for_all(profile: str) -> None:
    turns_alone = {"conversations": turns("human", "gpt"), "image": []}
    assert codes(profile, sizes=(), **turns_alone) == ["one-image-needed"]


def test_a_short_side_is_left_to_the_resize_chain_where_it_refuses_one() -> None:
    assert codes("vlmr1-internvl", sizes=((200, 27),)) == ["image-side-short"]
    assert codes("vlmr1-internvl", sizes=((200, 28),)) == []
    assert codes("vlmr1", sizes=((200, 27),)) == []


@pytest.mark.parametrize(
    ("profile", "question", "found"),
    [
        ("vlmr1", "Où ? Answer in <answer> </answer>.", ["question-junk"]),
        ("vlmr1", "Où ? Use <think> </think> first.", ["question-junk"]),
        ("vlmr1-seg", "Segment it. <answer></answer>", ["question-junk"]),
        ("vlmr1", "Où est la réponse ?", []),
        ("vlmr1-ovd", format_ovd_question(["chien"]), []),
        ("vlmr1-ovd", "Detect dogs, JSON in <answer></answer>.", []),
        ("vlmr1-ovd", format_ovd_question(["chien"]) + " <think></think>", ["question-junk"]),
    ],
)
def test_the_trainers_own_instruction_has_no_place_in_a_question(profile: str, question: str, found: list[str]) -> None:
    assert codes(profile, f"<image>{question}") == found
