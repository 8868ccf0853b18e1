"""Qwen-VL's rows: three generations, two styles of answers, and frames that a file does not state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.dialects import DIALECTS, detect_dialect
from groundprep.dialects.grounding_text import Item, format_answer_text, parse_answer_text
from groundprep.errors import FormatError, RecordError, UsageError
from groundprep.geometry.frames import FRAMES
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, point, shuffled, words
from tests.contracts.samples import (
    lost_and_rounded,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)
from tests.dialects.test_humanref_cot import humanref_row, write_triple

labels = words.filter(lambda text: "<|" not in text)
objects = st.lists(
    st.builds(
        lambda shape, label, extra: shape | label | extra,
        box.map(lambda b: {"bbox_2d": b}) | point.map(lambda p: {"point_2d": p}),
        st.fixed_dictionaries({}, optional={"label": labels}),
        extras("bbox_2d", "point_2d", "label"),
    ),
    min_size=1,
    max_size=2,
)
json_answers = objects.map(lambda value: json.dumps(value, ensure_ascii=False)) | objects.map(
    lambda value: json.dumps(value[0])
)
bins = st.lists(st.integers(0, 1000), min_size=4, max_size=4)
token_answers = st.lists(st.tuples(labels, bins), min_size=1, max_size=2).map(
    lambda named: "".join(
        f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>({b[0]},{b[1]}),({b[2]},{b[3]})<|box_end|>"
        for label, b in named
    )
)
questions = phrases | phrases.map(lambda text: f"<image>\nPlease detect {text} in this image.")


def qwen_row(question: str, answer: str, **changes: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": "bilder/straße 0.png", "conversations": turns} | changes


class TestQwenVL(DialectContract):
    name = "qwen-vl"
    container = "jsonl"
    frame: ClassVar = RowFrame(FRAMES["rel1000"])
    rows: ClassVar = st.builds(
        lambda question, answer, image, identity, extra: (
            qwen_row(question, answer) | {"image": image} | identity | extra
        ),
        questions,
        json_answers
        | token_answers
        | json_answers.map(lambda text: f"<think>é</think><answer>```json\n{text}\n```</answer>"),
        st.booleans().map(lambda several: [IMAGE_NAME] if several else IMAGE_NAME),
        st.fixed_dictionaries({}, optional={"id": st.integers() | phrases}),
        extras("image", "conversations", "id", "data_path", "caption", "seg_mask_path", "accu_reward_method"),
    ).flatmap(shuffled)


def numbers_of(row: dict[str, Any]) -> list[Any]:
    """Read an answer by hand: JSON if it is, else the digits between the box tokens."""
    text = row["conversations"][1]["value"]
    if "<|box_start|>" in text:
        return [
            list(map(int, re.findall(r"\d+", part))) for part in re.findall(r"<\|box_start\|>(.*?)<\|box_end\|>", text)
        ]
    return [value.get("bbox_2d", value.get("point_2d")) for value in json.loads(text)]


PROFILES = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")


def test_the_profile_decides_style_and_numbers(tmp_path: Path) -> None:
    """Row 1 is 640 x 426 with the box [7.5, 3, 40, 21.25]; seen by Qwen2.5-VL's trainer at 644 x 420."""
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(1, referring="狗", candidate_boxes=None)])
    rel1000 = [round(n / side * 1000) for n, side in zip([7.5, 3, 40, 21.25], (640, 426) * 2, strict=True)]
    seen = [
        round(n / side * wide)
        for n, side, wide in zip([7.5, 3, 40, 21.25], (640, 426) * 2, (644, 420) * 2, strict=True)
    ]
    for profile, numbers in zip(PROFILES, (rel1000, seen, rel1000), strict=True):
        run(tmp_path / "a.jsonl", tmp_path / f"{profile}.jsonl", profile=profile)
        (row,) = read_jsonl(tmp_path / f"{profile}.jsonl")
        assert row["conversations"][0] == {"from": "human", "value": "<image>\nPlease detect 狗 in this image."}
        assert numbers_of(row) == [numbers]
        x0, y0, x1, y1 = numbers
        tokens = f"<|object_ref_start|>狗<|object_ref_end|><|box_start|>({x0},{y0}),({x1},{y1})<|box_end|>"
        plain = f'[{{"bbox_2d": {numbers}, "label": "狗"}}]'
        assert row["conversations"][1] == {"from": "gpt", "value": tokens if profile == "qwen2-vl" else plain}


