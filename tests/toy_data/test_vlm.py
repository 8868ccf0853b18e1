from __future__ import annotations

import random
import re
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra train")

from groundprep.dialects.hints import IMAGE_MARK, parse_answer, parse_problem
from groundprep.rewards.rexthinker import number_lists, rexthinker_reward
from toy_data.build_vlm import TAGS, Example, answer_labels, build_processor, chat_text, iter_examples, unsure_answer

SHIPPED = Path(__file__).resolve().parents[2] / "toy_data" / "vlm"

pytestmark = [
    pytest.mark.model,
    # torch and transformers warn about their own futures; what they warn of is not ours to fix.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(islice(iter_examples(4_711), 96))


def test_the_shipped_model_is_small_and_holds_no_pickle() -> None:
    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 10_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".jinja", ".md", ".txt"}


def test_examples_are_written_in_the_text_of_the_conversion(examples: list[Example]) -> None:
    for example in examples:
        hint = parse_problem(IMAGE_MARK + example.prompt)
        assert hint is not None
        assert [tuple(box) for box in hint.boxes] == list(example.boxes)
        answer = parse_answer(example.answer(example.right, tagged=False))
        assert answer is not None
        assert {tuple(item.box) for item in answer} <= set(example.boxes)


def test_examples_ask_for_one_for_several_and_for_none(examples: list[Example]) -> None:
    assert {0, 1, 2} <= {len(example.right) for example in examples}


def test_the_answers_shown_are_right_about_half_of_the_time(examples: list[Example]) -> None:
    rng = random.Random(0)
    exact = [
        rexthinker_reward(unsure_answer(example, rng), example.answer(example.right, tagged=False))["accuracy"] == 1.0
        for example in examples * 4
    ]
    assert 0.5 < sum(exact) / len(exact) < 0.85


def test_every_text_survives_the_tokenizer_and_coordinates_are_one_token(
    tmp_path: Path, examples: list[Example]
) -> None:
    tokenizer = build_processor(tmp_path / "processor", seed=0).tokenizer
    for example in examples[:24]:
        text = example.prompt + example.answer(example.right, tagged=True)
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        numbers = re.findall(r"\d+", text.replace("bbox_2d", ""))
        tokens = tokenizer.convert_ids_to_tokens(ids)
        assert sum(bool(re.fullmatch(r"\d+(, )?", token)) for token in tokens) == len(numbers)


def test_only_the_answer_and_its_end_are_learned() -> None:
    import torch

    assistant, eos = 5, 9
    ids = torch.tensor([[1, 9, 2, 5, 30, 31, 9, 7], [1, 9, 5, 40, 9, 7, 0, 0]])
    assert answer_labels(ids, assistant, eos).tolist() == [
        [-100, -100, -100, -100, 30, 31, 9, -100],
        [-100, -100, -100, 40, 9, -100, -100, -100],
    ]


def test_the_shipped_model_writes_answers_that_copy_boxes_and_is_often_but_not_always_right(
    examples: list[Example],
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(SHIPPED, padding_side="left")
    model = AutoModelForImageTextToText.from_pretrained(SHIPPED, dtype=torch.float32).eval()
    torch.manual_seed(0)
    inputs = processor(
        images=[example.image for example in examples],
        text=[chat_text(processor, example.prompt, None) for example in examples],
        return_tensors="pt",
        padding=True,
    )
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=48, do_sample=True, temperature=1.0, top_k=0)
    completions = output[:, inputs["input_ids"].shape[1] :]
    texts = processor.tokenizer.batch_decode(completions, skip_special_tokens=True)
    ended = (completions == processor.tokenizer.eos_token_id).any(dim=1).float().mean()
    formed, copied, rewards = 0, 0, []
    for text, example in zip(texts, examples, strict=True):
        plain = text.removeprefix(TAGS[0]).removesuffix(TAGS[1])
        well_formed = plain.startswith("```json\n[") and plain.endswith("]\n```")
        formed += well_formed
        copied += well_formed and set(number_lists(text) or []) <= set(example.boxes)
        rewards.append(rexthinker_reward(text, example.answer(example.right, tagged=False))["overall"])
    assert ended > 0.95
    assert formed / len(examples) > 0.9
    assert copied / len(examples) > 0.5
    assert 0.25 < sum(rewards) / len(rewards) < 0.8
