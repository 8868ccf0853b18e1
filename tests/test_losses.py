"""The loss report: counts add up whatever the batches, and nothing lost is called lossless."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.losses import Losses

steps = st.lists(
    st.tuples(
        st.sampled_from(["kept", "renamed", "rounded", "lost", "added"]), st.sampled_from("ab"), st.integers(0, 3)
    ),
    max_size=20,
)


def play(losses: Losses, some: list[tuple[str, str, int]]) -> Losses:
    for kind, name, count in some:
        if kind == "rounded":
            losses.rounded(name, count / 4)
        else:
            getattr(losses, kind)(name, count)
    return losses


@given(steps, st.integers(0, 20))
def test_batches_add_up_to_the_whole(some: list[tuple[str, str, int]], cut: int) -> None:
    whole, first, second = (play(Losses(), part) for part in (some, some[:cut], some[cut:]))
    first.add(second)
    assert first.as_data() == whole.as_data()
    assert whole.is_lossless == all(kind in ("kept", "renamed", "added") or count == 0 for kind, _, count in some)


def test_rounding_by_nothing_is_keeping_and_the_largest_error_is_remembered() -> None:
    losses = play(Losses(), [("rounded", "a", 0), ("rounded", "a", 3), ("rounded", "a", 1)])
    assert losses.as_data()["a"] == {
        "kept": 1,
        "renamed": 0,
        "rounded": 2,
        "lost": 0,
        "largest_error_px": 0.75,
        "added": 0,
    }


def test_what_the_target_had_to_add_is_no_loss_and_is_counted() -> None:
    losses = play(Losses(), [("added", "id", 2), ("added", "id", 0), ("added", "category", 0)])
    assert {name: loss["added"] for name, loss in losses.as_data().items()} == {"id": 2}
    assert losses.is_lossless
