"""Which rows: all, the first N, the last N, or N at random; N is a number or a share.

The words are those of EasyDistill's and VLM-R1's `sampling_strategy`, and so is every count: a share is rounded up, N beyond
the end keeps everything, `first:0` nothing, `end:0` everything, and `first:-2` all but the last two (there they are slices of a
Python list). Two things differ on purpose: `random` is seeded and keeps the order of the file (there it is neither), and an
unknown word or a number with something behind it is refused (there it silently keeps everything, or is cut off).
Source: VLM-R1 grpo_rec.py, EasyDistill (specs/vlmr1_easydistill.md §3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias, get_args

from groundprep.errors import UsageError

StrategyName: TypeAlias = Literal["all", "first", "end", "random"]

STRATEGIES = "all, first:N, end:N, random:N; N is a number or a share such as 10%"
_COUNT = re.compile(r"(-?[0-9]{1,15})(%?)")


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which rows to keep.

    Args:
        name: all of them, the first, the last, or a random choice.
        amount: how many, or how many of a hundred; below 0: how many are left out at the other end; None with `all`.
        is_percent: `amount` is a share.
    """

    name: StrategyName
    amount: int | None = None
    is_percent: bool = False

    @property
    def needs_total(self) -> bool:
        """Say whether the number of rows must be known before the first one."""
        return self.is_percent or self.name in ("end", "random") or (self.amount or 0) < 0

    def size(self, total: int) -> int:
        """Return how many of `total` rows are kept; a share is rounded up."""
        if self.amount is None:
            return total
        wanted = -(-self.amount * total // 100) if self.is_percent else self.amount
        if wanted == 0 and self.name == "end":
            return total  # the list from its very start: rows[-0:]
        return max(0, total + wanted) if wanted < 0 else min(wanted, total)

    def __str__(self) -> str:
        return self.name if self.amount is None else f"{self.name}:{self.amount}{'%' if self.is_percent else ''}"


ALL = Strategy("all")


def parse_strategy(text: str, count: int | str | None = None) -> Strategy:
    """Return the strategy that `first:10`, or `first` with a count of its own, means; raises UsageError (`bad-strategy`)."""
    name, colon, number = text.partition(":")
    if count is not None:
        if colon:
            raise _refusal(f"{text} with a count of {count}", "give the number once")
        number, colon = str(count), ":"
    if name not in get_args(StrategyName):
        raise _refusal(text, "name one of these")
    if name == "all":
        if colon:
            raise _refusal(f"{text}:{count}" if count is not None else text, "`all` takes no number")
        return ALL
    match = _COUNT.fullmatch(number.strip())
    if match is None:
        raise _refusal(text, "give a whole number, or a whole number with %")
    return Strategy(name, int(match[1]), bool(match[2]))  # type: ignore[arg-type]  # checked above


def _refusal(found: str, fix: str) -> UsageError:
    return UsageError("no such sampling strategy", code="bad-strategy", found=found, expected=STRATEGIES, fix=fix)


def verdicts(strategy: Strategy, *, total: int | None, random: Random) -> Iterator[bool]:
    """Yield without end whether the next row is kept; `total` may be None where the strategy does not need it."""
    name = strategy.name
    wanted = strategy.size(total) if total is not None else strategy.amount
    index = kept = 0
    while True:
        if name == "all" or wanted is None:
            chosen = True
        elif name == "first":
            chosen = index < wanted
        elif name == "end":
            chosen = index >= (total or 0) - wanted
        else:
            # Selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S): exactly `wanted`
            # of `total`, every choice equally likely, in order, with no list of numbers in memory.
            chosen = random.random() * max((total or 0) - index, 1) < wanted - kept
        kept += chosen
        index += 1
        yield chosen
