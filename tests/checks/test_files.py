from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.files import profile_findings
from groundprep.trainers import get_profile

EASYR1 = get_profile("easyr1")


def codes(
    metadata: dict[str, Any] | None, *, dialect: str = "easyr1", profile: str = "easyr1", named: bool = False
) -> list[str]:
    found = profile_findings("é.parquet", dialect, metadata, get_profile(profile), frame_named=named)
    return [f"{finding.severity}[{finding.code}]" for finding in found]


def test_a_file_that_was_written_for_this_trainer_gives_no_finding() -> None:
    assert codes(EASYR1.as_metadata()) == []


@pytest.mark.parametrize(
    "metadata",
    [
        EASYR1.with_limits(None, 1_000_000).as_metadata(),
        EASYR1.as_metadata() | {"revision": "0000000"},
        EASYR1.as_metadata() | {"frame": "seen-rounded"},
        EASYR1.as_metadata() | {"chain": []},
        get_profile("rexthinker").as_metadata(),
        {},
        {"limits": 3, "chain": "x"},
    ],
)
def test_every_difference_that_moves_a_box_is_an_error(metadata: dict[str, Any]) -> None:
    assert codes(metadata) == ["error[profile-differs]"]


def test_the_converter_frame_differs_from_the_trainers() -> None:
    profile = get_profile("rexthinker")
    (finding,) = profile_findings(
        "é.parquet", "rexthinker-parquet", profile.as_converter().as_metadata(), profile, frame_named=False
    )
    assert finding.found == "rexthinker@5038b47, 12544 to 1003520 pixels, smart-resize"
    assert finding.expected == "rexthinker@5038b47, 12544 to 1003520 pixels, sqrt-limit then smart-resize"


def test_the_layout_of_another_loader_is_an_error_whatever_the_metadata() -> None:
    metadata = get_profile("rexthinker").as_metadata()
    assert codes(metadata, profile="rexthinker") == ["error[profile-differs]"]


def test_a_file_without_metadata_is_a_warning_unless_the_frame_was_named() -> None:
    assert codes(None) == ["warning[profile-unknown]"]
    assert codes(None, named=True) == []


def test_rows_that_are_converted_first_and_trainers_of_stored_pixels_are_not_concerned() -> None:
    assert codes(None, dialect="rexthinker") == []
    assert codes(EASYR1.as_metadata(), profile="rexomni-sft") == []
