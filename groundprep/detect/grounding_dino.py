"""Grounding DINO through transformers: a hub id or a local directory, on CUDA or CPU.

The weights are loaded at the first image. Only safetensors are read, and no code of a model repository is ever run.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groundprep.detect.base import Detections, DetectorOptions
from groundprep.errors import (
    DetectError,
    DeviceError,
    MissingDependencyError,
    OutOfMemoryError,
    RecordError,
    shown,
)
from groundprep.hub import model_directory

if TYPE_CHECKING:
    from PIL import Image

INSTALL = "pip install 'groundprep[detect]'"
PACKAGES = ("torch", "torchvision", "transformers", "safetensors")
MODEL_TYPES = ("grounding-dino", "mm-grounding-dino")
"""The architectures whose outputs are read here: `logits` per token and `pred_boxes`, cxcywh in [0, 1]."""

FILES = ("*.json", "*.txt", "*.safetensors")
"""What belongs to a detector: configuration, vocabulary, weights."""


class _Loaded(NamedTuple):
    torch: Any
    model: Any
    image_processor: Any
    tokenizer: Any
    device: str


class GroundingDino:
    """A Grounding DINO detector; see `Detector`.

    Precision: `auto` is float32 on every device. The reference script runs in float32; half precision moves boxes by a
    pixel and scores across the threshold, and on a CPU it gives scores that are not numbers, so it has to be asked for.
    """

    def __init__(self, options: DetectorOptions) -> None:
        self.options = options
        self._loaded: _Loaded | None = None
        for package in PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise _missing(package, "not installed")

    @property
    def name(self) -> str:
        """The hub id, or the directory's name."""
        path = Path(self.options.name)
        return path.resolve().name if path.exists() else self.options.name

    @cached_property
    def directory(self) -> Path:
        """Where the files are; fetches them first if the name is a hub id; raises DetectError."""
        return model_directory(self.options.name, files=FILES, flag="--detector")

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the answers: the weights by their hub revision or digest, the threshold and the precision."""
        require_grounding_dino(self.directory, self.options.name)
        local = Path(self.options.name).is_dir()
        return {
            "kind": "grounding-dino/transformers",
            "weights": f"sha256:{_digest(self.directory)}" if local else f"{self.options.name}@{self.directory.name}",
            "box_threshold": self.options.box_threshold,
            "dtype": "float32" if self.options.dtype == "auto" else self.options.dtype,
        }

    @property
    def device(self) -> str:
        """Where it runs: `cuda` or `cpu`; raises DeviceError (`no-cuda`)."""
        return choose_device(self.options.device)

    def check_prompt(self, prompt: str) -> None:
        """Raise RecordError (`prompt-too-long`) if the prompt has more tokens than the model reads."""
        loaded = self._load()
        tokens, limit = len(loaded.tokenizer(prompt)["input_ids"]), _token_limit(loaded)
        if tokens > limit:
            raise RecordError(
                "the category is longer than what the detector reads",
                code="prompt-too-long",
                found=f"{tokens} tokens: {prompt}",
                expected=f"at most {limit} tokens",
                fix="shorten the category",
            )

    def detect(self, images: list[Image.Image], prompts: list[str]) -> list[Detections]:
        """Return what was found in each image, in the order of the decoder's queries."""
        loaded = self._load()
        torch = loaded.torch
        try:
            with torch.inference_mode():
                outputs = loaded.model(**_inputs(loaded, images, prompts))
            scores = outputs.logits.float().sigmoid().amax(dim=-1).cpu()  # (batch, queries); padding is -inf → 0
            boxes = outputs.pred_boxes.float().cpu()  # (batch, queries, 4) cxcywh in [0, 1]
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemoryError(
                "the batch does not fit the device's memory",
                found=f"{len(images)} images on {loaded.device}",
                fix="pass a smaller --batch-size, or --device cpu",
            ) from error
        except RuntimeError as error:
            raise DetectError(
                "the detector failed",
                code="detect-failed",
                source=self.options.name,
                found=f"{loaded.device}, {self.fingerprint['dtype']}: {error}",
                fix="try --dtype float32" if self.fingerprint["dtype"] != "float32" else None,
            ) from error
        if torch.isnan(scores).any() or torch.isnan(boxes).any():
            raise DetectError(
                "the detector's scores are not numbers",
                code="nan-scores",
                source=self.options.name,
                found=f"NaN with dtype {self.fingerprint['dtype']} on {loaded.device}",
                fix="pass --dtype float32",
            )
        sizes_wh = [(image.width, image.height) for image in images]
        return [
            _above(image_boxes, image_scores, size_wh, self.options.box_threshold, torch)
            for image_boxes, image_scores, size_wh in zip(boxes, scores, sizes_wh, strict=True)
        ]

    def _load(self) -> _Loaded:
        if self._loaded is None:
            require_grounding_dino(self.directory, self.options.name)
            self._loaded = _load(self.directory, self.device, str(self.fingerprint["dtype"]), self.options.name)
        return self._loaded


