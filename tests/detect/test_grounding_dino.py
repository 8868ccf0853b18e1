"""The real detector, with the toy weights: its boxes are the reference's, and everything that can go wrong is one line."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundprep.detect import DetectorOptions, open_detector
from groundprep.errors import DetectError, DeviceError, MissingDependencyError, RecordError, UsageError
from groundprep.trainers import get_profile
from tests.detect.colour_scenes import read_rows, write_rows

torch = pytest.importorskip("torch", reason="the detector needs torch")
transformers = pytest.importorskip("transformers", reason="the detector needs transformers")

from toy_data.scenes import SHAPES, SIZES_WH, draw_scene  # noqa: E402 (after the skip)

pytestmark = pytest.mark.model

Rows = list[dict[str, Any]]

DETECTOR = Path(__file__).parents[2] / "toy_data" / "detector"
GROUNDPREP = Path(sys.executable).with_name("groundprep")


def pictures(number: int, size_wh: tuple[int, int] = (208, 144)) -> tuple[list[Image.Image], list[str]]:
    """Return pictures, and for each the name of a shape that is in it."""
    scenes = [draw_scene(size_wh, seed, min_objects=2) for seed in range(number)]
    return [Image.fromarray(scene.image) for scene in scenes], [f"{scene.objects[0].shape}." for scene in scenes]


@pytest.fixture(scope="module")
def detector() -> Any:
    return open_detector(DetectorOptions(str(DETECTOR), device="cpu"))


def test_boxes_and_scores_are_those_of_the_librarys_own_postprocessing(detector: Any) -> None:
    images, prompts = pictures(6)
    processor = transformers.AutoProcessor.from_pretrained(DETECTOR)
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(DETECTOR, dtype=torch.float32).eval()
    total = 0
    for image, prompt in zip(images, prompts, strict=True):
        inputs = processor(images=image, text=prompt, return_tensors="pt")
        with torch.inference_mode():
            outputs = model(**inputs)
        expected = processor.post_process_grounded_object_detection(
            outputs, inputs.input_ids, threshold=0.25, target_sizes=[(image.height, image.width)]
        )[0]
        (found,) = detector.detect([image], [prompt])
        assert np.allclose(found.boxes_N4, expected["boxes"].numpy(), atol=1e-4)
        assert np.array_equal(found.scores_N, expected["scores"].numpy().astype(np.float64))
        total += len(found)
    assert total > 0


def test_a_lower_threshold_gives_the_same_boxes_and_more(detector: Any) -> None:
    images, prompts = pictures(4)
    low = open_detector(DetectorOptions(str(DETECTOR), box_threshold=0.02, device="cpu"))
    more = 0
    for image, prompt in zip(images, prompts, strict=True):
        (few,), (many,) = detector.detect([image], [prompt]), low.detect([image], [prompt])
        assert few.boxes_N4.tolist() == many.boxes_N4[many.scores_N > 0.25].tolist()
        assert (many.scores_N > 0.02).all()
        more += len(many) - len(few)
    assert more > 0


def test_a_batch_of_one_size_and_prompt_gives_what_each_image_gives_alone(detector: Any) -> None:
    images, _ = pictures(4)
    together = detector.detect(images, ["circle."] * 4)
    for image, found in zip(images, together, strict=True):
        (alone,) = detector.detect([image], ["circle."])
        assert np.allclose(found.boxes_N4, alone.boxes_N4, atol=1e-3)
        assert np.allclose(found.scores_N, alone.scores_N, atol=1e-5)


def test_a_prompt_is_never_cut_silently(detector: Any) -> None:
    detector.check_prompt("circle.")
    with pytest.raises(RecordError) as caught:
        detector.check_prompt("ein sehr langes Wort " * 40 + ".")
    assert caught.value.code == "prompt-too-long"


def altered(directory: Path, change: Any) -> Path:
    """Return a copy of the toy detector with changed weights."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(DETECTOR, directory)
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def test_scores_that_are_not_numbers_are_an_error_that_names_the_precision(tmp_path: Path) -> None:
    def scale(weights: dict[str, Any]) -> None:
        # Undoes itself in float32; the large half of it is infinite in half precision.
        name = next(n for n in weights if n.endswith("text_projection.weight"))
        weights[name] = weights[name].float() * 1e6

    directory = altered(tmp_path / "groß", scale)
    images, prompts = pictures(1)
    with pytest.raises(DetectError) as caught:
        open_detector(DetectorOptions(str(directory), device="cpu", dtype="float16")).detect(images, prompts)
    assert caught.value.code == "nan-scores"
    assert "float16" in str(caught.value)


