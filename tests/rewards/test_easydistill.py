"""Every value that was measured on EasyDistill's own rewards (specs/vlmr1_easydistill.md §3.5)."""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.rewards.base import NEEDS_EVAL, Score
from groundprep.rewards.easydistill import (
    _plain_literal,
    format_score,
    gaussian_plane,
    gaussian_plane_score,
    gaussian_point,
    gaussian_point_score,
    multi_box_format_score,
    multi_gaussian_plane_score,
    multi_gaussian_point_score,
)

TRUTH = {"0": [[641, 422, 690, 523]], "1": [], "2": [[619, 264, 723, 332], [961, 479, 1104, 557]], "3": []}
EXACT = "{0: [[641, 422, 690, 523]], 1: [], 2: [[619, 264, 723, 332], [961, 479, 1104, 557]], 3: []}"


def value(score: Score) -> float | None:
    assert score.parts.keys() == {"score"}
    return score.parts["score"]


@pytest.mark.parametrize(
    ("predicted", "target", "point", "plane"),
    [
        ([860, 725, 1080, 790], [850, 720, 1070, 780], 0.965, 0.990),
        ([0, 0, 10, 10], [5, 0, 15, 10], 0.607, 0.882),
        ([0, 0, 10, 10], [0, 0, 20, 20], 0.779, 0.724),
        ([0, 0, 20, 20], [0, 0, 10, 10], 0.368, 0.724),
        ([100, 100, 200, 150], [120, 110, 260, 190], 0.699, 0.814),
        ([10, 10, 0, 0], [0, 0, 10, 10], 1.0, 1.0),
        ([50, 25, 50, 25], [0, 0, 100, 50], 1.0, 0.0),
    ],
)
def test_kernels_give_the_measured_values(predicted: list[int], target: list[int], point: float, plane: float) -> None:
    assert gaussian_point(predicted, target) == point
    assert gaussian_plane(predicted, target) == plane


def test_the_plane_kernel_exceeds_1_for_tiny_boxes_and_may_be_infinite_or_undefined() -> None:
    tiny = [0.3, 0.3, 0.4, 0.4]
    assert gaussian_plane(tiny, tiny) == pytest.approx(4.004, abs=1e-3)
    assert value(gaussian_plane_score("[5, 5, 5, 15]", [5, 5, 5, 15])) == math.inf
    assert math.isnan(value(gaussian_plane_score(f"[{'9' * 400}, 1, {'9' * 400}, 2]", [5, 5, 25, 15])) or 0.0)


def test_the_plane_kernel_rounds_as_numpy_does() -> None:
    from groundprep.rewards.easydistill import _rounded_as_array

    assert _rounded_as_array(0.0005) == 0.0
    assert round(0.0005, 3) == 0.001


@pytest.mark.parametrize(
    ("text", "form", "point"),
    [
        ("[641,422,690,523]", 1.0, 1.0),
        ("[ 641 , 422 , 690 , 523 ]", 1.0, 1.0),
        (" [641, 422, 690, 523]", 0.0, 1.0),
        ('```json\n[{"bbox_2d": [641, 422, 690, 523]}]\n```', 0.0, 1.0),
        ("[641.0, 422, 690, 523]", 0.0, 1.0),
        ("[641., 422, 690, 523]", 0.0, 0.0),
        ("[-641, 422, 690, 523]", 0.0, 0.0),
        ("system\nassistant\n[641,422,690,523]", 1.0, 1.0),
        ("[641,422,690,523]assistant\nnothing", 0.0, 0.0),
        ("[٦٤١, 422, 690, 523]", 1.0, 1.0),
        ("no box", 0.0, 0.0),
    ],
)
def test_single_box_rewards_read_what_they_read(text: str, form: float, point: float) -> None:
    assert value(format_score(text, [641, 422, 690, 523])) == form
    assert value(gaussian_point_score(text, [641, 422, 690, 523])) == point


@pytest.mark.parametrize("truth", [[5, 5, 5, 15], [1, 2, 3], None, {"0": []}, "abcd", [10**400, 1, 2, 3]])
def test_a_single_truth_that_is_no_box_with_area_earns_0(truth: Any) -> None:
    assert value(gaussian_point_score("[5, 5, 5, 15]", truth)) == 0.0