@pytest.mark.parametrize("profile", PROFILES)
def test_there_and_back_changes_only_what_was_declared(tmp_path: Path, profile: str) -> None:
    make_images(tmp_path)
    rows = [
        rexthinker_row(n, id=f"é{n}", candidate_boxes=None if n else rexthinker_row()["candidate_boxes"])
        for n in range(3)
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile=profile)
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexthinker")
    back = read_jsonl(tmp_path / "c.jsonl")
    assert {"answers.box", "category", "candidates.score"} <= lost_and_rounded(first)
    for before, after in zip(rows, back, strict=True):
        assert (after["referring"], after["id"], after["image_name"]) == (
            before["referring"],
            before["id"],
            before["image_name"],
        )
        assert after["image_id"] == before["image_id"]
        assert after["ans"] == pytest.approx(before["ans"], abs=1.0)
    assert [len(row.get("candidate_boxes", ())) for row in back] == [2, 0, 0]
    run(tmp_path / "c.jsonl", tmp_path / "d.jsonl", profile=profile)
    assert [row["conversations"] for row in read_jsonl(tmp_path / "d.jsonl")] == [
        row["conversations"] for row in read_jsonl(tmp_path / "b.jsonl")
    ]


def test_json_does_not_say_its_frame_and_tokens_do(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(
        tmp_path / "json.jsonl", [qwen_row("<image>Wo?", '[{"bbox_2d": [100, 200, 500, 1000], "label": "狗"}]')]
    )
    token_answer = "<|object_ref_start|>狗<|object_ref_end|><|box_start|>(100,200),(500,1000)<|box_end|>"
    write_jsonl(tmp_path / "tokens.jsonl", [qwen_row("<image>Wo?", token_answer)])
    with pytest.raises(UsageError) as caught:
        run(tmp_path / "json.jsonl", tmp_path / "out.jsonl", dialect="rexthinker")
    assert caught.value.code == "frame-unknown"
    run(tmp_path / "tokens.jsonl", tmp_path / "t.jsonl", dialect="rexthinker")
    for frame in ("qwen3-vl", "rel1000"):
        run(tmp_path / "json.jsonl", tmp_path / f"{frame}.jsonl", dialect="rexthinker", source_frame=frame)
        assert read_jsonl(tmp_path / f"{frame}.jsonl")[0]["ans"] == pytest.approx([6.1, 7.4, 30.5, 37])
    assert read_jsonl(tmp_path / "t.jsonl")[0]["ans"] == pytest.approx([6.1, 7.4, 30.5, 37])
    assert read_jsonl(tmp_path / "t.jsonl")[0]["referring"] == "狗"


def test_the_manifest_says_the_frame_of_a_file_that_we_wrote(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(1)])
    for profile in PROFILES[1:]:
        run(tmp_path / "a.jsonl", tmp_path / f"{profile}.jsonl", profile=profile)
    run(tmp_path / "qwen2.5-vl.jsonl", tmp_path / "moved.jsonl", profile="qwen3-vl")
    before, after = (numbers_of(read_jsonl(tmp_path / f"{name}.jsonl")[0]) for name in ("qwen3-vl", "moved"))
    assert all(abs(x - y) <= 2 for x, y in zip(before[0], after[0], strict=True))


def test_a_question_of_its_own_stays_and_its_boxes_move(tmp_path: Path) -> None:
    make_images(tmp_path)
    answer = '[{"bbox_2d": [100, 200, 500, 1000], "label": "狗"}, {"point_2d": [10, 20], "label": "é", "score": 1}]'
    row = qwen_row("Look at\n<image> and list all.", answer, split="train")
    write_jsonl(tmp_path / "a.jsonl", [row])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen2.5-vl", source_frame="qwen3-vl")
    (moved,) = read_jsonl(tmp_path / "b.jsonl")
    assert list(moved) == list(row)
    assert moved["conversations"][0] == row["conversations"][0]
    seen_w, seen_h = get_profile("qwen2.5-vl").seen_wh((61, 37))
    assert json.loads(moved["conversations"][1]["value"]) == [
        {"bbox_2d": [round(0.1 * seen_w), round(0.2 * seen_h), round(0.5 * seen_w), seen_h], "label": "狗"},
        {"point_2d": [round(0.01 * seen_w), round(0.02 * seen_h)], "label": "é", "score": 1},
    ]
    run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", dialect="rexomni", source_frame="qwen3-vl")
    (image,) = read_jsonl(tmp_path / "c.jsonl")
    assert [entry["phrase"] for kind in ("boxes", "points") for entry in image["annotation"][kind]] == ["狗", "é"]


