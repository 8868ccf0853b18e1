from __future__ import annotations

from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.refcoco_rows import refcoco_findings
from groundprep.checks.verdicts import Verdict
from groundprep.containers.base import Row
from groundprep.dialects import ReadContext, get_dialect
from groundprep.finding import Finding
from groundprep.geometry.frames import FRAMES, PIXELS, Frame
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.profile import RowFrame
from groundprep.source import Source

SIZE_WH = (427, 640)
ROW: dict[str, Any] = {
    "image": "é.jpg",
    "problem": "Please provide the bounding box coordinate of the region this sentence describes: la dame.",
    "solution": [103.93, 299.99, 238.15, 477.41],
    "normalized_solution": [243, 468, 557, 745],
    "bbox_list": [[103.93, 299.99, 237.15, 476.41]],
}
"""The numbers of the record that issue 11 of VLM-R1 shows; specs/vlmr1_easydistill.md §1.3."""


def check(frame: Frame = PIXELS, size_wh: tuple[int, int] | None = SIZE_WH, **changes: Any) -> list[Finding]:
    value = {key: item for key, item in (ROW | changes).items() if item is not None}
    context = ReadContext(ImageRoot(None, "."), ImageLoader(), RowFrame(PIXELS))
    record = get_dialect("vlmr1-refcoco").parse(Row(Source("é.json", 3), value), context)
    record = record.with_origin("vlmr1-refcoco", value, RowFrame(frame))
    return list(refcoco_findings(Subject(record, (Verdict(size_wh),))))


def test_the_published_record_follows_from_its_box() -> None:
    assert check() == []


def test_rounding_to_the_nearest_instead_of_down_is_no_defect() -> None:
    assert check(normalized_solution=[243, 469, 558, 746]) == []


def test_a_derived_key_of_another_box_is_a_warning() -> None:
    (finding,) = check(normalized_solution=[243, 468, 600, 745])
    assert (finding.code, finding.severity, finding.source) == ("derived-differs", "warning", "é.json:3")
    assert finding.expected == "[243, 468, 557, 745] (1000 / 427 x 640)"
    (finding,) = check(bbox_list=[[103.93, 299.99, 134.22, 177.42]])  # width and height
    assert (finding.code, finding.message) == ("derived-differs", "bbox_list does not follow from solution")


def test_a_solution_that_is_normalised_itself_is_an_error_and_no_two() -> None:
    (finding,) = check(solution=[243, 468, 557, 745])
    assert (finding.code, finding.severity) == ("solution-normalised", "error")
    assert finding.fix == "read the file with --source-frame rel1000-truncated"


def test_in_an_image_of_1000_pixels_both_are_the_same() -> None:
    numbers = [243, 468, 557, 745]
    assert check(solution=numbers, normalized_solution=numbers, bbox_list=None, size_wh=(1000, 1000)) == []


def test_nothing_is_said_without_the_keys_the_size_or_pixels() -> None:
    assert check(normalized_solution=None, bbox_list=None) == []
    assert check(normalized_solution=[1, 2, 3, 4], size_wh=None) == []
    assert check(FRAMES["rel1000-truncated"], normalized_solution=[1, 2, 3, 4]) == []