def test_missing_weights_are_an_error_and_not_random_numbers(tmp_path: Path) -> None:
    directory = altered(
        tmp_path / "lückenhaft", lambda weights: weights.pop(next(n for n in weights if "text_projection" in n))
    )
    with pytest.raises(DetectError) as caught:
        open_detector(DetectorOptions(str(directory), device="cpu")).check_prompt("circle.")
    assert (caught.value.code, int(caught.value.exit_code)) == ("detector-broken", 3)


def test_a_truncated_weights_file_is_an_error(tmp_path: Path) -> None:
    directory = tmp_path / "kurz"
    shutil.copytree(DETECTOR, directory)
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DetectError) as caught:
        open_detector(DetectorOptions(str(directory), device="cpu")).check_prompt("circle.")
    assert caught.value.code == "detector-broken"


@pytest.mark.parametrize("config", [None, "{", '{"model_type": "bert"}', "[]"])
def test_a_directory_that_is_no_grounding_dino_is_an_error(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(DetectError) as caught:
        _ = open_detector(DetectorOptions(str(tmp_path))).fingerprint
    assert (caught.value.code, int(caught.value.exit_code)) == ("no-detector", 3)


@pytest.mark.parametrize(
    "name", ["./nicht/da", "/nicht/da", "a/b/c", "ohne-schrägstrich", str(DETECTOR / "config.json")]
)
def test_a_name_that_is_neither_directory_nor_hub_id_is_an_error(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        _ = open_detector(DetectorOptions(name)).directory
    assert caught.value.code == "no-model"


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    shutil.copytree(DETECTOR, tmp_path / "anderswo")
    here = open_detector(DetectorOptions(str(DETECTOR))).fingerprint
    moved = open_detector(DetectorOptions(str(tmp_path / "anderswo"))).fingerprint
    assert moved == here
    assert open_detector(DetectorOptions(str(DETECTOR), box_threshold=0.3)).fingerprint != here
    assert open_detector(DetectorOptions(str(DETECTOR), dtype="float16")).fingerprint != here
    (tmp_path / "anderswo" / "vocab.txt").write_text("anders")
    assert open_detector(DetectorOptions(str(tmp_path / "anderswo"))).fingerprint != here


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there_is_an_error_and_auto_takes_the_cpu() -> None:
    assert open_detector(DetectorOptions(str(DETECTOR))).device == "cpu"  # type: ignore[attr-defined]
    with pytest.raises(DeviceError) as caught:
        _ = open_detector(DetectorOptions(str(DETECTOR), device="cuda")).device  # type: ignore[attr-defined]
    assert (caught.value.code, int(caught.value.exit_code)) == ("no-cuda", 4)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundprep.detect.grounding_dino.PACKAGES", ("torch", "gibt_es_nicht"))
    with pytest.raises(MissingDependencyError) as caught:
        open_detector(DetectorOptions(str(DETECTOR)))
    assert "pip install 'groundprep[detect]'" in str(caught.value)


def write_drawn(directory: Path, scenes: int) -> tuple[Path, Rows]:
    """Write drawn pictures and a row per object and per absent shape; return the rows file."""
    (directory / "bilder").mkdir(parents=True)
    rows: Rows = []
    for number in range(scenes):
        scene = draw_scene(SIZES_WH[number % len(SIZES_WH)], 500 + number, min_objects=1, max_objects=4)
        name = f"szene {number}.png"
        Image.fromarray(scene.image).save(directory / "bilder" / name)
        for thing in scene.objects:
            words = f"the {thing.scale} {thing.colour} {thing.shape} №{len(rows)}"
            box = [round(n, 1) for n in thing.box_xyxy]
            rows.append({"image_name": name, "ans": box, "category": thing.shape, "referring": words})
        absent = next(shape for shape in SHAPES if shape not in {thing.shape for thing in scene.objects})
        rows.append({"image_name": name, "ans": [], "category": absent, "referring": f"a {absent} №{len(rows)}"})
    write_rows(directory / "zeilen.jsonl", rows)
    return directory / "zeilen.jsonl", rows


def command(source: Path, dst: Path, *options: str) -> list[str]:
    root = str(source.parent / "bilder")
    fixed = ["--image-root", root, "--detector", str(DETECTOR), "--device", "cpu", "--format", "json"]
    return [str(GROUNDPREP), "add-candidates", str(source), str(dst), *fixed, *options]


@pytest.mark.parametrize("limits", [(), ("--min-pixels", "3136", "--max-pixels", "8000")])
def test_the_command_makes_every_answer_exactly_one_hint_with_one_forward_a_pair(
    tmp_path: Path, limits: tuple[str, ...]
) -> None:
    source, rows = write_drawn(tmp_path, 14)
    dst = tmp_path / "out" / "kandidaten.jsonl"
    done = subprocess.run(command(source, dst, "--for", "easyr1", *limits), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["detections"]["forwards"] == len({(r["image_name"], r["category"]) for r in rows})
    assert result["detections"]["boxes"] > 14
    assert result["answers"]["matched"] > result["answers"]["appended"]
    profile = get_profile("easyr1")
    if limits:
        profile = profile.with_limits(int(limits[1]), int(limits[3]))
    written = read_rows(dst)
    assert [r["referring"] for r in written] == [r["referring"] for r in rows]
    for row in written:
        with Image.open(source.parent / "bilder" / row["image_name"]) as image:
            size_wh, seen_wh = image.size, profile.seen_wh(image.size)
        hints = [
            profile.frame.box_from_stored(c["bbox"], size_wh=size_wh, seen_wh=seen_wh) for c in row["candidate_boxes"]
        ]
        assert len({tuple(hint) for hint in hints}) == len(hints)
        if row["ans"]:
            answer = profile.frame.box_from_stored(row["ans"], size_wh=size_wh, seen_wh=seen_wh)
            assert hints.count(answer) == 1


def test_a_hub_id_that_cannot_be_fetched_is_one_line_and_exit_4(tmp_path: Path) -> None:
    source, _ = write_drawn(tmp_path, 1)
    line = [*command(source, tmp_path / "dst.jsonl"), "--detector", "niemand/gibt-es-nicht"]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "leer")}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=offline)
    assert done.returncode == 4
    assert done.stderr.startswith("error[hub-unavailable] niemand/gibt-es-nicht: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("dst*"))


@pytest.mark.kill
def test_a_killed_run_of_the_command_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    source, _ = write_drawn(tmp_path, 40)
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    subprocess.run(command(source, whole), capture_output=True, check=True)
    ledger = tmp_path / "killed.jsonl.groundprep" / "detections.jsonl"
    rng, kills = random.Random(3), 0
    for _ in range(3):
        before = ledger.stat().st_size if ledger.exists() else 0
        process = subprocess.Popen(command(source, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not ledger.exists() or ledger.stat().st_size <= before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command(source, killed), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["detections"]["reused"] > 0
    assert kills >= 1
    assert killed.read_bytes() == whole.read_bytes()
    for name in ("manifest.json", "detections.jsonl"):
        a, b = (tmp_path / f"{stem}.jsonl.groundprep" / name for stem in ("whole", "killed"))
        assert a.read_text().replace("whole.jsonl", "killed.jsonl") == b.read_text()
    assert not (tmp_path / "killed.jsonl.groundprep" / "state.json").exists()
    assert not (tmp_path / "killed.jsonl.groundprep" / "partial").exists()