def test_a_fence_around_an_answer_stays_when_its_boxes_move(tmp_path: Path) -> None:
    make_images(tmp_path)
    answer = '```json\n[{"bbox_2d": [100, 200, 500, 1000], "label": "狗"}]\n```'
    write_jsonl(tmp_path / "a.jsonl", [qwen_row("List all.", answer)])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen2.5-vl", source_frame="qwen3-vl", from_name="qwen-vl")
    moved = read_jsonl(tmp_path / "b.jsonl")[0]["conversations"][1]["value"]
    assert moved != answer
    assert moved.startswith("```json\n[")
    assert moved.endswith("\n```")


def test_free_text_is_carried_in_its_frame_and_refused_in_another(tmp_path: Path) -> None:
    make_images(tmp_path)
    row = qwen_row("<image>Wo ist 狗?", "bei [10, 20]")
    row["conversations"] += [{"from": "human", "value": "sicher?"}, {"from": "gpt", "value": "ja"}]
    write_jsonl(tmp_path / "a.jsonl", [row])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen3-vl", from_name="qwen-vl", source_frame="qwen3-vl")
    assert read_jsonl(tmp_path / "b.jsonl") == [row]
    with pytest.raises(RecordError) as caught:
        run(
            tmp_path / "a.jsonl",
            tmp_path / "c.jsonl",
            profile="qwen2.5-vl",
            from_name="qwen-vl",
            source_frame="qwen3-vl",
        )
    assert caught.value.code == "frame-fixed"


def test_tokens_become_json_for_the_next_generation_though_the_frame_is_the_same(tmp_path: Path) -> None:
    make_images(tmp_path)
    answer = "<|object_ref_start|>狗<|object_ref_end|><|box_start|>(1,2),(30,1000)<|box_end|>"
    write_jsonl(tmp_path / "a.jsonl", [qwen_row("<image>Wo?", answer)])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen3-vl")
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", profile="qwen2-vl")
    assert json.loads(read_jsonl(tmp_path / "b.jsonl")[0]["conversations"][1]["value"]) == [
        {"bbox_2d": [1, 2, 30, 1000], "label": "狗"}
    ]
    assert read_jsonl(tmp_path / "c.jsonl") == read_jsonl(tmp_path / "a.jsonl")


def test_an_absent_phrase_is_an_empty_list_and_no_tokens_can_say_it(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(0)])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen3-vl")
    assert [len(numbers_of(row)) for row in read_jsonl(tmp_path / "b.jsonl")] == [1, 2, 0]
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", profile="qwen2-vl")
    assert caught.value.code == "negative-not-held"


def test_an_empty_list_that_was_read_is_refused_where_answers_are_tokens(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [qwen_row("<image>\nPlease detect 狗 in this image.", "[]")])
    with pytest.raises(RecordError) as caught:
        run(
            tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen2-vl", from_name="qwen-vl", source_frame="qwen3-vl"
        )
    assert caught.value.code == "negative-not-held"


def test_tokens_of_a_box_that_begins_outside_the_image_are_read_again(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(1, ans=[-64, -3, 320, 213])])  # 640 x 426
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="qwen2-vl")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert "<|box_start|>(-100,-7),(500,500)<|box_end|>" in row["conversations"][1]["value"]
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexthinker")
    assert read_jsonl(tmp_path / "c.jsonl")[0]["ans"] == pytest.approx([-64, -2.982, 320, 213])


