"""Rex-Omni's SFT and GRPO trainers."""

from __future__ import annotations

from groundprep.geometry.frames import PIXELS
from groundprep.geometry.resize import ResizeChain, SmartResize
from groundprep.profile import Profile

__all__ = ["REXOMNI_PROFILES"]

_REXOMNI = ResizeChain(
    # Source: Rex-Omni @478e44f configs/sft.py, transformers 4.51.3 (specs/rexomni.md §3.7).
    (SmartResize(28, 12_544, 2_007_040, "raise", "transformers 4.51.3"),)
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
)
