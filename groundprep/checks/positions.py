"""Where the answer stands among the candidates: a policy must not learn "the last one".

Candidates of different rows are of different number, so places are put into four classes: first, in the first half, in the second
half, last. What chance gives each class follows from every row's own number of candidates and answers, and so does its variance:
the statistic is the quadratic form of observed minus expected counts with that variance, which is chi-square distributed for
rows shuffled at random. (Pearson's sum would be too large or too small where rows differ, or have several answers.)

A file is reported if that is improbable *and* the effect is not negligible, so that large files with harmless deviations pass.
Measured on 40,000 simulated files of 50 to 2,000 shuffled rows: 1 reported. Source of the trap: Rex-Thinker's script appends the
annotated box as the last candidate (specs/rexthinker.md §1.4, §1.6).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundprep.checks.base import Rule, Subject
from groundprep.checks.candidates import choices, offers_choice
from groundprep.checks.choice_table import NO_CANDIDATE, choice_table_of
from groundprep.finding import Finding, Severity

ANSWER_POSITION = Rule(
    "answer-position", Severity.WARNING, "the answer's place among the candidates gives it away over the whole file"
)

CLASSES = ("first", "in the first half", "in the second half", "last")

MIN_CHOICES = 50
"""Rows with a choice that a verdict needs."""

MAX_PROBABILITY = 1e-4
"""A file whose places are this improbable was not shuffled."""

MIN_EFFECT = 0.1
"""Cramér's V from which on an effect is called small (Cohen 1988, one degree of freedom); below it is negligible."""


class Tally(NamedTuple):
    """Sums over choices, whole numbers only, so that their order does not matter.

    Args:
        seen: answers that stand in each class.
        kinds: (candidates, answers) of a choice → how many such choices there are; what chance gives follows from them.
    """

    seen: Counter[int]
    kinds: Counter[tuple[int, int]]

    def add(self, other: Tally) -> None:
        """Add other sums to these."""
        self.seen.update(other.seen)
        self.kinds.update(other.kinds)

    def add_choice(self, places: Sequence[int], candidates: int, count: int = 1) -> None:
        """Add a choice so many times: the places of its answers among so many candidates.

        A choice without alternative (all candidates are answers, or there is one only) says nothing about places.
        """
        if 0 < len(places) < candidates:
            for place in places:
                self.seen[class_of(place, candidates)] += count
            self.kinds[candidates, len(places)] += count


def new_tally() -> Tally:
    """Return sums over nothing."""
    return Tally(Counter(), Counter())


class Verdict(NamedTuple):
    """The test of a file: how many choices, chi-square, its probability for shuffled rows, and Cramér's V in [0, 1].

    `worst` is the class that is chosen too often; `seen` and `expected` are its shares of all answers.
    """

    choices: int
    chi_square: float
    probability: float
    effect: float
    worst: int
    seen: float
    expected: float


@cache
def _shares(candidates: int) -> NDArray[np.float64]:
    """Return the (4,) share of places in each class."""
    return np.bincount([class_of(place, candidates) for place in range(candidates)], minlength=4) / candidates


def class_of(place: int, candidates: int) -> int:
    """Return the class of a place, counted from 0; the middle of an odd number belongs to the first half."""
    if place == 0:
        return 0
    if place == candidates - 1:
        return 3
    return 1 if 2 * place <= candidates - 1 else 2


