"""`groundprep frame`: the size that a trainer makes of an image, step by step, before any data is converted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from groundprep.errors import UsageError
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.resize import SizeRefusedError
from groundprep.profile import Profile
from groundprep.trainers import get_profile

# Nine digits a side are more than any image has, and keep a hostile line from becoming a huge number.
_SIZE = re.compile(r"([0-9]{1,9})\s*[xX×]\s*([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class FrameConfig:
    """Whose resize chain to follow.

    Args:
        profile: the trainer, `NAME[@REV]`.
        frame: the trainer's chain, or the one that the trainer's own converter assumes.
        min_pixels, max_pixels: override the profile's limits.
    """

    profile: str
    frame: Literal["trainer", "converter"] = "trainer"
    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True, slots=True)
class SeenSize:
    """What a trainer makes of one image size.

    Args:
        profile, revision: whose chain was followed.
        stored_wh: (width, height) of the stored image.
        steps: name and (width, height) after it, of every step that was taken.
        seen_wh: (width, height) that the model sees; None if a step refused the size.
        error: why it was refused; None if it was not.
    """

    profile: str
    revision: str
    stored_wh: SizeWH
    steps: tuple[tuple[str, SizeWH], ...]
    seen_wh: SizeWH | None
    error: SizeRefusedError | None = None

    def as_data(self) -> dict[str, Any]:
        """Return JSON values; of a size that was refused, the code alone: whose it is, the order says."""
        if self.error is not None:
            return {"error": self.error.code}
        return {
            "profile": self.profile,
            "revision": self.revision,
            "stored_wh": list(self.stored_wh),
            "steps": [{"op": op, "wh": list(size_wh)} for op, size_wh in self.steps],
            "seen_wh": list(self.seen_wh or ()),
        }


def resolve_profile(config: FrameConfig) -> Profile:
    """Return the profile with chain and limits as configured; raises UsageError."""
    profile = get_profile(config.profile)
    if config.frame == "converter":
        profile = profile.as_converter()
    profile = profile.with_limits(config.min_pixels, config.max_pixels)
    low, high = profile.chain.limits
    if low is not None and high is not None and low > high:
        raise UsageError(
            "the lower pixel limit is above the upper one",
            code="pixel-limits",
            found=f"min_pixels {low}, max_pixels {high}",
            expected="min_pixels <= max_pixels",
            fix="pass both --min-pixels and --max-pixels",
        )
    return profile


def seen_sizes(config: FrameConfig, sizes_wh: Iterable[SizeWH]) -> Iterator[SeenSize]:
    """Yield what the trainer makes of each size, in order; a refused size is a result. Raises UsageError."""
    profile = resolve_profile(config)
    for size_wh in sizes_wh:
        yield _follow(profile, size_wh)


def _follow(profile: Profile, stored_wh: SizeWH) -> SeenSize:
    steps: list[tuple[str, SizeWH]] = []
    size_wh = stored_wh
    for step in profile.chain.steps:
        try:
            size_wh = step(size_wh)
        except SizeRefusedError as error:
            return SeenSize(profile.name, profile.revision, stored_wh, tuple(steps), None, error)
        steps.append((step.op, size_wh))
    return SeenSize(profile.name, profile.revision, stored_wh, tuple(steps), size_wh)


def parse_size(text: str, *, source: str | None = None) -> SizeWH:
    """Return (width, height) of `WxH`, both at least 1; raises UsageError (`bad-size`)."""
    match = _SIZE.fullmatch(text.strip())
    size_wh = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size_wh) < 1:
        raise UsageError(
            "this is not an image size",
            code="bad-size",
            source=source,
            found=text.strip(),
            expected="WIDTHxHEIGHT in pixels, such as 1920x1080",
        )
    return size_wh


def iter_sizes(lines: Iterable[str], *, path: str = "-") -> Iterator[SizeWH]:
    """Yield the size on every line that is not blank, behind a byte order mark too; raises UsageError (`bad-size`)."""
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        if text.strip():
            yield parse_size(text, source=f"{path}:{number}")
