from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.train import TrainConfig, train
from groundprep.errors import DeviceError, GroundprepError, RecordError, TrainError, UsageError
from groundprep.training.plan import GrpoSettings
from groundprep.training.progress import StepReport
from toy_data.scenes import SIZES_WH, draw_scene

ROOT = Path(__file__).resolve().parents[2]
TINY_MODEL = ROOT / "toy_data" / "vlm"
ROWS = 12


def draw_rows(directory: Path, rows: int = ROWS) -> Path:
    """Write scenes and rexthinker rows whose candidates are all the objects of the scene."""
    from PIL import Image

    lines = []
    for i in range(rows):
        scene = draw_scene(SIZES_WH[i % len(SIZES_WH)], 100 + i, min_objects=3, max_objects=4)
        Image.fromarray(scene.image).save(directory / f"szene_{i}.png")
        boxes = [list(item.box_xyxy) for item in scene.objects]
        lines.append(
            {
                "image_name": f"szene_{i}.png",
                "ans": boxes[i % len(boxes)],
                "category": "star",
                "referring": f"the {scene.objects[i % len(boxes)].colour} ☆",
                "candidate_boxes": [{"bbox": box, "category": "star"} for box in boxes],
            }
        )
    path = directory / "szenen.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("train")
    target = directory / "train.parquet"
    sources = SourceConfig((str(draw_rows(directory)),))
    convert(ConvertConfig(sources, str(target), profile="easyr1", min_pixels=3_136, max_pixels=25_088))
    return target


def plan(data: Path, **changes: Any) -> dict[str, Any]:
    settings = GrpoSettings(steps=3, batch_size=4, num_generations=4)
    return train(TrainConfig(str(data), "no-model", settings=settings, dry_run=True, **changes)).plan


def run_cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "groundprep", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_plan_takes_profile_and_limits_from_the_data(data: Path) -> None:
    made = plan(data)
    assert made["profile"] == "easyr1@b44b311"
    assert made["limits"] == {"min_pixels": 3_136, "max_pixels": 25_088}
    assert made["rows"] == ROWS
    assert made["seen_sizes"] == {"196x140": 4, "140x168": 2, "140x196": 2, "168x112": 2, "168x140": 2}
    assert made["examples"][0]["prompt"].startswith("Hint: Object and its coordinates in this image: {")
    assert made["examples"][0]["prompt"].endswith("☆ in this image.")


def test_limit_trains_on_the_first_rows_only(data: Path) -> None:
    assert plan(data, limit=5)["rows"] == 5


def test_the_cli_prints_the_plan_and_loads_no_torch(data: Path) -> None:
    code = (
        "import sys; from groundprep.cli import main\n"
        "try: main()\nfinally: assert not {'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules)"
    )
    arguments = [
        "train",
        data.name,
        "--trainer",
        "trl",
        "--stage",
        "grpo",
        "--model",
        "m",
        "--dry-run",
        "--format",
        "json",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=data.parent, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["plan"]["rows"] == ROWS
    assert not (data.parent / "checkpoint").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--trainer", "trl", "--stage", "sft"], 2, "--trainer trl --stage grpo"),
        (["--trainer", "easyr1", "--stage", "grpo"], 2, "--trainer trl --stage grpo"),
        (["--trainer", "trl", "--stage", "grpo", "--reward", "accuracy"], 2, "rexthinker, iou"),
        (["--trainer", "trl", "--stage", "grpo", "--batch-size", "13"], 2, "too-few-rows"),
        (["--trainer", "trl", "--stage", "grpo", "--learning-rate", "0"], 2, "learning rate"),
    ],
)
def test_a_wrong_option_ends_with_one_line_and_its_code(
    data: Path, arguments: list[str], code: int, words: str
) -> None:
    done = run_cli("train", data.name, "--model", "m", "--dry-run", *arguments, cwd=data.parent)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_data_without_a_profile_is_refused(tmp_path: Path, data: Path) -> None:
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(data).replace_schema_metadata(None), bare)
    for path in (bare, draw_rows(tmp_path, 2)):
        with pytest.raises(TrainError) as caught:
            plan(path)
        assert caught.value.code == "no-profile"
        assert "--for easyr1" in str(caught.value)


def test_rows_of_another_layout_are_refused(tmp_path: Path) -> None:
    prefix = tmp_path / "toy"
    sources = SourceConfig((str(draw_rows(tmp_path, 2)),))
    convert(ConvertConfig(sources, str(prefix), profile="rexomni-sft", to="tsv"))
    with pytest.raises(TrainError) as caught:
        plan(prefix)
    assert caught.value.code == "not-training-rows"


def test_a_bad_row_stops_the_run_or_is_dropped(tmp_path: Path, data: Path) -> None:
    table = pq.read_table(data)
    problems = table.column("problem").to_pylist()
    problems[4] += " <image>"
    broken = tmp_path / "broken.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("problem"), "problem", pa.array(problems)), broken)
    with pytest.raises(RecordError, match=r"broken\.parquet:5: .*exactly one image"):
        plan(broken)
    result = train(TrainConfig(str(broken), "m", settings=GrpoSettings(batch_size=4), dry_run=True, on_error="drop"))
    assert (result.plan["rows"], result.dropped) == (ROWS - 1, 1)


