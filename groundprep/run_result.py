"""What a run did: how many rows went where, what was lost, what is odd, and what the boxes say about frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from groundprep.checks.frames import FrameTally
from groundprep.counts import Counts
from groundprep.finding import Finding
from groundprep.losses import Losses


@dataclass(slots=True)
class Warnings:
    """Accepted oddities: per code the number and the first example."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, Finding] = field(default_factory=dict)

    def add(self, finding: Finding, count: int = 1) -> None:
        """Count one finding."""
        self.first.setdefault(finding.code, finding)
        self.counts[finding.code] = self.counts.get(finding.code, 0) + count

    def as_data(self) -> list[dict[str, Any]]:
        """Return one entry per code, with its count."""
        return [finding.as_dict() | {"count": self.counts[code]} for code, finding in self.first.items()]


@dataclass(slots=True)
class RunResult:
    """What a run did: counts, losses and warnings."""

    counts: Counts = field(default_factory=Counts)
    losses: Losses = field(default_factory=Losses)
    warnings: Warnings = field(default_factory=Warnings)
    frames: FrameTally = field(default_factory=FrameTally)
