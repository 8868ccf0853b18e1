"""TRL's GRPO and SFT trainers with Qwen2.5-VL, images as the processor resizes them."""

from __future__ import annotations

from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.profile import Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["TRL_PROFILES"]

_CHAIN = ResizeChain(
    # TRL resizes nothing itself: the processor does, with the limits of the model's files (specs/targets.md §3.0).
    (SmartResize(28, *QWEN25_MODEL_LIMITS, "min-pixels-branch", "transformers 5.23.0"),)
)
TRL_PROFILES = (
    Profile(
        name="trl",
        revision="1.16",
        title="TRL GRPO, Qwen2.5-VL: prompt, images, solution, with Rex-Thinker's text",
        container="parquet",
        dialect="trl",
        unit="expression",
        chain=_CHAIN,
        frame=SEEN_TRUNCATED,
        needs_answer_in_hint=True,
    ),
    Profile(
        name="trl-sft",
        revision="1.16",
        title="TRL SFT, Qwen2.5-VL: prompt, completion, images",
        container="parquet",
        dialect="trl-sft",
        unit="expression",
        chain=_CHAIN,
        frame=SEEN_TRUNCATED,
    ),
)
