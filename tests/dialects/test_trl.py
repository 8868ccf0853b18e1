"""TRL's rows: what datasets and TRL themselves make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from groundprep.dialects.hints import format_answer, format_problem
from groundprep.errors import RecordError
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, extras, phrases, shuffled, words
from tests.contracts.samples import make_images, read_jsonl, rexthinker_row, run, write_jsonl

integers = st.lists(st.integers(0, 27), min_size=4, max_size=4)
questions = st.builds(format_problem, words, st.lists(integers, max_size=3), words).map(
    lambda text: text.removeprefix("<image>")
)
answers = st.lists(st.builds(lambda b, label: {"bbox_2d": b, "label": label}, integers, words), max_size=2).map(
    format_answer
)
plain = phrases.filter(lambda text: "<image>" not in text)
contents = (questions | plain) | (questions | plain).map(
    lambda text: [{"type": "image"}, {"type": "text", "text": text}]
)
users = contents.map(lambda content: {"role": "user", "content": content})
systems = st.lists(words.map(lambda text: {"role": "system", "content": text}), max_size=1)
# Built anew for every example: the contract damages rows in place.
images = st.sampled_from(["images", "image", "path"]).map(
    lambda kind: (
        {"image": IMAGE_NAME}
        if kind == "image"
        else {"images": [IMAGE_NAME if kind == "images" else {"path": IMAGE_NAME}]}
    )
)
KEYS = (
    "prompt",
    "completion",
    "messages",
    "images",
    "image",
    "solution",
    "answer",
    "problem",
    "conversations",
    "referring",
)


class TestTrl(DialectContract):
    name = "trl"
    container = "jsonl"
    frame: ClassVar = RowFrame.of_profile(get_profile("trl"))
    rows: ClassVar = st.builds(
        lambda before, user, image, key, answer, extra: {"prompt": [*before, user], key: answer} | image | extra,
        systems,
        users,
        images,
        st.sampled_from(["solution", "answer"]),
        answers | phrases,
        extras(*KEYS),
    ).flatmap(shuffled)

    def test_a_prompt_of_several_turns_is_an_error(self, folder: Path) -> None:
        prompt = [{"role": "user", "content": text} for text in ("a", "b")]
        with pytest.raises(RecordError) as caught:
            self.parsed({"prompt": prompt, "images": [IMAGE_NAME], "solution": ""}, folder)
        assert caught.value.code == "prompt-shape"


said = st.builds(lambda user, reply: [user, {"role": "assistant", "content": reply}], users, answers | phrases)


class TestTrlSft(DialectContract):
    name = "trl-sft"
    container = "jsonl"
    frame: ClassVar = RowFrame.of_profile(get_profile("trl-sft"))
    rows: ClassVar = st.builds(
        lambda before, pair, image, whole, extra: (
            ({"messages": [*before, *pair]} if whole else {"prompt": [*before, pair[0]], "completion": pair[1:]})
            | image
            | extra
        ),
        systems,
        said,
        images,
        st.booleans(),
        extras(*KEYS),
    ).flatmap(shuffled)


def converted(tmp_path: Path, profile: str, **changes: Any) -> Path:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(number, **changes) for number in range(3)])
    run(tmp_path / "a.jsonl", tmp_path / "b.parquet", profile=profile)
    return tmp_path / "b.parquet"


def test_a_grpo_row_holds_the_text_of_easyr1_without_the_image_mark(tmp_path: Path) -> None:
    file = converted(tmp_path, "trl")
    run(tmp_path / "a.jsonl", tmp_path / "e.parquet", profile="easyr1", min_pixels=3_136, max_pixels=12_845_056)
    for ours, easyr1 in zip(
        pq.read_table(file).to_pylist(), pq.read_table(tmp_path / "e.parquet").to_pylist(), strict=True
    ):
        assert ours["prompt"] == [{"role": "user", "content": easyr1["problem"].removeprefix("<image>")}]
        assert ours["solution"] == easyr1["answer"]
        assert ours["images"] == easyr1["images"]


def test_numbers_are_those_of_the_image_that_the_processor_makes(tmp_path: Path) -> None:
    """Row 1 is 640 x 426: 644 x 420 by hand, from round(640 / 28) and round(426 / 28) (specs/targets.md §3.0)."""
    row = pq.read_table(converted(tmp_path, "trl")).to_pylist()[1]
    expected = [
        int(number / side * seen)
        for number, side, seen in zip([7.5, 3, 40, 21.25], (640, 426) * 2, (644, 420) * 2, strict=True)
    ]
    assert json.loads(row["solution"].removeprefix("```json\n").removesuffix("\n```"))[0]["bbox_2d"] == expected


@pytest.mark.parametrize("profile", ["trl", "trl-sft"])
def test_datasets_loads_the_types_that_trl_wants(tmp_path: Path, profile: str) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra [train] is not installed")
    pytest.importorskip("trl", reason="the extra [train] is not installed")
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    file = converted(tmp_path, profile)
    loaded = datasets.load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    decoded = loaded.cast_column("images", datasets.List(datasets.Image()))
    example = decoded[1]
    assert is_conversational(example)
    assert all(isinstance(message["content"], str) for message in example["prompt"])
    assert [picture.size for picture in example["images"]] == [(640, 426)]
    (message,) = prepare_multimodal_messages(example["prompt"], images=example["images"])
    assert [part["type"] for part in message["content"]] == ["image", "text"]
    assert "<image>" not in message["content"][1]["text"]
    if profile == "trl":
        assert loaded.column_names == ["prompt", "images", "solution"]
    else:
        assert [m["role"] for m in example["completion"]] == ["assistant"]


def test_the_file_says_its_frame_and_holds_no_feature_metadata(tmp_path: Path) -> None:
    schema = pq.read_schema(converted(tmp_path, "trl"))
    assert b"huggingface" not in schema.metadata
    assert json.loads(schema.metadata[b"groundprep"])["profile"] == "trl"
    assert schema.field("prompt").type == pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@pytest.mark.parametrize("profile", ["trl", "trl-sft"])
def test_there_and_back_the_integers_stay(tmp_path: Path, profile: str) -> None:
    file = converted(tmp_path, profile)
    run(file, tmp_path / "c.jsonl", dialect="rexthinker", image_out=str(tmp_path / "aus"))
    assert [row["referring"] for row in read_jsonl(tmp_path / "c.jsonl")] == [
        rexthinker_row(n)["referring"] for n in range(3)
    ]
    run(tmp_path / "c.jsonl", tmp_path / "d.parquet", profile=profile, image_root=str(tmp_path / "aus"))
    columns = ["prompt", "solution" if profile == "trl" else "completion"]
    assert pq.read_table(tmp_path / "d.parquet", columns=columns) == pq.read_table(file, columns=columns)


def test_nulls_that_arrow_fills_in_are_read_and_content_becomes_text(tmp_path: Path) -> None:
    make_images(tmp_path)
    data = (tmp_path / "bilder/straße 0.png").read_bytes()
    prompt = [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Wo ist 狗?"}]}]
    table = pa.table({"prompt": [prompt], "images": [[{"bytes": data, "path": None}]], "solution": ["links"]})
    pq.write_table(table, tmp_path / "a.parquet")
    run(tmp_path / "a.parquet", tmp_path / "b.parquet", profile="trl")
    (row,) = pq.read_table(tmp_path / "b.parquet").to_pylist()
    assert (row["prompt"], row["solution"]) == ([{"role": "user", "content": "Wo ist 狗?"}], "links")
    run(tmp_path / "a.parquet", tmp_path / "c.parquet", profile="easyr1")
    (row,) = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert (row["problem"], row["answer"]) == ("<image>Wo ist 狗?", "links")


def test_image_parts_of_an_sft_row_leave_no_mark_in_the_text(tmp_path: Path) -> None:
    """TRL puts the images in front of a message that is a string, and would leave a mark standing as text."""
    make_images(tmp_path)
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Où est 狗 ?"}]}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "à gauche"}]}
    write_jsonl(tmp_path / "a.jsonl", [{"messages": [user, reply], "images": ["bilder/straße 0.png"]}])
    run(tmp_path / "a.jsonl", tmp_path / "b.parquet", profile="trl-sft", source_frame="trl-sft")
    (row,) = pq.read_table(tmp_path / "b.parquet").to_pylist()
    assert row["prompt"] == [{"role": "user", "content": "Où est 狗 ?"}]
    assert row["completion"] == [{"role": "assistant", "content": "à gauche"}]


def test_rows_of_easyr1_become_rows_of_sft_with_question_and_answer(tmp_path: Path) -> None:
    make_images(tmp_path)
    row = {"images": ["bilder/straße 0.png"], "problem": "<image>Wie viele 狗?", "answer": "drei"}
    write_jsonl(tmp_path / "a.jsonl", [row])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="trl-sft", source_frame="easyr1")
    assert read_jsonl(tmp_path / "b.jsonl") == [
        {
            "images": ["bilder/straße 0.png"],
            "prompt": [{"role": "user", "content": "Wie viele 狗?"}],
            "completion": [{"role": "assistant", "content": "drei"}],
        }
    ]


def test_the_reward_of_rex_thinker_reads_the_solution(tmp_path: Path) -> None:
    from groundprep.rewards.rexthinker import rexthinker_reward

    row = pq.read_table(converted(tmp_path, "trl")).to_pylist()[0]
    completion = f"<think>so</think><answer>{row['solution']}</answer>"
    assert rexthinker_reward(completion, row["solution"])["overall"] == 1.0
    assert rexthinker_reward(completion.replace('"bbox_2d": [', '"bbox_2d": [1'), row["solution"])["overall"] < 1.0


def test_an_expression_with_an_image_mark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        converted(tmp_path, "trl", referring="a <image> of 狗")
    assert caught.value.code == "image-mark"


def test_validate_finds_in_rows_of_trl_what_the_reward_cannot_reach(tmp_path: Path) -> None:
    """The answer of the rows is none of the hints: as a conversion would write them, and as they are in the file."""
    from groundprep.api.sources import SourceConfig
    from groundprep.api.validate import ValidateConfig, validate

    file = converted(tmp_path, "trl")
    for source in (tmp_path / "a.jsonl", file):
        result = validate(ValidateConfig(SourceConfig((str(source),)), profile="trl"))
        assert {finding.code for finding in result.findings} >= {"answer-not-in-hint"}, source
    good = [rexthinker_row(1, ans=[7, 3, 40, 21])]
    write_jsonl(tmp_path / "a.jsonl", good)
    run(tmp_path / "a.jsonl", tmp_path / "c.parquet", profile="trl")
    result = validate(ValidateConfig(SourceConfig((str(tmp_path / "c.parquet"),)), profile="trl"))
    assert not any(finding.code == "answer-not-in-hint" for finding in result.findings)
    other = validate(ValidateConfig(SourceConfig((str(tmp_path / "c.parquet"),)), profile="easyr1"))
    assert "frame-mismatch" in {finding.code for finding in other.findings}