def test_a_side_too_long_to_square_earns_0_alone_and_ends_the_multi_box_reward() -> None:
    huge = [0, 0, 1e200, 5]
    assert value(gaussian_point_score("[0,0,9,5]", huge)) == 0.0
    score = multi_gaussian_point_score("{0: [[0, 0, 1e200, 5]]}", {"0": [huge]})
    assert score == Score({"score": None}, "raises OverflowError")


@pytest.mark.parametrize(
    ("completion", "form", "kernel"),
    [
        pytest.param(EXACT, 1.0, 1.0, id="exact, integer keys"),
        pytest.param("{0: [[641, 422, 690, 523]], 1: [], 2: [], 3: []}", 1.0, 1.0, id="class 2 does not count"),
        pytest.param(EXACT.replace("[[641, 422, 690, 523]]", "[]"), 1.0, 0.0, id="class 0 omitted"),
        pytest.param('{"0": [[641, 422, 690, 523]], "1": [], "2": [], "3": []}', 0.0, 0.0, id="string keys"),
        pytest.param(f"```\n{EXACT}\n```", 0.0, 0.0, id="fenced"),
        pytest.param(
            EXACT.replace("[[641,", "[[641, 422, 690, 523], [641,"),
            1.0,
            pytest.approx(2 / 3),
            id="class-0 box repeated",
        ),
        pytest.param("{0: [[641, 422, 690, 523]]}", 0.0, 1.0, id="class 0 alone"),
        pytest.param("{1: []}", 0.0, 0.0, id="no class 0"),
        pytest.param("{0: [], 1: [], 2: [], 3: []}", 1.0, 0.0, id="one side empty"),
        pytest.param(EXACT.replace("332]", "332, 1]"), 1.0, 0.0, id="a malformed box of class 2"),
        pytest.param("{0: [[641, 422, 690, 523]], 2: None}", 0.0, 0.0, id="a class that is None"),
        pytest.param("{0: [[641, 422, 690, 523]], 2: ['abcd']}", 0.0, 0.0, id="a box of letters"),
        pytest.param(f"thinking\nassistant\n {EXACT} ", 1.0, 1.0, id="only the last turn counts"),
        pytest.param("{0: [], 1: [], 2: [], 3: [], 4: []}", 1.0, 0.0, id="a fifth class is allowed"),
        pytest.param("[" * 100_000, 0.0, 0.0, id="a hundred thousand brackets"),
        pytest.param("{0: [[" + "9" * 1_000_000 + ", 1, 2, 3]]}", 0.0, 0.0, id="a million digits"),
        pytest.param("{0: [[1, 2, 3, 4],]}\x00", 0.0, 0.0, id="a null character"),
        pytest.param("{0: '\\d', 1: []}", 0.0, 0.0, id="a doubtful escape"),
        pytest.param("", 0.0, 0.0, id="nothing"),
    ],
)
def test_multi_box_rewards_give_the_measured_values(completion: str, form: float, kernel: float) -> None:
    assert value(multi_box_format_score(completion, TRUTH)) == form
    assert value(multi_gaussian_point_score(completion, TRUTH)) == kernel
    assert value(multi_gaussian_plane_score(completion, TRUTH)) == kernel


@pytest.mark.parametrize("completion", ["[[[641, 422, 690, 523]], [], [], []]", "5", "None"])
def test_a_value_without_keys_ends_the_kernels(completion: str) -> None:
    score = multi_gaussian_point_score(completion, TRUTH)
    assert score == Score({"score": None}, "raises AttributeError")
    assert score.as_data() == {"score": None, "reason": "raises AttributeError"}
    assert value(multi_box_format_score(completion, TRUTH)) == float(completion.startswith("["))


@pytest.mark.parametrize("truth", [[[1, 2, 3, 4]], "text", 5])
def test_a_truth_without_items_ends_the_kernels(truth: Any) -> None:
    assert multi_gaussian_point_score(EXACT, truth).reason == "raises AttributeError"


def test_a_label_that_is_no_number_earns_0_always() -> None:
    assert value(multi_gaussian_point_score(EXACT, {"0": [[641, 422, 690, 523]], "cat": []})) == 0.0
    assert value(multi_gaussian_point_score("[]", {"cat": []})) == 0.0


