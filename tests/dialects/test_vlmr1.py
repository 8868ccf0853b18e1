"""VLM-R1's REC and OVD rows, and its older RefCOCO JSON."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundprep.containers import Row, open_reader
from groundprep.dialects import DIALECTS, ReadContext, WriteContext, detect_dialect
from groundprep.dialects.answers_text import (
    format_objects,
    format_ovd_question,
    parse_objects,
    parse_ovd_question,
    parse_rec_question,
)
from groundprep.errors import RecordError
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.images import FileImage, ImageRef, decode
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from groundprep.source import Source
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, shuffled, words
from tests.contracts.samples import (
    lost_and_rounded,
    make_image,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    same_json,
    write_jsonl,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
OFFICIAL = "Please provide the bounding box coordinate of the region this sentence describes: {}."
SIZES = {0: (61, 37), 1: (640, 426), 2: (90, 333)}

plain_words = words.filter(lambda text: "<" not in text and "`" not in text)
images = st.integers(1, 3).map(lambda count: {"image": IMAGE_NAME if count == 1 else [IMAGE_NAME] * count})
rec_questions = st.builds(
    lambda start, text: start + OFFICIAL.format(text), st.sampled_from(["", "<image>", "<image>\n"]), plain_words
)
free_answers = st.sampled_from(["B", "", "trois chiens", "[1, 2]", 7, None, [1, [2]], {"a": 1}]).map(copy.deepcopy)
box_answers = box | box.map(json.dumps) | box.map(lambda numbers: f"<answer> {json.dumps(numbers)} </answer>")
objects = st.lists(
    st.builds(
        lambda numbers, label, extra: {"bbox_2d": numbers} | label | extra,
        box,
        st.fixed_dictionaries({}, optional={"label": plain_words}),
        extras("bbox_2d", "label").map(lambda extra: {key.replace("`", ""): 1 for key in extra}),
    ),
    max_size=3,
)
fences = objects.map(lambda items: f"```json\n{json.dumps(items)}\n```")
object_answers = st.sampled_from(["None", "<answer> None </answer>"]) | fences | fences.map("Voilà: {}\n".format)
ovd_questions = st.lists(plain_words, max_size=3).map(lambda labels: "<image>" + format_ovd_question(labels)) | phrases


def conversations(questions: st.SearchStrategy[Any], answers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    spoken = st.fixed_dictionaries({}, optional={"from": st.sampled_from(["human", "gpt", "é"])})
    more = st.lists(st.builds(lambda text: {"value": text}, words), max_size=1)
    return st.builds(
        lambda question, answer, first, second, rest: [first | {"value": question}, second | {"value": answer}, *rest],
        questions,
        answers,
        spoken,
        spoken,
        more,
    )


def conversation_rows(
    questions: st.SearchStrategy[Any], answers: st.SearchStrategy[Any], optional: Any = None
) -> st.SearchStrategy[Any]:
    further = {"id": st.integers() | words | st.none() | st.floats(0, 1), "accu_reward_method": st.just("map")}
    return st.builds(
        lambda image, turns, more, extra: image | {"id": 1, "conversations": turns} | more | extra,
        images,
        conversations(questions, answers),
        st.fixed_dictionaries({}, optional=further | (optional or {})),
        extras("image", "conversations", "id", "accu_reward_method", "solution", "problem", "annotation", "referring"),
    ).flatmap(shuffled)


class TestRec(DialectContract):
    name = "vlmr1"
    container = "jsonl"
    rows: ClassVar = conversation_rows(rec_questions | phrases, box_answers) | conversation_rows(phrases, free_answers)


class TestOvd(DialectContract):
    name = "vlmr1-ovd"
    container = "jsonl"
    rows: ClassVar = conversation_rows(ovd_questions, object_answers)

    @pytest.mark.parametrize("key", [{}, {"accu_reward_method": "map"}, {"id": 3}])
    def test_a_fence_is_told_from_qwens_by_the_official_question_an_id_or_a_key_of_its_own(
        self, key: dict[str, Any]
    ) -> None:
        question = format_ovd_question(["狗"]) if not key else "Where is 狗?"
        turns = [
            {"from": "human", "value": question},
            {"from": "gpt", "value": format_objects([{"bbox_2d": [1, 2, 3, 4], "label": "狗"}])},
        ]
        assert (
            detect_dialect([{"image": "é.png", "conversations": turns} | key], container="jsonl", path="é").name
            == self.name
        )


class TestRefCoco(DialectContract):
    name = "vlmr1-refcoco"
    container = "json"
    rows: ClassVar = st.builds(
        lambda problem, solution, optional, extra: (
            {"image": IMAGE_NAME, "problem": problem, "solution": solution} | optional | extra
        ),
        plain_words.map(OFFICIAL.format) | phrases,
        box,
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.integers() | words,
                "normal_caption": words,
                "height": st.just(37),
                "width": st.just(61),
                "normalized_solution": box,
                "bbox_list": st.lists(box, max_size=1),
            },
        ),
        extras("image", "problem", "solution", "conversations", "images", "answer", "id", "height", "width"),
    ).flatmap(shuffled)


@pytest.mark.parametrize("name", ["vlmr1", "vlmr1-ovd", "vlmr1-seg", "easydistill", "easydistill-single"])
def test_the_model_sees_what_was_measured(name: str) -> None:
    """Source: specs/vlmr1_easydistill.md §1.5, (height, width) there; a side under 28 raises in transformers 4.49.0."""
    seen = {(1280, 720): (1288, 728), (640, 480): (644, 476), (427, 640): (420, 644), (1920, 1080): (1932, 1092)}
    seen[6000, 4000] = (4368, 2912)
    for stored_wh, seen_wh in seen.items():
        assert get_profile(name).seen_wh(stored_wh) == seen_wh
    with pytest.raises(RecordError, match="shorter than 28"):
        get_profile(name).seen_wh((640, 27))


def loaded(path: Path) -> list[dict[str, Any]]:
    """Load a file as the trainer does, written from the specification. Source: specs/vlmr1_easydistill.md §1.2."""
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        row = json.loads(line)
        question, answer = (turn["value"] for turn in row["conversations"][:2])
        solution = (
            answer.replace("<answer>", "").replace("</answer>", "").strip() if isinstance(answer, str) else str(answer)
        )
        image = row.get("image")
        names = [image] if isinstance(image, str) else image
        assert names is None or isinstance(names, list)
        rows.append(
            row
            | {
                "problem": question.replace("<image>", ""),
                "solution": f"<answer> {solution} </answer>",
                "image_path": names,
            }
        )
    return rows


def rec_truth(solution: str) -> list[float]:
    """The REC reward's ground truth: the last answer block, as JSON. Source: §1.6."""
    return list(json.loads(re.findall(r"<answer>(.*?)</answer>", solution, re.DOTALL)[-1].strip()))


