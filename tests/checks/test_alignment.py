from __future__ import annotations

from pathlib import Path

import pytest

from groundprep.checks.alignment import AlignmentWatch, misplaced
from groundprep.checks.base import Subject
from groundprep.geometry.frames import PIXELS
from groundprep.profile import Profile, RowFrame
from groundprep.trainers import get_profile
from tests.checks.trainer_rows import Bench

BOX = [300, 200, 640, 360]
EASYR1 = get_profile("easyr1")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def read_for(bench: Bench, size_wh: tuple[int, int], made_for: str, profile: str | Profile, row: int = 1) -> Subject:
    frame = RowFrame.of_profile(get_profile(made_for))
    return bench.subject(bench.hints([BOX], [BOX], size_wh), profile, frame=frame, row=row)


def error_px(subject: Subject) -> float:
    found = misplaced(subject)
    assert found is not None
    return found.error_px


def test_numbers_in_the_trainers_own_frame_are_where_they_say(bench: Bench) -> None:
    assert error_px(read_for(bench, (1920, 1080), "easyr1", "easyr1")) == 0.0


def test_the_drift_of_a_photo_between_two_trainers_is_measured_in_stored_pixels(bench: Bench) -> None:
    """Source: specs/rexthinker.md P2: 1920x1080 is seen as 1344x756 by Rex-Thinker and as 1932x1092 by EasyR1."""
    drift = error_px(read_for(bench, (1920, 1080), "rexthinker", "easyr1"))
    assert drift == pytest.approx(640.5 / 1344 * 1920 - 640.5 / 1932 * 1920)


@pytest.mark.parametrize(("size_wh", "drifts"), [((640, 480), False), ((500, 375), True), ((1000, 1003), False)])
def test_small_photos_drift_where_the_limits_differ(size_wh: tuple[int, int], drifts: bool, bench: Bench) -> None:
    """Source: specs/rexthinker.md P2, the columns of Rex-Thinker's and EasyR1's configurations."""
    assert (error_px(read_for(bench, size_wh, "rexthinker", "easyr1")) > 1) == drifts


def test_other_limits_of_the_same_trainer_drift(bench: Bench) -> None:
    limited = EASYR1.with_limits(None, 1_003_520)
    assert error_px(read_for(bench, (1920, 1080), "easyr1", limited)) > 100


def test_what_whole_numbers_and_bins_cannot_say_is_less_than_a_pixel_of_theirs(bench: Bench) -> None:
    rec = error_px(bench.subject(bench.asked([103.93, 299.99, 238.15, 477.41]), "vlmr1"))
    assert 0 < rec <= 0.51
    omni = error_px(bench.subject(bench.omni((1920, 1080), chien=[[100.5, 100.5, 300.2, 400.9]]), "rexomni-grpo"))
    assert 0 < omni <= 1920 / 999 / 2 + 1e-6


def test_a_box_that_reaches_out_of_the_image_counts_only_inside(bench: Bench) -> None:
    assert error_px(bench.subject(bench.omni((640, 480), chien=[[-50, 9, 900, 500]]), "rexomni-grpo")) <= 1


def test_where_nobody_says_the_frame_the_distance_to_stored_pixels_is_known(bench: Bench) -> None:
    found = misplaced(bench.subject(bench.labelled({"0": [[1000, 500, 1280, 720]]}), "easydistill"))
    assert found is not None
    assert found.error_px == 0.0
    assert found.if_stored_px == pytest.approx(1280 - 1280 / 1288 * 1280)
    stored = misplaced(bench.subject(bench.asked([1, 2, 30, 40]), "vlmr1", frame=RowFrame(PIXELS)))
    assert stored is not None
    assert stored.if_stored_px is None


def test_rows_without_boxes_have_no_alignment(bench: Bench) -> None:
    assert misplaced(bench.subject(bench.hints([], []), "easyr1")) is None


def test_the_largest_error_of_a_run_is_kept_with_its_first_place(bench: Bench) -> None:
    watch = AlignmentWatch()
    sizes = [(640, 480), (1920, 1080), (500, 375), (1920, 1080)]
    subjects = [read_for(bench, size, "rexthinker", "easyr1", row) for row, size in enumerate(sizes, start=1)]
    for subject in subjects:
        assert list(watch.see(watch.note([subject]))) == []
    data = watch.results(EASYR1)["alignment"]
    assert (data["rows"], data["where"]) == (4, "é.jsonl:2")
    assert data["max_error_px"] == pytest.approx(error_px(subjects[1]), abs=1e-3)
    whole = AlignmentWatch()
    whole.see(whole.note(subjects))
    assert whole.results(EASYR1) == watch.results(EASYR1)
    assert watch.of(["x", "é.jsonl"]) is not None
    assert watch.of(["x"]) is None
