"""Part of a data set, as a stage: the records that a strategy selects, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from groundprep.containers.choice import STRATEGIES, Strategy, StrategyName, parse_strategy, verdicts
from groundprep.errors import CountError
from groundprep.record import Dropped, Record
from groundprep.stages.base import StreamStage

__all__ = ["STRATEGIES", "Sample", "Strategy", "StrategyName", "parse_strategy"]


class Sample(StreamStage):
    """Keep the records that a strategy selects, in their order; memory does not grow with their number.

    Args:
        total: the number of records that will come; needed where the strategy says so.
        seed: decides a random choice, together with `total` and nothing else.
    """

    name = "sample"

    def __init__(self, strategy: Strategy, *, total: int | None = None, seed: int = 0) -> None:
        super().__init__()
        if total is None and strategy.needs_total:
            raise ValueError(f"{strategy} needs the number of records")
        self.strategy = strategy
        self.total = total
        self.seed = seed

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the selected records; raises CountError if there were not `total` of them."""
        seen = 0
        keep = verdicts(self.strategy, total=self.total, random=Random(self.seed))  # noqa: S311 (a choice of rows, no secret)
        for record in records:
            seen += 1
            if next(keep):
                yield record
            else:
                self.counts.not_selected += 1
        if self.total is not None and seen != self.total:
            raise CountError("the records to sample from were counted wrongly", found=seen, expected=str(self.total))
