"""VLM-R1's jsonl route and what its rewards parse (specs/vlmr1_easydistill.md §1.2, §1.3, §1.6, §2.3, §2.7)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.spec_readers.facts import Fact, Frame, RefusedError, SpecRow, StoredImage, exact, file_image
from tests.spec_readers.resize import MODEL_LIMITS, SizeWH, smart_resize

REC_SUFFIX = " First output the thinking process in <think> </think> tags"
ASKS = "Please provide the bounding box coordinate of the region this sentence describes: "
DETECTS = "detect the following objects: "
SEGMENTS = "What is the segmentation polynomial coordinates of the "


def load(path: str | Path, image_folder: str | Path) -> list[dict[str, Any]]:
    """Return the rows as grpo_jsonl.py makes them: problem, solution, image_path; raises RefusedError (§1.2)."""
    if ":" in str(path):
        raise RefusedError("paths are split at ':'")
    rows = []
    for line in Path(path).read_text(encoding="utf-8").split("\n")[:-1]:
        item = json.loads(line)
        first, second = item["conversations"][0]["value"], item["conversations"][1]["value"]
        text = second if isinstance(second, str) else str(second)
        row = {key: value for key, value in item.items() if key not in ("conversations", "image")}
        row["problem"] = first.replace("<image>", "")
        row["solution"] = f"<answer> {text.replace('<answer>', '').replace('</answer>', '').strip()} </answer>"
        if "image" in item:
            names = [item["image"]] if isinstance(item["image"], str) else item["image"]
            row["image_path"] = [str(Path(image_folder) / name) for name in names]
            for name in row["image_path"]:
                if not Path(name).exists():
                    raise RefusedError(f"AssertionError: no image {name}")
        rows.append(row)
    _require_uniform(rows)
    return rows


def _require_uniform(rows: list[dict[str, Any]]) -> None:
    """The first row gives the columns, and a column has one type (§1.2, constraints 1 and 2)."""
    if "image_path" not in rows[0] and any("image_path" in row for row in rows):
        raise RefusedError("a first row without an image makes the run one of text only")
    for key in rows[0]:
        types = {type(row[key]) for row in rows if row.get(key) is not None}
        if len(types) > 1 and not types <= {int, float}:
            raise RefusedError(f"the column {key} has several types")


def seen_wh(size_wh: SizeWH) -> SizeWH:
    """What Qwen2.5-VL sees (§1.5); transformers 4.49 raises for a side below 28."""
    return smart_resize(size_wh, MODEL_LIMITS)


def read_rec(
    path: str | Path, image_folder: str | Path, frame: Callable[[StoredImage], Frame], *, mixed: bool = False
) -> list[SpecRow]:
    """Return REC rows: one box as a bare JSON list; `frame` says what its numbers mean.

    `mixed`: rows for other rewards (§1.6) are taken, too; with this task's reward the run would die of them.
    """
    rows = []
    for number, row in enumerate(load(path, image_folder), start=1):
        if mixed and "accu_reward_method" in row:
            rows.append(SpecRow(number, (Fact(file_image(row["image_path"][0]).key, None, "text"),)))
            continue
        image, asked = _one_image(row, qwen=frame is not thousandths), _asked(row, ASKS, ".")
        try:
            truth = json.loads(_answer(row))  # outside of the reward's own try: what is no JSON ends the run (§1.3)
        except json.JSONDecodeError:
            truth = None
        if not isinstance(truth, list) or len(truth) != 4:
            raise RefusedError("the REC reward indexes a bare list of four numbers")
        rows.append(SpecRow(number, (frame(image).fact(image, asked, "box", truth),), image))
    return rows


def pixels(image: StoredImage) -> Frame:
    """Qwen's REC: pixels of the stored image (§1.5)."""
    return Frame(image.size_wh, "real")


def thousandths(image: StoredImage) -> Frame:
    """InternVL's REC: floor(1000 · x / width) (§1.3, §1.5)."""
    del image
    return Frame((1000, 1000), "truncate")


