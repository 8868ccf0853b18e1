"""doctor: the installation, and the trainer's own dataset class on our rows.

EasyR1 and Rex-Thinker are not on the package index; `RLHF_DATASET` is written from the specification of their loaders.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.doctor import EXTRAS, DoctorConfig, DoctorResult, doctor
from groundprep.api.sources import SourceConfig
from groundprep.errors import ExitCode, MissingDependencyError, UsageError

ROOT = Path(__file__).parents[2]
EASYR1 = ROOT / "toy_data" / "toy.easyr1.parquet"
MODEL = ROOT / "toy_data" / "vlm"

RLHF_DATASET = """
import io
from datasets import load_dataset
from PIL import Image

print("the trainer prints what it likes")

def process_image(image, min_pixels, max_pixels):
    if isinstance(image, str):
        image = Image.open(image)
    elif isinstance(image, dict):
        image = Image.open(io.BytesIO(image["bytes"]))
    elif isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
    image.load()
    return image.convert("RGB")

class RLHFDataset:
    def __init__(self, data_path, tokenizer, processor, prompt_key="prompt", answer_key="answer", image_key="images",
                 max_prompt_length=1024, truncation="error", min_pixels=None, max_pixels=None, filter_overlong_prompts=True):
        self.dataset = load_dataset("parquet", data_files=data_path, split="train")
        self.processor, self.tokenizer = processor, tokenizer
        self.prompt_key, self.answer_key, self.image_key = prompt_key, answer_key, image_key
        self.limits = (min_pixels, max_pixels)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        example = self.dataset[index]
        content = [{"type": "image"}]
        content += [{"type": "text", "text": t} for t in example.pop(self.prompt_key).split("<image>") if t]
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        images = [process_image(image, *self.limits) for image in example.pop(self.image_key)]
        inputs = self.processor(images, [prompt], add_special_tokens=False, return_tensors="pt")
        example["input_ids"] = inputs["input_ids"][0]
        example["ground_truth"] = example.pop(self.answer_key)
        return example
"""


@pytest.fixture
def easyr1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a checkout in which `verl.utils.dataset` can be imported."""
    package = tmp_path / "EasyR1" / "verl" / "utils"
    package.mkdir(parents=True)
    (package / "dataset.py").write_text(RLHF_DATASET, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "EasyR1")
    return tmp_path


def asked(data: Path, profile: str = "easyr1", **more: object) -> DoctorResult:
    return doctor(DoctorConfig(str(data), profile, trainer_python=sys.executable, **more))  # type: ignore[arg-type]


def status(result: DoctorResult, name: str) -> tuple[str, str]:
    (checkup,) = [checkup for checkup in result.checkups if checkup.name == name]
    return checkup.status, checkup.found


def test_the_installation_alone_is_looked_at() -> None:
    result = doctor(DoctorConfig())
    assert result.exit_code == ExitCode.OK
    assert status(result, "packages")[0] == "ok"
    assert re.search(r"pyarrow \d+\.", status(result, "packages")[1])
    assert status(result, "disk")[1].endswith("GiB free in the current directory")
    assert result.probe is None


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        name: {re.split(r"[\[<>=!~ ]", item)[0].lower() for item in packages}
        for name, packages in project["optional-dependencies"].items()
        if name != "dev"
    }
    assert {name: {package.lower() for package in packages} for name, packages in EXTRAS.items()} == declared


@pytest.mark.usefixtures("easyr1")
def test_the_trainers_class_reads_every_row() -> None:
    result = asked(EASYR1)
    assert result.probe is not None
    rows = pq.read_metadata(EASYR1).num_rows
    assert (result.probe["rows_read"], result.probe["failure"]) == (rows, None)
    assert status(result, "trainer rows")[0] == "ok"
    assert "no --model" in status(result, "trainer rows")[1]