def test_the_trainer_reads_the_official_question_and_the_stored_pixels(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl", profile="vlmr1")
    rows = loaded(data / "out.jsonl")
    for number, row in enumerate(rows):
        assert row["problem"] == OFFICIAL.format(f"le chien n°{number} à gauche 狗")
        assert row["image_path"] == [f"bilder/straße {number % 3}.png"]
        assert rec_truth(row["solution"]) == [7.5, 3, 40, 21.25]


def test_a_perfect_answer_in_seen_pixels_scores_nearly_one_after_the_trainer_has_mapped_it_back(data: Path) -> None:
    """Since 00755a2 the reward maps x · W / seen width. Source: specs/vlmr1_easydistill.md §1.5, §1.6."""
    run(data / "expressions.jsonl", data / "out.jsonl", profile="vlmr1")
    w, h = SIZES[1]
    seen_w, seen_h = get_profile("vlmr1").seen_wh((w, h))
    truth = rec_truth(loaded(data / "out.jsonl")[1]["solution"])
    spoken = [round(n / side * seen) for n, side, seen in zip(truth, (w, h) * 2, (seen_w, seen_h) * 2, strict=True)]
    x0, y0, x1, y1 = (n * side / seen for n, side, seen in zip(spoken, (w, h) * 2, (seen_w, seen_h) * 2, strict=True))
    inter = (min(x1, truth[2]) - max(x0, truth[0])) * (min(y1, truth[3]) - max(y0, truth[1]))
    union = (x1 - x0) * (y1 - y0) + (truth[2] - truth[0]) * (truth[3] - truth[1]) - inter
    assert inter / union > 0.93


def test_internvl_gets_the_integers_that_the_maintainers_file_has(tmp_path: Path) -> None:
    """Source: issue 11, quoted in specs/vlmr1_easydistill.md §1.3."""
    make_image(tmp_path / "é.png", (427, 640))
    row = rexthinker_row(image_name="é.png", ans=[103.93, 299.99, 238.15, 477.41], candidate_boxes=None)
    write_jsonl(tmp_path / "in.jsonl", [row])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-internvl")
    assert read_jsonl(tmp_path / "out.jsonl")[0]["conversations"][1]["value"] == [243, 468, 557, 745]
    run(tmp_path / "in.jsonl", tmp_path / "out.json", dialect="vlmr1-refcoco")
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert row["normalized_solution"] == [243, 468, 557, 745]
    assert row["solution"] == [103.93, 299.99, 238.15, 477.41]
    assert row["bbox_list"] == [pytest.approx([103.93, 299.99, 237.15, 476.41])]
    assert (row["width"], row["height"]) == (427, 640)
    run(tmp_path / "out.jsonl", tmp_path / "back.jsonl", dialect="rexthinker")
    for before, after, side in zip(
        [103.93, 299.99, 238.15, 477.41], read_jsonl(tmp_path / "back.jsonl")[0]["ans"], (427, 640) * 2, strict=True
    ):
        assert abs(before - after) <= side / 2000 + 1e-9


def test_what_a_refcoco_row_says_of_its_image_follows_it_to_another_size(tmp_path: Path) -> None:
    (row,) = json.loads((FIXTURES / "vlmr1/refcoco.json").read_text(encoding="utf-8"))
    make_image(tmp_path / row["image"], (427, 640))
    (tmp_path / "in.json").write_text(json.dumps([row]), encoding="utf-8")
    flags: dict[str, Any] = {"dialect": "vlmr1-refcoco", "resize": "fixed-point", "image_out": str(tmp_path / "aus")}
    run(tmp_path / "in.json", tmp_path / "out.json", profile="vlmr1", **flags)
    (moved,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert decode((tmp_path / "aus" / moved["image"]).read_bytes()).size == (420, 644)
    assert (moved["width"], moved["height"]) == (420, 644)
    assert moved["area"] == pytest.approx(row["area"] * (420 * 644) / (427 * 640))
    assert moved["normalized_solution"] == row["normalized_solution"]
    x0, y0, x1, y1 = moved["solution"]
    assert [x0 / 420, y0 / 644, x1 / 420, y1 / 644] == pytest.approx(
        [number / (427, 640)[place % 2] for place, number in enumerate(row["solution"])]
    )
    assert moved["bbox_list"] == [pytest.approx([x0, y0, x1 - 1, y1 - 1])]
    changed = {"image", "width", "height", "area", "solution", "bbox_list"}
    assert {key for key in row if row[key] != moved[key]} <= changed


@pytest.mark.parametrize(("caption", "lost"), [("the lady", set()), ("la dame 狗", {"extra.normal_caption"})])
def test_a_caption_that_differs_from_the_question_is_not_lost_in_silence(
    tmp_path: Path, caption: str, lost: set[str]
) -> None:
    make_image(tmp_path / "é.png")
    row = {
        "image": "é.png",
        "problem": OFFICIAL.format("the lady"),
        "normal_caption": caption,
        "solution": [1, 2, 30, 20.5],
    }
    (tmp_path / "a.json").write_text(json.dumps([row]), encoding="utf-8")
    assert lost_and_rounded(run(tmp_path / "a.json", tmp_path / "b.jsonl", dialect="rexomni")) == lost


def detection_truth(solution: str) -> list[Any]:
    """The detection rewards' ground truth: the last fence, else nothing. Source: §1.6 and its traps (a), (c)."""
    fences = re.findall(r"```json(.*?)```", solution, re.DOTALL)
    return json.loads(fences[-1].strip()) if fences else []


def test_the_trainer_reads_labels_that_it_asked_for_byte_for_byte_in_seen_pixels(data: Path) -> None:
    run(data / "regions.jsonl", data / "out.jsonl", profile="vlmr1-ovd")
    for number, row in enumerate(loaded(data / "out.jsonl")):
        asked = row["problem"].split("following objects: ")[1].split(". Output")[0]
        assert asked == "['chien à gauche', '狗', 'Straßenbahn']"
        truth = detection_truth(row["solution"])
        assert [item["label"] for item in truth] == ["chien à gauche", "狗", "狗"]
        w, h = SIZES[number % 3]
        seen_w, seen_h = get_profile("vlmr1-ovd").seen_wh((w, h))
        expected = [
            round(n / side * seen)
            for n, side, seen in zip([7.5, 3, 40, 21.25], (w, h) * 2, (seen_w, seen_h) * 2, strict=True)
        ]
        assert truth[0]["bbox_2d"] == expected
        assert all(type(n) is int for item in truth for n in item["bbox_2d"])


def test_nothing_found_is_the_word_none_and_not_an_empty_fence(tmp_path: Path) -> None:
    """An empty fence would score too; the question asks for None. Source: §1.6."""
    make_images(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", [rexthinker_row(1, ans=[])])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-ovd")
    (row,) = loaded(tmp_path / "out.jsonl")
    assert row["solution"] == "<answer> None </answer>"
    assert row["conversations"][1] == {"from": "gpt", "value": "None"}


@pytest.mark.parametrize("ans", [[], [[1, 2, 30, 31], [4, 5, 36, 37]]])
def test_an_expression_with_no_box_or_several_is_refused_by_rec_and_names_ovd(tmp_path: Path, ans: list[Any]) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", [rexthinker_row(1, ans=ans)])
    with pytest.raises(RecordError, match="vlmr1-ovd") as caught:
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1")
    assert caught.value.code == "one-answer-needed"
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-ovd")
    assert len(detection_truth(loaded(tmp_path / "out.jsonl")[0]["solution"])) == len(ans)


@pytest.mark.parametrize(
    ("referring", "profile"), [("look <image> here", "vlmr1"), ("a ``` b", "vlmr1-ovd"), ("</answer>", "vlmr1-ovd")]
)
def test_words_that_the_trainer_would_take_for_its_own_marks_are_refused(
    tmp_path: Path, referring: str, profile: str
) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", [rexthinker_row(1, referring=referring)])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile=profile)
    assert caught.value.code == "reserved-text"


side = st.integers(0, 36)
boxes = st.builds(lambda x, y, w, h: [x, y, x + w + 0.5, y + h], side, side, st.integers(1, 20), st.integers(1, 9))
rec_data = st.lists(
    st.builds(
        lambda n, ans, more: rexthinker_row(n, ans=ans) | more,
        st.integers(0, 2),
        boxes,
        st.fixed_dictionaries({}, optional={"id": words, "note": st.just({"é": [1]})}),
    ),
    min_size=1,
    max_size=3,
)
ovd_data = st.lists(
    st.builds(
        lambda n, entries: rexomni_row(n, annotation={"boxes": entries}),
        st.integers(0, 2),
        st.lists(
            st.builds(lambda bbox, phrase: {"bbox": bbox, "phrase": phrase}, boxes | st.none(), plain_words),
            min_size=1,
            max_size=4,
            unique_by=lambda entry: entry["phrase"],
        ),
    ),
    min_size=1,
    max_size=3,
)
THERE_AND_BACK = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@THERE_AND_BACK
@given(data=rec_data)
@pytest.mark.parametrize("middle", ["vlmr1", "vlmr1-refcoco"])
def test_rexthinker_there_and_back_differs_by_nothing_but_the_declared_losses(
    tmp_path: Path, middle: str, data: Any
) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", data)
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect=middle, overwrite=True)
    second = run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexthinker", overwrite=True)
    assert lost_and_rounded(first) | lost_and_rounded(second) == {"category", "candidates"}
    for before, after in zip(data, read_jsonl(tmp_path / "c.jsonl"), strict=True):
        assert after == {key: item for key, item in before.items() if key not in ("category", "candidate_boxes")}


@THERE_AND_BACK
@given(data=ovd_data)
def test_rexomni_there_and_back_differs_by_nothing_but_the_place_of_absent_phrases(tmp_path: Path, data: Any) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", data)
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="vlmr1-ovd", overwrite=True)
    second = run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexomni", overwrite=True)
    assert lost_and_rounded(first) | lost_and_rounded(second) == set()
    for before, after in zip(data, read_jsonl(tmp_path / "c.jsonl"), strict=True):
        entries = sorted(before["annotation"]["boxes"], key=lambda entry: entry["bbox"] is None)
        assert after["annotation"]["boxes"] == entries


