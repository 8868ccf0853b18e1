"""The size nearest to an image's own that a trainer's resize chain leaves alone.

An image that is stored at such a size reaches the model as it is: its stored pixels are the pixels that the model sees. The
chain's own output is such a size nearly always, but not quite: where the first step truncates and the second rounds up,
applying the chain once more shrinks the image again. Then the neighbours are tried. The chain itself is the judge.
"""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.geometry.frames import SizeWH
from groundprep.geometry.resize import ResizeChain, SizeRefusedError

MAX_RINGS = 64
"""How many factors away from the chain's own output a fixed size is looked for."""


def fixed_point_wh(chain: ResizeChain, size_wh: SizeWH) -> SizeWH:
    """Return the (width, height) nearest to what the chain makes of `size_wh` that the chain maps to itself.

    `size_wh` itself if the chain leaves it alone; else the chain's output if that is fixed; else the fixed size whose sides
    differ least from the output's, relative to them (the larger of the two errors counts; of equal ones the first by
    width, then height). Raises SizeRefusedError if the chain refuses `size_wh`, or if no fixed size is near.
    """
    target_wh = chain.seen_wh(size_wh)
    if target_wh == size_wh or _is_fixed(chain, target_wh):
        return target_wh
    step = _step_of(chain)
    best: tuple[float, SizeWH] | None = None
    for ring in range(1, MAX_RINGS + 1):
        if best is not None and best[0] < ring * step / max(target_wh):
            break  # everything farther out differs by more
        for candidate_wh in _ring(target_wh, ring, step):
            found = (_error(candidate_wh, target_wh), candidate_wh)
            if (best is None or found < best) and _is_fixed(chain, candidate_wh):
                best = found
    if best is None:
        raise SizeRefusedError(
            "no size near this one is left alone by the trainer's resize chain",
            found=f"{size_wh[0]}x{size_wh[1]}",
            fix="drop the image, or change --min-pixels and --max-pixels",
        )
    return best[1]


def _is_fixed(chain: ResizeChain, size_wh: SizeWH) -> bool:
    """Say whether the chain maps a size to itself."""
    try:
        return chain.seen_wh(size_wh) == size_wh
    except SizeRefusedError:
        return False


def _step_of(chain: ResizeChain) -> int:
    """Return the factor whose multiples the chain's output has; 1 if it rounds to none."""
    return next((step.factor for step in reversed(chain.steps) if hasattr(step, "factor")), 1)


def _ring(centre_wh: SizeWH, ring: int, step: int) -> Iterator[SizeWH]:
    """Yield the sizes whose sides are at most, and one exactly, `ring` steps from the centre's; all above 0."""
    for i in range(-ring, ring + 1):
        for j in range(-ring, ring + 1) if abs(i) == ring else (-ring, ring):
            w, h = centre_wh[0] + i * step, centre_wh[1] + j * step
            if w > 0 and h > 0:
                yield w, h


def _error(size_wh: SizeWH, target_wh: SizeWH) -> float:
    return max(abs(side - target) / target for side, target in zip(size_wh, target_wh, strict=True))
