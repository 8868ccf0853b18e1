"""The geometry of regions that stay word for word, as the loss report counts it."""

from __future__ import annotations

from collections.abc import Sequence

from groundprep.losses import Losses
from groundprep.record import Region

PARTS = ("box", "point", "polygon")


def report_kept(regions: Sequence[Region], name: str, losses: Losses) -> None:
    """Count what regions hold as kept, each kind of geometry by itself: an absent phrase has none, and a point is no box."""
    for part in PARTS:
        losses.kept(f"{name}.{part}", sum(getattr(region, part) is not None for region in regions))
