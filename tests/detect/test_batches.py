"""The batch plan is a function of the input, nothing in a batch is padded, and every pair is detected once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundprep.detect.batches import LOOK_AHEAD_BATCHES, DetectionRun, Pair, detect_halving, plan_batches
from groundprep.detect.ledger import Ledger, PairKey
from groundprep.errors import OutOfMemoryError
from groundprep.images import BytesImage, ImageRef
from tests.detect.colour_detector import COLOURS, ColourDetector

SIZES_WH = [(61, 37), (37, 61), (80, 20)]


def pair(number: int, size_wh: tuple[int, int] = (61, 37), prompt: str = "red.", data: bytes = b"") -> Pair:
    return Pair(PairKey(f"{number:04x}" * 16, prompt), ImageRef(None, BytesImage(data)), size_wh)


def picture(size_wh: tuple[int, int]) -> bytes:
    image = Image.new("RGB", size_wh, "white")
    image.paste(COLOURS["red"], (11, 5, 30, 17))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@given(
    kinds=st.lists(st.tuples(st.sampled_from(SIZES_WH), st.sampled_from(["red.", "blue."])), max_size=300),
    batch_size=st.integers(1, 4),
)
def test_every_pair_is_in_one_batch_of_its_own_size_and_prompt(
    kinds: list[tuple[tuple[int, int], str]], batch_size: int
) -> None:
    pairs = [pair(i, size_wh, prompt) for i, (size_wh, prompt) in enumerate(kinds)]
    batches = list(plan_batches(iter(pairs), batch_size))
    assert sorted(p.key.image for batch in batches for p in batch) == [p.key.image for p in pairs]
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert all(len({(p.size_wh, p.key.prompt) for p in batch}) == 1 for batch in batches)
    assert batches == list(plan_batches(pairs, batch_size))


def test_a_pair_of_a_rare_size_does_not_wait_for_ever() -> None:
    taken = 0

    def pairs():  # noqa: ANN202
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield pair(number, (number + 1, 7))

    first = next(plan_batches(pairs(), 4))
    assert [p.size_wh for p in first] == [(1, 7)]
    assert taken == 4 * LOOK_AHEAD_BATCHES


def test_equal_pairs_are_detected_once_and_known_ones_not_again(tmp_path: Path) -> None:
    data = picture((61, 37))
    pairs = [pair(i % 3, data=data) for i in range(9)] + [pair(0, prompt="blue.", data=data)]
    detector = ColourDetector()
    with Ledger(tmp_path / "l.jsonl", detector.fingerprint) as ledger:
        run = DetectionRun(detector, ledger, 2)
        run(iter(pairs))
    assert sum(map(len, detector.forwards)) == 4
    assert (run.counts.pairs, run.counts.images, run.counts.forwards, run.counts.reused, run.counts.boxes) == (
        4,
        3,
        4,
        0,
        6,
    )
    with Ledger(tmp_path / "l.jsonl", detector.fingerprint) as ledger:
        again = DetectionRun(detector, ledger, 2)
        again([*pairs, pair(7, data=data)])
    assert (again.counts.pairs, again.counts.forwards, again.counts.reused, again.counts.boxes) == (5, 1, 4, 8)


def test_a_broken_image_fails_its_own_pair_only(tmp_path: Path) -> None:
    data = picture((61, 37))
    broken = pair(1, data=data[: len(data) // 2])
    detector = ColourDetector()
    with Ledger(tmp_path / "l.jsonl", detector.fingerprint) as ledger:
        run = DetectionRun(detector, ledger, 3)
        run([pair(0, data=data), broken, pair(2, data=data)])
        assert broken.key not in ledger
        assert pair(0).key in ledger
        assert pair(2).key in ledger
    assert [error.code for error in run.failures.values()] == ["image-broken"]
    assert (run.counts.failed, run.counts.forwards) == (1, 2)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(tmp_path: Path) -> None:
    data = picture((61, 37))
    pairs = [pair(i, data=data) for i in range(5)]
    small, large = ColourDetector(largest_batch=2), ColourDetector()
    with Ledger(tmp_path / "s.jsonl", small.fingerprint) as ledger:
        run = DetectionRun(small, ledger, 5)
        run(pairs)
        assert [len(batch) for batch in small.forwards] == [2, 1, 2]
        assert run.counts.split_batches == 1
        halved = [ledger.get(p.key) for p in pairs]
    with Ledger(tmp_path / "l.jsonl", large.fingerprint) as ledger:
        DetectionRun(large, ledger, 5)(pairs)
        whole = [ledger.get(p.key) for p in pairs]
    for a, b in zip(halved, whole, strict=True):
        assert a is not None
        assert b is not None
        assert np.array_equal(a.boxes_N4, b.boxes_N4)


def test_an_image_that_does_not_fit_alone_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError):
        detect_halving(ColourDetector(largest_batch=0), [Image.new("RGB", (61, 37))] * 2, ["red."] * 2)
