"""`groundprep doctor`: what is installed, and whether the trainer's own code can read the data."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import groundprep
from groundprep.api.frame import FrameConfig, resolve_profile
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from groundprep.errors import ExitCode, GroundprepError, MissingDependencyError, UsageError, shown

Status: TypeAlias = Literal["ok", "absent", "failed", "not-checked"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "masks": ("opencv-python-headless", "pycocotools"),
    "similar": ("ImageHash",),
    "detect": ("torch", "torchvision", "transformers", "safetensors", "scipy"),
    "groundingdino": ("groundingdino-py", "torch", "transformers"),
    "train": ("trl", "accelerate", "peft", "datasets", "torch", "torchvision", "transformers"),
    "ray": ("ray",),
}
"""What each extra needs; pyproject.toml says in which versions, and a test compares the two."""

CORE = (
    "polars",
    "pyarrow",
    "numpy",
    "pillow",
    "msgspec",
    "pybase64",
    "typer",
    "rich",
    "fsspec",
    "huggingface_hub",
    "PyYAML",
)

PROBED = ("easyr1", "rexthinker", "trl", "trl-sft")
"""Trainers whose rows are read by something that can be imported; the others build their data inside their start script."""

PROBE_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """What `doctor` shall look at.

    Args:
        data: rows for the trainer; None: the installation only.
        profile: the trainer, `NAME[@REV]`; needed with data.
        trainer_python: the interpreter of the trainer's environment; None: its code is not run.
        model: the model whose tokenizer and processor the trainer's class shall use; None: a stand-in.
        image_root: where image names start.
        min_pixels, max_pixels: override the profile's limits.
        limit: look at so many rows at most.
    """

    data: str | None = None
    profile: str | None = None
    trainer_python: str | None = None
    model: str | None = None
    image_root: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Checkup:
    """One thing that was looked at.

    Args:
        name: what.
        status: ok, absent (optional and not there), failed, or not-checked.
        found: what was found, in words.
        fix: what to do.
    """

    name: str
    status: Status
    found: str
    fix: str | None = None


@dataclass(slots=True)
class DoctorResult:
    """What `doctor` found.

    Args:
        checkups: in the order in which they are shown.
        probe: the answer of the trainer's interpreter; see `groundprep.probe.rows`.
    """

    checkups: list[Checkup] = field(default_factory=list)
    probe: dict[str, Any] | None = None

    @property
    def exit_code(self) -> ExitCode:
        """1 if the data fails, 4 if the environment does, else 0."""
        failed = {checkup.name for checkup in self.checkups if checkup.status == "failed"}
        if not failed:
            return ExitCode.OK
        return ExitCode.FINDINGS if failed & {"rows", "trainer rows"} else ExitCode.ENVIRONMENT

    def as_data(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"checkups": [asdict(checkup) for checkup in self.checkups], "probe": self.probe}


def doctor(config: DoctorConfig) -> DoctorResult:
    """Look at the installation and, with data, at its rows; raises UsageError, MissingDependencyError."""
    _require_sense(config)
    result = DoctorResult([*_installation(), *_machine()])
    if config.data is not None:
        result.checkups.append(_own_rules(config))
        _probe(config, result)
    return result


def _require_sense(config: DoctorConfig) -> None:
    if (config.data is None) != (config.profile is None):
        missing = "the data" if config.data is None else "the trainer"
        raise UsageError(
            f"{missing} is not named",
            found="--for without DATA" if config.data is None else "DATA without --for",
            expected="doctor --for PROFILE DATA, or doctor alone",
        )
    if config.data is None and (config.trainer_python or config.model):
        raise UsageError("--trainer-python and --model concern data", expected="doctor --for PROFILE DATA")
    if config.model is not None and config.trainer_python is None:
        raise UsageError("--model is loaded by the trainer's interpreter", expected="--trainer-python PATH")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _installation() -> Iterator[Checkup]:
    yield Checkup("groundprep", "ok", groundprep.__version__)
    yield Checkup("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    missing = [package for package in CORE if _version(package) is None]
    found = ", ".join(f"{package} {_version(package)}" for package in CORE if package not in missing)
    if missing:
        yield Checkup(
            "packages", "failed", f"missing: {', '.join(missing)}", "pip install --force-reinstall groundprep"
        )
    else:
        yield Checkup("packages", "ok", found)
    for extra, packages in EXTRAS.items():
        yield _extra(extra, packages)


def _extra(name: str, packages: tuple[str, ...]) -> Checkup:
    there = {package: version for package in packages if (version := _version(package)) is not None}
    missing = [package for package in packages if package not in there]
    found = ", ".join(f"{package} {version}" for package, version in there.items())
    if missing:
        return Checkup(
            f"extra {name}",
            "absent",
            f"missing: {', '.join(missing)}",
            f"pip install 'groundprep[{name}]', if you need it",
        )
    return Checkup(f"extra {name}", "ok", found)


def _machine() -> Iterator[Checkup]:
    yield _gpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Checkup("processors", "ok", str(cores))
    free = shutil.disk_usage(".").free / 1024**3
    yield Checkup("disk", "ok", f"{free:.1f} GiB free in the current directory")


def _gpu() -> Checkup:
    if _version("torch") is None:
        return Checkup("gpu", "not-checked", "torch is not installed", "pip install 'groundprep[detect]'")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Checkup("gpu", "ok", f"{', '.join(names)}; CUDA {torch.version.cuda}, torch {torch.__version__}")
    built = "built without CUDA" if torch.version.cuda is None else f"built for CUDA {torch.version.cuda}"
    return Checkup(
        "gpu", "absent", f"none that torch {torch.__version__} ({built}) can use; detection runs on the processor"
    )


def _own_rules(config: DoctorConfig) -> Checkup:
    """Return what `validate --for` says, in one line."""
    assert config.data is not None
    try:
        result = validate(
            ValidateConfig(
                SourceConfig((config.data,), None, config.image_root),
                config.profile,
                min_pixels=config.min_pixels,
                max_pixels=config.max_pixels,
                limit=config.limit,
                max_findings=1,
            )
        )
    except GroundprepError as error:
        if error.exit_code is ExitCode.USAGE:
            raise
        return Checkup("rows", "failed", shown(error.message), error.fix)
    found = f"rows: {result.records}, errors: {result.errors}, warnings: {result.warnings}"
    root = "" if config.image_root is None else f" --image-root {config.image_root}"
    fix = (
        f"groundprep validate {config.data} --for {config.profile}{root}" if result.errors or result.warnings else None
    )
    return Checkup("rows", "failed" if result.errors else "ok", found, fix)


def _probe(config: DoctorConfig, result: DoctorResult) -> None:
    assert config.profile is not None
    profile = resolve_profile(FrameConfig(config.profile, "trainer", config.min_pixels, config.max_pixels))
    if profile.name not in PROBED:
        found = f"{profile.name} builds its rows inside its start script: there is no class to import"
        result.checkups.append(
            Checkup("trainer rows", "not-checked", found, "the rows were checked with groundprep's rules")
        )
        return
    if config.trainer_python is None:
        result.checkups.append(
            Checkup(
                "trainer rows",
                "not-checked",
                f"{profile.name}'s own dataset class did not run: its packages, their versions, its decoding and its columns",
                "pass --trainer-python PATH, the python of the trainer's environment",
            )
        )
        return
    low, high = profile.chain.limits
    request = {
        "profile": profile.name,
        "data": os.path.abspath(config.data or ""),  # noqa: PTH100 (lexical: the trainer may see other links)
        "image_root": None if config.image_root is None else str(Path(config.image_root).absolute()),
        "model": config.model,
        "min_pixels": low,
        "max_pixels": high,
        "limit": config.limit,
    }
    result.probe = _ask(config.trainer_python, request)
    result.checkups.append(_verdict(result.probe))


def _ask(python: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run the probe in another interpreter; raises UsageError (no such program) or MissingDependencyError (no answer)."""
    text = resources.files("groundprep.probe").joinpath("rows.py").read_text(encoding="utf-8")
    try:
        done = subprocess.run(  # noqa: S603 (the user names the program)
            [python, "-c", text],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            "the trainer's python cannot be started",
            code="trainer-python",
            found=f"{python}: {error.strerror}",
            expected="the python of the trainer's environment, such as ~/EasyR1/.venv/bin/python",
        ) from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode} and no word"]
        raise MissingDependencyError(
            "the trainer's python gave no answer",
            code="trainer-python",
            source=python,
            found=shown(last[0]),
            expected="Python 3.9 or newer with the trainer installed",
        ) from error
    return dict(answer)


def _verdict(probe: dict[str, Any]) -> Checkup:
    failure = probe["failure"]
    name = "trainer rows"
    if failure is None:
        stand_in = "; lengths were not checked: no --model" if probe["stand_in_tokenizer"] else ""
        return Checkup(name, "ok", f"{probe['loader']} read {probe['rows_read']} of {probe['rows']} rows{stand_in}")
    if failure["stage"] == "import":
        return Checkup(
            "trainer",
            "failed",
            shown(failure["error"]),
            "start doctor where the trainer starts, with the python of its environment",
        )
    if failure["stage"] == "load":
        return Checkup(name, "failed", f"the trainer cannot open the file: {shown(failure['error'])}")
    column = f"column `{failure['column']}`" if failure["column"] else "no single column"
    found = f"row {failure['row'] + 1}, {column}: {shown(failure['error'])}"
    return Checkup(name, "failed", found, "see `groundprep validate --for` for the row")
