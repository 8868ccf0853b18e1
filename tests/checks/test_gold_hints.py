"""Values are those of specs/rexthinker.md §3.4 and of the toy rows of §2.7."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.checks.attainability import Attained, attain
from groundprep.checks.gold import Example
from groundprep.checks.gold_hints import hint_example
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile
from tests.checks.trainer_rows import Bench

HINTS = [[402, 95, 526, 198], [94, 46, 451, 276], [202, 276, 323, 407]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_right_answer_is_the_rows_own_between_think_and_answer(bench: Bench) -> None:
    row = bench.hints(HINTS, [HINTS[1]])
    example = hint_example(bench.subject(row, "rexthinker", dialect="easyr1"))
    assert example.gold.startswith("<think>")
    assert example.gold.endswith(f"</think><answer>{row['answer']}</answer>")
    assert example.truth == row["answer"]


def test_the_best_hints_are_those_that_overlap_the_answers_most_each_once(bench: Bench) -> None:
    near = [[94, 45, 445, 271], [95, 46, 451, 277], [203, 276, 323, 407]]
    example = hint_example(bench.subject(bench.hints(HINTS, near), "easyr1"))
    assert example.best_hint is not None
    assert [str(box) in example.best_hint for box in HINTS] == [False, True, True]
    assert example.best_hint.count("bbox_2d") == 2


def test_useless_answers_are_the_first_the_last_all_and_none_of_the_hints(bench: Bench) -> None:
    example = hint_example(bench.subject(bench.hints(HINTS, [HINTS[1]]), "easyr1"))
    named = {name: [str(box) in text for box in HINTS] for name, text in example.useless.items()}
    assert named == {
        "empty": [False, False, False],
        "all_hints": [True, True, True],
        "first_hint": [True, False, False],
        "last_hint": [False, False, True],
    }
    assert example.right == frozenset()


def right(example: Example) -> set[str]:
    return set(example.right)


def test_what_says_just_what_the_right_answer_says_is_not_useless(bench: Bench) -> None:
    assert right(hint_example(bench.subject(bench.hints(HINTS, []), "easyr1"))) == {"empty"}
    assert right(hint_example(bench.subject(bench.hints(HINTS, HINTS[::-1]), "easyr1"))) == {"all_hints"}
    assert right(hint_example(bench.subject(bench.hints(HINTS[:1], HINTS[:1]), "easyr1"))) == {"all_hints"}


def test_a_reward_of_overlap_is_also_tried_with_a_box_around_the_image_as_the_model_sees_it(bench: Bench) -> None:
    row = bench.hints(HINTS, [HINTS[1]])
    assert "full_image" not in hint_example(bench.subject(row, "easyr1")).useless
    example = hint_example(bench.subject(row, "easyr1", reward="iou"))
    assert "[0, 0, 643, 475]" in example.useless["full_image"]  # 640x480 is seen as 644x476


def test_none_is_the_right_answer_where_it_stands_in_the_row(bench: Bench) -> None:
    example = hint_example(bench.subject(bench.hints(HINTS, []) | {"answer": "None"}, "easyr1"))
    assert example.right == {"empty"}


def test_free_text_is_its_own_right_answer(bench: Bench) -> None:
    row = bench.hints([], []) | {"problem": "<image>Wie viele?", "answer": "drei"}
    example = hint_example(bench.subject(row, "easyr1"))
    assert example.gold.endswith("<answer>drei</answer>")
    assert (set(example.useless), example.right, example.best_hint) == ({"empty"}, frozenset(), None)


def test_a_row_made_for_other_limits_has_a_right_answer_in_the_trainers_own_pixels(bench: Bench) -> None:
    """Source: specs/rexthinker.md P2: 1920x1080 is 1344x756 for Rex-Thinker and 1932x1092 for EasyR1."""
    row = bench.hints([[672, 378, 1008, 567]], [[672, 378, 1008, 567]], (1920, 1080))
    subject = bench.subject(row, "easyr1", frame=RowFrame.of_profile(get_profile("rexthinker")))
    assert "[966, 546, 1449, 819]" in hint_example(subject).gold


def scores(bench: Bench, hints: list[list[float]], answers: list[list[float]], profile: str = "easyr1") -> Attained:
    attained = attain(bench.subject(bench.hints(hints, answers), profile))
    assert isinstance(attained, Attained)
    return attained


def test_scores_are_those_of_the_trainers_reward(bench: Bench) -> None:
    one = scores(bench, HINTS, [HINTS[1]])
    assert (one.ceiling, one.best_hint) == (1.0, 1.0)
    assert one.useless == pytest.approx({"empty": 0.1, "all_hints": 0.55, "first_hint": 0.1, "last_hint": 0.1})
    two = scores(bench, HINTS, HINTS[:2])
    assert two.useless == pytest.approx({"empty": 0.1, "all_hints": 0.82, "first_hint": 0.7, "last_hint": 0.1})
    none = scores(bench, HINTS, [])
    assert (none.ceiling, none.best_hint, none.useless["empty"]) == (1.0, 1.0, 1.0)


def test_the_answer_that_was_not_snapped_to_its_hint_can_be_said_and_never_be_copied(bench: Bench) -> None:
    """Source: specs/rexthinker.md P1: the hint is the detector's box, the answer the annotator's."""
    attained = scores(bench, HINTS, [[94, 45, 445, 271]])
    assert attained.ceiling == 1.0
    assert attained.best_hint == pytest.approx(0.1)
    assert attained.is_unreachable