def test_a_row_moved_into_another_frame_keeps_all_but_its_numbers(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (640, 426))
    turns = [
        {"value": "<image>\n" + format_ovd_question(["狗", "b"]), "x": 1},
        {"value": 'Bon:\n```json\n[{"bbox_2d": [10, 20, 320, 213], "label": "狗", "n": 1}]\n```.', "from": "é"},
    ]
    row = {"z": [1], "conversations": turns, "image": "é.png", "accu_reward_method": "odLength"}
    write_jsonl(tmp_path / "in.jsonl", [row])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-ovd")
    (written,) = read_jsonl(tmp_path / "out.jsonl")
    expected = json.loads(json.dumps(row))
    expected["conversations"][1]["value"] = (
        'Bon:\n```json\n[{"bbox_2d": [10, 20, 322, 210], "label": "狗", "n": 1}]\n```.'
    )
    assert same_json(written, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<answer>[64, 0, 320, 213]</answer>", "<answer>[100, 0, 500, 500]</answer>"),
        ([64, 0, 320, 213], [100, 0, 500, 500]),
    ],
)
def test_a_rec_answer_keeps_its_manner_in_another_frame(tmp_path: Path, answer: Any, expected: Any) -> None:
    make_image(tmp_path / "é.png", (640, 426))
    row = {"image": "é.png", "conversations": [{"value": "<image>" + OFFICIAL.format("狗")}, {"value": answer}]}
    write_jsonl(tmp_path / "in.jsonl", [row])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-internvl")
    assert read_jsonl(tmp_path / "out.jsonl")[0]["conversations"][1]["value"] == expected


