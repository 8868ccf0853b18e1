"""`python -m benchmarks.rewards [--seconds 1]`: completions per second and core of every reward, on typical completions.

A completion has a short reasoning and 1 to 3 boxes of a 640 x 427 image, two of three near a true one. vlmr1:od is measured
against pycocotools as well, which builds its tables anew for each of the four average precisions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import time
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from groundprep.geometry.masks import encode_rle
from groundprep.rewards import SCORER_NAMES, get_scorer

RESULTS = Path(__file__).parent / "results" / "rewards.json"
SIZE_WH = (640, 427)
GOAL = 20_000
THINK = "<think>Person 1 stands left of the board; Person 2 wears a red jacket, so it is Person 2.</think>"
Box = list[int]


def boxes(rng: random.Random) -> list[Box]:
    """Return 1 to 3 integer boxes."""
    corners = [(rng.randrange(400), rng.randrange(250)) for _ in range(rng.randint(1, 3))]
    return [[x, y, x + rng.randint(20, 200), y + rng.randint(20, 150)] for x, y in corners]


def said(rng: random.Random, truth: list[Box]) -> list[Box]:
    """Return the boxes as a model may say them."""
    return [
        [n + rng.randint(-6, 6) if rng.random() < 0.5 else n for n in box] if rng.random() < 0.7 else boxes(rng)[0]
        for box in truth
    ]


def positive(box: Box) -> Box:
    """Return the box without negative numbers."""
    return [max(0, n) for n in box]


def json_answer(found: list[Box], label: str = "person") -> str:
    """Return a fenced answer."""
    return "```json\n" + json.dumps([{"bbox_2d": positive(box), "label": label} for box in found]) + "\n```"


def tokens(found: list[Box]) -> str:
    """Return Rex-Omni's text."""
    bins = (f"<{int(max(0, n) / SIZE_WH[i % 2] * 999)}>" for box in found for i, n in enumerate(box))
    return f"<|object_ref_start|>person<|object_ref_end|><|box_start|>{''.join(bins)}<|box_end|>"


def rle(box: Box) -> dict[str, Any]:
    """Return a box as a mask of the image."""
    mask = np.zeros(SIZE_WH[::-1], dtype=np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return {"size": list(mask.shape), "counts": encode_rle(mask)}


def sample(name: str, rng: random.Random) -> tuple[str, Any]:  # noqa: PLR0911 (one form for each family)
    """Return a completion and a ground truth that the reward reads."""
    truth = boxes(rng)
    found = said(rng, truth)
    family = name.partition(":")[0]
    if family == "rexomni":
        held: dict[str, Any] = {"boxes": truth, "points": [box[:2] for box in truth]}
        if name.endswith("mask"):
            held["masks"] = [rle(box) for box in truth]
        size = list(SIZE_WH)
        return tokens(found), {"answer": {"person": held}, "resized_image_size": size, "raw_image_size": size}
    if name.startswith("easydistill:multi"):
        return repr({0: found, 1: [], 2: truth[:1], 3: []}), {"0": truth, "1": [], "2": truth[:1], "3": []}
    if family == "easydistill":
        return str(positive(found[0])), truth[0]
    if name == "vlmr1:rec":
        solution = f"<answer> {truth[0]} </answer>"
        said_rec = f'{THINK}<answer>{{"bbox_2d": {positive(found[0])}}}</answer>'
        return said_rec, {"solution": solution, "image_size": list(SIZE_WH), "seen_size": [644, 420]}
    if name == "vlmr1-seg":
        shape = {"centre": truth[0][:2], "coeffs": [30.5, 2.25, 1.5], "size": [427, 640]}
        return (
            f"{THINK}<answer>{json.dumps(shape | {'coeffs': [28.0, 3.0]})}</answer>",
            f"<answer> {json.dumps(shape)} </answer>",
        )
    if family in ("choice-exact", "choice-soft"):
        return f"{THINK}<answer>{found}</answer>", {"candidates": truth, "answer": [0]}
    if family == "point-in-region":
        return f"{THINK}<answer>{[box[:2] for box in found]}</answer>", {"boxes": truth}
    if family == "mask-iou":
        ring = [10, 10, 200, 15, 180, 300, 20, 290]
        return f"<answer>{[ring]}</answer>", {"size": [427, 640], "segmentation": [[n + 3 for n in ring]]}
    wrapped = f"<answer> {json_answer(truth)} </answer>" if family == "vlmr1" else json_answer(truth)
    return f"{THINK}<answer>{json_answer(found)}</answer>", wrapped


def rate(work: Any, samples: list[Any], seconds: float) -> float:
    """Return the best of three rates, calls a second, after a warm-up."""
    best = 0.0
    for _ in range(4):
        calls, start = 0, time.process_time()
        for one in cycle(samples):
            work(*one)
            calls += 1
            if calls % 50 == 0 and time.process_time() - start > seconds / 3:
                break
        best = max(best, calls / (time.process_time() - start))
    return best


def pycocotools_average(completion: str, solution: str) -> float:
    """Compute one average precision with pycocotools, as VLM-R1 does four times for the methods that `vlmr1:od` gives."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found, truth = (json.loads(text.partition("```json")[2].partition("```")[0]) for text in (completion, solution))

    def annotation(item: Any, number: int) -> dict[str, Any]:
        x0, y0, x1, y1 = item["bbox_2d"]
        box = {"image_id": 0, "category_id": 0, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        return box | {"id": number, "iscrowd": 0, "score": 1.0}

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": 0}],
            "categories": [{"id": 0}],
            "annotations": [annotation(item, number) for number, item in enumerate(truth, start=1)],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes([annotation(item, 0) for item in found]), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rng = random.Random(3)
    rates: dict[str, int] = {}
    for name in SCORER_NAMES:
        samples = [sample(name, rng) for _ in range(200)]
        rates[name] = round(rate(get_scorer(name), samples, arguments.seconds))
        print(f"{name:42}{rates[name]:>10,} completions/s")
    samples = [sample("vlmr1:od", rng) for _ in range(50)]
    reference = round(rate(pycocotools_average, samples, arguments.seconds))
    print(f"{'one average precision by pycocotools':42}{reference:>10,} completions/s")
    machine = {
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("groundprep", "numpy", "pycocotools")},
    }
    results = {
        "goal": GOAL,
        "completions_per_second": rates,
        "pycocotools_ap_per_second": reference,
        "machine": machine,
    }
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
