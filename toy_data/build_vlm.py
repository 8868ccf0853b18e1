"""Make the tiny vision-language model that shows GRPO on a CPU: real Qwen2.5-VL classes, own tokenizer, own weights.

    python toy_data/build_vlm.py [--out toy_data/vlm] [--seed 0] [--drill-steps 600] [--steps 300]

A random model under an exact-match reward never earns anything, so GRPO has nothing to compare. This one is warmed up by
supervised training in the very text that `groundprep convert --for easyr1` writes: first drills in copying boxes, without
pictures, then requests about freshly drawn toy scenes. It is left *unsure on purpose*: half of the answers that it is shown
are right, the others are a random choice among the hint's boxes, all of them, or none; half are wrapped in
`<think></think><answer>…</answer>`. So it writes well-formed answers, copies boxes (and sometimes mixes two of them), and its
samples differ in reward: GRPO has something to find. Numbers are in toy_data/vlm/README.md.

What it is not: a detector. It does not look at the picture (other requests' pictures change nothing): the hint's numbers and
the words of the request say enough to earn a part of the reward. What colour a shape has it does not know.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `python toy_data/build_vlm.py` works

import numpy as np
import torch
from PIL import Image

from groundprep.dialects.hints import IMAGE_MARK, format_answer, format_problem
from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.rewards.rexthinker import rexthinker_reward
from groundprep.trainers import get_profile
from toy_data.expressions import Expression, iter_expressions, solve, text_of
from toy_data.scenes import SHAPES, SIZES_WH, Scene, draw_scene

MIN_PIXELS, MAX_PIXELS = 3_136, 12_544
"""The limits of the demo's conversion: 15 to 20 visual tokens for each toy canvas."""

PROCESSOR_LIMITS = (784, 1_003_520)
"""Wide enough that the processor never resizes again what the profile's chain gave."""

LARGEST_NUMBER = 420
"""Coordinates up to here are one token each; larger ones are spelt in digits."""

RIGHT_SHARE = 0.5
TAGGED_SHARE = 0.5
TAGS = ("<think></think><answer>", "</answer>")

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PHRASES = (
    'Hint: Object and its coordinates in this image: {"', '": [[', "], [", "]]}\nPlease detect ", '": []}\nPlease detect ',
    " in this image.", "```json\n[", '{"bbox_2d": [', '], "label": "', '"}', ', {"bbox_2d": [', "]\n```", "user\n",
    "assistant\n", *TAGS, *SHAPES,
)  # fmt: skip
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One request: the image that the model sees, the prompt, the hint's boxes, and those that are right."""

    image: Image.Image
    prompt: str
    category: str
    boxes: tuple[tuple[float, ...], ...]
    right: tuple[int, ...]

    def answer(self, chosen: Sequence[int], *, tagged: bool) -> str:
        """Return the answer that names the chosen boxes."""
        text = format_answer([{"bbox_2d": list(self.boxes[i]), "label": self.category} for i in chosen])
        return f"{TAGS[0]}{text}{TAGS[1]}" if tagged else text


def iter_examples(seed: int) -> Iterator[Example]:
    """Yield requests about fresh scenes: of each scene a few, of different kinds where it has them."""
    rng = random.Random(seed)
    profile = get_profile("easyr1").with_limits(MIN_PIXELS, MAX_PIXELS)
    while True:
        scene = draw_scene(rng.choice(SIZES_WH), rng.randrange(2**31))
        seen_wh = profile.seen_wh(scene.size_wh)
        image = Image.fromarray(scene.image)
        for _, step_wh in profile.chain.trace(scene.size_wh):
            image = image.resize(step_wh, Image.Resampling.BICUBIC)
        for expression, meant in _requests(scene, rng):
            category = expression.words.shape
            candidates = [i for i, item in enumerate(scene.objects) if item.shape == category]
            rng.shuffle(candidates)
            boxes = tuple(
                tuple(SEEN_TRUNCATED.box_from_stored(scene.objects[i].box_xyxy, size_wh=scene.size_wh, seen_wh=seen_wh))
                for i in candidates
            )
            problem = format_problem(category, [list(box) for box in boxes], text_of(expression))
            right = tuple(candidates.index(i) for i in meant)
            yield Example(image, problem.removeprefix(IMAGE_MARK), category, boxes, right)