def test_a_question_that_cites_coordinates_is_not_carried_into_another_frame(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (640, 426))
    row = {
        "image": "é.png",
        "conversations": [{"value": "<image>What is left of [1, 2, 3, 4]?"}, {"value": [64, 0, 320, 213]}],
    }
    write_jsonl(tmp_path / "in.jsonl", [row])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="vlmr1-internvl")
    assert caught.value.code == "frame-fixed"


def parsed(row: dict[str, Any], name: str, folder: Path) -> Any:
    return DIALECTS[name].parse(Row(Source("é", 1), row, None), ReadContext(ImageRoot(str(folder)), ImageLoader()))


def test_what_the_fields_do_not_say_stays_in_the_turns_verbatim(tmp_path: Path) -> None:
    rec, spaced, choice = (parsed(row, "vlmr1", tmp_path) for row in read_jsonl(FIXTURES / "vlmr1/rec.jsonl"))
    assert (rec.referring, rec.turns, rec.instruction) == ("the lady with the blue shirt", (), None)
    assert rec.answers[0].box.native.numbers == [103.93, 299.99, 238.15, 477.41]
    assert spaced.referring == "l'homme à gauche"
    assert [turn.text for turn in spaced.turns][1] == "[20, 30.5, 90, 200]"
    assert choice.referring is None
    assert [ref.name for ref in choice.images] == ["a/été.png", "a/狗.png"]
    assert [turn.role for turn in choice.turns] == ["human", "gpt"]
    assert choice.extra == {"accu_reward_method": "mcq"}


