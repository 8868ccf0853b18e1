"""The shipped detector: small, offline, and it finds what is drawn."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the toy detector needs torch")
pytest.importorskip("transformers", reason="the toy detector needs transformers")

import torch

from toy_data.eval_detector import (
    DETECTOR_DIR,
    Detector,
    Found,
    ScoreError,
    Settings,
    Tally,
    evaluate,
    iter_scenes,
    match_boxes,
    require_numbers,
)

pytestmark = pytest.mark.model

HELD_OUT_SEED = 9_413  # Training draws its scenes from other seeds.
UNRELATED = ("person", "cat", "zebra", "screwdriver")
MAX_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DETECTOR_DIR)


@pytest.fixture(scope="module")
def measured() -> dict[str, object]:
    return evaluate(Settings(scenes=42, seed=HELD_OUT_SEED))


def test_the_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in DETECTOR_DIR.rglob("*")) <= MAX_BYTES


def test_the_folder_is_complete() -> None:
    names = {path.name for path in DETECTOR_DIR.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "processor_config.json", "vocab.txt"} <= names


def test_loading_and_finding_open_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the detector opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    scene = next(iter_scenes(1, HELD_OUT_SEED))
    assert len(Detector(DETECTOR_DIR).find([scene.image], ["circle."])) == 1


def test_it_finds_at_least_95_percent_and_is_right_in_90_percent(measured: dict[str, object]) -> None:
    assert measured["recall"] >= 0.95, measured
    assert measured["precision"] >= 0.90, measured


def test_every_scene_is_asked_for_every_shape(measured: dict[str, object]) -> None:
    assert measured["prompts"] == 42 * 6
    assert 0 < measured["absent_prompts"] < 42 * 6


def test_words_it_does_not_know_find_almost_nothing(detector: Detector) -> None:
    scenes = list(iter_scenes(12, HELD_OUT_SEED))
    found = [
        boxes
        for scene in scenes
        for boxes in detector.find([scene.image] * len(UNRELATED), [f"{word}." for word in UNRELATED])
    ]
    assert sum(len(boxes.boxes_N4) for boxes in found) <= 0.1 * len(found)


def test_a_padded_batch_gives_the_boxes_of_single_images(detector: Detector) -> None:
    scenes = list(iter_scenes(6, HELD_OUT_SEED))
    together = detector.find([scene.image for scene in scenes], ["star."] * len(scenes), 0.5)
    for scene, padded in zip(scenes, together, strict=True):
        alone = detector.find([scene.image], ["star."], 0.5)[0]
        assert len(padded.boxes_N4) == len(alone.boxes_N4)
        assert np.allclose(padded.boxes_N4, alone.boxes_N4, atol=3.0)


def test_scores_that_are_not_numbers_are_an_error() -> None:
    require_numbers(torch.tensor([0.5, -torch.inf]))
    with pytest.raises(ScoreError, match="float32"):
        require_numbers(torch.tensor([0.5]), torch.tensor([0.1, torch.nan]))


def test_a_detector_that_returns_nan_is_refused() -> None:
    broken = Detector(DETECTOR_DIR)
    with torch.no_grad():
        broken.model.model.decoder.layer_norm.weight.fill_(torch.nan)
    scene = next(iter_scenes(1, HELD_OUT_SEED))
    with pytest.raises(ScoreError):
        broken.find([scene.image], ["ring."])


def test_an_object_is_matched_once_and_by_the_best_score() -> None:
    wanted_M4 = np.array([[7.5, 3.0, 40.0, 21.0], [50.0, 3.0, 60.0, 30.0]])
    boxes_N4 = np.array([[8.0, 3.0, 40.0, 21.0], [7.5, 3.0, 40.0, 21.0], [0.0, 25.0, 9.0, 37.0]], dtype=np.float32)
    assert match_boxes(boxes_N4, wanted_M4) == pytest.approx([32.0 / 32.5])
    tally = Tally()
    tally.add(Found(boxes_N4, np.array([0.9, 0.8, 0.7], dtype=np.float32)), wanted_M4)
    assert (tally.right, tally.false, tally.missed) == (1, 2, 1)
    assert tally.recall == pytest.approx(1 / 2)
    assert tally.precision == pytest.approx(1 / 3)


def test_the_command_prints_json() -> None:
    script = Path(__file__).resolve().parents[2] / "toy_data" / "eval_detector.py"
    command = [sys.executable, str(script), "--scenes", "2", "--seed", "3", "--format", "json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert {"recall", "precision", "mean_iou", "images_per_second", "per_shape"} <= json.loads(printed).keys()
