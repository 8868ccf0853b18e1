"""What every trainer profile promises. Subclass ProfileContract for a profile of your own and set `name`."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from groundprep.containers import CONTAINERS
from groundprep.dialects import DIALECTS
from groundprep.geometry.frames import FRAMES, Space
from groundprep.geometry.resize import SizeRefusedError
from groundprep.profile import Profile, RowFrame
from groundprep.trainers import PROFILES, get_profile

SIZES = ((640, 480), (500, 375), (1000, 1003), (1920, 1080), (61, 37), (4000, 3000), (333, 90))


class ProfileContract:
    """Tests that hold for every profile.

    Attributes:
        name: `name@revision` in the registry.
        factor: what both sides of the seen size are a multiple of.
    """

    name: ClassVar[str]
    factor: ClassVar[int] = 28

    @pytest.fixture
    def profile(self) -> Profile:
        return get_profile(self.name)

    def test_it_is_registered_under_its_full_name(self, profile: Profile) -> None:
        assert profile.full_name == self.name
        assert PROFILES[self.name] is profile
        assert profile.title

    def test_its_dialect_lives_in_its_container_and_shares_its_unit(self, profile: Profile) -> None:
        assert profile.container in CONTAINERS
        assert profile.container in DIALECTS[profile.dialect].containers
        # A row that can hold a whole image can hold one expression as well.
        assert DIALECTS[profile.dialect].unit in (profile.unit, "image")

    def test_its_metadata_survives_json_and_says_the_frame_of_its_rows(self, profile: Profile) -> None:
        for one in (profile, profile.as_converter(), profile.with_limits(20_000, 700_000)):
            metadata = json.loads(json.dumps(one.as_metadata()))
            assert RowFrame.from_metadata(metadata) == RowFrame.of_profile(one)
            assert metadata["frame"] in FRAMES
            assert (metadata["limits"]["min_pixels"], metadata["limits"]["max_pixels"]) == one.chain.limits

    def test_its_seen_size_is_that_of_its_chain_and_within_two_factors_of_the_shape(self, profile: Profile) -> None:
        for w, h in SIZES:
            seen_w, seen_h = profile.seen_wh((w, h))
            assert profile.chain.trace((w, h))[-1][1] == (seen_w, seen_h)
            assert seen_w % self.factor == seen_h % self.factor == 0
            assert abs(seen_w - w * seen_h / h) <= 2 * self.factor * max(1, w / h)

    def test_an_impossible_size_is_refused_not_rounded(self, profile: Profile) -> None:
        with pytest.raises(SizeRefusedError):
            profile.seen_wh((self.factor * 300, self.factor))

    def test_a_frame_of_seen_pixels_has_a_chain_and_no_other_frame_keeps_one(self, profile: Profile) -> None:
        assert (RowFrame.of_profile(profile).chain is not None) == (profile.frame.space is Space.SEEN)

    def test_its_launch_line_names_the_data(self, profile: Profile) -> None:
        # Qwen's trainer knows data by the name under which it was registered.
        assert not profile.launch or "{data}" in profile.launch or "--dataset_use" in profile.launch
