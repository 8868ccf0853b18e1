"""Detections survive on disk with all their digits, and only for the detector that made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundprep.detect.base import Detections
from groundprep.detect.ledger import Ledger, PairKey
from groundprep.errors import FormatError
from groundprep.geometry.boxes import as_boxes

CAT = PairKey("a" * 64, "katze.")
DOG = PairKey("a" * 64, "собака.")
FAR = PairKey("b" * 64, "katze.")
FINGERPRINT = {"kind": "test", "box_threshold": 0.25}


def found(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(as_boxes(np.float32(boxes)), np.linspace(0.3, 0.7, len(boxes)))


def test_what_was_added_is_found_again_with_every_digit(tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    cats = found((371.97064208984375, 1 / 3, 400.1, 21.7), (-0.5, 2.0, 3.0, 4.0))
    with Ledger(path, FINGERPRINT) as ledger:
        ledger.add([CAT, FAR], [cats, found()], splits=0)
        ledger.add([DOG], [found((1.1, 2.2, 3.3, 4.4))], splits=1)
        assert CAT in ledger
    with Ledger(path, FINGERPRINT) as again:
        read = again.get(CAT)
        assert read is not None
        assert read.boxes_N4.tolist() == cats.boxes_N4.tolist()
        assert read.scores_N.tolist() == cats.scores_N.tolist()
        nothing = again.get(FAR)
        assert nothing is not None
        assert nothing.boxes_N4.shape == (0, 4)
        assert (again.splits(CAT), again.splits(DOG)) == (0, 1)
        assert again.get(PairKey("b" * 64, "собака.")) is None


@given(cut=st.integers(min_value=0))
@example(cut=71)  # the header without its line end
@settings(max_examples=60, deadline=None)
def test_a_file_cut_at_any_byte_keeps_every_finished_batch_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "detections.jsonl"
    with Ledger(path, FINGERPRINT) as ledger:
        ledger.add([CAT], [found((1.5, 2.5, 3.5, 4.5))], splits=0)
        first_bytes = path.stat().st_size
        ledger.add([DOG, FAR], [found(), found((9.25, 1.0, 11.0, 2.0))], splits=0)
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    with Ledger(path, FINGERPRINT) as torn:
        assert (CAT in torn) == (cut >= first_bytes)
        assert (DOG in torn) == (cut == len(whole))
        if CAT not in torn:
            torn.add([CAT], [found((1.5, 2.5, 3.5, 4.5))], splits=0)
        if DOG not in torn:
            torn.add([DOG, FAR], [found(), found((9.25, 1.0, 11.0, 2.0))], splits=0)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("other", [{"kind": "test", "box_threshold": 0.3}, {"kind": "another", "box_threshold": 0.25}])
def test_a_ledger_of_another_detector_or_threshold_is_not_reused(tmp_path: Path, other: dict[str, object]) -> None:
    path = tmp_path / "detections.jsonl"
    with Ledger(path, FINGERPRINT) as ledger:
        ledger.add([CAT], [found()], splits=0)
    with Ledger(path, other) as replaced:
        assert replaced.replaced
        assert CAT not in replaced


def test_fresh_forgets_what_was_detected(tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    with Ledger(path, FINGERPRINT) as ledger:
        ledger.add([CAT], [found()], splits=0)
    with Ledger(path, FINGERPRINT, fresh=True) as fresh:
        assert CAT not in fresh
        assert not fresh.replaced


def test_a_run_that_finished_no_batch_leaves_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    with Ledger(path, FINGERPRINT):
        assert path.exists()
    assert not path.exists()


def test_damage_before_the_last_line_is_told_and_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    with Ledger(path, FINGERPRINT) as ledger:
        for key in (CAT, DOG, FAR):
            ledger.add([key], [found()], splits=0)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(FormatError) as caught:
        Ledger(path, FINGERPRINT)
    assert caught.value.code == "ledger-damaged"


def test_a_pair_is_marked_once_whether_known_or_not(tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    with Ledger(path, FINGERPRINT) as ledger:
        ledger.add([CAT], [found((1.0, 2.0, 3.0, 4.0))], splits=0)
        assert [ledger.mark(CAT), ledger.mark(CAT), ledger.mark(DOG), ledger.mark(DOG)] == [True, False, True, False]
        assert CAT in ledger
        assert DOG not in ledger
        ledger.add([DOG], [found()], splits=0)
        assert DOG in ledger
        assert not ledger.mark(DOG)
