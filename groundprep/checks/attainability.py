"""Can the reward be earned? The trainer's own reward, tried on each row's right answer and on answers that know nothing.

A row whose right answer earns little teaches little, and one whose right answer earns nothing teaches the wrong thing; where
an answer that never looks at the image earns as much as the right one, that is what will be learned. The modules `gold…` say
what the right answer to a row is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from groundprep.checks.base import Rule, Subject
from groundprep.checks.gold import WORDS, Example, Unscored, drifts
from groundprep.checks.gold_answers import ROW_REWARDS, RowReward
from groundprep.errors import RecordError
from groundprep.finding import Finding, Severity
from groundprep.rewards import get_scorer
from groundprep.rewards.base import Scorer

CEILING_LOW = Rule(
    "reward-ceiling-low", Severity.WARNING, "the right answer of a row earns less than it should under the reward"
)
UNREACHABLE = Rule(
    "reward-unreachable",
    Severity.ERROR,
    "no right answer of a row, or no hint to copy, earns anything under the reward",
    suppresses=(CEILING_LOW.code,),
)
USELESS_SCORES = Rule(
    "useless-answer-scores", Severity.WARNING, "an answer that ignores the image earns about as much as the right one"
)
USELESS_POLICY = Rule(
    "useless-policy-scores", Severity.WARNING, "one and the same useless answer earns nearly all over the whole file"
)

RULES = (CEILING_LOW, UNREACHABLE, USELESS_SCORES, USELESS_POLICY)

USELESS_SHARE = 0.8
"""A useless answer scores high if it earns this share of what the right one earns."""

BY_CHANCE = ("first_hint", "last_hint")
"""Right for some rows of every file; only their average over many rows says something."""

DIGITS = 4
_MEMO = "attained"


class Attained(NamedTuple):
    """What a row's answers earn.

    Args:
        ceiling: of the right answer; None where the reward raises or gives no finite number.
        content: the same without what is paid for form.
        reason: why nothing is earned, if the reward says so.
        best_hint: of copying the best hints; None without hints.
        best_content: the same without what is paid for form.
        useless: name of a useless answer → what it earns.
        right: those of them that say what the right answer says.
        is_adrift: the row's numbers are in another frame than its trainer takes them for.
    """

    ceiling: float | None
    content: float | None
    reason: str | None = None
    best_hint: float | None = None
    best_content: float | None = None
    useless: Mapping[str, float] = {}
    right: frozenset[str] = frozenset()
    is_adrift: bool = False

    @property
    def is_unreachable(self) -> bool:
        """Say whether the right answer earns nothing, or nothing that can be copied does."""
        return not self.content or (self.best_content is not None and self.best_content <= 0)


def attain(subject: Subject) -> Attained | Unscored:
    """Return what the answers to a row earn under its profile's reward; Unscored where another reward scores it.

    The subject's profile has a reward that fits its rows. Pure.
    """
    assert subject.profile is not None
    name = subject.profile.reward
    reward, scorer = ROW_REWARDS[name], get_scorer(name)
    try:
        example = reward.example(subject)
        if isinstance(example, Unscored):
            return Attained(None, None, example.reason) if example.is_fatal else example
        return _scored(example, reward, scorer, subject)
    except RecordError as error:  # the row, or its ground truth, is not what this reward reads
        return Attained(None, None, f"{error.message}: {error.found}")


def attained_of(subject: Subject) -> Attained | Unscored:
    """Return the same, computed once for a subject."""
    known: Attained | Unscored | None = subject.memo.get(_MEMO)
    if known is None:
        known = subject.memo[_MEMO] = attain(subject)
    return known


def attainability_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what the answers to a row earn too little or too much; nothing where another reward scores it."""
    attained = attained_of(subject)
    if isinstance(attained, Attained):
        yield from attained_findings(subject, attained)


def _scored(example: Example, reward: RowReward, scorer: Scorer, subject: Subject) -> Attained:
    def earned(completion: str) -> tuple[float | None, float | None, str | None]:
        score = scorer(completion, example.truth)
        value, content = (
            score.parts[name] for name in ((example.part or reward.part), (example.part or reward.content))
        )
        if value is not None and not math.isfinite(value):
            return None, None, f"the score is {value}"
        return value, content, score.reason

    ceiling, content, reason = earned(example.gold)
    assert subject.profile is not None
    best = best_content = None
    if example.best_hint is not None:
        best, best_content, _ = earned(example.best_hint)
    return Attained(
        ceiling,
        content,
        reason if ceiling is None else None,
        best,
        best_content if subject.profile.needs_answer_in_hint else None,
        {name: earned(completion)[0] or 0.0 for name, completion in example.useless.items()},
        example.right,
        drifts(subject),
    )


def attained_findings(subject: Subject, attained: Attained) -> Iterator[Finding]:
    """Yield what a row's answers say of the row. A row that is adrift is its file's defect (`frame-mismatch`), not its own."""
    profile = subject.profile
    assert profile is not None
    if attained.is_adrift:
        return
    ceiling = attained.ceiling
    if attained.is_unreachable:
        copied = bool(attained.content)
        yield subject.finding(
            UNREACHABLE,
            "no hint that could be copied earns anything" if copied else "the right answer cannot score",
            found=attained.reason or f"{profile.reward}: {_shown(attained.best_content if copied else ceiling)}",
            expected="an answer that can be earned",
            fix="make the answer one of the hints" if copied else "see what this reward reads in docs/rewards.md",
        )
    elif ceiling is not None and ceiling < profile.min_ceiling:
        yield subject.finding(
            CEILING_LOW,
            "the right answer earns less than it should",
            found=f"{profile.reward}: {_shown(ceiling)}",
            expected=f"at least {_shown(profile.min_ceiling)} (--min-ceiling)",
            fix="enlarge or crop the image, or leave the row out (docs/attainability.md)",
        )
    if ceiling is not None and not attained.is_unreachable:
        yield from _useless(subject, attained, ceiling)


def _useless(subject: Subject, attained: Attained, ceiling: float) -> Iterator[Finding]:
    assert subject.profile is not None
    high = {
        name: score
        for name, score in attained.useless.items()
        if name not in BY_CHANCE and name not in attained.right and score >= USELESS_SHARE * ceiling
    }
    if high:
        best = max(high, key=high.__getitem__)
        yield subject.finding(
            USELESS_SCORES,
            f"{WORDS[best]} earns {_shown(high[best])}",
            found=", ".join(f"{name} {_shown(score)}" for name, score in high.items()),
            expected=f"less than {USELESS_SHARE:.0%} of the right answer's {_shown(ceiling)}",
            fix="leave the row out, or choose another reward (docs/attainability.md)",
        )


def _shown(score: float | None) -> str:
    return "nothing" if score is None else f"{round(score, DIGITS):g}"
