"""`groundprep run`: a pipeline file is checked whole, then its steps run in order and stop at the first that fails."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from PIL import Image

from groundprep.api import recipe
from groundprep.api.convert import ConvertConfig
from groundprep.api.recipe import VERBS, read_recipe, recipe_type, step_type
from groundprep.api.run import PipelineConfig, PipelineResult, run_pipeline
from groundprep.api.sample import SampleConfig
from groundprep.api.sources import SourceConfig
from groundprep.errors import ExitCode, FormatError, RecordError, UsageError

ROOT = Path(recipe.__file__).parents[2]
ROWS = [
    {"id": f"r{n}", "image_name": "bild.png", "ans": [7.5, 3, 40, 21], "category": "cup", "referring": f"чашка №{n}"}
    for n in range(6)
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with six rows of one image."""
    buffer = io.BytesIO()
    Image.new("RGB", (61, 37), (20, 90, 40)).save(buffer, "PNG")
    (tmp_path / "bild.png").write_bytes(buffer.getvalue())
    (tmp_path / "boxes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


SAMPLE: dict[str, Any] = {
    "verb": "sample",
    "src": "boxes.jsonl",
    "dst": "${vars.out}.jsonl",
    "strategy": "first",
    "count": "${vars.n}",
}
CONVERT: dict[str, Any] = {"verb": "convert", "src": ["${vars.out}.jsonl"], "dst": "${vars.out}", "to": "tsv"}
VARS = {"out": "part", "n": 4}


def write(*steps: dict[str, Any], variables: dict[str, Any] | None = None, **more: Any) -> str:
    data = {"vars": VARS if variables is None else variables, "steps": list(steps)} | more
    Path("pipeline.yaml").write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
    return "pipeline.yaml"


def run(path: str, *overrides: str, **shared: Any) -> PipelineResult:
    return run_pipeline(PipelineConfig(path, overrides, shared))


def refusal(path: str, *overrides: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_recipe(path, overrides)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


def test_steps_run_in_order_each_on_what_the_one_before_it_wrote(here: Path) -> None:
    told: list[str] = []
    result = run_pipeline(
        PipelineConfig(write(SAMPLE, CONVERT)),
        on_start=lambda number, total, step: told.append(f"{number}/{total} {step.name}"),
        on_end=lambda outcome: told.append(outcome.name),
    )
    assert told == ["1/2 sample", "sample", "2/2 convert", "convert"]
    assert result.exit_code == 0
    assert len((here / "part.annotations.tsv.lineidx").read_text().splitlines()) == 4


def test_a_second_run_changes_nothing(here: Path) -> None:
    path = write(SAMPLE, CONVERT)
    assert [step.unchanged for step in run(path).steps] == [False, False]
    before = (here / "part.images.tsv").stat().st_mtime_ns
    assert [step.unchanged for step in run(path).steps] == [True, True]
    assert (here / "part.images.tsv").stat().st_mtime_ns == before


def test_an_interrupted_pipeline_goes_on_where_it_stopped(here: Path) -> None:
    path = write(SAMPLE, CONVERT | {"src": "absent.jsonl"})
    with pytest.raises(FormatError):
        run(path)
    path = write(SAMPLE, CONVERT)
    assert [step.unchanged for step in run(path).steps] == [True, False]


def test_the_first_failing_step_is_the_last_that_runs(here: Path) -> None:
    bad = json.dumps(ROWS[1]).replace("7.5", "NaN")
    (here / "boxes.jsonl").write_text(f"{json.dumps(ROWS[0])}\n{bad}\n")
    with pytest.raises(RecordError):
        run(write(SAMPLE, CONVERT))
    assert not (here / "part.images.tsv").exists()


def test_findings_stop_a_pipeline_with_exit_code_1_and_fail_on_decides(here: Path) -> None:
    (here / "boxes.jsonl").write_text("".join(json.dumps(row | {"image_name": "absent.png"}) + "\n" for row in ROWS))
    check = {"verb": "validate", "src": "boxes.jsonl"}
    result = run(write(check, SAMPLE))
    assert result.exit_code == ExitCode.FINDINGS
    assert [step.name for step in result.steps] == ["validate"]
    assert result.steps[0].result.errors >= 1
    assert not (here / "part.jsonl").exists()
    assert run(write(check | {"fail_on": "never"}, SAMPLE)).exit_code == 0
    assert (here / "part.jsonl").exists()


def test_dropped_rows_do_not_stop_a_pipeline_but_show_in_its_exit_code(here: Path) -> None:
    bad = json.dumps(ROWS[1]).replace("7.5", "NaN")
    (here / "boxes.jsonl").write_text(f"{json.dumps(ROWS[0])}\n{bad}\n")
    result = run(write(SAMPLE | {"on_error": "drop"}, CONVERT))
    assert result.exit_code == ExitCode.DROPPED
    assert [step.exit_code for step in result.steps] == [ExitCode.DROPPED, ExitCode.OK]


def test_a_step_becomes_exactly_the_configuration_of_its_verb(here: Path) -> None:
    made = read_recipe(write(SAMPLE, CONVERT | {"for": "rexomni-sft", "image_root": "bilder", "dedupe_images": False}))
    assert [step.config for step in made.steps] == [
        SampleConfig(SourceConfig(("boxes.jsonl",)), "part.jsonl", "first", 4),
        ConvertConfig(
            SourceConfig(("part.jsonl",), image_root="bilder"),
            "part",
            profile="rexomni-sft",
            to="tsv",
            dedupe_images=False,
        ),
    ]


def test_variables_keep_their_type_alone_and_become_text_inside_a_string(here: Path) -> None:
    path = write(SAMPLE | {"dst": "${vars.out}-${vars.n}.jsonl"})
    assert read_recipe(path, ["vars.n=5%"]).steps[0].arguments["count"] == "5%"
    assert read_recipe(path).steps[0].arguments["dst"] == "part-4.jsonl"
    assert read_recipe(path).steps[0].arguments["count"] == 4


def test_set_overrides_variables_and_arguments_and_adds_new_ones(here: Path) -> None:
    path = write(SAMPLE, CONVERT, CONVERT | {"name": "again", "dst": "zweit"})
    made = read_recipe(path, ["vars.n=2", "sample.seed=7", "again.dedupe_images=false"])
    assert made.steps[0].config == SampleConfig(SourceConfig(("boxes.jsonl",)), "part.jsonl", "first", 2, 7)
    assert made.steps[2].config.dedupe_images is False
    assert [step.name for step in made.steps] == ["sample", "convert-1", "again"]


def test_shared_arguments_reach_the_steps_that_have_them_and_do_not_say_otherwise(here: Path) -> None:
    path = write({"verb": "validate", "src": "boxes.jsonl"}, SAMPLE, CONVERT | {"overwrite": False})
    made = read_recipe(path, (), {"overwrite": True, "workers": 2})
    assert [step.arguments.get("overwrite") for step in made.steps] == [None, True, False]
    assert [step.config.workers for step in made.steps] == [2, 2, 2]


@pytest.mark.parametrize(
    ("step", "found", "fix"),
    [
        (SAMPLE | {"verb": "smaple"}, "smaple", "did you mean sample?"),
        (SAMPLE | {"stratgy": "all"}, "stratgy", "did you mean strategy?"),
        (SAMPLE | {"dst": "${vars.aut}"}, "vars.aut", "did you mean vars.out?"),
        ({"src": "boxes.jsonl"}, "a step without verb", None),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_right_one(
    here: Path, step: dict[str, Any], found: str, fix: str | None
) -> None:
    error = refusal(write(step))
    assert (error.found, error.fix) == (found, fix)


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("vars.outt=x", "did you mean out?"),
        ("sampel.seed=1", "did you mean sample?"),
        ("sample.sed=1", "did you mean seed?"),
        ("sample.seed=many", None),
        ("sample.seed=1.5", None),
        ("sample.seed=[1", None),
        ("seed=1", None),
        ("sample.seed", None),
    ],
)
def test_a_wrong_override_is_a_usage_error(here: Path, override: str, fix: str | None) -> None:
    assert refusal(write(SAMPLE), override).fix == fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: []", "no steps"),
        ("vars: {}", "steps"),
        ("- verb: sample", "mapping"),
        ("", "mapping"),
        ("steps: {verb: sample}", "expected `array`"),
        ("steps: [sample]", "expected `object`"),
        ("steps: [{verb: sample}]", "missing required"),
        ("steps: [{verb: [sample]}]", "no such verb"),
        ("stepz: []", "no such key"),
        ("steps: [{verb: sample, src: a, src: b}]", "comes twice"),
        ("a: &x [1]\nsteps: [*x, *x]", "aliases"),
        ("steps: !!python/object/apply:os.system ['true']", "refused"),
        ("steps: [" + "[" * 5000, "refused"),
        ("steps: [\t", "refused"),
        ("steps: [{verb: sample, name: vars, src: a, dst: b, strategy: all}]", "name"),
        ("steps: [{verb: sample, name: a.b, src: a, dst: b, strategy: all}]", "name"),
        ("steps: [{verb: sample, 1: 2, src: a, dst: b, strategy: all}]", ""),
        ("steps: [{verb: sample, src: 5, dst: b, strategy: all}]", "expected"),
        ("x: 1\n" * 250_000, "too long"),
    ],
)
def test_a_file_that_is_no_pipeline_is_one_clear_line(here: Path, text: str, words: str) -> None:
    Path("pipeline.yaml").write_text(text)
    error = refusal("pipeline.yaml")
    assert words in str(error)
    assert "\n" not in str(error)


