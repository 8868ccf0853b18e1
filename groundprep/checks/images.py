"""Images: there, whole, of the size that the data claims, and stored upright."""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.record import Record

SIZE_DIFFERS = Rule("size-differs", Severity.ERROR, "the data claims another image size than the image has")
EXIF_ROTATED = Rule(
    "exif-rotated", Severity.WARNING, "the image has an EXIF rotation, which some loaders apply and boxes do not follow"
)


def image_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on every image of a record; what is broken carries the code of the error that reading it raises."""
    for index, verdict in enumerate(subject.verdicts):
        if verdict.problem is not None:
            yield Finding(
                severity=Severity.ERROR,
                record=subject.record.label,
                source=str(subject.record.source),
                **verdict.problem,
            )
            continue
        declared_wh = declared_size_wh(subject.record, index)
        if declared_wh is not None and verdict.size_wh is not None and declared_wh != verdict.size_wh:
            yield subject.finding(
                SIZE_DIFFERS,
                "the image has another size than the data says",
                found="{}x{}".format(*verdict.size_wh),
                expected="{}x{} (as declared)".format(*declared_wh),
                fix="the boxes may belong to a resized copy: find the original image",
            )
        if verdict.orientation != 1:
            yield subject.finding(
                EXIF_ROTATED,
                "the image has an EXIF rotation: loaders that apply it move it away under its boxes",
                found=f"orientation {verdict.orientation}",
                expected="1 or none",
                fix="store the image upright",
            )


def declared_size_wh(record: Record, index: int) -> SizeWH | None:
    """Return the (width, height) that the data claims for one of a record's images, or None."""
    declared = record.images[index].declared_size_wh
    if declared is not None:
        return declared
    width, height = record.extra.get("width"), record.extra.get("height")
    if len(record.images) == 1 and type(width) is int and type(height) is int:
        return width, height
    return None
