"""Boxes: ordered, inside the image, not degenerate."""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.record import BoxXYXY, Record

OUTSIDE_TOLERANCE_PX = 1.0
"""A detector's or an annotator's box may touch the border; a box further out is in the wrong frame or of another image."""


def iter_boxes(record: Record) -> Iterator[tuple[str, BoxXYXY]]:
    """Yield (where, xyxy) of every box of a record."""
    for name, regions in (("answer", record.answers), ("region", record.regions)):
        for index, region in enumerate(regions):
            if region.box is not None:
                yield f"{name} {index}", region.box.xyxy
    for index, candidate in enumerate(record.candidates or ()):
        yield f"candidate {index}", candidate.box.xyxy


def box_findings(record: Record, size_wh: SizeWH | None, *, severity: Severity = Severity.WARNING) -> Iterator[Finding]:
    """Yield findings on boxes that are inverted, degenerate or outside; outside only if the image's size is known."""
    for where, (x0, y0, x1, y1) in iter_boxes(record):
        if x1 < x0 or y1 < y0:
            code, message, expected = "box-inverted", f"{where} is inverted", "x0 < x1 and y0 < y1"
        elif x1 == x0 or y1 == y0:
            code, message, expected = "box-degenerate", f"{where} has no area", "x0 < x1 and y0 < y1"
        elif size_wh is not None and _is_outside((x0, y0, x1, y1), size_wh):
            code, message = "box-outside", f"{where} lies outside the image"
            expected = f"inside {size_wh[0]}x{size_wh[1]}"
        else:
            continue
        yield Finding(
            code=code,
            severity=severity,
            record=record.label,
            source=str(record.source),
            message=message,
            found=str([round(n, 3) for n in (x0, y0, x1, y1)]),
            expected=expected,
            fix="check the frame of the numbers (--source-frame) and the image",
        )


def _is_outside(box_xyxy: BoxXYXY, size_wh: SizeWH) -> bool:
    x0, y0, x1, y1 = box_xyxy
    slack = OUTSIDE_TOLERANCE_PX
    return x0 < -slack or y0 < -slack or x1 > size_wh[0] + slack or y1 > size_wh[1] + slack