def test_labels_that_are_asked_for_and_not_there_are_absent(tmp_path: Path) -> None:
    first, second = (parsed(row, "vlmr1-ovd", tmp_path) for row in read_jsonl(FIXTURES / "vlmr1/ovd.jsonl"))
    assert [(r.phrase, r.is_absent) for r in first.regions] == [
        ("chien", False),
        ("l'homme", False),
        ("Straßenbahn", True),
    ]
    assert [(r.phrase, r.is_absent) for r in second.regions] == [("狗", True)]
    assert first.turns == second.turns == ()


def test_an_image_with_nothing_to_ask_for_is_refused_with_the_flags_that_help() -> None:
    """An image of a detection data set on which nothing was marked."""
    from groundprep.record import Record

    context = WriteContext("jsonl", ImageLoader(), RowFrame(get_profile("vlmr1-ovd").frame), Losses())
    bare = Record(Source("é", 1), images=(ImageRef("狗.jpg", FileImage("狗.jpg")),))
    with pytest.raises(RecordError) as caught:
        DIALECTS["vlmr1-ovd"].format(bare, context)
    assert (caught.value.code, caught.value.found) == ("no-expression", "an image without boxes")
    assert "--negatives" in str(caught.value.fix)
    assert "--on-error drop" in str(caught.value.fix)


