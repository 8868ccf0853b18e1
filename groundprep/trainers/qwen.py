"""Qwen's own trainer (qwen-vl-finetune), for three generations of models."""

from __future__ import annotations

from groundprep.geometry.frames import FRAMES
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.profile import Profile

__all__ = ["QWEN_PROFILES"]

_REVISION = "23d3cce"
"""Source: QwenLM/Qwen3-VL @23d3cce qwen-vl-finetune, which trains Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

_TRAINER_LIMITS = (12_544, 451_584)
"""min_pixels, max_pixels: defaults of qwenvl/train/argument.py (28·28·16, 28·28·576), which data_processor.py gives to the
image processor. The scripts and the notebook pass others: use --min-pixels and --max-pixels (specs/targets.md §3.0)."""

_TRANSFORMERS = "transformers 4.57.6"
"""Source: specs/targets.md §3.0; a side that rounds to 0 takes the branch for too few pixels."""

_SR28 = ResizeChain((SmartResize(28, *_TRAINER_LIMITS, "min-pixels-branch", _TRANSFORMERS),))
_SR32 = ResizeChain(
    # Patch 16 x merge 2; the model's own limits (specs/targets.md §3.0). Boxes do not depend on them.
    (SmartResize(32, 65_536, 16_777_216, "min-pixels-branch", _TRANSFORMERS),)
)
_LAUNCH = (
    'torchrun --nproc_per_node=8 qwenvl/train/train_qwen.py --dataset_use groundprep --output_dir "$OUT"'
    " --model_name_or_path "
)
"""The data set's name must be registered in qwenvl/data/__init__.py: annotation_path is {data}."""


def _profile(name: str, title: str, chain: ResizeChain, frame: str, style: str, model: str) -> Profile:
    return Profile(
        name=name,
        revision=_REVISION,
        title=title,
        container="jsonl",
        dialect="qwen-vl",
        unit="expression",
        chain=chain,
        frame=FRAMES[frame],
        holds_absent=style != "tokens",
        launch=_LAUNCH + model,
        style=style,
        # No `budget`: the specification states no default length or batch (specs/targets.md §3.3).
    )


QWEN_PROFILES = (
    _profile(
        "qwen2-vl", "Qwen2-VL SFT: box tokens, 0 to 1000", _SR28, "rel1000", "tokens", "Qwen/Qwen2-VL-7B-Instruct"
    ),
    _profile(
        "qwen2.5-vl",
        "Qwen2.5-VL SFT: bbox_2d in pixels of the resized image, rounded",
        _SR28,
        "seen-rounded",
        "json",
        "Qwen/Qwen2.5-VL-7B-Instruct",
    ),
    _profile(
        "qwen3-vl",
        "Qwen3-VL SFT: bbox_2d from 0 to 1000 of the stored image",
        _SR32,
        "rel1000",
        "json",
        "Qwen/Qwen3-VL-8B-Instruct",
    ),
)
