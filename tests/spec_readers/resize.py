"""The resize chains of the trainers, from the formulas of specs/rexthinker.md (§2.2, §3.3) and specs/targets.md (§3.0)."""

from __future__ import annotations

import math

from tests.spec_readers.facts import RefusedError

SizeWH = tuple[int, int]
MODEL_LIMITS = (3_136, 12_845_056)
"""The limits of Qwen2.5-VL's preprocessor_config.json (specs/targets.md §3.0)."""


def smart_resize(
    size_wh: SizeWH, limits: tuple[int, int], *, factor: int = 28, raises_below_factor: bool = True
) -> SizeWH:
    """Round each side to a multiple of `factor`, then scale into the limits (specs/rexthinker.md §2.2, specs/rexomni.md §3.7)."""
    width, height = size_wh
    low, high = limits
    if raises_below_factor and min(size_wh) < factor:
        raise RefusedError(f"a side below {factor} pixels: {size_wh}")
    if max(size_wh) / min(size_wh) > 200:
        raise RefusedError(f"a ratio above 200: {size_wh}")
    new_h, new_w = (round(side / factor) * factor for side in (height, width))
    if new_h * new_w > high:
        beta = math.sqrt(height * width / high)
        new_h, new_w = (math.floor(side / beta / factor) * factor for side in (height, width))
    elif new_h * new_w < low:
        beta = math.sqrt(low / (height * width))
        new_h, new_w = (math.ceil(side * beta / factor) * factor for side in (height, width))
    return new_w, new_h


def sqrt_limit(size_wh: SizeWH, limits: tuple[int, int]) -> SizeWH:
    """Scale both sides by the root of the ratio of the areas, fractions dropped (specs/rexthinker.md §3.3)."""
    width, height = size_wh
    low, high = limits
    if width * height > high:
        factor = math.sqrt(high / (width * height))
        width, height = int(width * factor), int(height * factor)
    if width * height < low:
        factor = math.sqrt(low / (width * height))
        width, height = int(width * factor), int(height * factor)
    return width, height