def test_a_conversation_of_another_layout_is_written_verbatim(tmp_path: Path) -> None:
    """Turns without boxes, as any chat layout gives them."""
    from groundprep.record import Record, Turn

    record = Record(Source("é", 1), turns=(Turn("user", "How many? 狗"), Turn("assistant", "3")))
    context = WriteContext("jsonl", ImageLoader(), RowFrame(get_profile("vlmr1").frame), Losses())
    row = DIALECTS["vlmr1"].format(record, context).value
    assert row == {"conversations": [{"from": "human", "value": "How many? 狗"}, {"from": "gpt", "value": "3"}]}
    assert context.losses.is_lossless
    with pytest.raises(RecordError) as caught:
        DIALECTS["vlmr1"].format(Record(Source("é", 1), turns=(Turn("system", "x"), Turn("user", "y"))), context)
    assert caught.value.code == "no-expression"


@given(plain_words)
def test_an_expression_is_recovered_from_the_official_question(text: str) -> None:
    assert parse_rec_question("<image>" + OFFICIAL.format(text)) == text


@given(st.lists(plain_words, max_size=4))
def test_labels_are_recovered_from_the_official_question(labels: list[str]) -> None:
    assert parse_ovd_question(format_ovd_question(labels)) == labels


@pytest.mark.parametrize(
    "text",
    ["[__import__('os')]", "['a' 'b'", "['\\d']", "['a', 1]", "{}", "['\\ud8']", "[" * 9000, "['\\x00' if 1 else '']"],
)
def test_what_is_no_list_of_quoted_labels_is_never_evaluated(text: str) -> None:
    question = format_ovd_question([]).replace("[]", text, 1)
    assert parse_ovd_question(question) is None


def test_the_last_of_several_fences_counts_and_none_is_compared_exactly() -> None:
    fence = format_objects([{"bbox_2d": [1, 2, 3, 4], "label": "狗"}])
    answers = parse_objects('```json\n[{"bbox_2d": [9, 9, 9, 9]}]\n``` ' + fence)
    assert answers is not None
    assert [item.box for item in answers] == [[1, 2, 3, 4]]
    assert parse_objects("None") == []
    assert parse_objects("none") is None


MATCHES = {
    "vlmr1/rec.jsonl": "vlmr1",
    "vlmr1/ovd.jsonl": "vlmr1-ovd",
    "vlmr1/refcoco.json": "vlmr1-refcoco",
    "vlmr1_seg/chebyshev.jsonl": "vlmr1-seg",
    "vlmr1_seg/older.jsonl": "vlmr1-seg",
    "vlmr1_seg/mask_path.jsonl": "vlmr1-seg",
    "easydistill/multi.jsonl": "easydistill",
    "easydistill/single.jsonl": "easydistill-single",
    "easydistill/sft.json": "easydistill-sft",
}


@pytest.mark.parametrize(("path", "name"), MATCHES.items())
def test_every_fixture_is_of_exactly_one_dialect_and_comes_back_equal(path: str, name: str) -> None:
    for item in open_reader(str(FIXTURES / path)):
        assert isinstance(item, Row)
        assert [other for other, dialect in DIALECTS.items() if dialect.matches(item.value, Path(path).suffix[1:])] == [
            name
        ]
        before = json.dumps(item.value)
        context = WriteContext("jsonl", ImageLoader(), RowFrame(DIALECTS[name].frame), Losses())
        record = DIALECTS[name].parse(item, ReadContext(ImageRoot(None, str(FIXTURES)), ImageLoader()))
        assert json.dumps(DIALECTS[name].format(record, context).value) == before
        assert context.losses.is_lossless