@pytest.mark.usefixtures("easyr1")
def test_the_models_own_processor_is_used_if_it_is_named() -> None:
    result = asked(EASYR1, model=str(MODEL), limit=2)
    assert result.probe is not None
    assert result.probe["failure"] is None
    assert (result.probe["rows_read"], result.probe["stand_in_tokenizer"]) == (2, False)


@pytest.mark.usefixtures("easyr1")
@pytest.mark.parametrize(
    ("column", "value"), [("images", [{"bytes": b"no image", "path": None}]), ("problem", None), ("answer", "missing")]
)
def test_the_first_failing_column_is_named(tmp_path: Path, column: str, value: object) -> None:
    table = pq.read_table(EASYR1)
    rows = table.to_pylist()
    if value == "missing":
        broken = table.drop_columns([column])
        row = 0
    else:
        row = 2
        rows[row][column] = value
        broken = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(broken, tmp_path / "broken.parquet")
    result = asked(tmp_path / "broken.parquet")
    assert result.exit_code == ExitCode.FINDINGS
    assert result.probe is not None
    assert (result.probe["failure"]["row"], result.probe["failure"]["column"]) == (row, column)
    assert f"row {row + 1}, column `{column}`" in status(result, "trainer rows")[1]


def test_a_python_without_the_trainer_is_an_environment_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = asked(EASYR1)
    assert result.exit_code == ExitCode.ENVIRONMENT
    assert "No module named 'verl'" in status(result, "trainer")[1]


def test_a_program_that_is_no_python_is_told_in_one_line() -> None:
    with pytest.raises(UsageError, match="cannot be started"):
        doctor(DoctorConfig(str(EASYR1), "easyr1", trainer_python="/nowhere/python"))
    with pytest.raises(MissingDependencyError, match="gave no answer"):
        doctor(DoctorConfig(str(EASYR1), "easyr1", trainer_python="/bin/true"))


def test_without_the_trainers_python_it_says_what_was_not_checked() -> None:
    result = doctor(DoctorConfig(str(EASYR1), "easyr1"))
    state, found = status(result, "trainer rows")
    assert state == "not-checked"
    assert "own dataset class did not run" in found


def test_a_trainer_without_a_class_to_import_says_so() -> None:
    result = doctor(
        DoctorConfig(str(ROOT / "toy_data" / "toy.annotations.tsv"), "rexomni-sft", trainer_python=sys.executable)
    )
    assert status(result, "trainer rows")[0] == "not-checked"
    assert "no class to import" in status(result, "trainer rows")[1]


@pytest.mark.parametrize(
    "config",
    [
        DoctorConfig("x.parquet"),
        DoctorConfig(profile="trl"),
        DoctorConfig(model="m"),
        DoctorConfig("x", "trl", model="m"),
    ],
)
def test_flags_that_make_no_sense_together_are_usage_errors(config: DoctorConfig) -> None:
    with pytest.raises(UsageError):
        doctor(config)


@pytest.mark.parametrize("profile", ["trl", "trl-sft"])
def test_trls_own_functions_read_what_convert_wrote(tmp_path: Path, profile: str) -> None:
    source = SourceConfig((str(ROOT / "toy_data" / "toy.candidates.rexthinker.jsonl"),))
    data = tmp_path / "rows.parquet"
    convert(ConvertConfig(source, str(data), profile, limit=5))
    result = asked(data, profile, model=str(MODEL))
    assert result.probe is not None
    assert (result.probe["failure"], result.probe["rows_read"]) == (None, 5)
    assert result.probe["loader"].startswith("trl.")


def test_trls_first_failing_column_is_named(tmp_path: Path) -> None:
    schema = pa.schema({"images": pa.list_(pa.binary()), "prompt": pa.string(), "solution": pa.string()})
    data = tmp_path / "rows.parquet"
    pq.write_table(pa.table([[[]], ["a prompt that is no chat"], ["[]"]], schema=schema), data)
    result = asked(data, "trl")
    assert result.probe is not None
    assert (result.probe["failure"]["row"], result.probe["failure"]["column"]) == (0, "prompt")
