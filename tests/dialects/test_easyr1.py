"""Training rows of EasyR1 and Rex-Thinker: literal text, integers in the pixels that the model sees."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundprep.dialects.hints import format_answer, format_problem, parse_answer, parse_problem
from groundprep.errors import RecordError
from groundprep.geometry.resize import SmartResize
from groundprep.images import ImageRef
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, words
from tests.contracts.samples import SIZE_WH, lost_and_rounded, make_image, read_jsonl, rexthinker_row, run, write_jsonl

integers = st.lists(st.integers(0, 27), min_size=4, max_size=4)
problems = st.builds(format_problem, words, st.lists(integers, max_size=3), words)
answers = st.lists(
    st.builds(
        lambda numbers, label, extra: {"bbox_2d": numbers} | label | extra,
        integers | box,
        st.fixed_dictionaries({}, optional={"label": words}),
        extras("bbox_2d", "label"),
    ),
    max_size=2,
).map(format_answer)
texts = st.fixed_dictionaries({"problem": problems | phrases, "answer": answers | phrases})
path_images = st.just([IMAGE_NAME]) | st.just([{"path": IMAGE_NAME}]) | st.just([{"bytes": None, "path": IMAGE_NAME}])


class TestEasyR1(DialectContract):
    name = "easyr1"
    container = "jsonl"
    frame: ClassVar = RowFrame.of_profile(get_profile("easyr1"))
    rows: ClassVar = st.builds(
        lambda text, images, extra: {"images": images} | text | extra,
        texts,
        path_images,
        extras("images", "problem", "answer", "referring", "annotation", "image_name"),
    ).flatmap(lambda row: st.permutations(list(row.items())).map(dict))


def flat_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", SIZE_WH, "teal").save(buffer, "PNG")
    return buffer.getvalue()


class TestRexThinkerParquet(DialectContract):
    name = "rexthinker-parquet"
    container = "parquet"
    frame: ClassVar = RowFrame.of_profile(get_profile("rexthinker"))
    rows: ClassVar = st.builds(lambda text, images: {"images": images} | text, texts, st.just(flat_png()))

    def comparable(self, value: Any) -> Any:
        """Return the row with its image as the length of its bytes; columns have no order."""

        def plain(image: Any) -> Any:
            data = image.location.read() if isinstance(image, ImageRef) else image
            return len(data) if isinstance(data, bytes) else image

        return {key: plain(item) if key == "images" else item for key, item in sorted(value.items())}


def test_the_shipped_row_of_rex_thinker_is_reproduced_to_the_letter(tmp_path: Path) -> None:
    """Source: specs/rexthinker.md §2.7: row 0 of the toy parquet, a 640 x 426 image in the converter's frame.

    The boxes of the annotation are any that the mapping of §2.2 sends to the shipped integers: the middles of the bins.
    """
    make_image(tmp_path / "COCO_train2014_000000038850.jpg", (640, 426))
    hints, answer = [[402, 95, 526, 198], [94, 46, 451, 276], [202, 276, 323, 407]], [94, 45, 445, 271]

    def stored(numbers: list[int]) -> list[float]:
        return [(n + 0.5) / seen * side for n, seen, side in zip(numbers, (644, 420) * 2, (640, 426) * 2, strict=True)]

    row = {
        "image_name": "COCO_train2014_000000038850.jpg",
        "ans": stored(answer),
        "category": "person",
        "referring": "a young boy doing a skateboard trick on a blue board",
        "candidate_boxes": [{"bbox": stored(hint), "category": "person"} for hint in hints],
    }
    write_jsonl(tmp_path / "anno.jsonl", [row])
    run(tmp_path / "anno.jsonl", tmp_path / "out.parquet", profile="rexthinker", frame="converter")
    (written,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert written["problem"] == (
        '<image>Hint: Object and its coordinates in this image: {"person": [[402, 95, 526, 198], [94, 46, 451, 276], '
        "[202, 276, 323, 407]]}\nPlease detect a young boy doing a skateboard trick on a blue board in this image."
    )
    assert written["answer"] == (
        '```json\n[{"bbox_2d": [94, 45, 445, 271], "label": "a young boy doing a skateboard trick on a blue board"}]\n```'
    )
    assert written["images"] == (tmp_path / "COCO_train2014_000000038850.jpg").read_bytes()


@given(st.lists(st.floats(-30, 700), min_size=4, max_size=4))
def test_numbers_are_rounded_as_the_reference_converter_does(numbers: list[float]) -> None:
    """Source: specs/rexthinker.md §2.2, steps 1 to 3, written out."""
    w, h = 500, 375
    seen_w, seen_h = SmartResize(28, 12_544, 1_003_520, "one-factor", "qwen_vl_utils 0.0.11")((w, h))
    x0, y0, x1, y1 = numbers
    expected = [
        max(0, min(int(x0 / w * seen_w), seen_w - 1)),
        max(0, min(int(y0 / h * seen_h), seen_h - 1)),
        max(0, min(int(x1 / w * seen_w), seen_w - 1)),
        max(0, min(int(y1 / h * seen_h), seen_h - 1)),
    ]
    profile = get_profile("rexthinker").as_converter()
    assert profile.frame.box_from_stored(numbers, size_wh=(w, h), seen_wh=profile.seen_wh((w, h))) == expected


@given(words, st.lists(integers, max_size=3), words)
def test_a_problem_is_parsed_into_what_it_was_made_of(category: str, boxes: list[Any], referring: str) -> None:
    hint = parse_problem(format_problem(category, boxes, referring))
    assert hint == (category, boxes, referring)


def test_the_text_is_literal_and_json_is_ascii() -> None:
    assert format_problem("Straße", [[1, 2, 3, 4]], "le chien 狗") == (
        '<image>Hint: Object and its coordinates in this image: {"Stra\\u00dfe": [[1, 2, 3, 4]]}\n'
        "Please detect le chien 狗 in this image."
    )
    assert format_answer([]) == "```json\n[]\n```"
    assert format_answer([{"bbox_2d": [1, 2, 3, 4], "label": "狗"}]) == (
        '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "\\u72d7"}]\n```'
    )


@pytest.mark.parametrize("problem", ["", "<image>", "What is this?", "<image>Hint: {}", "Hint: Object and its"])
def test_a_problem_of_another_shape_is_no_hint(problem: str) -> None:
    assert parse_problem(problem) is None


def test_a_broken_hint_or_answer_is_an_error() -> None:
    start = "<image>Hint: Object and its coordinates in this image: "
    for hint in ("{", "[]", '{"a": 1}', '{"a": [[1, 2, 3]]}', '{"a": [], "b": []}', '{"a": [[1, 2, 3, true]]}'):
        with pytest.raises(RecordError):
            parse_problem(f"{start}{hint}\nPlease detect é in this image.")
    for answer in ("[{}]", '[{"bbox_2d": [1, 2]}]', "[", "[NaN]"):
        with pytest.raises(RecordError):
            parse_answer(f"```json\n{answer}\n```")
    assert parse_answer("None") is None


def table(path: Path, problem: str, answer: str, **columns: Any) -> Path:
    make_image(path.parent / "é.png", (640, 426))
    images = [[{"bytes": (path.parent / "é.png").read_bytes(), "path": "é.png"}]]
    pq.write_table(pa.table({"images": images, "problem": [problem], "answer": [answer]} | columns), path)
    return path


def test_free_text_with_coordinates_is_not_carried_into_another_frame(tmp_path: Path) -> None:
    source = table(tmp_path / "in.parquet", "<image>Where is 狗?", "It is at [10, 20, 30, 40].")
    with pytest.raises(RecordError) as caught:
        run(source, tmp_path / "out.parquet", profile="rexthinker", source_frame="easyr1")
    assert caught.value.code == "frame-fixed"
    assert caught.value.found == "[10, 20, 30, 40]"


def test_free_text_without_coordinates_is_carried_verbatim(tmp_path: Path) -> None:
    source = table(tmp_path / "in.parquet", "<image>How many dogs [are] there?", "\\boxed{3} 狗")
    run(source, tmp_path / "out.parquet", profile="rexthinker", source_frame="easyr1")
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["problem"], row["answer"]) == ("<image>How many dogs [are] there?", "\\boxed{3} 狗")


def conversation(*texts: str, image: Any = None) -> dict[str, Any]:
    roles = ("human", "gpt") * len(texts)
    turns = [{"from": role, "value": text} for role, text in zip(roles, texts, strict=False)]
    return ({} if image is None else {"image": image}) | {"conversations": turns}


@pytest.mark.parametrize(("profile", "key"), [("easyr1", "answer"), ("trl", "solution")])
def test_the_answer_to_a_free_question_is_carried_and_not_made_up(tmp_path: Path, profile: str, key: str) -> None:
    make_image(tmp_path / "é.png", (61, 37))
    rows = [conversation("<image>What is it?", "trois chiens 狗", image="é.png"), conversation("2+2?", "4")]
    write_jsonl(tmp_path / "in.jsonl", rows)
    result = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile=profile, from_name="vlmr1")
    assert [row[key] for row in read_jsonl(tmp_path / "out.jsonl")] == ["trois chiens 狗", "4"]
    assert lost_and_rounded(result) == set()


def test_a_free_answer_with_coordinates_is_not_carried_into_another_frame(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (61, 37))
    write_jsonl(tmp_path / "in.jsonl", [conversation("<image>Where?", "at [3, 7, 9, 12]", image="é.png")])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="easyr1", from_name="vlmr1")
    assert caught.value.code == "frame-fixed"


def test_a_conversation_of_more_than_question_and_answer_is_refused(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (61, 37))
    write_jsonl(tmp_path / "in.jsonl", [conversation("<image>What?", "狗", "And where?", "left", image="é.png")])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="easyr1", from_name="vlmr1")
    assert caught.value.code == "no-expression"


def test_the_problem_has_a_mark_for_each_of_several_images(tmp_path: Path) -> None:
    """Source: specs/rexthinker.md §4.2: the number of `<image>` markers must equal the length of the list."""
    for name in ("é.png", "ü.png"):
        make_image(tmp_path / name, (61, 37))
    question = "<image><image>Please provide the bounding box coordinate of the region this sentence describes: 狗."
    write_jsonl(tmp_path / "in.jsonl", [conversation(question, "[7, 3, 40, 21]", image=["é.png", "ü.png"])])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", profile="easyr1")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert row["images"] == ["é.png", "ü.png"]
    assert row["problem"].startswith("<image><image>Hint: ")
    run(tmp_path / "out.jsonl", tmp_path / "trl.jsonl", profile="trl")
    (grpo,) = read_jsonl(tmp_path / "trl.jsonl")
    assert (grpo["images"], grpo["prompt"][0]["content"].count("<image>")) == (["é.png", "ü.png"], 0)
    run(tmp_path / "trl.jsonl", tmp_path / "again.jsonl", profile="easyr1")
    assert read_jsonl(tmp_path / "again.jsonl")[0]["problem"].startswith("<image><image>Hint: ")


def test_columns_that_the_target_has_not_are_reported_lost(tmp_path: Path) -> None:
    source = table(tmp_path / "in.parquet", "<image>x", "y", ability=["z"])
    result = run(source, tmp_path / "other.parquet", profile="rexthinker", source_frame="easyr1")
    assert lost_and_rounded(result) == {"extra.ability", "images.name"}
    assert lost_and_rounded(run(source, tmp_path / "out.parquet", source_frame="easyr1")) == set()
    assert pq.read_table(tmp_path / "out.parquet").column("ability").to_pylist() == ["z"]
    result = run(source, tmp_path / "out.jsonl", source_frame="easyr1", image_out=str(tmp_path / "aus"))
    assert lost_and_rounded(result) == set()
    assert read_jsonl(tmp_path / "out.jsonl") == [
        {"images": ["é.png"], "problem": "<image>x", "answer": "y", "ability": "z"}
    ]


def test_further_keys_of_an_answer_survive_a_change_of_limits(tmp_path: Path) -> None:
    answer = '```json\n[{"bbox_2d": [94, 45, 445, 271], "label": "狗", "score": 0.5}]\n```'
    source = table(tmp_path / "in.parquet", format_problem("狗", [], "狗"), answer)
    run(source, tmp_path / "out.parquet", profile="easyr1", max_pixels=262_144, source_frame="easyr1")
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    (answer_again,) = json.loads(row["answer"].removeprefix("```json\n").removesuffix("\n```"))
    assert answer_again["score"] == 0.5
    assert answer_again["bbox_2d"] != [94, 45, 445, 271]


def test_candidates_of_other_categories_are_filed_under_the_first_and_the_report_says_so(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png")
    candidates = [{"bbox": [1, 2, 3, 4], "category": name} for name in ("Hund", "Katze", "Hund")]
    write_jsonl(
        tmp_path / "in.jsonl", [rexthinker_row(image_name="é.png", category="Tier", candidate_boxes=candidates)]
    )
    result = run(tmp_path / "in.jsonl", tmp_path / "out.parquet", profile="easyr1")
    assert result.losses["candidates.phrase"]["lost"] == 1
    assert {key: result.losses["category"][key] for key in ("kept", "lost", "added")} == {
        "kept": 0,
        "lost": 1,
        "added": 1,
    }


def test_bare_bytes_in_the_list_are_an_image_as_easyr1_takes_them(tmp_path: Path) -> None:
    """list<binary> without Hugging Face metadata is one of the columns that EasyR1 loads (specs/rexthinker.md §4.3)."""
    make_image(tmp_path / "é.png", (640, 426))
    data = (tmp_path / "é.png").read_bytes()
    answer = '```json\n[{"bbox_2d": [94, 45, 445, 271], "label": "狗"}]\n```'
    columns = {"images": [[data]], "problem": [format_problem("狗", [[94, 45, 445, 271]], "狗")], "answer": [answer]}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.parquet", profile="easyr1", source_frame="easyr1")
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert row["images"] == [{"bytes": data, "path": None}]
    assert row["answer"] == answer


@pytest.mark.parametrize("text", ["", "QUJD", "a.png"])
def test_text_where_image_bytes_belong_is_refused_and_not_decoded_as_base64(tmp_path: Path, text: str) -> None:
    row = {"images": [{"bytes": text, "path": "a.png"}], "problem": "<image>Where?", "answer": "there"}
    write_jsonl(tmp_path / "rows.jsonl", [row])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", image_root=str(tmp_path), source_frame="easyr1")
    assert caught.value.code == "wrong-type"
    assert "$.images[0].bytes" in caught.value.message
