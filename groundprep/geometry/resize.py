"""Resize chains: the sizes that an image passes through between the file and the model.

A chain is data (a tuple of steps with limits), so that a trainer's profile can hold it, a manifest can record it and
`groundprep frame` can print it. Nothing here touches pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from groundprep.errors import RecordError
from groundprep.geometry.frames import SizeWH

SmallSide: TypeAlias = Literal["raise", "min-pixels-branch", "one-factor"]

MAX_ASPECT_RATIO = 200
"""Source: transformers image_processing_qwen2_vl.smart_resize, all versions (specs/targets.md §3.0)."""


REMEMBERED_SIZES = 4096


class SizeRefusedError(RecordError):
    """A step of the chain refuses this image size."""

    default_code = "size-refused"


@dataclass(frozen=True, slots=True)
class SqrtLimit:
    """Scale both sides by sqrt(limit / area) and truncate: first down to `max_pixels`, then up to `min_pixels`.

    Source: EasyR1 @b44b311 and Rex-Thinker @5038b47 dataset.py process_image (specs/rexthinker.md §3.3); a limit that is
    None is skipped.
    """

    min_pixels: int | None
    max_pixels: int | None
    op: str = "sqrt-limit"

    def __call__(self, size_wh: SizeWH) -> SizeWH:
        """Return the size after this step; raises SizeRefusedError when a side truncates to 0."""
        w, h = size_wh
        if self.max_pixels is not None and w * h > self.max_pixels:
            factor = math.sqrt(self.max_pixels / (w * h))
            w, h = int(w * factor), int(h * factor)
        if self.min_pixels is not None and 0 < w * h < self.min_pixels:
            factor = math.sqrt(self.min_pixels / (w * h))
            w, h = int(w * factor), int(h * factor)
        if w < 1 or h < 1:
            raise SizeRefusedError(
                "the trainer's resize makes a side 0 pixels long",
                found=f"{size_wh[0]}x{size_wh[1]}",
                fix="drop the image",
            )
        return w, h


@dataclass(frozen=True, slots=True)
class SmartResize:
    """Round both sides to multiples of `factor`, then floor or ceil them into [min_pixels, max_pixels].

    `small_side` says what a side shorter than half a factor does; the versions differ (specs/targets.md §3.0):
    `raise`: any side below the factor is refused (transformers 4.49, 4.51.3);
    `min-pixels-branch`: a side that rounds to 0 makes the area 0, so the min-pixels branch runs (transformers 4.57.6, 5.23);
    `one-factor`: max(factor, round) (qwen_vl_utils 0.0.11, 0.0.14).
    """

    factor: int
    min_pixels: int
    max_pixels: int
    small_side: SmallSide
    version: str
    op: str = "smart-resize"

    def __call__(self, size_wh: SizeWH) -> SizeWH:
        """Return the size after this step, sides in multiples of the factor; raises SizeRefusedError."""
        w, h = size_wh
        self._require_acceptable(w, h)
        bar_w, bar_h = round(w / self.factor) * self.factor, round(h / self.factor) * self.factor
        if self.small_side == "one-factor":
            bar_w, bar_h = max(self.factor, bar_w), max(self.factor, bar_h)
        if bar_w * bar_h > self.max_pixels:
            beta = math.sqrt((h * w) / self.max_pixels)
            bar_w = max(self.factor, math.floor(w / beta / self.factor) * self.factor)
            bar_h = max(self.factor, math.floor(h / beta / self.factor) * self.factor)
        elif bar_w * bar_h < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (h * w))
            bar_w = math.ceil(w * beta / self.factor) * self.factor
            bar_h = math.ceil(h * beta / self.factor) * self.factor
        return bar_w, bar_h

    def _require_acceptable(self, w: int, h: int) -> None:
        if w < 1 or h < 1:
            raise SizeRefusedError("an image needs at least one pixel", found=f"{w}x{h}")
        if self.small_side == "raise" and min(w, h) < self.factor:
            raise SizeRefusedError(
                f"{self.version} refuses a side shorter than {self.factor} pixels",
                found=f"{w}x{h}",
                expected=f"both sides >= {self.factor}",
                fix="enlarge or drop the image",
            )
        if max(w, h) / min(w, h) > MAX_ASPECT_RATIO:
            raise SizeRefusedError(
                f"{self.version} refuses an aspect ratio above {MAX_ASPECT_RATIO}",
                found=f"{w}x{h}",
                expected=f"a ratio of at most {MAX_ASPECT_RATIO}",
                fix="crop or drop the image",
            )


Step: TypeAlias = SqrtLimit | SmartResize


@dataclass(frozen=True, slots=True)
class ResizeChain:
    """The steps that a trainer applies to an image, in order."""

    steps: tuple[Step, ...]
    _seen: dict[SizeWH, SizeWH] = field(default_factory=dict, init=False, repr=False, compare=False)

    def trace(self, size_wh: SizeWH) -> list[tuple[str, SizeWH]]:
        """Return (name, size after it) of every step."""
        sizes = []
        for step in self.steps:
            size_wh = step(size_wh)
            sizes.append((step.op, size_wh))
        return sizes

    def seen_wh(self, size_wh: SizeWH) -> SizeWH:
        """Return the (width, height) that the model sees for an image stored with `size_wh`; raises SizeRefusedError."""
        seen_wh = self._seen.get(size_wh)
        if seen_wh is None:  # every box of an image asks again
            seen_wh = size_wh
            for step in self.steps:
                seen_wh = step(seen_wh)
            if len(self._seen) >= REMEMBERED_SIZES:
                self._seen.clear()
            self._seen[size_wh] = seen_wh
        return seen_wh

    def with_limits(self, min_pixels: int | None, max_pixels: int | None) -> ResizeChain:
        """Return the chain with the limits of its first step replaced where given: that is the step users configure."""
        first, *rest = self.steps
        limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
        given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
        return ResizeChain((replace(first, **given), *rest))

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """(min_pixels, max_pixels) of the step that users configure."""
        return self.steps[0].min_pixels, self.steps[0].max_pixels

    def as_data(self) -> list[dict[str, Any]]:
        """Return the chain as JSON values, for manifests and parquet metadata."""
        return [{name: getattr(step, name) for name in ("op", *_fields(step))} for step in self.steps]

    @classmethod
    def from_data(cls, steps: list[dict[str, Any]]) -> ResizeChain:
        """Read what `as_data` wrote; raises KeyError or TypeError on anything else."""
        kinds: dict[str, type[Step]] = {"sqrt-limit": SqrtLimit, "smart-resize": SmartResize}
        for step in steps:
            names = (
                ("min_pixels", "max_pixels") if step["op"] == "sqrt-limit" else ("factor", "min_pixels", "max_pixels")
            )
            for name in names:
                unlimited = step[name] is None and step["op"] == "sqrt-limit"
                if not unlimited and (type(step[name]) is not int or step[name] < 1):
                    raise TypeError(f"{name} {step[name]!r}")
        return cls(tuple(kinds[step["op"]](**{k: v for k, v in step.items() if k != "op"}) for step in steps))


def _fields(step: Step) -> tuple[str, ...]:
    return tuple(name for name in step.__dataclass_fields__ if name != "op")