@pytest.mark.parametrize("answer", ['[{"bbox_2d": [1, 2, 30, 40], "label": "chien"}]', "none", "il n'y en a pas"])
def test_a_row_with_the_official_detection_question_is_one_of_detection_whatever_its_answer(answer: str) -> None:
    turns = [{"from": "human", "value": f"<image>{format_ovd_question(['chien'])}"}, {"from": "gpt", "value": answer}]
    for row in ({"image": "é.jpg", "conversations": turns}, {"id": 1, "image": "é.jpg", "conversations": turns}):
        assert detect_dialect([row], container="jsonl", path="é.jsonl").name == "vlmr1-ovd"


def test_a_bare_box_is_one_of_rec_whatever_the_question() -> None:
    turns = [
        {"from": "human", "value": f"<image>{format_ovd_question(['chien'])}"},
        {"from": "gpt", "value": [1, 2, 30, 40]},
    ]
    row = {"image": "é.jpg", "conversations": turns}
    assert detect_dialect([row], container="jsonl", path="é.jsonl").name == "vlmr1"


@pytest.mark.parametrize("start", ["", "<image>\n", "<image> "])
def test_a_row_whose_question_is_not_written_as_the_official_one_follows_its_image(tmp_path: Path, start: str) -> None:
    make_image(tmp_path / "é.png", (100, 60))
    write_jsonl(tmp_path / "a.jsonl", [rec_row(start + OFFICIAL.format("狗"), [10, 6, 50, 30])])
    run(
        tmp_path / "a.jsonl",
        tmp_path / "b.jsonl",
        profile="vlmr1",
        resize="fixed-point",
        image_out=str(tmp_path / "aus"),
    )
    (row,) = read_jsonl(tmp_path / "b.jsonl")  # 112 x 56
    question, answer = (turn["value"] for turn in row["conversations"])
    assert question == start + OFFICIAL.format("狗")
    assert answer == pytest.approx([11.2, 5.6, 56, 28])


def rec_row(question: str, answer: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 1, "image": "é.png", "conversations": turns}


FENCE = '```json\n[{"bbox_2d": [10, 6, 50, 30], "label": "狗"}]\n```'


@pytest.mark.parametrize("flags", [{}, {"resize": "fixed-point"}], ids=["frame", "image"])
@pytest.mark.parametrize(
    ("answer", "is_carried"),
    [("Voilà: {}\n", True), ("At [10, 6, 50, 30]: {}", False), ("{0} {0}", False)],
)
def test_text_around_a_fence_is_carried_only_where_it_cites_no_coordinates(
    tmp_path: Path, answer: str, is_carried: bool, flags: dict[str, str]
) -> None:
    make_image(tmp_path / "é.png", (100, 60))
    write_jsonl(tmp_path / "a.jsonl", [rec_row("<image>Find all.", answer.format(FENCE))])
    places = {"image_out": str(tmp_path / "aus")} if flags else {}
    arguments = {"profile": "vlmr1-ovd", "from_name": "vlmr1-ovd"} | flags | places
    if is_carried:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", **arguments)
        moved = answer.format(FENCE.replace("[10, 6, 50, 30]", "[11, 6, 56, 28]"))
        assert read_jsonl(tmp_path / "b.jsonl")[0]["conversations"][1]["value"] == moved
    else:
        with pytest.raises(RecordError) as caught:
            run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", **arguments)
        assert caught.value.code == ("text-fixed" if flags else "frame-fixed")


def test_box_tokens_in_free_text_are_not_carried_into_another_frame(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (100, 60))
    answer = "A <|object_ref_start|>狗<|object_ref_end|><|box_start|>(162,234),(372,884)<|box_end|> runs."
    write_jsonl(tmp_path / "a.jsonl", [rec_row("<image>Describe.", answer)])
    with pytest.raises(RecordError) as caught:
        run(
            tmp_path / "a.jsonl",
            tmp_path / "b.jsonl",
            profile="vlmr1-ovd",
            from_name="qwen-vl",
            source_frame="qwen3-vl",
        )
    assert caught.value.code == "frame-fixed"
