"""The choices of many rows at once: what `candidates.choices` finds out about one row, in numpy.

Held are the rows whose one question is their expression and whose boxes are all of the first image; the others are looked at one
by one. Overlaps are computed in the order of operations of `candidates`, so that the last bit is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from groundprep.checks.base import Batch, Subject
from groundprep.checks.box_batch import BoxTable, box_table_of
from groundprep.checks.candidates import AMBIGUOUS_IOU, SAME_IOU, offers_choice
from groundprep.record import Region

_TABLE = "choice-table"
NO_CANDIDATE = -1
_NONE = (NO_CANDIDATE,)


class ChoiceTable:
    """The answers and candidates of a batch, as columns.

    Attributes:
        places: where the rows that are held stand in the batch.
        candidates: how many candidates each of them has.
        answers: how many answers each of them has.
        chosen: for each answer of each row, one after the other, the candidate that it is; -1 for none.
        doubtful: of each answer, whether two candidates or more cover it so far that they may be the same object.
        others: places of the rows that offer a choice and are not held.
    """

    def __init__(self, subjects: Sequence[Subject]) -> None:
        boxes = box_table_of(subjects)
        apart = {*boxes.others, *boxes.boxless}
        self.places: list[int] = []
        self.candidates: list[int] = []
        self.answers: list[int] = []
        self.others: list[int] = []
        offers = _offers(subjects)
        for place, subject in enumerate(subjects):
            record = subject.record
            if not record.candidates or not offers:
                continue
            if place in apart or record.referring is None or _names_candidates(record.answers):
                self.others.append(place)
                continue
            self.places.append(place)
            self.answers.append(len(record.answers))
            self.candidates.append(len(record.candidates))
        self.chosen, self.doubtful = self._match(boxes)

    def _match(self, boxes: BoxTable) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return, for each answer, the candidate that it is (-1: none, or a tie) and whether it is doubtful."""
        if not sum(self.answers):
            return np.zeros(0, np.intp), np.zeros(0, np.bool_)
        answers_N, candidates_N = np.array(self.answers), np.array(self.candidates)
        ends_N = np.cumsum(boxes.counts_N)[self.places]
        starts_N = ends_N - boxes.counts_N[self.places]
        nth_N = np.arange(answers_N.sum()) - np.repeat(np.cumsum(answers_N) - answers_N, answers_N)
        a_N = np.repeat(starts_N, answers_N) + nth_N
        count_N, first_N = np.repeat(candidates_N, answers_N), np.repeat(ends_N - candidates_N, answers_N)
        nth_M = np.arange(int(candidates_N.max()))
        there_NM = nth_M < count_N[:, None]
        b_NM = np.where(there_NM, first_N[:, None] + nth_M, 0)
        iou_NM = _iou(boxes.columns[:, a_N, None], boxes.columns[:, b_NM], there_NM)
        best_N = iou_NM.max(axis=1)
        is_one = (best_N >= SAME_IOU) & ((iou_NM == best_N[:, None]).sum(axis=1) == 1)
        return np.where(is_one, iou_NM.argmax(axis=1), NO_CANDIDATE), (iou_NM >= AMBIGUOUS_IOU).sum(axis=1) > 1

    def chosen_by_row(self) -> list[tuple[int, ...]]:
        """Return the chosen candidates of each row that is held."""
        chosen = self.chosen.tolist()
        if len(chosen) == len(self.answers) == sum(self.answers) and 0 not in self.answers:  # one each, in most files
            return list(zip(chosen, strict=True))
        ends = accumulate(self.answers)
        return [tuple(chosen[end - count : end]) for end, count in zip(ends, self.answers, strict=True)]

    def doubtful_rows(self) -> set[int]:
        """Return the places of the rows that have a doubtful answer."""
        owners_N = np.repeat(np.array(self.places, np.intp), self.answers)
        return set(owners_N[self.doubtful].tolist())


def choice_table_of(subjects: Sequence[Subject]) -> ChoiceTable:
    """Return the choices of some subjects; made once for a batch."""
    memo = subjects.memo if isinstance(subjects, Batch) else {}
    table: ChoiceTable | None = memo.get(_TABLE)
    if table is None:
        table = memo[_TABLE] = ChoiceTable(subjects)
    return table


def candidate_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects in which `candidates.candidate_findings` may find something."""
    table = choice_table_of(subjects)
    suspects = {*table.others, *table.doubtful_rows()}
    for place, count, chosen in zip(table.places, table.candidates, table.chosen_by_row(), strict=True):
        if count == 1 or (chosen != _NONE and _differ_in_category(subjects[place], chosen)):
            suspects.add(place)
    return sorted(suspects)


def _differ_in_category(subject: Subject, chosen: tuple[int, ...]) -> bool:
    """Say whether a chosen candidate is not of the category that the row, or the trainer's hint, says."""
    record = subject.record
    candidates, stated = record.candidates or (), record.category
    hinted = None if subject.profile is None else candidates[0].phrase
    for place, index in enumerate(chosen):
        if index == NO_CANDIDATE:
            continue
        own, category = candidates[index].phrase, record.answers[place].category
        said = stated if category is None else category
        if own is not None and not ((said is None or said == own) and (hinted is None or hinted == own)):
            return True
    return False


def _names_candidates(answers: tuple[Region, ...]) -> bool:
    """Say whether an answer says itself which candidate it is."""
    for region in answers:  # noqa: SIM110 (measured: `any` costs three times as much)
        if region.candidate is not None:
            return True
    return False


def _offers(subjects: Sequence[Subject]) -> bool:
    """Say whether the trainer, if one is named, is shown candidates; all rows of a batch are for the same one."""
    return any(offers_choice(subject) for subject in subjects)


def _iou(a: NDArray[np.float64], b: NDArray[np.float64], there_NM: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU of boxes given as four columns each; 0 where there is none."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a, b
    wide = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
    high = np.minimum(ay1, by1) - np.maximum(ay0, by0)
    overlap = there_NM & (wide > 0) & (high > 0)
    shared = np.where(overlap, wide * high, 0.0)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=overlap)
    return iou
