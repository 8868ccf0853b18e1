"""The trainer profiles: what each trainer revision does with data. Data, not code; every number cites its source."""

from __future__ import annotations

from groundprep.errors import UsageError
from groundprep.profile import Profile
from groundprep.trainers.easydistill import EASYDISTILL_PROFILES
from groundprep.trainers.easyr1 import EASYR1_PROFILES
from groundprep.trainers.qwen import QWEN_PROFILES
from groundprep.trainers.rexomni import REXOMNI_PROFILES
from groundprep.trainers.rexthinker import REXTHINKER_PROFILES
from groundprep.trainers.trl import TRL_PROFILES
from groundprep.trainers.vlmr1 import VLMR1_PROFILES

__all__ = ["PROFILES", "get_profile"]

PROFILES: dict[str, Profile] = {
    profile.full_name: profile
    for profile in (
        *REXTHINKER_PROFILES,
        *EASYR1_PROFILES,
        *REXOMNI_PROFILES,
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
