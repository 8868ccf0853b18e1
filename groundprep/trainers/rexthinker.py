"""Rex-Thinker's GRPO trainer (its bundled EasyR1) and its converter."""

from __future__ import annotations

from groundprep.geometry.frames import SEEN_TRUNCATED
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.profile import Budget, Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["REXTHINKER_PROFILES"]

_REXTHINKER_TRAINER = ResizeChain(
    (
        # Source: Rex-Thinker @5038b47 rexthinker/scripts/config.yaml (specs/rexthinker.md §3.1, §3.3).
        SqrtLimit(12_544, 1_003_520),
        # Source: transformers 4.51.3, which Rex-Thinker pins: a side below 28 raises (specs/targets.md §3.0).
        SmartResize(28, *QWEN25_MODEL_LIMITS, "raise", "transformers 4.51.3"),
    )
)
_REXTHINKER_CONVERTER = ResizeChain(
    # Source: Rex-Thinker convert_dataset.py @5038b47 via qwen_vl_utils 0.0.11 (specs/rexthinker.md §2.1, §2.2).
    (SmartResize(28, 12_544, 1_003_520, "one-factor", "qwen_vl_utils 0.0.11"),)
)

_BUDGET = Budget(
    # Source: Rex-Thinker @5038b47 rexthinker/scripts/config.yaml: max_prompt_length, max_response_length, rollout_batch_size;
    # filter_overlong_prompts is off, so that truncation "right" cuts the question or image tokens (specs/rexthinker.md §3.1,
    # §3.3). The train loader drops the last incomplete batch and asserts that one is left (§3.1).
    prompt_tokens=4096,
    response_tokens=4096,
    batch_rows=32,
    over="cuts",
    # Source: specs/rexthinker.md §4.6: chat marks, Qwen2.5-VL's default system turn, the R1-V paragraph.
    template_tokens=110,
)

REXTHINKER_PROFILES = (
    Profile(
        name="rexthinker",
        revision="5038b47",
        title="Rex-Thinker GRPO (its bundled EasyR1)",
        container="parquet",
        dialect="rexthinker-parquet",
        unit="expression",
        chain=_REXTHINKER_TRAINER,
        converter_chain=_REXTHINKER_CONVERTER,
        frame=SEEN_TRUNCATED,
        needs_answer_in_hint=True,
        reward="rexthinker",
        budget=_BUDGET,
        launch=(
            "python3 -m rexthinker.verl.trainer.main config=rexthinker/scripts/config.yaml"
            " data.train_files={data} data.val_files={data}"
        ),
    ),
)
