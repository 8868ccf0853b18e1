"""Every behaviour that was measured on Rex-Thinker's own reward (specs/rexthinker.md §3.4)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import UsageError
from groundprep.rewards import REWARDS, get_rewards
from groundprep.rewards.rexthinker import format_score, rexthinker_reward, without_space_around_delimiters

LABEL = "a young boy on a blaues Brett"
TRUTH = f'```json\n[{{"bbox_2d": [94, 45, 445, 271], "label": "{LABEL}"}}]\n```'
TWO = '```json\n[{"bbox_2d": [94, 45, 445, 271], "label": "x"}, {"bbox_2d": [7, 8, 61, 37], "label": "x"}]\n```'
NONE = "```json\n[]\n```"


def answer(body: str, think: str = "Person 1 stands on a board.") -> str:
    return f"<think>{think}</think><answer>{body}</answer>"


@pytest.mark.parametrize(
    ("completion", "truth", "overall"),
    [
        pytest.param(answer(TRUTH), TRUTH, 1.0, id="the right box in the right form earns all"),
        pytest.param(
            answer(TRUTH.replace("445", "446")), TRUTH, 0.1, id="a box that is off by one pixel earns the form only"
        ),
        pytest.param(
            answer(TRUTH, "[94, 45, 445, 271]"), TRUTH, 0.1, id="the right box repeated in think is a duplicate"
        ),
        pytest.param(answer(TRUTH, "see [1, 2]"), TRUTH, 0.7, id="another bracket in think halves the precision"),
        pytest.param(TRUTH, TRUTH, 0.9, id="without tags the form is lost"),
        pytest.param(answer("[\n 94,\n 45,\n 445,\n 271\n]"), TRUTH, 0.1, id="a pretty-printed box is not seen"),
        pytest.param(answer("[ 94, 45, 445, 271]"), TRUTH, 0.1, id="a space after the bracket hides the box"),
        pytest.param(answer("[94,  45, 445, 271]"), TRUTH, 0.1, id="two spaces after a comma hide the box"),
        pytest.param(answer("[94,45,445,271]"), TRUTH, 1.0, id="no space after a comma is fine"),
        pytest.param(answer("[94.0, 45, 445.0, 271]"), TRUTH, 1.0, id="94.0 equals 94"),
        pytest.param(answer("[-94, 45, 445, 271]"), TRUTH, 0.1, id="a sign hides the box"),
        pytest.param(
            answer(TRUTH),
            TRUTH.replace(LABEL, "dog [23]"),
            0.7,
            id="digits in brackets in the truth's label cost recall",
        ),
        pytest.param(answer(NONE), NONE, 1.0, id="no box where there is none earns all"),
        pytest.param(answer("None"), "None", 1.0, id="None for None earns all"),
        pytest.param(answer(TRUTH), NONE, 0.1, id="a box where there is none earns the form only"),
        pytest.param(answer(NONE), TRUTH, 0.1, id="no box where there is one earns the form only"),
        pytest.param(answer(TRUTH), TWO, 0.7, id="one box of two earns 0.7"),
        pytest.param(answer(TWO), TWO, 1.0, id="both boxes earn all"),
        pytest.param(answer("[...]" + TRUTH), TRUTH, 0.1, id="dots in brackets make the prediction unreadable"),
        pytest.param(answer("[1.2.3]" + TRUTH), TRUTH, 0.1, id="a version number in brackets makes it unreadable"),
        pytest.param(answer(TRUTH), TRUTH + "[1.2.3]", 0.1, id="an unreadable truth gives accuracy 0"),
        pytest.param(answer("[" + "9" * 5000 + "]"), TRUTH, 0.1, id="a number too long for Python is unreadable"),
        pytest.param("", TRUTH, 0.0, id="nothing earns nothing"),
    ],
)
def test_overall_is_what_rex_thinker_gives(completion: str, truth: str, overall: float) -> None:
    assert rexthinker_reward(completion, truth)["overall"] == pytest.approx(overall)


def test_overall_is_nine_tenths_accuracy_and_one_tenth_format() -> None:
    scores = rexthinker_reward(answer(TRUTH, "see [1, 2]"), TRUTH)
    assert scores == {"overall": pytest.approx(0.7), "format": 1.0, "accuracy": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("<think>a\nb</think><answer>c</answer>", 1.0),
        ("<think>a</think> <answer>c</answer> \n", 1.0),
        (" < think >a</ think>\n\n<answer>c</answer>", 1.0),
        ("<think>a</think><answer>c</answer> done", 0.0),
        ("well, <think>a</think><answer>c</answer>", 0.0),
        ("<think>a</think> and <answer>c</answer>", 0.0),
        ("<answer>c</answer>", 0.0),
        ("<think></think><answer></answer>", 1.0),
        ("<think></think><answer>", 0.0),
        ("<think></answer>", 0.0),
    ],
)
def test_the_form_is_think_then_answer_and_nothing_else(text: str, form: float) -> None:
    assert rexthinker_reward(text, NONE)["format"] == form


def test_white_space_goes_only_where_it_touches_a_delimiter() -> None:
    assert without_space_around_delimiters("  a b < \n c d > e / f  ") == "  a b<c d>e/f  "


@given(st.text(alphabet=st.sampled_from("<>/ \n[],.0123456789thinkanswer½"), max_size=80), st.text(max_size=40))
def test_any_text_is_scored_between_0_and_1(completion: str, truth: str) -> None:
    for reward in REWARDS.values():
        assert all(0.0 <= score <= 1.0 for score in reward(completion, truth).values())


@pytest.mark.parametrize(
    "hostile", ["[1," * 30_000, " " * 200_000, "[" + "1." * 60_000, "<" * 60_000, "[ 1 , 2 ," * 20_000]
)
def test_long_hostile_text_is_scored_quickly(hostile: str) -> None:
    started = time.perf_counter()
    for reward in REWARDS.values():
        reward(hostile, TRUTH)
    assert time.perf_counter() - started < 2.0


def test_format_score_does_not_let_tags_overlap() -> None:
    assert format_score("<think></think><answer>x") == 0.0


def test_an_unknown_reward_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="rexthinker, iou"):
        get_rewards(["accuracy"])


def test_a_reward_is_not_counted_twice() -> None:
    with pytest.raises(UsageError, match="twice"):
        get_rewards(["iou", "iou"])