def test_an_output_that_is_there_already_is_not_touched(tmp_path: Path, data: Path) -> None:
    output = tmp_path / "checkpoint"
    output.mkdir()
    (output / "mine.txt").write_text("keep")
    done = run_cli(
        "train", str(data), "--trainer", "trl", "--stage", "grpo", "--model", "m", "--output", str(output), cwd=tmp_path
    )
    assert done.returncode == 2
    assert "output-exists" in done.stderr
    assert [file.name for file in output.iterdir()] == ["mine.txt"]


def settings(**changes: Any) -> GrpoSettings:
    values = {
        "steps": 3,
        "batch_size": 4,
        "num_generations": 4,
        "learning_rate": 1e-4,
        "max_completion_length": 32,
        "device": "cpu",
    }
    return GrpoSettings(**(values | changes))


def tiny_config(data: Path, output: Path, *, model: Path = TINY_MODEL, **changes: Any) -> TrainConfig:
    return TrainConfig(str(data), str(model), output=str(output), settings=settings(), **changes)


def with_limits(directory: Path, *, low: int, high: int) -> Path:
    """Copy the tiny model and give its processor other pixel limits."""
    shutil.copytree(TINY_MODEL, directory)
    changed = 0
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = directory / name
        if path.exists():
            values = json.loads(path.read_text())
            image = values.get("image_processor", values)
            image["size"] = {"shortest_edge": low, "longest_edge": high}
            path.write_text(json.dumps(values))
            changed += 1
    assert changed
    return directory


libraries_warn = pytest.mark.filterwarnings("default")
"""torch, transformers and TRL warn about their own futures; what they warn of is not ours to fix."""


@pytest.mark.model
@libraries_warn
def test_grpo_finds_a_signal_changes_weights_and_leaves_a_checkpoint_that_loads(tmp_path: Path, data: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    seen: list[StepReport] = []
    output = tmp_path / "checkpoint"
    result = train(tiny_config(data, output), on_step=seen.append)
    assert [step.step for step in seen] == [1, 2, 3] == [step.step for step in result.steps]
    assert all(0.0 <= step.reward_mean <= 1.0 for step in seen)
    assert result.summary is not None
    assert result.summary["groups_with_signal"] >= 1
    model = AutoModelForImageTextToText.from_pretrained(output, dtype=torch.float32)
    start = AutoModelForImageTextToText.from_pretrained(TINY_MODEL, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(output)
    changes = [
        float((new - old).detach().abs().max()) for new, old in zip(model.parameters(), start.parameters(), strict=True)
    ]
    assert result.weights_changed == pytest.approx(max(changes))
    assert result.weights_changed > 0
    assert processor.image_processor.size == AutoProcessor.from_pretrained(TINY_MODEL).image_processor.size
    sidecar = Path(f"{output}.groundprep")
    assert json.loads((sidecar / "manifest.json").read_text())["config"]["command"] == "train"
    assert sorted(file.name for file in sidecar.iterdir()) == ["manifest.json", "run.json"]
    again = train(tiny_config(data, output))
    assert again.unchanged
    with pytest.raises(UsageError, match="learning_rate"):
        train(TrainConfig(str(data), str(TINY_MODEL), output=str(output), settings=settings(learning_rate=1e-3)))
    replaced = train(
        TrainConfig(
            str(data), str(TINY_MODEL), output=str(output), settings=settings(steps=1), overwrite=True, rewards=("iou",)
        )
    )
    assert len(replaced.steps) == 1
    assert (output / "model.safetensors").exists()


@pytest.mark.model
@libraries_warn
@pytest.mark.parametrize(("low", "high"), [(784, 12_544), (40_000, 1_003_520)])
def test_a_processor_that_would_resize_again_is_refused(tmp_path: Path, data: Path, low: int, high: int) -> None:
    model = with_limits(tmp_path / "model", low=low, high=high)
    with pytest.raises(TrainError) as caught:
        train(tiny_config(data, tmp_path / "checkpoint", model=model))
    assert caught.value.code == "grid-differs"
    assert str(caught.value.source).startswith(str(data))
    assert f"{low} to {high} pixels" in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model"]


@pytest.mark.model
@libraries_warn
def test_a_model_that_is_not_there_leaves_nothing_behind(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError) as caught:
        train(tiny_config(data, tmp_path / "checkpoint", model=tmp_path / "absent"))
    assert caught.value.code == "no-model"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
@libraries_warn
def test_cuda_without_a_gpu_is_an_environment_error(tmp_path: Path, data: Path) -> None:
    import torch

    config = TrainConfig(str(data), str(TINY_MODEL), output=str(tmp_path / "c"), settings=settings(device="cuda"))
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(DeviceError) as caught:
        train(config)
    assert caught.value.exit_code == 4
    assert isinstance(caught.value, GroundprepError)
