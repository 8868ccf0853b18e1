"""The map from image to offset: it forgets nothing and stays under 64 bytes an image, even while it grows."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from groundprep.containers.offsets import IS_PENDING, OffsetIndex, digest_of

names = st.text(max_size=3) | st.tuples(st.text(max_size=2), st.integers(0, 9))
steps = st.lists(st.tuples(names, st.none() | st.integers(0, 2**47)), max_size=60)


@given(steps)
def test_it_behaves_as_a_dictionary(steps: list[tuple[object, int | None]]) -> None:
    index, model = OffsetIndex(), {}
    for name, offset in steps:
        digest = digest_of(name)
        if offset is None:
            assert index.reserve(digest) == (name not in model)
            model.setdefault(name, IS_PENDING)
        else:
            index.set(digest, offset)
            model[name] = offset
        assert len(index) == len(model)
    assert {name: index.get(digest_of(name)) for name, _ in steps} == model
    assert index.get(digest_of("no such image")) is None


def test_it_forgets_nothing_while_it_grows_and_costs_at_most_64_bytes_an_image_at_its_peak() -> None:
    tracemalloc.start()
    index = OffsetIndex()
    worst = 0.0
    for number in range(30_000):
        tracemalloc.reset_peak()
        index.set(digest_of(("bilder/straße.tsv", number)), number * 1_000_003)
        if number >= 8192:  # below that, what a coverage tool allocates would count
            worst = max(worst, tracemalloc.get_traced_memory()[1] / number)
    tracemalloc.stop()
    assert worst <= 64
    assert len(index) == 30_000
    assert all(index.get(digest_of(("bilder/straße.tsv", n))) == n * 1_000_003 for n in range(0, 30_000, 7))


def test_offset_zero_is_an_offset() -> None:
    index = OffsetIndex()
    index.set(digest_of("é"), 0)
    assert index.get(digest_of("é")) == 0


def test_a_reservation_is_told_from_the_largest_offset() -> None:
    index = OffsetIndex()
    index.reserve(digest_of("é"))
    index.set(digest_of("狗"), 2**48 - 3)
    assert index.get(digest_of("é")) == IS_PENDING
    assert index.get(digest_of("狗")) == 2**48 - 3 != IS_PENDING


def test_digests_depend_on_all_of_a_key_and_bytes_stand_for_themselves() -> None:
    assert digest_of(("a", 1)) != digest_of(("a", 2)) != digest_of("a")
    assert len(digest_of(b"x" * 16)) == 12