def _requests(scene: Scene, rng: random.Random) -> list[tuple[Expression, tuple[int, ...]]]:
    """Return one solvable request of each kind that the scene has, at most four."""
    by_kind: dict[str, list[tuple[Expression, tuple[int, ...]]]] = {}
    for expression in iter_expressions(scene.objects, colours=True, places=True):
        meant = solve(expression, scene.objects)
        if meant is not None:
            kind = expression.kind if meant else "none"
            by_kind.setdefault(kind, []).append((expression, meant))
    chosen = [rng.choice(found) for found in by_kind.values()]
    rng.shuffle(chosen)
    return chosen[:4]


def unsure_answer(example: Example, rng: random.Random) -> str:
    """Return what the model is shown: right half of the time, else one box, all or none at random."""
    count = len(example.boxes)
    choices = [*((i,) for i in range(count)), tuple(range(count)), ()]
    chosen = example.right if rng.random() < RIGHT_SHARE else rng.choice(choices)
    return example.answer(sorted(chosen), tagged=rng.random() < TAGGED_SHARE)


def iter_drills(seed: int) -> Iterator[Example]:
    """Yield requests without a picture whose boxes are random numbers: copying is learned from these first."""
    rng = random.Random(seed)
    no_image = Image.new("RGB", (28, 28))
    while True:
        category = rng.choice(SHAPES)
        boxes = tuple(
            (*(low := (rng.randrange(196), rng.randrange(196))), low[0] + rng.randrange(60), low[1] + rng.randrange(60))
            for _ in range(rng.randint(1, 4))
        )
        problem = format_problem(category, [list(box) for box in boxes], f"every {category}")
        yield Example(no_image, problem.removeprefix(IMAGE_MARK), category, boxes, tuple(range(len(boxes))))


def build_processor(directory: Path, *, seed: int) -> Any:
    """Write tokenizer and processor and return them as `from_pretrained` reads them, which is how they will be used."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        AutoProcessor,
        Qwen2_5_VLProcessor,
        Qwen2TokenizerFast,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    examples = iter_examples(seed)
    texts = [next(examples).prompt.split("Please detect ")[1] for _ in range(1500)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",  # noqa: S106 (a mark, not a password)
        pad_token="<|endoftext|>",  # noqa: S106 (the same)
        additional_special_tokens=list(SPECIAL_TOKENS),
    )
    numbers = [text for n in range(LARGEST_NUMBER + 1) for text in (f"{n}, ", f"{n}")]
    # Phrases are added tokens: a tokenizer that is loaded again brings its own pre-tokenizer, which would split them.
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in (*PHRASES, *numbers)])
    tokenizer.chat_template = CHAT_TEMPLATE
    low, high = PROCESSOR_LIMITS
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=low, max_pixels=high),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(directory)
    return AutoProcessor.from_pretrained(directory, padding_side="left")


def build_model(processor: Any, *, seed: int) -> Any:
    """Return a Qwen2.5-VL of about 1.5 million parameters with random weights."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    ids = {
        name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for name in ("image_pad", "video_pad", "vision_start", "vision_end")
    }
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 1000.0},
        "tie_word_embeddings": True, "initializer_range": 0.08, "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 96, "intermediate_size": 192, "num_heads": 4, "out_hidden_size": 128, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [0, 1],
        "initializer_range": 0.08,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
        initializer_range=0.08,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = None
    return model


def chat_text(processor: Any, prompt: str, answer: str | None, *, pictured: bool = True) -> str:
    """Return the chat as text; without an answer it ends where the assistant begins."""
    image = [{"type": "image"}] if pictured else []
    messages: list[dict[str, Any]] = [{"role": "user", "content": [*image, {"type": "text", "text": prompt}]}]
    if answer is not None:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return str(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer is None))


