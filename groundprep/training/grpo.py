"""GRPO with TRL's own trainer: one process, one device.

The trainer sees what `rows` stored. Before the first step the model's own processor is run on every size that occurs: its grid
must be the profile's seen size, or every box in the data would be in other pixels than the model's (`grid-differs`).

Needs the extra `train`. Versions tested: TRL 1.16, transformers 5.23, torch 2.15.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundprep.errors import DeviceError, MissingDependencyError, TrainError, shown
from groundprep.hub import model_directory
from groundprep.rewards import Reward
from groundprep.training.plan import GrpoSettings, RowSurvey
from groundprep.training.progress import StepReport
from groundprep.training.rows import as_examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

WARM_UP_SHARE = 0.1
MODEL_FILES = ("*.json", "*.txt", "*.jinja", "*.model", "*.safetensors")
"""What belongs to a model: configuration, tokenizer, chat template, weights."""
READABLE = 0o644

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class GrpoOutcome:
    """What training did.

    Args:
        steps: one report per optimiser step.
        weights_changed: largest absolute difference between a parameter before and after.
        parameters: their number.
        device: where it ran.
    """

    steps: tuple[StepReport, ...]
    weights_changed: float
    parameters: int
    device: str


def require_extra() -> None:
    """Raise MissingDependencyError unless everything of the extra `train` can be imported."""
    from importlib.util import find_spec

    missing = [
        name
        for name in ("torch", "torchvision", "transformers", "trl", "accelerate", "datasets")
        if not find_spec(name)
    ]
    if missing:
        raise MissingDependencyError(
            "training needs packages that are not installed",
            found=f"no {', '.join(missing)}",
            fix="pip install 'groundprep[train]'",
        )


class GrpoRun:
    """A loaded model and its processor, ready to be checked against the data and trained.

    Args:
        model: a directory, or an id on the Hugging Face Hub; code from there is never run.
        settings: see GrpoSettings.
    """

    def __init__(self, model: str, settings: GrpoSettings) -> None:
        require_extra()
        self.settings = settings
        self.device = _device(settings.device)
        self.processor, self.model = _load(str(model_directory(model, files=MODEL_FILES, flag="--model")))

    def require_grid(self, survey: RowSurvey) -> None:
        """Raise TrainError (`grid-differs`, `grid-unknown`) unless the processor keeps every seen size of the data."""
        for (w, h), source in survey.first_of_size.items():
            found_wh = self._processor_wh((w, h), str(source))
            if found_wh != (w, h):
                size = self.processor.image_processor.size
                raise TrainError(
                    "the model's processor resizes the image again, so its pixels are not those of the boxes",
                    code="grid-differs",
                    source=source,
                    found=f"{found_wh[0]}x{found_wh[1]} (its limits: {size['shortest_edge']} to {size['longest_edge']} pixels)",
                    expected=f"{w}x{h}, the size that the data's profile gives",
                    fix="set min_pixels and max_pixels of the model's processor to include it, or convert the data with limits "
                    "that the processor keeps (--min-pixels, --max-pixels)",
                )

    def _processor_wh(self, size_wh: tuple[int, int], source: str) -> tuple[int, int]:
        """Return the (width, height) that the processor makes of an image of this size, from its own grid."""
        from PIL import Image

        image_processor: Any = getattr(self.processor, "image_processor", None)
        output = image_processor(images=[Image.new("RGB", size_wh)], return_tensors="pt") if image_processor else {}
        if "image_grid_thw" not in output:
            raise TrainError(
                "the model's processor does not say which grid it makes of an image",
                code="grid-unknown",
                source=source,
                found=type(self.processor).__name__,
                expected="a processor with image_grid_thw, such as Qwen2.5-VL's",
            )
        frames, rows, columns = (int(n) for n in output["image_grid_thw"][0])
        patch = int(image_processor.patch_size)
        return (columns * patch, rows * patch * frames)

    def train(
        self, store: Path, rewards: Mapping[str, Reward], *, steps: int, scratch: Path, on_step: OnStep
    ) -> GrpoOutcome:
        """Train for so many steps on the stored rows; raises TrainError, DeviceError.

        Args:
            store: what RowStore wrote.
            rewards: name → reward, summed.
            steps: optimiser steps.
            scratch: a directory for files of the trainer's own.
            on_step: called after every step.
        """
        before = {name: p.detach().to("cpu", copy=True) for name, p in self.model.named_parameters() if p.requires_grad}
        trainer, reports = self._trainer(store, rewards, steps=steps, scratch=scratch, on_step=on_step)
        with _told_errors(self.device):
            trainer.train()
        self.model = trainer.accelerator.unwrap_model(trainer.model)
        changed = largest_change(before, dict(self.model.named_parameters()))
        return GrpoOutcome(tuple(reports), changed, sum(p.numel() for p in self.model.parameters()), self.device)

    def save(self, directory: Path) -> None:
        """Write model and processor so that `from_pretrained` loads them."""
        self.model.save_pretrained(str(directory))
        self.processor.save_pretrained(str(directory))
        for file in directory.iterdir():
            file.chmod(READABLE)  # safetensors gives its file to the owner alone

    def _trainer(
        self, store: Path, rewards: Mapping[str, Reward], *, steps: int, scratch: Path, on_step: OnStep
    ) -> tuple[Any, list[StepReport]]:
        from datasets import Dataset
        from transformers import PrinterCallback, ProgressCallback
        from trl.trainer.grpo_trainer import GRPOTrainer

        rows = Dataset.from_file(str(store)).with_transform(as_examples)
        watch, reports = _watch(self.settings.batch_size, on_step)
        trainer = GRPOTrainer(
            model=self.model,
            reward_funcs=[trl_reward(name, reward) for name, reward in rewards.items()],
            args=self._arguments(steps, scratch),
            train_dataset=rows,
            processing_class=self.processor,
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        return trainer, reports

    def _arguments(self, steps: int, scratch: Path) -> Any:
        import torch
        from trl.trainer.grpo_config import GRPOConfig

        settings, on_cpu = self.settings, self.device == "cpu"
        return GRPOConfig(
            output_dir=str(scratch),
            max_steps=steps,
            # TRL counts completions, not prompts.
            per_device_train_batch_size=settings.batch_size * settings.num_generations,
            gradient_accumulation_steps=1,
            num_generations=settings.num_generations,
            max_completion_length=settings.max_completion_length,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=round(steps * WARM_UP_SHARE),
            weight_decay=0.0,
            beta=0.0,
            temperature=1.0,
            seed=settings.seed,
            use_cpu=on_cpu,
            bf16=not on_cpu and torch.cuda.is_bf16_supported(),
            gradient_checkpointing=not on_cpu,
            dataloader_pin_memory=not on_cpu,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        )


def trl_reward(name: str, reward: Reward) -> Callable[..., list[float | None]]:
    """Return a reward in the form that TRL calls: lists of chats and of ground truths in, a list of `overall` out."""

    def score(completions: list[Any], ground_truth: list[str], **_: Any) -> list[float | None]:
        return [reward(text_of(chat), truth)["overall"] for chat, truth in zip(completions, ground_truth, strict=True)]

    score.__name__ = name
    return score


def text_of(chat: Any) -> str:
    """Return a completion's text: TRL gives `[{"role": "assistant", "content": …}]`, or a string."""
    if isinstance(chat, str):
        return chat
    content = chat[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def largest_change(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> float:
    """Return the largest absolute difference between parameters of the same name."""
    differences = [
        float((after[name].detach().cpu().float() - old.float()).abs().max())
        for name, old in before.items()
        if old.numel()
    ]
    return max(differences, default=0.0)


def _watch(groups: int, on_step: OnStep) -> tuple[Any, list[StepReport]]:
    """Return a callback that reports every step, and the list that it fills."""
    from transformers import TrainerCallback

    reports: list[StepReport] = []

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.started = time.perf_counter()

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, **events: Any) -> None:
            del args, control
            logs = events.get("logs")
            if logs is None or "reward" not in logs:
                return
            now = time.perf_counter()
            report = StepReport.from_trl(state.global_step, logs, groups=groups, seconds=now - self.started)
            self.started = now
            reports.append(report)
            on_step(report)

    return Watch(), reports


def _device(wanted: str) -> str:
    """Return cpu or cuda; raises DeviceError when CUDA is asked for and not there."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is available", found="--device cuda", fix="use --device cpu or auto")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _load(model: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    any_processor: Any = AutoProcessor
    try:
        # Generation pads on the left, whatever the processor was saved with.
        processor = any_processor.from_pretrained(model, padding_side="left", trust_remote_code=False)
        network = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise TrainError(
            "the model cannot be loaded",
            code="model-unloadable",
            source=model,
            found=shown(str(error)),
            expected="a directory or an id of an image-text-to-text model with its processor",
            fix="check --model",
        ) from error
    return processor, network


@contextmanager
def _told_errors(device: str) -> Iterator[None]:
    """Turn running out of device memory into a DeviceError."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            "the device has too little memory for this step",
            code="out-of-memory",
            found=device,
            fix="lower --batch-size, --num-generations or --max-completion-length",
        ) from error
