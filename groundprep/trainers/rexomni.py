"""Rex-Omni's SFT and GRPO trainers."""

from __future__ import annotations

from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.profile import Budget, Profile

__all__ = ["REXOMNI_PROFILES"]

_REXOMNI = ResizeChain(
    # Source: Rex-Omni @478e44f configs/sft.py, transformers 4.51.3 (specs/rexomni.md §3.7).
    (SmartResize(28, 12_544, 2_007_040, "raise", "transformers 4.51.3"),)
)
_REXOMNI_GRPO = ResizeChain(
    # Source: TSVRLHFDataset @478e44f resizes by area to the configuration's limits first, so that an image with a short side may
    # be enlarged before the processor refuses it (specs/rexomni.md §2.4).
    (
        SqrtLimit(12_544, 2_007_040),
        SmartResize(28, 12_544, 2_007_040, "raise", "transformers 4.51.3"),
    )
)

_SAID = FRAMES["bin999"]
"""The model writes bins, whatever it sees (specs/rexomni.md §3.4)."""

_TEMPLATE_TOKENS = 50
"""Chat marks and system turn (19) and one of the task functions' sentences (about 25); specs/rexomni.md §3.2."""

_SFT_BUDGET = Budget(
    # Source: Rex-Omni @478e44f GroundingTSVDataset max_length: a longer sample is replaced by its successor (specs/rexomni.md
    # §2.2, §2.3).
    sequence_tokens=4096,
    over="drops",
    template_tokens=_TEMPLATE_TOKENS,
)
_GRPO_BUDGET = Budget(
    # Source: Rex-Omni @478e44f TSVRLHFDataset max_prompt_length, truncation "error"; verl/configs/config.yaml
    # max_response_length; grpo.sh data.rollout_batch_size with drop_last (specs/rexomni.md §2.4, §4).
    prompt_tokens=4096,
    response_tokens=4096,
    batch_rows=64,
    over="fails",
    template_tokens=_TEMPLATE_TOKENS,
)

REXOMNI_PROFILES = (
    Profile(
        name="rexomni-sft",
        revision="478e44f",
        title="Rex-Omni SFT, first release: boxes only, no absent phrases",
        container="tsv",
        dialect="rexomni",
        unit="image",
        chain=_REXOMNI,
        frame=PIXELS,
        said_frame=_SAID,
        budget=_SFT_BUDGET,
        holds_absent=False,
    ),
    Profile(
        name="rexomni-sft",
        revision="8c474a3",
        title="Rex-Omni SFT: boxes, points, absent phrases",
        container="tsv",
        dialect="rexomni",
        unit="image",
        chain=_REXOMNI,
        frame=PIXELS,
        said_frame=_SAID,
        budget=_SFT_BUDGET,
    ),
    Profile(
        name="rexomni-grpo",
        revision="478e44f",
        title="Rex-Omni GRPO: boxes only, no absent phrases",
        container="tsv",
        dialect="rexomni",
        unit="image",
        chain=_REXOMNI_GRPO,
        frame=PIXELS,
        said_frame=_SAID,
        budget=_GRPO_BUDGET,
        reward="rexomni:box_iou",  # reward_name of TSVRLHFDataset (specs/rexomni.md §2.4)
        holds_absent=False,
    ),
)
