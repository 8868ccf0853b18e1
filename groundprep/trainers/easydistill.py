"""EasyDistill MMKD-RL-Grounding."""

from __future__ import annotations

from groundprep.geometry.frames import FRAMES
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.profile import Budget, Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["EASYDISTILL_PROFILES"]

_CHAIN = ResizeChain(
    # Its own max_pixels has no effect: the checkpoint's limits apply. Trainer and loader derive from VLM-R1's
    # (specs/vlmr1_easydistill.md §0, §3.4).
    (SmartResize(28, *QWEN25_MODEL_LIMITS, "raise", "transformers 4.49.0"),)
)
_FRAME = FRAMES["seen-rounded"]
"""Rewards compare raw numbers, without any rescaling (§3.4); the single-box format reward wants integers (§3.5)."""

_LAUNCH = "python easydistill/cli.py --config config.json  # dataset.labeled_path names a YAML that lists {data}"

_BUDGET = Budget(
    # Source: EasyDistill @acbe49b: the completion length cannot be configured (default 256), and max_length, which becomes
    # max_prompt_length, is discarded; batch size and generations have no default (specs/vlmr1_easydistill.md §3.1).
    response_tokens=256,
)

_SINGLE_REWARD, _MULTI_REWARD = "easydistill:gaussian_plane", "easydistill:multi_gaussian_plane_reward"
"""training.reward_funcs has no default (§3.1, §3.5). Of the registry these two tell most: they look at position and size."""

EASYDISTILL_PROFILES = (
    Profile(
        name="easydistill-single",
        revision="acbe49b",
        title="EasyDistill MMKD-RL-Grounding, one box per instruction",
        container="jsonl",
        dialect="easydistill-single",
        unit="expression",
        chain=_CHAIN,
        frame=_FRAME,
        budget=_BUDGET,
        holds_absent=False,
        reward=_SINGLE_REWARD,
        launch=_LAUNCH,
    ),
    Profile(
        name="easydistill",
        revision="acbe49b",
        title="EasyDistill MMKD-RL-Grounding, boxes under the labels 0 to 3",
        container="jsonl",
        dialect="easydistill",
        unit="image",
        chain=_CHAIN,
        frame=_FRAME,
        budget=_BUDGET,
        reward=_MULTI_REWARD,
        launch=_LAUNCH,
    ),
)
