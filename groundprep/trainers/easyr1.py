"""EasyR1's GRPO trainer with Rex-Thinker's prompt."""

from __future__ import annotations

from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.profile import Budget, Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["EASYR1_PROFILES"]

_EASYR1 = ResizeChain(
    (
        # Source: EasyR1 @b44b311 verl/trainer/config.py defaults (specs/rexthinker.md §4.1).
        SqrtLimit(262_144, 4_194_304),
        # Source: EasyR1 HEAD needs transformers >= 4.54, < 5 (specs/targets.md §3.0).
        SmartResize(28, *QWEN25_MODEL_LIMITS, "min-pixels-branch", "transformers 4.57.6"),
    )
)

_BUDGET = Budget(
    # Source: EasyR1 @b44b311 examples/config.yaml, which the launch line names: max_prompt_length, max_response_length; the
    # rollout batch is verl/trainer/config.py's. filter_overlong_prompts counts image tokens too (specs/rexthinker.md §4.1, §4.2).
    prompt_tokens=2048,
    response_tokens=2048,
    batch_rows=512,
    over="drops",
    # Source: specs/rexthinker.md §4.6; its r1v.jinja is the same text as Rex-Thinker's template (§4.1).
    template_tokens=110,
)

EASYR1_PROFILES = (
    Profile(
        name="easyr1",
        revision="b44b311",
        title="EasyR1 GRPO with Rex-Thinker's prompt",
        container="parquet",
        dialect="easyr1",
        unit="expression",
        chain=_EASYR1,
        frame=SEEN_TRUNCATED,
        needs_answer_in_hint=True,
        reward="rexthinker",
        budget=_BUDGET,
        launch=(
            "python3 -m verl.trainer.main config=examples/config.yaml"
            " data.train_files={data} data.val_files={data} data.prompt_key=problem"
        ),
    ),
)