def answer_labels(input_ids: torch.Tensor, assistant_id: int, eos_id: int) -> torch.Tensor:
    """Return (batch, length) labels: the tokens after the last `assistant⏎` up to its end mark, -100 elsewhere."""
    positions = torch.arange(input_ids.shape[1]).expand_as(input_ids)
    start = torch.where(input_ids == assistant_id, positions, -1).amax(dim=1, keepdim=True)
    after = positions > start
    ended = ((input_ids == eos_id) & after).cumsum(dim=1) - ((input_ids == eos_id) & after).int()
    return torch.where(after & (ended == 0), input_ids, -100)


def warm_up(
    model: Any, processor: Any, *, seed: int, drill_steps: int, steps: int, batch: int, learning_rate: float
) -> None:
    """Train on answers only, first on drills without pictures, then on scenes; prints the loss."""
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "right"
    assistant_id = tokenizer.convert_tokens_to_ids("assistant\n")
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    total = drill_steps + steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / 50, 0.05 + 0.95 * (1 - step / total))
    )
    drills, examples, rng = iter_drills(seed + 3), iter_examples(seed + 1), random.Random(seed + 2)
    started = time.perf_counter()
    model.train()
    for step in range(1, total + 1):
        pictured = step > drill_steps
        chosen = [next(examples if pictured else drills) for _ in range(batch)]
        texts = [
            chat_text(processor, example.prompt, unsure_answer(example, rng), pictured=pictured) for example in chosen
        ]
        images = {"images": [example.image for example in chosen]} if pictured else {}
        inputs = processor(**images, text=texts, return_tensors="pt", padding=True)
        loss = model(**inputs, labels=answer_labels(inputs["input_ids"], assistant_id, tokenizer.eos_token_id)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == total:
            print(f"step {step} loss {loss.item():.3f} {time.perf_counter() - started:.0f} s", flush=True)
    tokenizer.padding_side = "left"


@torch.no_grad()
def mean_reward(model: Any, processor: Any, examples: Sequence[Example], *, sample: bool, shift: int = 0) -> float:
    """Return Rex-Thinker's mean reward, greedy or sampled at temperature 1; `shift` gives each request another's image."""
    model.eval()
    scores = []
    for start in range(0, len(examples), 64):
        part = examples[start : start + 64]
        images = [examples[(start + i + shift) % len(examples)].image for i in range(len(part))]
        texts = [chat_text(processor, example.prompt, None) for example in part]
        inputs = processor(images=images, text=texts, return_tensors="pt", padding=True)
        how: dict[str, Any] = {"do_sample": True, "temperature": 1.0, "top_k": 0} if sample else {"do_sample": False}
        output = model.generate(**inputs, max_new_tokens=64, **how)
        answers = processor.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores += [
            rexthinker_reward(answer, example.answer(example.right, tagged=False))["overall"]
            for answer, example in zip(answers, part, strict=True)
        ]
    model.train()
    return float(np.mean(scores))


def main() -> None:
    """Build, warm up, measure and save."""
    parser = argparse.ArgumentParser(description="Make the tiny vision-language model.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "vlm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drill-steps", type=int, default=600)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    partial = arguments.out.with_name(arguments.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    processor = build_processor(partial, seed=arguments.seed)
    model = build_model(processor, seed=arguments.seed)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(processor.tokenizer)} tokens", flush=True)
    warm_up(
        model, processor, seed=arguments.seed, drill_steps=arguments.drill_steps, steps=arguments.steps, batch=arguments.batch,
        learning_rate=arguments.learning_rate,
    )  # fmt: skip
    fresh = iter_examples(arguments.seed + 1_000_003)
    held_out = [next(fresh) for _ in range(512)]
    for sample in (False, True):
        print(
            f"held-out reward, {'sampled' if sample else 'greedy'}: {mean_reward(model, processor, held_out, sample=sample):.3f}"
        )
    print(f"with other requests' images, greedy: {mean_reward(model, processor, held_out, sample=False, shift=7):.3f}")
    model.to(torch.float16).save_pretrained(partial)
    publish(partial, arguments.out)


def publish(partial: Path, out: Path) -> None:
    """Put the finished files into their place; what else lies there (the README) stays."""
    out.mkdir(parents=True, exist_ok=True)
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors gives its file to the owner alone
        file.replace(out / file.name)
    partial.rmdir()
    print(f"{out}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
