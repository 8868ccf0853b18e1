from __future__ import annotations

from typing import Any

import pytest

from groundprep.checks.alignment import Alignment, Misplaced
from groundprep.checks.files import FileFrame, FrameSays, frame_findings, reads_as_is
from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.profile import Profile, RowFrame
from groundprep.source import Source
from groundprep.trainers import get_profile

EASYR1 = get_profile("easyr1")


def written_for(profile: Profile, **changes: Any) -> FileFrame:
    metadata = profile.as_metadata() | changes
    return FileFrame("é.parquet", profile.dialect, profile.container, RowFrame.of_profile(profile), "file", metadata)


def silent(profile: Profile, says: FrameSays = "nobody") -> FileFrame:
    return FileFrame("é.jsonl", profile.dialect, profile.container, RowFrame.of_profile(profile), says)


def codes(file: FileFrame, profile: str = "easyr1") -> list[str]:
    return [f"{finding.severity}[{finding.code}]" for finding in frame_findings(file, get_profile(profile))]


def test_a_file_that_was_written_for_this_trainer_gives_no_finding() -> None:
    assert codes(written_for(EASYR1)) == []


@pytest.mark.parametrize("name", ["easyr1", "vlmr1-ovd", "easydistill", "qwen2.5-vl", "vlmr1-seg"])
def test_other_limits_are_an_error_in_every_layout_whose_numbers_are_pixels_that_the_model_sees(name: str) -> None:
    profile = get_profile(name)
    assert codes(written_for(profile.with_limits(None, 400_000)), name) == ["error[frame-mismatch]"]
    assert codes(written_for(profile), name) == []


def test_limits_do_not_matter_to_numbers_in_stored_pixels() -> None:
    assert codes(written_for(get_profile("vlmr1").with_limits(None, 400_000)), "vlmr1") == []


def test_the_converter_frame_differs_from_the_trainers() -> None:
    profile = get_profile("rexthinker")
    (finding,) = frame_findings(written_for(profile.as_converter()), profile)
    assert finding.found == "rexthinker@5038b47, seen-truncated, 12544 to 1003520 pixels, smart-resize"
    assert (
        finding.expected == "rexthinker@5038b47, seen-truncated, 12544 to 1003520 pixels, sqrt-limit then smart-resize"
    )


def test_another_trainer_or_revision_with_the_same_numbers_is_a_warning() -> None:
    assert codes(written_for(EASYR1, revision="0000000")) == ["warning[frame-mismatch]"]
    assert codes(written_for(get_profile("rexomni-sft")), "rexomni-grpo") == ["warning[frame-mismatch]"]


def test_the_layout_of_another_loader_is_one_error_whatever_the_metadata() -> None:
    assert codes(written_for(EASYR1), "rexthinker") == ["error[frame-mismatch]"]
    assert codes(written_for(get_profile("rexthinker"))) == ["error[frame-mismatch]"]
    (finding,) = frame_findings(silent(EASYR1), get_profile("trl"))
    assert (finding.found or "").startswith("easyr1 rows, ")
    assert (finding.expected or "").startswith("trl rows, trl@1.16")


def test_a_file_that_nobody_speaks_for_is_a_warning_where_the_numbers_depend_on_the_trainer() -> None:
    assert codes(silent(EASYR1)) == ["warning[frame-unknown]"]
    assert codes(silent(get_profile("vlmr1-internvl")), "vlmr1-internvl") == ["warning[frame-unknown]"]
    assert codes(silent(EASYR1, "user")) == []
    assert codes(silent(get_profile("rexomni-sft"), "layout"), "rexomni-sft") == []


def test_a_frame_that_a_person_or_the_rows_name_must_be_the_trainers() -> None:
    tokens = silent(get_profile("qwen3-vl"), "layout")
    assert codes(tokens, "qwen3-vl") == []
    assert codes(tokens, "qwen2.5-vl") == ["error[frame-mismatch]"]
    xywh = FileFrame("é.jsonl", "vlmr1", "jsonl", RowFrame(FRAMES["pixels-xywh"]), "user")
    (finding,) = frame_findings(xywh, get_profile("vlmr1"))
    assert finding.found == "pixels-xywh"


def test_rows_that_are_converted_first_are_concerned_only_if_they_name_their_trainer() -> None:
    assert codes(FileFrame("é.jsonl", "rexthinker", "jsonl", RowFrame(PIXELS), "layout")) == []
    assert codes(written_for(EASYR1), "rexomni-sft") == ["warning[frame-mismatch]"]


def test_messages_say_how_far_the_boxes_are_off_and_where() -> None:
    alignment = Alignment()
    alignment.see(Misplaced(3.25, 8.04), Source("é.jsonl", 3))
    alignment.see(Misplaced(1.0, 0.5), Source("é.jsonl", 4))
    (finding,) = frame_findings(written_for(EASYR1.with_limits(None, 400_000)), EASYR1, alignment)
    assert "3.2 px beside, in é.jsonl:3" in finding.message
    (finding,) = frame_findings(silent(EASYR1), EASYR1, alignment)
    assert "8 px beside, in é.jsonl:3" in finding.message


def test_rows_are_judged_as_they_stand_where_the_trainer_reads_their_layout() -> None:
    assert reads_as_is("easydistill", "json", get_profile("easydistill"))
    assert reads_as_is("rexthinker-parquet", "parquet", EASYR1)
    assert not reads_as_is("rexthinker", "jsonl", EASYR1)
    assert reads_as_is("rexomni", "tsv", get_profile("rexomni-grpo"))
    assert not reads_as_is("rexomni", "jsonl", get_profile("rexomni-grpo"))


def test_a_person_may_name_another_box_layout_for_rows_that_are_converted_first() -> None:
    xywh = FileFrame("é", "rexomni", "jsonl", RowFrame(FRAMES["pixels-xywh"]), "user")
    assert codes(xywh, "rexomni-sft") == []
    assert codes(xywh._replace(container="tsv"), "rexomni-sft") == ["error[frame-mismatch]"]
