"""What the right answers and the useless ones earn over a whole run: the distribution that `validate` reports.

Scores are counted to three decimals, so that memory does not grow with the rows; sums are taken in the order of the rows, so
that the result is the same for every number of workers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundprep.checks.attainability import BY_CHANCE, DIGITS, USELESS_POLICY, USELESS_SHARE, Attained, attained_of
from groundprep.checks.base import Subject
from groundprep.checks.gold import BEST_HINT, WORDS
from groundprep.checks.gold_answers import ROW_REWARDS
from groundprep.finding import Finding
from groundprep.profile import Profile

LEAST_ROWS = 20
"""Below this number nothing is said of a file as a whole."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HISTOGRAM_BINS = 10
SCORE_STEPS = 1000
HIGHEST = 10.0
"""No finite reward of this package is above 5; what is counts as this one in quantiles."""


@dataclass(slots=True)
class Mean:
    """A running mean."""

    rows: int = 0
    total: float = 0.0

    def add(self, score: float) -> None:
        """Add one score."""
        self.rows += 1
        self.total += score

    def merge(self, other: Mean) -> None:
        """Add the scores of later rows."""
        self.rows += other.rows
        self.total += other.total

    @property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return self.total / self.rows if self.rows else None


@dataclass(slots=True)
class Ceilings:
    """The scores of some rows.

    Args:
        counts: ceiling in thousandths → rows.
        ceiling: mean of the right answers; a row whose right answer earns no number counts with 0.
        useless: name → mean of that answer over the rows that have it; `best_hint` among them.
        unreachable, below, adrift: rows whose right answer cannot be earned, earns too little, or is in another frame.
        unscored: rows that another reward scores.
    """

    counts: Counter[int] = field(default_factory=Counter)
    ceiling: Mean = field(default_factory=Mean)
    useless: dict[str, Mean] = field(default_factory=dict)
    lowest: float = math.inf
    unreachable: int = 0
    below: int = 0
    adrift: int = 0
    unscored: int = 0

    def add(self, attained: Attained | None, min_ceiling: float) -> None:
        """Add one row; None: another reward scores it."""
        if attained is None:
            self.unscored += 1
            return
        ceiling = attained.ceiling or 0.0
        self.ceiling.add(ceiling)
        self.lowest = min(self.lowest, ceiling)
        self.counts[round(min(max(ceiling, -1.0), HIGHEST) * SCORE_STEPS)] += 1
        self.unreachable += attained.is_unreachable
        self.below += ceiling < min_ceiling
        self.adrift += attained.is_adrift
        scores = attained.useless if attained.best_hint is None else {BEST_HINT: attained.best_hint, **attained.useless}
        for name, score in scores.items():
            self.useless.setdefault(name, Mean()).add(score)

    def quantile(self, share: float) -> float | None:
        """Return the lowest score, to three decimals, that at least this share of the rows does not exceed."""
        need, seen = share * self.ceiling.rows, 0
        for step in sorted(self.counts):
            seen += self.counts[step]
            if seen >= need:
                return step / SCORE_STEPS
        return None

    def histogram(self) -> list[int]:
        """Return the rows in each tenth from 0 to 1; what lies outside counts in the first and the last."""
        bins = [0] * HISTOGRAM_BINS
        for step, rows in self.counts.items():
            bins[min(max(step * HISTOGRAM_BINS // SCORE_STEPS, 0), HISTOGRAM_BINS - 1)] += rows
        return bins

    def merge(self, other: Ceilings) -> None:
        """Add the rows of a later file."""
        self.counts += other.counts
        self.ceiling.merge(other.ceiling)
        for name, mean in other.useless.items():
            self.useless.setdefault(name, Mean()).merge(mean)
        self.lowest = min(self.lowest, other.lowest)
        self.unreachable += other.unreachable
        self.below += other.below
        self.adrift += other.adrift
        self.unscored += other.unscored

    def as_data(self, profile: Profile) -> dict[str, Any]:
        """Return JSON values."""
        rows = self.ceiling.rows
        means = {name: _rounded(mean.value) for name, mean in self.useless.items()}
        return {
            "reward": profile.reward,
            "part": ROW_REWARDS[profile.reward].part,
            "min_ceiling": profile.min_ceiling,
            "rows": rows,
            "not_scored": self.unscored,
            "below_min_ceiling": self.below,
            "unreachable": self.unreachable,
            "min": _rounded(self.lowest) if rows else None,
            "mean": _rounded(self.ceiling.value),
            "quantiles": {f"{share:g}": self.quantile(share) for share in QUANTILES} if rows else {},
            "histogram": self.histogram(),
            "best_hint": means.get(BEST_HINT),
            "useless": {name: means[name] for name in WORDS if name in means},
        }


class CeilingWatch:
    """Collects what the rows of each file earn. Memory: a few thousand counters a file, whatever its length."""

    def __init__(self) -> None:
        self.files: dict[str, Ceilings] = {}

    def note(self, subjects: Sequence[Subject]) -> list[tuple[str, float, Attained | None]]:
        """Return path, least ceiling and scores of each row; None for scores that another reward gives."""
        notes = []
        for subject in subjects:
            assert subject.profile is not None
            attained = attained_of(subject)
            scored = attained if isinstance(attained, Attained) else None
            notes.append((subject.record.source.path, subject.profile.min_ceiling, scored))
        return notes

    def see(self, note: list[tuple[str, float, Attained | None]]) -> Iterable[Finding]:
        """Add the rows of a batch."""
        for path, min_ceiling, attained in note:
            ceilings = self.files.get(path)
            if ceilings is None:
                ceilings = self.files[path] = Ceilings()
            ceilings.add(attained, min_ceiling)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield a warning for every useless answer that earns nearly all over a whole file."""
        for path, ceilings in self.files.items():
            yield from policy_findings(path, ceilings)

    def results(self, profile: Profile) -> dict[str, Any]:
        """Return `ceilings`: the distribution over all files."""
        total = Ceilings()
        for ceilings in self.files.values():
            total.merge(ceilings)
        return {"ceilings": total.as_data(profile)}


def no_ceilings(profile: Profile | None) -> dict[str, Any]:
    """Return `ceilings` of a trainer without a reward: why there are none; nothing without a trainer."""
    if profile is None or profile.reward:
        return {}
    return {"ceilings": {"reward": None, "reason": f"{profile.name} imitates the rows' answers and has no reward"}}


def policy_findings(path: str, ceilings: Ceilings) -> Iterator[Finding]:
    """Yield a warning for every useless answer that earns nearly all over a file of some length.

    Copying the first or the last hint is not among them: where the answers stand is judged by itself (`answer-position`).
    """
    right = ceilings.ceiling.value
    if right is None or right <= 0 or ceilings.adrift:
        return
    for name, words in WORDS.items():
        if name in BY_CHANCE:
            continue
        mean = ceilings.useless.get(name)
        if mean is None or mean.value is None or mean.rows < LEAST_ROWS or mean.value < USELESS_SHARE * right:
            continue
        yield Finding(
            code=USELESS_POLICY.code,
            severity=USELESS_POLICY.severity,
            record=None,
            source=path,
            message=f"{words} earns {_rounded(mean.value):g} on average over {mean.rows} rows",
            found=f"{name} {_rounded(mean.value):g}",
            expected=f"less than {USELESS_SHARE:.0%} of the right answers' {_rounded(right):g}",
            fix="add rows of the other kind, or choose another reward (docs/attainability.md)",
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
