"""TRL trains on our rows with the shipped tiny model: one GRPO step and two SFT steps, on the CPU, loaded as the docs say."""

from __future__ import annotations

import math
import tempfile
import warnings
from typing import Any

warnings.simplefilter("ignore")  # transformers announces what it will rename

from datasets import Dataset, Image, List, load_dataset  # noqa: E402
from protocol import answer  # noqa: E402
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer  # noqa: E402

BATCH_ROWS = 8
COMMON: dict[str, Any] = {
    "per_device_train_batch_size": BATCH_ROWS,
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
    "logging_steps": 1,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}


def load(path: str, cache: str) -> Dataset:
    """Load a file as docs/trainers/trl.md says."""
    data = load_dataset("parquet", data_files=path, split="train", cache_dir=cache)
    return data.cast_column("images", List(Image()))


def grpo(data: Dataset, model: str, scratch: str) -> dict[str, Any]:
    """Take one step; returns what reached the reward, and the loss."""
    given: list[str] = []

    def reward(completions: list[Any], solution: list[str], **columns: Any) -> list[float]:
        del columns
        given.extend(solution)
        return [len(completion[0]["content"]) % 3 / 2 for completion in completions]

    settings = GRPOConfig(output_dir=scratch, max_steps=1, num_generations=4, max_completion_length=16, **COMMON)
    trainer = GRPOTrainer(model=model, reward_funcs=reward, args=settings, train_dataset=data)
    loss = trainer.train().training_loss
    known = set(data["solution"])
    return {
        "rows": len(data),
        "steps": trainer.state.global_step,
        "loss_is_finite": math.isfinite(loss),
        "solutions": len(given),
        "foreign_solutions": sum(text not in known for text in given),
    }


def sft(data: Dataset, model: str, scratch: str) -> dict[str, Any]:
    """Take two steps; returns the grid of every image as the processor made it, and the loss."""
    settings = SFTConfig(output_dir=scratch, max_steps=2, max_length=None, **COMMON)
    trainer = SFTTrainer(model=model, args=settings, train_dataset=data)
    loss = trainer.train().training_loss
    grids = trainer.data_collator([trainer.train_dataset[i] for i in range(len(data))])["image_grid_thw"].tolist()
    patch = trainer.processing_class.image_processor.patch_size
    return {
        "rows": len(data),
        "steps": trainer.state.global_step,
        "loss_is_finite": math.isfinite(loss),
        "seen_wh": [(columns * patch, rows * patch) for _, rows, columns in grids],
        "stored_wh": [row["images"][0].size for row in data],
    }


def judge(path: str, model: str) -> dict[str, Any]:
    """Train on a file of GRPO rows, which have a solution, or of SFT rows."""
    with tempfile.TemporaryDirectory() as scratch:
        data = load(path, scratch)
        return (grpo if "solution" in data.column_names else sft)(data, model, scratch)


if __name__ == "__main__":
    answer("trl", judge)
