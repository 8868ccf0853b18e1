from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from groundprep.rewards.matching import LARGE, _shortest_paths, assign

costs = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1, allow_nan=False)


@st.composite
def matrices(draw: st.DrawFn) -> list[list[float]]:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return draw(st.lists(st.lists(costs, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


@given(matrices())
def test_pairs_are_those_of_scipy_ties_included(cost_NM: list[list[float]]) -> None:
    rows, columns = linear_sum_assignment(np.array(cost_NM))
    assert assign(cost_NM) == list(zip(rows.tolist(), columns.tolist(), strict=True))


def test_the_own_algorithm_agrees_with_scipy_on_a_large_matrix_of_ties() -> None:
    cost_NM = np.random.default_rng(5).integers(0, 4, (40, 60)).astype(float)
    assert cost_NM.size >= LARGE
    assert _shortest_paths(cost_NM.tolist()) == linear_sum_assignment(cost_NM)[1].tolist()


def test_no_row_or_no_column_gives_no_pair() -> None:
    assert assign([]) == []
    assert assign([[], []]) == []
