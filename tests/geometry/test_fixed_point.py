"""Fixed sizes: the chain leaves them alone, whatever the profile and the image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.geometry.fixed_point import fixed_point_wh
from groundprep.geometry.resize import ResizeChain, SizeRefusedError, SmartResize, SqrtLimit
from groundprep.trainers import PROFILES, get_profile

sides = st.integers(min_value=1, max_value=6000)


@pytest.mark.parametrize("name", sorted(PROFILES))
@given(
    size_wh=st.tuples(sides, sides),
    limits=st.none() | st.tuples(st.integers(784, 200_000), st.integers(800_000, 4_000_000)),
)
def test_the_chain_maps_the_size_to_itself_on_every_profile(
    name: str, size_wh: tuple[int, int], limits: tuple[int, int] | None
) -> None:
    chain = get_profile(name).with_limits(*(limits or (None, None))).chain
    try:
        chain.seen_wh(size_wh)
    except SizeRefusedError:
        with pytest.raises(SizeRefusedError):
            fixed_point_wh(chain, size_wh)
        return
    fixed_wh = fixed_point_wh(chain, size_wh)
    assert chain.seen_wh(fixed_wh) == fixed_wh
    assert fixed_point_wh(chain, fixed_wh) == fixed_wh


def test_a_size_that_is_fixed_already_is_kept() -> None:
    chain = get_profile("rexthinker").chain
    assert fixed_point_wh(chain, (616, 448)) == (616, 448)


def test_where_the_chain_moves_its_own_output_the_nearest_fixed_neighbour_is_taken() -> None:
    # 100 x 100 is cut to 89 x 89; rounding to tens gives 90 x 90, which is above the limit and would be cut again.
    chain = ResizeChain((SqrtLimit(None, 8_000), SmartResize(10, 100, 1_000_000, "one-factor", "test")))
    assert chain.seen_wh((100, 100)) == (90, 90)
    assert chain.seen_wh((90, 90)) == (90, 90)
    chain = ResizeChain((SqrtLimit(None, 7_300), SmartResize(10, 100, 1_000_000, "one-factor", "test")))
    moved = [
        (w, h) for w in range(60, 200) for h in range(60, 200) if chain.seen_wh(seen := chain.seen_wh((w, h))) != seen
    ]
    assert moved, "the example no longer shows what it is for"
    for size_wh in moved[:50]:
        seen_w, seen_h = chain.seen_wh(size_wh)
        fixed = [
            (max(abs(w - seen_w) / seen_w, abs(h - seen_h) / seen_h), (w, h))
            for w in range(10, 400, 10)
            for h in range(10, 400, 10)
            if chain.seen_wh((w, h)) == (w, h)
        ]
        assert fixed_point_wh(chain, size_wh) == min(fixed)[1]


def test_a_size_that_the_trainer_refuses_is_refused() -> None:
    with pytest.raises(SizeRefusedError):
        fixed_point_wh(get_profile("rexthinker").chain, (28 * 300, 28))