def read_ovd(path: str | Path, image_folder: str | Path, *, stored: bool = False) -> list[SpecRow]:
    """Return OVD rows: the last fence of labelled boxes, or `None`; labels that are asked for and not answered are absent.

    `stored`: the numbers are pixels of the stored image, as in files that nobody converted.
    """
    rows = []
    for number, row in enumerate(load(path, image_folder), start=1):
        image, answer = _one_image(row), _answer(row)
        fences = re.findall(r"```json(.*?)```", answer, re.DOTALL)
        if not fences and answer != "None":
            raise RefusedError("a ground truth without a fence is read as empty")
        objects = json.loads(fences[-1]) if fences else []
        frame = pixels(image) if stored else Frame(seen_wh(image.size_wh), "round")
        facts = [frame.fact(image, item["label"], "box", item["bbox_2d"]) for item in objects]
        found = {item["label"] for item in objects}
        if DETECTS in row["problem"]:
            listed = row["problem"].split(DETECTS, 1)[1].split(". Output the bbox", 1)[0]
            labels = ast.literal_eval(listed)
            if not found <= set(labels):
                raise RefusedError("a label that was not asked for")
            facts += [Fact(image.key, label, "absent") for label in labels if label not in found]
        rows.append(SpecRow(number, tuple(facts), image))
    return rows


def read_seg(path: str | Path, image_folder: str | Path, *, stored: bool = False) -> list[SpecRow]:
    """Return rows of the Chebyshev fork: one shape, decoded as its reward does (§2.3, §2.7), in pixels of the stored image."""
    rows = []
    for number, row in enumerate(load(path, image_folder), start=1):
        image, shape = _one_image(row), json.loads(_answer(row))
        if [round(side) for side in shape["size"][::-1]] != list(image.size_wh if stored else seen_wh(image.size_wh)):
            raise RefusedError("size is not (height, width) of what the model sees")
        asked = _asked(row, SEGMENTS, ".")
        (w, h), (seen_w, seen_h) = image.size_wh, shape["size"][::-1]
        ring = [n * (h / seen_h if place % 2 else w / seen_w) for place, n in enumerate(outline(shape))]
        rows.append(SpecRow(number, (exact(image.key, asked, "polygon", ring),), image, {"shape": shape}))
    return rows


def outline(shape: dict[str, Any]) -> list[float]:
    """Return the 72 points of a shape, flat: r = Σ c_n cos(n·θ), clamped at 0 (§2.3)."""
    angles_N = 2 * np.pi * np.arange(72) / 72
    radii_N = np.maximum(np.polynomial.chebyshev.chebval(np.cos(angles_N), shape["coeffs"]), 0)
    cx, cy = shape["centre"]
    points_N2 = np.stack([cx + radii_N * np.cos(angles_N), cy + radii_N * np.sin(angles_N)], axis=1)
    flat: list[float] = points_N2.ravel().tolist()
    return flat


def _one_image(row: dict[str, Any], *, qwen: bool = True) -> StoredImage:
    """Qwen at HEAD asserts one image for each sample; a side below 28 spoils the batch (§1.2, constraints 4 and 5)."""
    if qwen and len(row.get("image_path", ())) != 1:
        raise RefusedError("number_of_image_grids == number_of_samples")
    image = file_image(row["image_path"][0])
    if min(image.size_wh) < 28:
        raise RefusedError("a side below 28 pixels")
    return image


def _asked(row: dict[str, Any], start: str, end: str) -> str:
    """Return the expression, or a question of its own; raises RefusedError if it holds what the module appends (§1.4)."""
    problem: str = row["problem"].strip()
    if REC_SUFFIX.strip() in problem or "<answer> </answer> tags" in problem:
        raise RefusedError("the trainer's own sentence stands in the data")
    return problem[len(start) : -len(end)] if problem.startswith(start) and problem.endswith(end) else problem


def _answer(row: dict[str, Any]) -> str:
    """Return what stands in the last `<answer>` block of the solution, as the rewards look for it (§1.6)."""
    return str(re.findall(r"<answer>(.*?)</answer>", row["solution"], re.DOTALL)[-1]).strip()
