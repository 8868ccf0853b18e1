"""Chebyshev shapes of VLM-R1's segmentation fork: worth learning, and readable by the reward."""

from __future__ import annotations

import json
from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.shapes import draws_shapes, shape_as_read_findings, shape_findings
from groundprep.checks.verdicts import Verdict
from groundprep.geometry.frames import PIXELS
from groundprep.images import FileImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

PROFILE = get_profile("vlmr1-seg")
STORED_WH = (641, 427)
SEEN_WH = PROFILE.seen_wh(STORED_WH)
GOOD = {"centre": [50.5, 40.0], "coeffs": [19.9959, 0.4964, 0.1], "size": [SEEN_WH[1], SEEN_WH[0]]}


def row(shape: dict[str, Any], **keys: Any) -> dict[str, Any]:
    question = "<image>What is the segmentation polynomial coordinates of the vélo."
    answer = f"<answer>{json.dumps(shape)}</answer>"
    return {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]} | keys


def record(value: dict[str, Any], *regions: Region) -> Record:
    plain = Record(
        Source("é.jsonl", 3), images=(ImageRef("é.jpg", FileImage("é.jpg")),), referring="vélo", answers=regions
    )
    return plain.with_origin("vlmr1-seg", value, RowFrame(PIXELS))


def codes(value: dict[str, Any], *regions: Region) -> list[str]:
    subject = Subject(record(value, *regions), (Verdict(STORED_WH),), PROFILE, value)
    return [finding.code for finding in shape_findings(subject)]


def codes_as_read(value: dict[str, Any]) -> list[str]:
    return [finding.code for finding in shape_as_read_findings(Subject(record(value), (Verdict(STORED_WH),)))]


def test_a_good_shape_gives_nothing() -> None:
    assert SEEN_WH != STORED_WH
    assert codes(row(GOOD)) == codes(row(GOOD, mask_iou=0.97)) == codes(row(GOOD, mask_iou=0.8)) == []
    assert draws_shapes(PROFILE)
    assert not draws_shapes(get_profile("vlmr1"))


def test_a_shape_that_draws_its_mask_badly_is_a_warning() -> None:
    subject = Subject(record(row(GOOD)), (Verdict(STORED_WH),), PROFILE, row(GOOD, mask_iou=0.57))
    (finding,) = shape_findings(subject)
    assert (finding.code, finding.severity, finding.found) == ("mask-iou-low", "warning", "0.57")


def test_a_centre_on_the_border_is_a_warning() -> None:
    for centre in ([0.0, 0.0], [0.99, 40.0], [50.0, SEEN_WH[1] - 1.0]):
        assert codes(row(GOOD | {"centre": centre})) == ["mask-border-centre"]
    assert codes(row(GOOD | {"centre": [1.0, 1.0]})) == []


def test_a_shape_without_the_size_of_its_image_earns_nothing() -> None:
    without = {key: value for key, value in GOOD.items() if key != "size"}
    assert codes(row(without)) == ["shape-size-missing"]
    assert codes(row(without | {"sizeHW": GOOD["size"]})) == []
    assert codes_as_read(row(without)) == ["shape-size-missing"]


def test_the_size_must_be_that_of_the_image_as_seen_or_as_stored() -> None:
    assert codes(row(GOOD | {"size": [STORED_WH[1], STORED_WH[0]]})) == []
    assert codes(row(GOOD | {"size": list(SEEN_WH)})) == ["mask-size"]
    assert codes_as_read(row(GOOD | {"size": [427, 641]})) == []
    assert codes_as_read(row(GOOD)) == ["mask-size"]  # the file says that its numbers are stored pixels


def test_a_crowd_is_a_warning() -> None:
    assert codes(row(GOOD), Region("vélo", extra={"iscrowd": 1})) == ["mask-crowd"]
    assert codes(row(GOOD), Region("vélo", extra={"iscrowd": 0})) == []


def test_other_answers_are_left_to_others() -> None:
    assert codes(row({"polygon": [1, 2, 3, 4, 5, 9]})) == codes(row({"mask_path": "é.png"})) == []
    assert codes_as_read(row({"polygon": [1, 2, 3, 4, 5, 9]})) == []