def expectation(kinds: Counter[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (4,) expected numbers of answers in each class and their (4, 4) covariance, for shuffled candidates.

    The places of several answers are drawn without replacement: the multivariate hypergeometric distribution.
    """
    expected_N, covariance_NM = np.zeros(4), np.zeros((4, 4))
    for (candidates, answers), count in kinds.items():
        shares_N = _shares(candidates)
        expected_N += count * answers * shares_N
        factor = count * answers * (candidates - answers) / (candidates - 1)
        covariance_NM += factor * (np.diag(shares_N) - np.outer(shares_N, shares_N))
    return expected_N, covariance_NM


def verdict(total: Tally) -> Verdict:
    """Return the test of sums over choices against random places."""
    seen_N = np.array([total.seen[index] for index in range(len(CLASSES))], dtype=np.float64)
    expected_N, covariance_NM = expectation(total.kinds)
    scale = float(np.trace(covariance_NM))
    if scale <= 0:
        return Verdict(total.kinds.total(), 0.0, 1.0, 0.0, 0, 0.0, 0.0)
    difference_N = seen_N - expected_N
    freedom = int(np.linalg.matrix_rank(covariance_NM, tol=1e-9 * scale, hermitian=True))
    inverse_NM = np.linalg.pinv(covariance_NM, rcond=1e-9, hermitian=True)
    chi_square = float(difference_N @ inverse_NM @ difference_N)
    answers, occupied = float(seen_N.sum()), expected_N > 0
    pearson = float((difference_N[occupied] ** 2 / expected_N[occupied]).sum())
    effect = math.sqrt(pearson / (answers * max(1, int(occupied.sum()) - 1)))
    worst = int(np.argmax(difference_N))
    shares = float(seen_N[worst]) / answers, float(expected_N[worst]) / answers
    return Verdict(total.kinds.total(), chi_square, chi_square_tail(chi_square, freedom), effect, worst, *shares)


def chi_square_tail(value: float, freedom: int) -> float:
    """Return the probability of a chi-square of 1, 2 or 3 degrees of freedom above a value: its closed forms."""
    half = max(0.0, value) / 2
    if freedom == 2:
        return math.exp(-half)
    tail = math.erfc(math.sqrt(half))
    return tail if freedom == 1 else tail + 2 * math.sqrt(half / math.pi) * math.exp(-half)


class PositionWatch:
    """Adds up where answers stand, by file.

    It remembers, for each file, four numbers and one for each kind of choice (number of candidates, number of answers) that
    occurs: some hundred bytes, however many rows there are.
    """

    def __init__(self) -> None:
        self._files: dict[str, Tally] = {}

    def note(self, subjects: Sequence[Subject]) -> dict[str, Tally] | None:
        """Return the sums of some rows, by file."""
        table = choice_table_of(subjects)
        files = self.note_of_others([subjects[place] for place in table.others]) or {}
        paths = [subjects[place].record.source.path for place in table.places]
        choices_made = zip(paths, table.candidates, table.chosen_by_row(), strict=True)
        for (path, candidates, places), count in Counter(choices_made).items():
            if NO_CANDIDATE not in places and len(places) == len(set(places)):  # else an answer is no candidate
                files.setdefault(path, new_tally()).add_choice(places, candidates, count)
        return files or None

    def note_of_others(self, subjects: Sequence[Subject]) -> dict[str, Tally] | None:
        """Return the sums of rows that are looked at one by one, by file."""
        files: dict[str, Tally] = {}
        for subject in subjects:
            for choice in choices(subject) if offers_choice(subject) else ():
                places = [place for place in choice.chosen if place is not None]
                if len(places) == len(choice.chosen) == len(set(places)):
                    total = files.setdefault(subject.record.source.path, new_tally())
                    total.add_choice(places, len(subject.record.candidates or ()))
        return files or None

    def see(self, note: dict[str, Tally] | None) -> Iterable[Finding]:
        """Add them up."""
        for path, added in (note or {}).items():
            self._files.setdefault(path, new_tally()).add(added)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield a warning for each file whose answers are not anywhere; for all files together if no one alone says so."""
        found = [finding for path, total in self._files.items() for finding in tally_findings(path, total)]
        if not found and len(self._files) > 1:
            together = new_tally()
            for total in self._files.values():
                together.add(total)
            first, *others = self._files
            found = list(tally_findings(f"{first} and {len(others)} more", together))
        yield from found


def tally_findings(path: str, total: Tally) -> Iterator[Finding]:
    """Yield a warning if the places summed up are both improbable and not negligibly uneven."""
    result = verdict(total)
    if result.choices < MIN_CHOICES or result.probability > MAX_PROBABILITY or result.effect < MIN_EFFECT:
        return
    yield Finding(
        code=ANSWER_POSITION.code,
        severity=ANSWER_POSITION.severity,
        record=None,
        source=path,
        message=f"the answer stands {CLASSES[result.worst]} too often: a model can learn the place instead of the words",
        found=f"{result.seen:.0%} of the answers in {result.choices} rows "
        f"(chi-square {result.chi_square:.1f}, p {result.probability:.1e}, Cramér's V {result.effect:.2f})",
        expected=f"about {result.expected:.0%}, as in shuffled rows",
        fix="shuffle the candidates: `groundprep add-candidates --keep-existing --order shuffle`",
    )
