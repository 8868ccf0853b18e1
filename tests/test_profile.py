"""Frames of files: equal where the numbers mean the same, and readable only from honest metadata."""

from __future__ import annotations

from typing import Any

import pytest

from groundprep.errors import SchemaError
from groundprep.geometry.frames import FRAMES, PIXELS, SEEN_TRUNCATED
from groundprep.profile import RowFrame
from groundprep.trainers import get_profile


def test_pixels_are_pixels_whatever_trainer_they_were_written_for() -> None:
    chain = get_profile("easyr1").chain
    assert RowFrame(PIXELS, chain) == RowFrame(PIXELS)
    assert RowFrame(PIXELS, chain).seen_wh((61, 37)) is None


def test_seen_pixels_of_two_trainers_are_not_the_same() -> None:
    trainer = get_profile("rexthinker")
    assert RowFrame.of_profile(trainer) != RowFrame.of_profile(trainer.as_converter())
    assert RowFrame.of_profile(trainer) != RowFrame.of_profile(trainer.with_limits(None, 500_000))
    assert RowFrame.of_profile(trainer).seen_wh((1920, 1080)) == (1344, 756)
    assert RowFrame.of_profile(trainer.as_converter()).seen_wh((1920, 1080)) == (1316, 728)


def test_a_budget_keeps_the_defaults_that_the_user_does_not_name() -> None:
    trainer = get_profile("rexthinker")
    own = trainer.with_budget(prompt_tokens=512, batch_rows=64)
    assert (own.budget.prompt_tokens, own.budget.batch_rows, own.budget.batch_named) == (512, 64, True)
    assert (own.budget.response_tokens, own.budget.over) == (trainer.budget.response_tokens, "cuts")
    assert trainer.with_budget() == trainer
    assert own.as_metadata() == trainer.as_metadata()  # no property of the file


BROKEN = [
    {}, [], "x", 7, None, {"frame": "nonsense", "chain": []}, {"frame": "pixels"}, {"frame": ["x"], "chain": []},
    {"frame": "seen-truncated", "chain": [{"op": "crop"}]},
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_metadata_of_another_shape_is_refused(broken: Any) -> None:
    with pytest.raises(SchemaError, match="metadata"):
        RowFrame.from_metadata(broken)


def test_the_frames_that_code_names_are_in_the_registry() -> None:
    assert FRAMES["pixels"] is PIXELS
    assert FRAMES["seen-truncated"] is SEEN_TRUNCATED
