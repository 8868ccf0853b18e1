"""Measure the toy detector on fresh scenes, through the public API of transformers only.

`python -m toy_data.eval_detector --scenes 500 --seed 7 --format json`

Every scene is asked for each of the six shapes, one word at a time, absent ones included; the scenes go through all
canvas sizes of the toy data, so that most batches are padded.  A box is right when it covers an object of that shape
that no better box has taken, at an IoU of at least 0.5.  Nothing is downloaded, and a score that is not a number is
an error: in half precision on a CPU every score is, and the detector would silently find nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `python toy_data/eval_detector.py` works

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from toy_data.scenes import SHAPES, SIZES_WH, Scene, draw_scene

DETECTOR_DIR = Path(__file__).resolve().parent / "detector"
BOX_THRESHOLD = 0.25  # the default of add-candidates, as are the next two
TEXT_THRESHOLD = 0.25
BATCH_SIZE = 8
IOU_THRESHOLD = 0.5


class ScoreError(ValueError):
    """The detector returned scores or boxes that are not numbers."""


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes found for one prompt: `boxes_N4` xyxy in pixels of the image, best score first."""

    boxes_N4: NDArray[np.float32]
    scores_N: NDArray[np.float32]


@dataclass(slots=True)
class Tally:
    """Counts of right, false and missed boxes, and the IoU of each right one."""

    right: int = 0
    false: int = 0
    missed: int = 0
    ious: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share of the objects that were found."""
        return self.right / max(1, self.right + self.missed)

    @property
    def precision(self) -> float:
        """The share of the boxes that are right."""
        return self.right / max(1, self.right + self.false)

    @property
    def mean_iou(self) -> float:
        """How well the right boxes fit, 0 without any."""
        return float(np.mean(self.ious)) if self.ious else 0.0

    def add(self, found: Found, wanted_M4: NDArray[np.float64]) -> None:
        """Count the boxes of one prompt against the objects that it names."""
        matched = match_boxes(found.boxes_N4, wanted_M4)
        self.right += len(matched)
        self.false += len(found.boxes_N4) - len(matched)
        self.missed += len(wanted_M4) - len(matched)
        self.ious += matched


class Detector:
    """The model and its processor, loaded from a folder."""

    def __init__(self, folder: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def find(
        self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str], box_threshold: float = BOX_THRESHOLD
    ) -> list[Found]:
        """Return what the detector finds in each image (h, w, 3) for the prompt beside it."""
        inputs = self.processor(images=list(images), text=list(prompts), padding=True, return_tensors="pt")
        outputs = self.model(**inputs)
        require_numbers(outputs.logits, outputs.pred_boxes)
        results = self.processor.post_process_grounded_object_detection(
            outputs,
            threshold=box_threshold,
            text_threshold=TEXT_THRESHOLD,
            target_sizes=[image.shape[:2] for image in images],
        )
        return [best_first(result["boxes"].numpy(), result["scores"].numpy()) for result in results]


def require_numbers(*outputs: torch.Tensor) -> None:
    """Raise ScoreError for NaN.  Minus infinity is the score of a padding token."""
    if any(bool(output.isnan().any()) for output in outputs):
        raise ScoreError("the detector returned NaN; load its float16 weights with dtype=torch.float32 on a CPU")


def best_first(boxes_N4: NDArray[np.float32], scores_N: NDArray[np.float32]) -> Found:
    """Return the boxes in falling order of score."""
    order = np.argsort(-scores_N, kind="stable")
    return Found(boxes_N4[order], scores_N[order])


def match_boxes(boxes_N4: NDArray[np.float32], wanted_M4: NDArray[np.float64]) -> list[float]:
    """Give each box, best score first, the free object that it covers best; return the IoU of those that match."""
    free = list(range(len(wanted_M4)))
    matched: list[float] = []
    for box in boxes_N4:
        if not free:
            break
        ious = intersection_over_union(box, wanted_M4[free])
        best = int(ious.argmax())
        if ious[best] >= IOU_THRESHOLD:
            matched.append(float(ious[best]))
            del free[best]
    return matched


def intersection_over_union(box_xyxy: NDArray[np.float32], others_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (M,) of one box with each of the others."""
    shared_wh = np.minimum(box_xyxy[2:], others_M4[:, 2:]) - np.maximum(box_xyxy[:2], others_M4[:, :2])
    shared = shared_wh.clip(min=0.0).prod(axis=1)
    areas = (others_M4[:, 2:] - others_M4[:, :2]).prod(axis=1) + (box_xyxy[2:] - box_xyxy[:2]).prod()
    return np.asarray(shared / (areas - shared))


