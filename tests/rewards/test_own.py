"""Our own rewards: what each says that it rewards, and how each can be gamed, as documented."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import RecordError
from groundprep.geometry.masks import encode_rle
from groundprep.rewards import get_scorer
from groundprep.rewards.answers import answer_of, labelled_boxes_of
from groundprep.rewards.box_f1 import box_f1_reward, is_rejection, rejection_aware_reward
from groundprep.rewards.form import length_reward, repetition_reward, strict_format_reward

BOY = {"bbox_2d": [10, 20, 50, 40], "label": "garçon"}
DOG = {"bbox_2d": [60, 7, 90, 27], "label": "dog"}


def text(*items: Any) -> str:
    return f"```json\n{json.dumps(items, ensure_ascii=False)}\n```"


def said(*items: Any) -> str:
    return f"<think>[1, 2, 3, 4]</think>\n<answer>{text(*items)}</answer>"


@pytest.mark.parametrize(
    ("completion", "overall"),
    [
        pytest.param(said(BOY, DOG), 1.0, id="both"),
        pytest.param(said(DOG, BOY), 1.0, id="in any order"),
        pytest.param(said(BOY), 2 / 3, id="one of two"),
        pytest.param(said(BOY, BOY, DOG), 0.8, id="a repeated box costs precision"),
        pytest.param(said(BOY, DOG | {"label": "cow"}), 0.5, id="a wrong label is a wrong box"),
        pytest.param("<answer>[10, 20, 50, 40] [60, 7, 90, 27]</answer>", 1.0, id="boxes without labels match any"),
        pytest.param(said(BOY | {"bbox_2d": [10, 20, 50, 30]}, DOG), 1.0, id="half of the area is enough"),
        pytest.param(said(BOY | {"bbox_2d": [10, 20, 50, 29]}, DOG), 0.5, id="less than half is not"),
        pytest.param(said(), 0.0, id="none"),
        pytest.param("<answer>" + "[" * 100_000 + "</answer>", 0.0, id="brackets"),
    ],
)
def test_box_f1_counts_each_object_once_with_its_label(completion: str, overall: float) -> None:
    assert box_f1_reward(completion, text(BOY, DOG))["overall"] == pytest.approx(overall)


def test_one_wide_box_serves_one_object_and_matching_is_the_best_possible() -> None:
    wide, left, right = ([0, 0, 20, 10], [0, 0, 10, 10], [10, 0, 20, 10])
    truth = json.dumps([left, right])
    assert box_f1_reward(json.dumps([wide]), truth)["overall"] == pytest.approx(2 / 3)
    assert box_f1_reward(json.dumps([wide, left]), truth)["overall"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("answer", "rejects"),
    [
        ("[]", True),
        ("```json\n[]\n```", True),
        (" None.", True),
        ("no such object", True),
        ("null", True),
        ("", False),
        ("nothing", False),
        (text(DOG), False),
    ],
)
def test_a_rejection_must_be_said(answer: str, rejects: bool) -> None:
    assert is_rejection(answer) is rejects
    assert rejection_aware_reward(f"<answer>{answer}</answer>", "[]")["overall"] == float(rejects)


def test_rejecting_what_is_there_earns_0_and_finding_it_earns_f1() -> None:
    assert rejection_aware_reward("<answer>none</answer>", text(DOG))["overall"] == 0.0
    assert rejection_aware_reward(said(DOG), text(DOG)) == {"overall": 1.0, "precision": 1.0, "recall": 1.0}


CHOICE = {"candidates": [[10, 20, 50, 40], [60, 7, 90, 27], [0, 0, 8, 8]], "answer": [1]}


@pytest.mark.parametrize(
    ("answer", "exact", "soft"),
    [
        pytest.param("[60, 7, 90, 27]", 1.0, 1.0, id="the right candidate"),
        pytest.param("[60.0, 7, 90, 27] [60, 7, 90, 27]", 1.0, 1.0, id="twice is once"),
        pytest.param("[61, 7, 90, 27]", 0.0, 1.0, id="nearly the right candidate"),
        pytest.param("[10, 20, 50, 40]", 0.0, 0.0, id="another candidate"),
        pytest.param("[60, 7, 90, 27] [200, 200, 210, 210]", 0.0, 2 / 3, id="a stray box costs precision"),
        pytest.param("[60, 7, 90, 27] [10, 20, 50, 40] [0, 0, 8, 8]", 0.0, 0.5, id="naming all earns 2k / (n + k)"),
        pytest.param("", 0.0, 0.0, id="nothing"),
    ],
)
def test_choices_are_sets_of_candidates(answer: str, exact: float, soft: float) -> None:
    completion = f"<think>[10, 20, 50, 40]</think><answer>{answer}</answer>"
    assert get_scorer("choice-exact")(completion, CHOICE).parts == {"overall": exact}
    assert get_scorer("choice-soft")(completion, CHOICE).parts == {"overall": pytest.approx(soft)}


def test_no_candidate_is_right_and_none_is_chosen() -> None:
    assert get_scorer("choice-exact")("none", {"candidates": [], "answer": []}).parts == {"overall": 1.0}
    assert get_scorer("choice-soft")("none", {"candidates": [], "answer": []}).parts == {"overall": 1.0}


def mask() -> np.ndarray:
    picture = np.zeros((37, 61), dtype=np.uint8)
    picture[5:20, 30:50] = 1
    return picture


RLE = {"size": [37, 61], "counts": encode_rle(mask())}


@pytest.mark.parametrize(
    ("answer", "truth", "overall"),
    [
        ("[30, 30]", {"boxes": [[10, 20, 50, 40]]}, 1.0),
        ("(50, 40)", {"boxes": [[10, 20, 50, 40]]}, 1.0),
        ("[30, 30] [31, 31]", {"boxes": [[10, 20, 50, 40]]}, 2 / 3),
        ("[30, 30]", {"boxes": [[10, 20, 50, 40], [25, 25, 35, 35]]}, 2 / 3),
        ("[30, 30] [12, 22]", {"boxes": [[10, 20, 50, 40], [25, 25, 35, 35]]}, 1.0),
        ("[9, 30]", {"boxes": [[10, 20, 50, 40]]}, 0.0),
        ("none", {"boxes": []}, 1.0),
        ("[1, 1]", {"boxes": []}, 0.0),
        ("[49.9, 5]", {"size": [37, 61], "masks": [RLE]}, 1.0),
        ("[50, 5]", {"size": [37, 61], "masks": [RLE]}, 0.0),
        ("[-1, 900]", {"size": [37, 61], "masks": [RLE]}, 0.0),
    ],
)
def test_points_find_regions_one_to_one(answer: str, truth: Any, overall: float) -> None:
    score = get_scorer("point-in-region")(f"<answer>{answer}</answer>", truth)
    assert score.parts["overall"] == pytest.approx(overall)


@pytest.mark.parametrize(
    ("answer", "overall"),
    [
        (json.dumps(RLE), 1.0),
        (json.dumps({"segmentation": RLE}), 1.0),
        ("[[30, 5, 50, 5, 50, 20, 30, 20]]", 1.0),
        ("[30, 5, 40, 5, 40, 20, 30, 20]", 0.5),
        ("[[30, 5, 50, 5]]", 0.0),
        ('{"size": [61, 37], "counts": "x"}', 0.0),
        ("none", 0.0),
    ],
)
def test_mask_iou_reads_polygons_and_run_lengths(answer: str, overall: float) -> None:
    score = get_scorer("mask-iou")(f"<answer>{answer}</answer>", {"size": [37, 61], "segmentation": RLE})
    assert score.parts == {"overall": pytest.approx(overall, abs=0.03)}


@pytest.mark.parametrize(
    ("completion", "strict"),
    [
        (said(BOY, DOG), 1.0),
        ("<think>a < b</think><answer>[]</answer>\n", 1.0),
        (said(BOY) + " done", 0.0),
        ("well " + said(BOY), 0.0),
        (said(BOY).replace("</think>", "</think></think>"), 0.0),
        (said(BOY | {"bbox_2d": [50, 20, 10, 40]}), 0.0),
        (said(BOY | {"bbox_2d": [10, 20, float("inf"), 40]}), 0.0),
        (said({"bbox_2d": [10, 20, 50, 40]}), 0.0),
        ("<think>a</think><answer>here: " + text(BOY) + "</answer>", 0.0),
        ("<answer>[]</answer><think>a</think>", 0.0),
    ],
)
def test_the_strict_format_allows_nothing_else(completion: str, strict: float) -> None:
    assert strict_format_reward(completion, "") == {"overall": strict}


@pytest.mark.parametrize(("length", "penalty"), [(0, 0.0), (4_000, 0.0), (6_000, -0.5), (8_000, -1.0), (90_000, -1.0)])
def test_length_costs_beyond_a_free_part(length: int, penalty: float) -> None:
    assert length_reward("é" * length, "") == {"overall": penalty}


@pytest.mark.parametrize(
    ("completion", "penalty"),
    [
        (said(BOY, BOY, DOG), -1 / 3),
        (said(BOY, BOY | {"label": "dog"}), 0.0),
        ("one two three four five six " * 2, pytest.approx(-1 / 7)),
        ("one two", 0.0),
        ("", 0.0),
    ],
)
def test_repetition_costs_its_share(completion: str, penalty: float) -> None:
    assert repetition_reward(completion, "") == {"overall": pytest.approx(penalty)}


def test_an_answer_is_what_lies_in_the_last_tag() -> None:
    assert answer_of("<answer>a</answer> <answer>b</answer> c") == "b"
    assert answer_of("no tag") == "no tag"


def test_numbers_too_large_to_hold_are_no_box() -> None:
    assert labelled_boxes_of('[{"bbox_2d": [1, 2, 3, 1' + "0" * 400 + "]}]") == []
    assert labelled_boxes_of('[{"bbox_2d": [1, 2, 3, NaN]}]') == []


BROKEN: dict[str, list[Any]] = {
    "choice-exact": ["x", {"candidates": [[1, 2]], "answer": []}, {"candidates": [[1, 2, 3, 4]], "answer": [1]}],
    "point-in-region": ["x", {}, {"boxes": [[1, 2]]}, {"masks": [RLE], "size": [5]}],
    "mask-iou": ["x", {"size": [37, 61], "segmentation": 5}],
    "box-f1": [[1, 2, 3, 4]],
}


@pytest.mark.parametrize(("name", "truth"), [(name, truth) for name, truths in BROKEN.items() for truth in truths])
def test_a_ground_truth_of_another_form_is_refused(name: str, truth: Any) -> None:
    with pytest.raises(RecordError):
        get_scorer(name)("", truth)


@given(st.text(alphabet=st.sampled_from('<>/ansWer```json[]{}":,.0123 bbox_2dlabel\n'), max_size=80))
def test_any_text_earns_something_in_range(completion: str) -> None:
    for reward in (box_f1_reward, rejection_aware_reward, strict_format_reward):
        assert 0.0 <= reward(completion, text(BOY))["overall"] <= 1.0
    for penalty in (length_reward, repetition_reward):
        assert -1.0 <= penalty(completion, "")["overall"] <= 0.0
