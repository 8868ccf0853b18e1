"""One-to-one matching of least cost, with SciPy's choice among equally good matchings.

Which of several best matchings is taken changes some rewards, so this follows `scipy.optimize.linear_sum_assignment` in every
tie: shortest augmenting paths, columns tried from the last to the first, a free column preferred. Completions have few boxes,
and for those this is faster than building an array; large matrices are given to SciPy itself if it is installed.
Source: D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 52(4), 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LARGE = 1_000
"""Cells from which SciPy is faster."""


def assign(cost_NM: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return min(N, M) pairs (row, column) of least total cost, by row.

    Args:
        cost_NM: rows of equal length, finite numbers.
    """
    if not cost_NM or not cost_NM[0]:
        return []
    rows, columns = len(cost_NM), len(cost_NM[0])
    if rows == 1:
        return [(0, min(range(columns), key=cost_NM[0].__getitem__))]
    if columns == 1:
        return [(min(range(rows), key=lambda row: cost_NM[row][0]), 0)]
    if rows * columns >= LARGE and (pairs := _scipy(cost_NM)) is not None:
        return pairs
    if columns < rows:
        column_of = _shortest_paths([list(column) for column in zip(*cost_NM, strict=True)])
        return sorted((row, column) for column, row in enumerate(column_of))
    return list(enumerate(_shortest_paths(cost_NM)))


def _scipy(cost_NM: Sequence[Sequence[float]]) -> list[tuple[int, int]] | None:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        return None
    rows, columns = linear_sum_assignment(cost_NM)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _shortest_paths(cost_NM: Sequence[Sequence[float]]) -> list[int]:  # noqa: C901 (one algorithm, step by step)
    """Return the column of each row; there are at least as many columns as rows."""
    rows, columns = len(cost_NM), len(cost_NM[0])
    row_price, column_price = [0.0] * rows, [0.0] * columns
    column_of, row_of = [-1] * rows, [-1] * columns
    for new_row in range(rows):
        reached, from_row = [math.inf] * columns, [-1] * columns
        remaining = list(range(columns - 1, -1, -1))
        done_columns: list[int] = []
        seen_rows: list[int] = []
        row, lowest = new_row, 0.0
        while True:
            seen_rows.append(row)
            costs, paid, base = cost_NM[row], row_price[row], lowest
            lowest, place = math.inf, -1
            for index, column in enumerate(remaining):
                length = base + costs[column] - paid - column_price[column]
                if length < reached[column]:
                    reached[column], from_row[column] = length, row
                best = reached[column]
                if best < lowest or (best == lowest and row_of[column] < 0):
                    lowest, place = best, index
            column = remaining[place]
            done_columns.append(column)
            remaining[place] = remaining[-1]
            remaining.pop()
            if row_of[column] < 0:
                break
            row = row_of[column]
        row_price[new_row] += lowest
        for seen in seen_rows[1:]:
            row_price[seen] += lowest - reached[column_of[seen]]
        for done in done_columns:
            column_price[done] -= lowest - reached[done]
        while True:
            row = from_row[column]
            row_of[column] = row
            column_of[row], column = column, column_of[row]
            if row == new_row:
                break
    return column_of
