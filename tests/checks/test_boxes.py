from __future__ import annotations

from dataclasses import replace

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.boxes import (
    OUTSIDE_TOLERANCE_PX,
    box_findings,
    geometry_findings,
    iter_boxes,
    point_findings,
    repeated_box_findings,
)
from groundprep.checks.verdicts import Verdict
from groundprep.finding import Severity
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, BoxXYXY, Candidate, Keypoints, Point, Polygon, Record, Region
from groundprep.source import Source

SIZE_WH = (61, 37)
INSIDE = (7.5, 3.0, 40.0, 21.0)


def record(*boxes: BoxXYXY, candidates: tuple[Candidate, ...] = (), regions: tuple[Region, ...] = ()) -> Record:
    answers = tuple(Region(phrase="garçon", box=Box(box)) for box in boxes)
    images = (ImageRef("é.jpg", FileImage("é.jpg")), ImageRef("ü.jpg", FileImage("ü.jpg")))
    return Record(
        Source("a.jsonl", 3), id="x-7", images=images, answers=answers, candidates=candidates, regions=regions
    )


@pytest.mark.parametrize(
    ("box", "code", "fix"),
    [
        ((40.0, 3.0, 7.5, 21.0), "box-inverted", "exchange the corners"),
        ((7.5, 21.0, 40.0, 3.0), "box-inverted", "exchange the corners"),
        ((7.5, 3.0, 7.5, 21.0), "box-degenerate", "correct or remove the box"),
        ((7.5, 3.0, 40.0, 3.0), "box-degenerate", "correct or remove the box"),
        ((-1.5, 3.0, 40.0, 21.0), "box-outside", "correct the box"),
        ((7.5, -1.5, 40.0, 21.0), "box-outside", "correct the box"),
        ((7.5, 3.0, 62.5, 21.0), "box-outside", "correct the box"),
        ((7.5, 3.0, 40.0, 38.5), "box-outside", "correct the box"),
    ],
)
def test_each_fault_of_a_box_has_its_code_and_its_fix_and_names_the_box(box: BoxXYXY, code: str, fix: str) -> None:
    (finding,) = box_findings(record(INSIDE, box), SIZE_WH)
    assert (finding.code, finding.record, finding.source) == (code, "x-7", "a.jsonl:3")
    assert finding.message.startswith("answer 1 ")
    assert str(finding.fix).startswith(fix)
    assert finding.found == str(list(box))


def test_a_box_may_touch_the_border_and_pass_it_by_the_tolerance() -> None:
    slack = OUTSIDE_TOLERANCE_PX
    assert list(box_findings(record((0, 0, 61, 37), (-slack, -slack, 61 + slack, 37 + slack)), SIZE_WH)) == []


def test_nothing_is_outside_an_image_of_unknown_size() -> None:
    assert list(box_findings(record((0, 0, 6100, 3700)))) == []
    assert list(box_findings(record((0, 0, 6100, 3700)), None)) == []


def test_candidates_and_regions_are_looked_at_too_each_in_its_own_image() -> None:
    wide = Box((50.0, 3.0, 90.0, 21.0))
    both = record(
        candidates=(Candidate(wide), Candidate(wide, image=1)), regions=(Region("é", wide, image=1), Region("é", wide))
    )
    found = [finding.message for finding in box_findings(both, SIZE_WH, (100, 40))]
    assert found == ["region 1 lies outside the image", "candidate 0 lies outside the image"]
    assert [where for where, _ in iter_boxes(both)] == ["region 0", "region 1", "candidate 0", "candidate 1"]


def test_a_conversion_warns_and_validate_calls_it_an_error() -> None:
    bad = record((40.0, 3.0, 7.5, 21.0))
    assert [finding.severity for finding in box_findings(bad, SIZE_WH)] == [Severity.WARNING]
    assert [finding.severity for finding in box_findings(bad, SIZE_WH, severity=Severity.ERROR)] == [Severity.ERROR]


def test_points_and_polygons_must_lie_inside() -> None:
    good, bad = Point((60.5, 36.5)), Point((60.5, 39.0))
    ring, far = (1.0, 2.0, 30.0, 2.0, 30.0, 30.0), (1.0, 2.0, 30.0, 2.0, 30.0, 99.0)
    regions = (Region("a", point=good), Region("b", point=bad), Region("c", polygon=Polygon((ring, far))))
    found = [(finding.code, finding.message) for finding in point_findings(record(regions=regions), SIZE_WH)]
    assert found == [
        ("point-outside", "the point of region 1 lies outside the image"),
        ("point-outside", "the polygon of region 2 lies outside the image"),
    ]
    assert list(point_findings(record(regions=regions), None)) == []


def test_keypoints_that_are_seen_must_lie_inside_and_absent_ones_lie_nowhere() -> None:
    inside = Keypoints(((0.0, 0.0, 0), (60.5, 36.5, 2), (-900.0, 3.0, 0)))
    outside = Keypoints(((7.0, 3.0, 2), (7.0, 39.0, 1)))
    regions = (Region("a", keypoints=inside), Region("b", keypoints=outside))
    found = [finding.message for finding in point_findings(record(regions=regions), SIZE_WH)]
    assert found == ["the keypoint 1 of region 1 lies outside the image"]


def test_what_lies_in_the_declared_size_is_no_second_finding_beside_the_size() -> None:
    def codes(*boxes: BoxXYXY, declared: tuple[int, int] | None) -> list[str]:
        plain = record(*boxes)
        images = tuple(replace(ref, declared_size_wh=declared) for ref in plain.images)
        subject = Subject(replace(plain, images=images), (Verdict(SIZE_WH), Verdict(SIZE_WH)))
        return [finding.code for finding in geometry_findings(subject)]

    wide = (7.5, 3.0, 100.0, 21.0)
    assert codes(wide, declared=None) == codes(wide, declared=SIZE_WH) == ["box-outside"]
    assert codes(wide, declared=(122, 74)) == []
    assert codes((7.5, 3.0, 140.0, 21.0), declared=(122, 74)) == ["box-outside"]
    assert codes((40.0, 3.0, 7.5, 21.0), declared=(122, 74)) == ["box-inverted"]


def test_a_repeated_box_is_a_warning_unless_its_phrase_is_another() -> None:
    repeated = record(INSIDE, (1, 2, 3, 4), INSIDE)
    (finding,) = repeated_box_findings(repeated)
    assert (finding.code, finding.severity, finding.message) == ("box-repeated", "warning", "answer 2 repeats answer 0")
    two_phrases = record(regions=(Region("chien", Box(INSIDE)), Region("animal", Box(INSIDE))))
    assert list(repeated_box_findings(two_phrases)) == []
