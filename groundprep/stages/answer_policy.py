"""Which candidate the answer is: so that a reward of exact equality can be reached, and the answer's place says nothing.

All of this is pure and works on floats in pixels of the stored image. `key_of` says which boxes are equal in the frame that
the trainer will read; two candidates that are equal there would be one hint written twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundprep.errors import MissingDependencyError, RecordError
from groundprep.geometry.boxes import iou_matrix
from groundprep.record import Box, BoxXYXY, Candidate, Region

AnswerPolicy: TypeAlias = Literal["snap-answer", "snap-candidate", "append", "legacy"]
Order: TypeAlias = Literal["shuffle", "position", "score", "detector"]
KeyOf: TypeAlias = Callable[[BoxXYXY], Hashable]

MATCH_IOU = 0.5
"""Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47 (specs/rexthinker.md §1.4)."""


@dataclass(slots=True)
class PolicyCounts:
    """What the policy did, over all rows.

    Args:
        matched: answers that were a candidate at the matching threshold.
        appended: answers that had to be added as a candidate.
        merged_candidates: candidates that were equal to another one in the target frame.
        merged_answers: answers of one row that became the same box.
    """

    matched: int = 0
    appended: int = 0
    merged_candidates: int = 0
    merged_answers: int = 0


class Choice(NamedTuple):
    """Candidates and the answers' places among them.

    Args:
        candidates: proposed boxes.
        answers: regions with boxes; `candidate` is an index into candidates, or None if the policy leaves it open.
    """

    candidates: list[Candidate]
    answers: list[Region]


def choose(
    policy: AnswerPolicy,
    candidates: Sequence[Candidate],
    answers: Sequence[Region],
    *,
    match_iou: float,
    key_of: KeyOf,
    counts: PolicyCounts,
) -> Choice:
    """Return the candidates and answers of one row under a policy, candidates in the order given, added ones last.

    Args:
        policy: `snap-answer`: an answer becomes its candidate; `snap-candidate`: the candidate becomes the answer's box;
            `append`: an answer that no candidate equals is added; `legacy`: the reference script.
        candidates: as proposed.
        answers: as annotated; each has a box or is absent.
        match_iou: least overlap of an answer and its candidate, in (0, 1].
        key_of: boxes with equal keys are one hint; not used by `legacy`.
        counts: added to.
    Raises RecordError (`no-box`) for an answer without a box.
    """
    present = _present(answers)
    if policy == "legacy":
        return _legacy(candidates, present, match_iou, counts)
    if policy == "append":
        chosen = _append(candidates, present, counts)
    else:
        chosen = _snap(candidates, present, match_iou, counts, to_answer=policy == "snap-candidate")
    return _merge(chosen, key_of, counts)


def arrange(choice: Choice, order: Order, seed: str) -> Choice:
    """Return the candidates in another order, the answers' indices following.

    Args:
        choice: candidates and answers.
        order: `shuffle` by the seed; `position` by x0, then y0; `score`, highest first, unknown last; `detector`: as it is.
        seed: of this row's shuffle; equal seeds and lengths give equal orders.
    """
    places = list(range(len(choice.candidates)))
    if order == "shuffle":
        random.Random(seed).shuffle(places)  # noqa: S311 (the order is no secret, it must be repeatable)
    elif order == "position":
        places.sort(key=lambda place: choice.candidates[place].box.xyxy)
    elif order == "score":
        places.sort(key=lambda place: -_score(choice.candidates[place]))
    new_place = {old: new for new, old in enumerate(places)}
    answers = [a if a.candidate is None else replace(a, candidate=new_place[a.candidate]) for a in choice.answers]
    return Choice([choice.candidates[place] for place in places], answers)


def match(answers_N4: Sequence[BoxXYXY], candidates_M4: Sequence[BoxXYXY], match_iou: float) -> list[int | None]:
    """Return for each answer the candidate that it is, or None; no candidate is taken twice.

    Among all one-to-one pairings of overlaps of at least match_iou, the one with the largest sum of overlaps
    (the Hungarian method).
    """
    if len(answers_N4) == 0 or len(candidates_M4) == 0:
        return [None] * len(answers_N4)
    iou_NM = iou_matrix(answers_N4, candidates_M4)
    rows, columns = _assignment(np.where(iou_NM >= match_iou, iou_NM, 0.0))
    matched: list[int | None] = [None] * len(answers_N4)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if iou_NM[row, column] >= match_iou:
            matched[row] = column
    return matched


def _assignment(gain_NM: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "matching answers to candidates needs the package scipy", fix="pip install 'groundprep[detect]'"
        ) from error
    rows, columns = linear_sum_assignment(gain_NM, maximize=True)
    return rows, columns


def _present(answers: Sequence[Region]) -> list[Region]:
    for answer in answers:
        if answer.box is None and not answer.is_absent:
            raise RecordError(
                "an answer has no box, and candidates are boxes", code="no-box", found="a point or mask without a box"
            )
    return [answer for answer in answers if answer.box is not None]


def _box(answer: Region) -> Box:
    assert answer.box is not None
    return answer.box


def _as_candidate(answer: Region) -> Candidate:
    """Return an answer as a candidate: nobody scored it."""
    return Candidate(_box(answer), image=answer.image)


def _snap(
    candidates: Sequence[Candidate], answers: list[Region], match_iou: float, counts: PolicyCounts, *, to_answer: bool
) -> Choice:
    chosen = list(candidates)
    placed = []
    matched = match([_box(a).xyxy for a in answers], [c.box.xyxy for c in candidates], match_iou)
    for answer, place in zip(answers, matched, strict=True):
        if place is None:
            counts.appended += 1
            placed.append(replace(answer, candidate=len(chosen)))
            chosen.append(_as_candidate(answer))
            continue
        counts.matched += 1
        if to_answer:
            chosen[place] = replace(chosen[place], box=_box(answer))
        placed.append(replace(answer, box=chosen[place].box, candidate=place))
    return Choice(chosen, placed)


def _append(candidates: Sequence[Candidate], answers: list[Region], counts: PolicyCounts) -> Choice:
    chosen = list(candidates)
    placed = []
    for answer in answers:
        place = next((i for i, c in enumerate(chosen) if c.box.xyxy == _box(answer).xyxy), None)
        if place is None:
            counts.appended += 1
            place = len(chosen)
            chosen.append(_as_candidate(answer))
        else:
            counts.matched += 1
        placed.append(replace(answer, candidate=place))
    return Choice(chosen, placed)


def _legacy(candidates: Sequence[Candidate], answers: list[Region], match_iou: float, counts: PolicyCounts) -> Choice:
    """Leave candidates and answers as they are; add an answer, last, that no proposal overlaps enough.

    The reference crashes at several answers; here each is judged by itself, against the proposals only.
    Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47 (specs/rexthinker.md §1.4).
    """
    chosen = list(candidates)
    for answer in answers:
        iou_N = iou_matrix([_box(answer).xyxy], [c.box.xyxy for c in candidates])[0]
        if iou_N.size and iou_N.max() >= match_iou:
            counts.matched += 1
        else:
            counts.appended += 1
            chosen.append(_as_candidate(answer))
    return Choice(chosen, answers)


def _merge(choice: Choice, key_of: KeyOf, counts: PolicyCounts) -> Choice:
    """Join candidates that are one hint in the target frame; an answer's box wins, the best score stays.

    Answers that fall on one hint become one answer: a list that holds a box twice cannot be reproduced by a prediction,
    in which duplicates score 0 (specs/rexthinker.md §3.4).
    """
    is_answer = {answer.candidate for answer in choice.answers}
    places: dict[Hashable, int] = {}
    merged: list[Candidate] = []
    holds_answer: list[bool] = []
    new_place = []
    for old, candidate in enumerate(choice.candidates):
        place = places.setdefault(key_of(candidate.box.xyxy), len(merged))
        new_place.append(place)
        if place == len(merged):
            merged.append(candidate)
            holds_answer.append(old in is_answer)
            continue
        counts.merged_candidates += 1
        winner, other = merged[place], candidate
        if old in is_answer and not holds_answer[place]:
            winner, other = candidate, merged[place]
            holds_answer[place] = True
        merged[place] = winner if _score(winner) >= _score(other) else replace(winner, score=other.score)
    answers: dict[int, Region] = {}
    for answer in choice.answers:
        assert answer.candidate is not None
        place = new_place[answer.candidate]
        answers.setdefault(place, replace(answer, box=merged[place].box, candidate=place))
    counts.merged_answers += len(choice.answers) - len(answers)
    return Choice(merged, list(answers.values()))


def _score(candidate: Candidate) -> float:
    return -1.0 if candidate.score is None else candidate.score
