"""Geometry: boxes ordered, inside the image, not degenerate, stated once; points, keypoints and polygons inside.

Numbers that are not finite never get this far: they are errors of their row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.images import declared_size_wh
from groundprep.errors import shown
from groundprep.finding import Finding, PartFinding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.record import BoxXYXY, Record, Region

RULES = (
    Rule("box-inverted", Severity.ERROR, "a box ends before it starts", suppresses=REWARD_VERDICTS),
    Rule("box-degenerate", Severity.ERROR, "a box has no area", suppresses=REWARD_VERDICTS),
    Rule(
        "box-outside",
        Severity.ERROR,
        "a box lies outside its image",
        suppresses=(*REWARD_VERDICTS, "box-collapsed"),  # nothing is left of it inside
    ),
    Rule("point-outside", Severity.ERROR, "a point, keypoint or polygon lies outside its image"),
    Rule("box-repeated", Severity.WARNING, "a phrase's box is stated twice"),
)

OUTSIDE_TOLERANCE_PX = 1.0
"""A detector's or an annotator's box may touch the border; a box further out is in the wrong frame or of another image."""

FIXES = {
    "box-inverted": "exchange the corners (`validate --fix OUT` does), or check --source-frame if many are",
    "box-degenerate": "correct or remove the box",
    "box-outside": "correct the box (`validate --fix OUT` cuts one that lies mostly inside), "
    "or check the image and --source-frame",
    "point-outside": "correct the point or outline, or check the image and --source-frame",
}


def geometry_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what `validate` says of a record's boxes, points and outlines as they were read."""
    sizes_wh = _sizes_to_lie_in(subject)
    yield from box_findings(subject.record, *sizes_wh, severity=Severity.ERROR)
    yield from point_findings(subject.record, *sizes_wh)
    yield from repeated_box_findings(subject.record)


def _sizes_to_lie_in(subject: Subject) -> list[SizeWH | None]:
    """Return the (width, height) to lie in; where the data declares another size than the image has, the larger sides.

    That size is a finding of its own (`size-differs`), and boxes that lie outside because of it are no second fault.
    """
    sizes_wh = list(subject.sizes_wh)
    for index, size_wh in enumerate(sizes_wh):
        declared_wh = declared_size_wh(subject.record, index)
        if size_wh is not None and declared_wh is not None and declared_wh != size_wh:
            sizes_wh[index] = max(size_wh[0], declared_wh[0]), max(size_wh[1], declared_wh[1])
    return sizes_wh


def iter_boxes(record: Record) -> Iterator[tuple[str, BoxXYXY]]:
    """Yield (where, xyxy) of every box of a record."""
    for where, box_xyxy, _ in _iter_placed_boxes(record):
        yield where, box_xyxy


def _iter_regions(record: Record) -> Iterator[tuple[str, Region]]:
    for name, regions in (("answer", record.answers), ("region", record.regions)):
        for index, region in enumerate(regions):
            yield f"{name} {index}", region


def _iter_placed_boxes(record: Record) -> Iterator[tuple[str, BoxXYXY, int]]:
    for where, region in _iter_regions(record):
        if region.box is not None:
            yield where, region.box.xyxy, region.image
    for index, candidate in enumerate(record.candidates or ()):
        yield f"candidate {index}", candidate.box.xyxy, candidate.image


def box_findings(record: Record, *sizes_wh: SizeWH | None, severity: Severity = Severity.WARNING) -> Iterator[Finding]:
    """Yield findings on boxes that are inverted, degenerate or outside.

    Args:
        record: any record.
        sizes_wh: (width, height) of its images, in order; None or missing where unknown: then nothing is outside.
        severity: of the findings; a conversion warns, `validate` calls them errors.
    """
    for where, (x0, y0, x1, y1), image in _iter_placed_boxes(record):
        size_wh = _size_of(image, sizes_wh)
        if x1 < x0 or y1 < y0:
            code, message, expected = "box-inverted", f"{where} is inverted", "x0 < x1 and y0 < y1"
        elif x1 == x0 or y1 == y0:
            code, message, expected = "box-degenerate", f"{where} has no area", "x0 < x1 and y0 < y1"
        elif size_wh is not None and _is_outside((x0, y0, x1, y1), size_wh):
            code, message = "box-outside", f"{where} lies outside the image"
            expected = f"inside {size_wh[0]}x{size_wh[1]}"
        else:
            continue
        yield PartFinding(
            code=code,
            severity=severity,
            record=record.label,
            source=str(record.source),
            message=message,
            found=_shown((x0, y0, x1, y1)),
            expected=expected,
            fix=FIXES[code],
            about=where,
        )


def point_findings(record: Record, *sizes_wh: SizeWH | None) -> Iterator[Finding]:
    """Yield an error for every point, keypoint or ring outside its image, where the image's size is known.

    Keypoints that are absent (visibility 0) have no place.
    """
    for where, region in _iter_regions(record):
        size_wh = _size_of(region.image, sizes_wh)
        if size_wh is None:
            continue
        shapes: list[tuple[str, Sequence[float]]] = [] if region.point is None else [("point", region.point.xy)]
        if region.polygon is not None and not _is_curve(region):
            shapes += [("polygon", ring) for ring in region.polygon.rings]
        if region.keypoints is not None:
            shapes += [(f"keypoint {i}", (x, y)) for i, (x, y, v) in enumerate(region.keypoints.points) if v]
        for name, numbers in shapes:
            xs, ys = numbers[0::2], numbers[1::2]
            if _is_outside((min(xs), min(ys), max(xs), max(ys)), size_wh):
                yield Finding(
                    code="point-outside",
                    severity=Severity.ERROR,
                    record=record.label,
                    source=str(record.source),
                    message=f"the {name} of {where} lies outside the image",
                    found=_shown(numbers),
                    expected=f"inside {size_wh[0]}x{size_wh[1]}",
                    fix=FIXES["point-outside"],
                )


def repeated_box_findings(record: Record) -> Iterator[Finding]:
    """Yield a warning for every answer or region that states the phrase and box of an earlier one again."""
    seen: dict[tuple[str, str | None, BoxXYXY], str] = {}
    for where, region in _iter_regions(record):
        if region.box is None:
            continue
        key = (where.split()[0], region.phrase, region.box.xyxy)
        if key in seen:
            yield Finding(
                code="box-repeated",
                severity=Severity.WARNING,
                record=record.label,
                source=str(record.source),
                message=f"{where} repeats {seen[key]}",
                found=_shown(region.box.xyxy),
                expected="every box once",
                fix="remove one of them",
            )
        seen.setdefault(key, where)


def _is_curve(region: Region) -> bool:
    """Say whether an outline was drawn from a Chebyshev series: it overshoots, and whoever reads it cuts it at the border.

    Source: specs/vlmr1_easydistill.md §2.7.
    """
    return {"centre", "coeffs"} <= region.extra.keys()


def _size_of(image: int, sizes_wh: Sequence[SizeWH | None]) -> SizeWH | None:
    return sizes_wh[image] if image < len(sizes_wh) else None


def _shown(numbers: Sequence[float]) -> str:
    return shown([round(number, 3) for number in numbers])


def _is_outside(box_xyxy: BoxXYXY, size_wh: SizeWH) -> bool:
    x0, y0, x1, y1 = box_xyxy
    slack = OUTSIDE_TOLERANCE_PX
    return x0 < -slack or y0 < -slack or x1 > size_wh[0] + slack or y1 > size_wh[1] + slack
