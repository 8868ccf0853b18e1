"""TRL's GRPO and SFT trainers with Qwen2.5-VL, images as the processor resizes them."""

from __future__ import annotations

from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.profile import Budget, Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["TRL_PROFILES"]

_CHAIN = ResizeChain(
    # TRL resizes nothing itself: the processor does, with the limits of the model's files (specs/targets.md §3.0).
    (SmartResize(28, *QWEN25_MODEL_LIMITS, "min-pixels-branch", "transformers 5.23.0"),)
)
_CHAT_TOKENS = 19
"""Qwen2.5-VL's chat marks and default system turn, counted with Qwen's vocabulary (docs/limits.md)."""

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
        reward="rexthinker",  # what `groundprep train` gives it; TRL has no reward of its own for boxes
        # Source: TRL 1.16 trl/trainer/grpo_config.py max_completion_length. There is no limit on prompts; a batch is one prompt
        # by default (8 completions a device, 8 of each prompt).
        budget=Budget(response_tokens=512, template_tokens=_CHAT_TOKENS),
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
        # Source: TRL 1.16 trl/trainer/sft_config.py max_length; sft_trainer.py cuts on the right and stops with "Image features
        # and image tokens do not match" where that cuts image tokens.
        budget=Budget(sequence_tokens=1024, template_tokens=_CHAT_TOKENS, over="cuts"),
    ),
)