def test_everything_is_checked_before_anything_runs(here: Path) -> None:
    with pytest.raises(UsageError):
        run(write(SAMPLE, CONVERT | {"min_pixels": "few"}))
    assert not (here / "part.jsonl").exists()


def test_a_file_that_cannot_be_read_is_a_usage_error(here: Path) -> None:
    assert refusal("absent.yaml").code == "pipeline-unreadable"
    Path("latin.yaml").write_bytes("steps: [ü]".encode("latin-1"))
    assert refusal("latin.yaml").code == "pipeline-unreadable"
    assert refusal(str(here)).code == "pipeline-unreadable"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_step_with_unambiguous_argument_names(verb: str) -> None:
    names = [item.encode_name for item in msgspec.structs.fields(step_type(verb))]
    assert len(names) == len(set(names))
    assert "verb" not in names


def test_the_schema_of_a_pipeline_file_describes_every_verb() -> None:
    schema = msgspec.json.schema(recipe_type())
    steps = schema["$defs"]["Pipeline"]["properties"]["steps"]["items"]["discriminator"]["mapping"]
    assert sorted(steps) == sorted(VERBS)
    step = schema["$defs"]["ConvertStep"]
    assert {"src", "dst"} < set(step["required"])
    assert "for" in step["properties"]
    assert step["additionalProperties"] is False