def test_reasoning_of_humanref_stands_in_the_answer_and_comes_back(tmp_path: Path) -> None:
    src = write_triple(tmp_path, [humanref_row(region_map={"der Mann mit dem 狗": [1]})], wrapped=True)
    run(src, tmp_path / "b.jsonl", profile="qwen2.5-vl", image_out=str(tmp_path))
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    question, answer = (turn["value"] for turn in row["conversations"])
    assert question.startswith('<image>\nHint: Object and its coordinates in this image: {"person": [[')
    think, rest = answer.removeprefix("<think>").split("</think><answer>```json\n")
    assert think == humanref_row()["think"]
    (found,) = json.loads(rest.removesuffix("\n```</answer>"))
    hint = json.loads(question[question.index("{") : question.index("}") + 1])["person"]
    assert found == {"bbox_2d": hint[1], "label": "der Mann mit dem 狗"}
    run(tmp_path / "b.jsonl", tmp_path / "c", to="humanref-cot")
    data = (tmp_path / "c.annotations.tsv").read_text(encoding="utf-8").split("\t")[1]
    assert json.loads(data)["think"] == humanref_row()["think"]
    assert json.loads(data)["region_map"] == {"der Mann mit dem 狗": [1]}


@given(st.lists(st.tuples(labels.filter(str.strip), bins), min_size=1, max_size=3), st.sampled_from(["json", "tokens"]))
def test_what_is_written_is_read_again(named: list[Any], style: Any) -> None:
    items = [Item("bbox_2d", numbers, label, {}) for label, numbers in named]
    parsed = parse_answer_text(format_answer_text(items, None, style))
    assert parsed is not None
    assert (parsed.items, parsed.think, parsed.style) == (items, None, style)


@pytest.mark.parametrize(
    "answer",
    ["", "None", "[]x", "[1, 2, 3, 4]", '{"a": 1}', '[{"bbox_2d": [1, 2]}]', "<|box_start|>(1,2)", "[[", None, 7],
)
def test_an_answer_of_another_shape_is_free_text(answer: Any) -> None:
    assert parse_answer_text(answer) is None


JSON_ANSWER = '[{"bbox_2d": [1, 2, 3, 4], "label": "狗"}]'


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (qwen_row("<image>Wo?", JSON_ANSWER), "qwen-vl"),
        (qwen_row("<image>Wo?", JSON_ANSWER, id=1), "qwen-vl"),
        (qwen_row("<image>Wo?", '{"point_2d": [1, 2], "label": "é"}'), "qwen-vl"),
        (
            qwen_row("<image>Wo?", "<|object_ref_start|>é<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", id=2),
            "qwen-vl",
        ),
        (qwen_row("<image>Wo?", "[1, 2, 3, 4]", id=3), "vlmr1"),
        (qwen_row("<image>Wo?", "[1, 2, 3, 4]"), "vlmr1"),
        (qwen_row("<image>Wo?", f"```json\n{JSON_ANSWER}\n```", id=4), "vlmr1-ovd"),
        (qwen_row("<image>Wo?", "None"), "vlmr1-ovd"),
    ],
)
def test_rows_that_look_alike_are_told_apart(row: dict[str, Any], name: str) -> None:
    assert [
        n for n, dialect in DIALECTS.items() if "jsonl" in dialect.containers and dialect.matches(row, "jsonl")
    ] == [name]


@pytest.mark.parametrize(("answer", "other"), [(f"```json\n{JSON_ANSWER}\n```", "vlmr1-ovd"), ("ja", "vlmr1")])
def test_rows_that_are_truly_ambiguous_are_refused_naming_both(answer: str, other: str) -> None:
    with pytest.raises(FormatError) as caught:
        detect_dialect([qwen_row("<image>Wo?", answer)], container="jsonl", path="é")
    assert caught.value.code == "ambiguous-dialect"
    assert f"qwen-vl and {other}" in str(caught.value)


def test_an_empty_list_is_an_answer_of_these_rows_with_an_id_too(tmp_path: Path) -> None:
    make_images(tmp_path)
    given = [rexthinker_row(n, id=f"é{n}", **({"ans": []} if n % 3 else {})) for n in range(9)]
    write_jsonl(tmp_path / "in.jsonl", given)
    run(tmp_path / "in.jsonl", tmp_path / "a.jsonl", profile="qwen3-vl")
    assert sum(row["conversations"][-1]["value"] == "[]" for row in read_jsonl(tmp_path / "a.jsonl")) == 6
    assert all("id" in row for row in read_jsonl(tmp_path / "a.jsonl"))
    run(tmp_path / "a.jsonl", tmp_path / "back.jsonl", dialect="rexthinker")
    assert [bool(row["ans"]) for row in read_jsonl(tmp_path / "back.jsonl")] == [n % 3 == 0 for n in range(9)]
