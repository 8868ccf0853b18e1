"""The trainer profiles: what each trainer revision does with data. Data, not code; every number cites its source."""

from __future__ import annotations

from groundprep.errors import UsageError
from groundprep.geometry.frames import PIXELS, SEEN_TRUNCATED
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.profile import Profile
from groundprep.trainers.easydistill import EASYDISTILL_PROFILES
from groundprep.trainers.limits import QWEN25_MODEL_LIMITS
from groundprep.trainers.qwen import QWEN_PROFILES
from groundprep.trainers.trl import TRL_PROFILES
from groundprep.trainers.vlmr1 import VLMR1_PROFILES

__all__ = ["PROFILES", "get_profile"]

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
_EASYR1 = ResizeChain(
    (
        # Source: EasyR1 @b44b311 verl/trainer/config.py defaults (specs/rexthinker.md §4.1).
        SqrtLimit(262_144, 4_194_304),
        # Source: EasyR1 HEAD needs transformers >= 4.54, < 5 (specs/targets.md §3.0).
        SmartResize(28, *QWEN25_MODEL_LIMITS, "min-pixels-branch", "transformers 4.57.6"),
    )
)
_REXOMNI = ResizeChain(
    # Source: Rex-Omni @478e44f configs/sft.py, transformers 4.51.3 (specs/rexomni.md §3.7).
    (SmartResize(28, 12_544, 2_007_040, "raise", "transformers 4.51.3"),)
)

PROFILES: dict[str, Profile] = {
    profile.full_name: profile
    for profile in (
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
            launch=(
                "python3 -m rexthinker.verl.trainer.main config=rexthinker/scripts/config.yaml"
                " data.train_files={data} data.val_files={data}"
            ),
        ),
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
            launch=(
                "python3 -m verl.trainer.main config=examples/config.yaml"
                " data.train_files={data} data.val_files={data} data.prompt_key=problem"
            ),
        ),
        Profile(
            name="rexomni-sft",
            revision="478e44f",
            title="Rex-Omni SFT, first release: boxes only, no absent phrases",
            container="tsv",
            dialect="rexomni",
            unit="image",
            chain=_REXOMNI,
            frame=PIXELS,
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
        ),
        Profile(
            name="rexomni-grpo",
            revision="478e44f",
            title="Rex-Omni GRPO: boxes only, no absent phrases",
            container="tsv",
            dialect="rexomni",
            unit="image",
            chain=_REXOMNI,
            frame=PIXELS,
            holds_absent=False,
        ),
        *TRL_PROFILES,
        *QWEN_PROFILES,
        *VLMR1_PROFILES,
        *EASYDISTILL_PROFILES,
    )
}


def get_profile(name: str) -> Profile:
    """Return a profile by `name` (the newest revision: the last one listed) or `name@revision`; raises UsageError."""
    if name in PROFILES:
        return PROFILES[name]
    revisions = [profile for profile in PROFILES.values() if profile.name == name]
    if revisions:
        return revisions[-1]
    raise UsageError(
        "no such trainer profile", found=name, expected=", ".join(PROFILES), fix="see `groundprep formats`"
    )