def choose_device(asked: str) -> str:
    """Return `cuda` or `cpu`; raises DeviceError (`no-cuda`) if CUDA was asked for and is not there."""
    torch = _require("torch")
    available = bool(torch.cuda.is_available())
    if asked == "cuda" and not available:
        raise DeviceError(
            "there is no CUDA device",
            code="no-cuda",
            found="--device cuda",
            fix="pass --device cpu, or install a torch build for your GPU and its driver",
        )
    return "cpu" if asked == "cpu" or not available else "cuda"


def _above(boxes: Any, scores: Any, size_wh: tuple[int, int], threshold: float, torch: Any) -> Detections:
    """Return the queries above the threshold, as xyxy pixels, in query order.

    Args:
        boxes: (queries, 4) float32 cxcywh in [0, 1].
        scores: (queries,) float32.
        size_wh: of the stored image.
        threshold: boxes strictly above it are kept.
        torch: the module.
    float32 and this operation order (scale, then corners) are the reference's: the last digits of its boxes show.
    Source: Rex-Thinker @5038b47 (specs/rexthinker.md §1.3).
    """
    keep = scores > threshold
    w, h = size_wh
    scaled = boxes[keep] * torch.tensor([w, h, w, h], dtype=torch.float32)
    centres, sides = scaled[:, :2], scaled[:, 2:]
    corners = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    return Detections(corners.numpy().astype(np.float64), scores[keep].numpy().astype(np.float64))


def _inputs(loaded: _Loaded, images: list[Image.Image], prompts: list[str]) -> dict[str, Any]:
    """Return the model's inputs on its device, pixels in its precision."""
    text = loaded.tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=True)
    pixels = loaded.image_processor(images=images, return_tensors="pt")
    inputs = {name: value.to(loaded.device) for name, value in {**text, **pixels}.items()}
    inputs["pixel_values"] = inputs["pixel_values"].to(loaded.model.dtype)
    return inputs


def _token_limit(loaded: _Loaded) -> int:
    config = loaded.model.config
    return int(min(config.max_text_len, config.text_config.max_position_embeddings, loaded.tokenizer.model_max_length))


def _load(directory: Path, device: str, dtype: str, name: str) -> _Loaded:
    """Load model and processor; raises DetectError (`detector-broken`) if files are missing, damaged or do not fit."""
    torch, transformers, safetensors = _require("torch"), _require("transformers"), _require("safetensors")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        processor = transformers.AutoProcessor.from_pretrained(str(directory), local_files_only=True)
        model, info = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(
            str(directory),
            local_files_only=True,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
    except ImportError as error:
        raise _missing("that this model is made of", shown(str(error))) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        safetensors.SafetensorError,
    ) as error:
        raise _broken(name, shown(" ".join(str(error).split()))) from error
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise _broken(name, f"{len(missing)} weights are missing, such as {missing[0]}")
    try:
        model = model.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            "the detector does not fit the device's memory",
            source=name,
            found=device,
            fix="free it, or pass --device cpu",
        ) from error
    return _Loaded(torch, model, processor.image_processor, processor.tokenizer, device)


def _broken(name: str, found: str) -> DetectError:
    return DetectError(
        "the detector cannot be loaded",
        code="detector-broken",
        source=name,
        found=found,
        expected="a complete model in transformers format: config, processor, tokenizer, safetensors",
        fix="fetch or save it again",
    )


def require_grounding_dino(directory: Path, name: str) -> None:
    """Raise DetectError (`no-detector`) unless the directory says that it holds a Grounding DINO."""
    expected = "a config.json whose model_type is " + " or ".join(MODEL_TYPES)
    try:
        config = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise DetectError(
            "the directory is not a model",
            code="no-detector",
            source=name,
            found=f"config.json: {error.strerror if isinstance(error, OSError) else 'not JSON'}",
            expected=expected,
            fix="correct --detector",
        ) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in MODEL_TYPES:
        raise DetectError(
            "the model is no Grounding DINO",
            code="no-detector",
            source=name,
            found=f"model_type {kind}",
            expected=expected,
        )


def _digest(directory: Path) -> str:
    """Return the SHA-256 over the names and contents of a local detector's files."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in FILES for path in directory.glob(pattern)):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _require(package: str) -> ModuleType:
    """Import a package of the extra; raises MissingDependencyError with the command that installs it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise _missing(package, str(error)) from error


def _missing(package: str, found: str) -> MissingDependencyError:
    return MissingDependencyError(f"the detector needs the package {package}", found=found, fix=INSTALL)