@pytest.mark.parametrize("nothing", [None, 5])
@pytest.mark.parametrize("completion", ["{0: [[641, 422, 690, 523]]}", "{0: [[641, 422, 690, 523]], 1: []}"])
def test_a_class_of_the_truth_that_is_no_list_earns_0_always(completion: str, nothing: Any) -> None:
    truth = {"0": [[641, 422, 690, 523]], "1": nothing}
    assert value(multi_gaussian_point_score(completion, truth)) == 0.0


def test_both_sides_without_class_0_boxes_earn_1() -> None:
    assert value(multi_gaussian_point_score("{0: [], 1: [[1, 2, 3, 4]]}", {"0": [], "1": []})) == 1.0


@pytest.mark.parametrize(
    ("predicted", "point", "plane"),
    [
        ([[0, 0, 100, 90], [210, 0, 310, 100]], 0.9875, 0.9955),
        ([[210, 0, 310, 100], [0, 0, 100, 90]], 0.9875, 0.9955),
        ([[0, 0, 100, 50]], 0.588, 0.567),
        ([[0, 0, 100, 49]], 0.0, 0.0),
    ],
)
def test_two_boxes_are_matched_one_to_one(predicted: list[list[int]], point: float, plane: float) -> None:
    truth = {"0": [[0, 0, 100, 100], [200, 0, 300, 100]]}
    assert value(multi_gaussian_point_score(f"{{0: {predicted}}}", truth)) == pytest.approx(point, abs=1e-3)
    assert value(multi_gaussian_plane_score(f"{{0: {predicted}}}", truth)) == pytest.approx(plane, abs=1e-3)


def test_a_true_box_without_area_caps_the_score() -> None:
    truth = {"0": [[641, 422, 643, 422], [10, 20, 50, 41]], "1": [], "2": [], "3": []}
    assert value(multi_gaussian_point_score("{0: [[641, 422, 643, 422], [10, 20, 50, 41]]}", truth)) == 0.5


@pytest.mark.parametrize(
    "completion", ["none", "foo()", "[1 + 1]", "__import__('os')", "{0: undefined}", "{[]: foo()}", "1+" * 50_000 + "1"]
)
def test_what_only_eval_could_tell_is_unknown(completion: str) -> None:
    assert multi_box_format_score(completion, TRUTH) == Score({"score": None}, NEEDS_EVAL)


def test_a_key_that_cannot_be_one_earns_0_as_with_eval() -> None:
    assert value(multi_box_format_score("{[]: 1}", TRUTH)) == 0.0


def test_nesting_beyond_the_parser_is_what_the_original_raises() -> None:
    assert multi_gaussian_point_score("-" * 100_000 + "1", TRUTH).reason == "raises MemoryError"
    assert multi_box_format_score("-" * 100_000 + "1", TRUTH).reason == "raises MemoryError"


@given(st.text(alphabet="0123[]{},:.- \n", max_size=30))
def test_the_fast_reading_of_the_usual_form_is_pythons(text: str) -> None:
    text = f"{{{text}}}"
    if (plain := _plain_literal(text)) is not None:
        assert plain == ast.literal_eval(text)


numbers = st.integers(-5, 2000) | st.floats(-5, 2000).map(lambda x: round(x, 2))
usual = st.dictionaries(st.integers(0, 5), st.lists(st.lists(numbers, min_size=3, max_size=5), max_size=4), max_size=5)


@given(usual)
def test_the_usual_form_is_read_fast_and_as_python_reads_it(boxes: dict[int, list[list[float]]]) -> None:
    assert _plain_literal(repr(boxes)) == boxes


@given(
    st.text(max_size=60),
    st.dictionaries(st.sampled_from("0123"), st.lists(st.lists(st.integers(0, 50), max_size=5)), max_size=3),
)
def test_any_text_has_a_verdict(completion: str, truth: dict[str, Any]) -> None:
    for scorer in (multi_box_format_score, multi_gaussian_plane_score, format_score, gaussian_plane_score):
        score = scorer(completion, truth)
        assert (value(score) is None) == (score.reason is not None)