def iter_scenes(count: int, seed: int) -> Iterator[Scene]:
    """Draw scenes on each canvas size of the toy data in turn."""
    for index in range(count):
        yield draw_scene(SIZES_WH[index % len(SIZES_WH)], np.random.default_rng((seed, index)))


def boxes_of(scene: Scene, shape: str) -> NDArray[np.float64]:
    """Return the boxes (M, 4), xyxy, of the objects of one shape."""
    return np.array([o.box_xyxy for o in scene.objects if o.shape == shape], dtype=np.float64).reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the command line."""

    scenes: int = 500
    seed: int = 0
    format: str = "human"
    detector: Path = DETECTOR_DIR
    box_threshold: float = BOX_THRESHOLD
    batch_size: int = BATCH_SIZE


def evaluate(settings: Settings) -> dict[str, object]:
    """Return the measurements as they are printed."""
    detector = Detector(settings.detector)
    scenes = list(iter_scenes(settings.scenes, settings.seed))
    pairs = [(scene, shape) for scene in scenes for shape in SHAPES]
    started = time.perf_counter()
    found: list[Found] = []
    for start in range(0, len(pairs), settings.batch_size):
        batch = pairs[start : start + settings.batch_size]
        prompts = [f"{shape}." for _, shape in batch]
        found += detector.find([scene.image for scene, _ in batch], prompts, settings.box_threshold)
    elapsed_s = time.perf_counter() - started
    return {
        **summarise(pairs, found),
        "scenes": len(scenes),
        "seed": settings.seed,
        "box_threshold": settings.box_threshold,
        "images_per_second": round(len(scenes) / elapsed_s, 2),
        "prompts_per_second": round(len(pairs) / elapsed_s, 2),
    }


def summarise(pairs: Sequence[tuple[Scene, str]], found: Sequence[Found]) -> dict[str, object]:
    """Count what was found for each pair of a scene and a shape: in all, per shape and per canvas size."""
    total = Tally()
    per_shape = {shape: Tally() for shape in SHAPES}
    per_size = {f"{width}x{height}": Tally() for width, height in SIZES_WH}
    absent_prompts = false_on_absent = 0
    for (scene, shape), boxes in zip(pairs, found, strict=True):
        wanted_M4 = boxes_of(scene, shape)
        for tally in (total, per_shape[shape], per_size[f"{scene.size_wh[0]}x{scene.size_wh[1]}"]):
            tally.add(boxes, wanted_M4)
        absent_prompts += len(wanted_M4) == 0
        false_on_absent += len(wanted_M4) == 0 and len(boxes.boxes_N4) > 0
    return {
        **report(total),
        "prompts": len(pairs),
        "absent_prompts": absent_prompts,
        "false_on_absent": false_on_absent,
        "per_shape": {shape: report(tally) for shape, tally in per_shape.items()},
        "per_size_wh": {size: report(tally) for size, tally in per_size.items()},
    }


def report(tally: Tally) -> dict[str, float]:
    """Return the three measures of a tally, rounded."""
    return {
        "recall": round(tally.recall, 4),
        "precision": round(tally.precision, 4),
        "mean_iou": round(tally.mean_iou, 4),
    }


def format_human(measured: dict[str, object], indent: str = "") -> str:
    """Return one line for each measurement, nested ones indented."""
    lines = []
    for name, value in measured.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", format_human(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines)


def parse_arguments(arguments: Sequence[str] | None = None) -> Settings:
    """Return the options that the command line gives."""
    defaults = Settings()
    parser = argparse.ArgumentParser(description="Measure the toy detector on fresh scenes.")
    parser.add_argument("--scenes", type=int, default=defaults.scenes, help="how many scenes to draw")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seed of the scenes")
    parser.add_argument("--format", choices=("human", "json"), default=defaults.format)
    parser.add_argument("--detector", type=Path, default=defaults.detector, help="folder of the detector")
    parser.add_argument("--box-threshold", type=float, default=defaults.box_threshold)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    return Settings(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Measure and print."""
    settings = parse_arguments()
    measured = evaluate(settings)
    print(json.dumps(measured) if settings.format == "json" else format_human(measured))


if __name__ == "__main__":
    main()
