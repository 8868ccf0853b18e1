"""Facts that were written, matched one by one with those of their source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.spec_readers.facts import Fact

MEASURED = ("box", "point")


@dataclass(frozen=True)
class Matched:
    """What is left.

    Args:
        made_up: written facts without a partner in the source.
        missing: facts of the source without a partner.
        worst_px: the largest distance of two partners' coordinates, of boxes and points.
    """

    made_up: list[Fact]
    missing: list[Fact]
    worst_px: float


def matched(written: Iterable[Fact], source: Iterable[Fact], is_same: Callable[[Fact, Fact], bool]) -> Matched:
    """Match every written fact with one fact of the source that is the same."""
    missing, made_up, worst_px = list(source), [], 0.0
    for fact in written:
        partner = next((known for known in missing if is_same(fact, known)), None)
        if partner is None:
            made_up.append(fact)
            continue
        missing.remove(partner)
        if fact.kind in MEASURED and partner.kind == fact.kind:
            worst_px = max(worst_px, *(abs(a - b) for a, b in zip(partner.numbers, fact.numbers, strict=True)))
    return Matched(made_up, missing, worst_px)


def is_same_place(fact: Fact, known: Fact) -> bool:
    """Say whether a fact is about the same image and phrase, of the same kind, and may be at the same place."""
    return (fact.image, fact.phrase, fact.kind) == (known.image, known.phrase, known.kind) and fact.may_be(
        known.numbers
    )