def test_the_shipped_pipelines_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    paths = sorted(Path("pipelines").glob("*.yaml"))
    assert paths
    for path in paths:
        made = read_recipe(str(path), ["vars.out=elsewhere"])
        written = [
            str(step.arguments[key])
            for step in made.steps
            for key in ("dst", "out_dir", "output")
            if key in step.arguments
        ]
        assert all(name.startswith("elsewhere/") for name in written)
        for step in made.steps:
            assert Path(str(step.arguments.get("image_root", "toy_data"))).is_dir()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = "from groundprep.cli import main; main()"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)


def test_the_command_prints_its_configuration_and_runs_nothing(here: Path) -> None:
    variables = VARS | {"both": ["a.jsonl", "b.jsonl"]}
    twice = [CONVERT | {"src": "${vars.both}"}] * 2
    done = command(
        "run", write(SAMPLE, *twice, variables=variables), "--set", "vars.n=2", "--print-config", "--workers", "3"
    )
    assert done.returncode == 0
    printed = yaml.safe_load(done.stdout)
    assert printed["vars"]["n"] == 2
    assert printed["steps"][0] == {
        "name": "sample", "workers": 3, **SAMPLE, "dst": "part.jsonl", "count": 2
    }  # fmt: skip
    assert [step["src"] for step in printed["steps"][1:]] == [variables["both"]] * 2
    assert not (here / "part.jsonl").exists()
    Path("again.yaml").write_text(done.stdout, encoding="utf-8")
    assert read_recipe("again.yaml").steps == read_recipe("pipeline.yaml", ["vars.n=2"], {"workers": 3}).steps


def test_the_command_tells_steps_on_stderr_results_on_stdout_and_the_exit_code(here: Path) -> None:
    check = {"verb": "validate", "src": "boxes.jsonl"}
    done = command("run", write(check, SAMPLE, CONVERT), "--format", "json")
    assert [step["exit_code"] for step in json.loads(done.stdout)["steps"]] == [0, 0, 0]
    assert "[3/3] convert" in done.stderr
    (here / "bild.png").unlink()
    failed = command("run", "pipeline.yaml")
    assert failed.returncode == ExitCode.FINDINGS
    assert "exit code 1: 6 errors" in failed.stderr
    assert "exit code 1: 6 errors" in failed.stdout
    assert "boxes.jsonl:1: error[image-missing]" in failed.stdout
    assert "sample" not in failed.stdout


def test_an_unfinished_step_exits_with_its_own_code_and_no_trace(here: Path) -> None:
    done = command("run", write(CONVERT | {"src": "absent.jsonl"}))
    assert done.returncode == ExitCode.DATA
    assert "Traceback" not in done.stderr
    assert "absent.jsonl" in done.stderr
