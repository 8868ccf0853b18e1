"""VLM-R1's RefCOCO JSON: what was derived from the box must follow from it, and the box must be in pixels.

The evaluation reads `solution` as pixels of the stored image and, for another script, `normalized_solution`. The files for
InternVL have the same shape, but their `solution` is 0 to 1000. Source: om-ai-lab/VLM-R1 @90052f4 and its issues 11 and 194
(specs/vlmr1_easydistill.md §1.3, §1.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groundprep.checks.base import Rule, Subject
from groundprep.dialects.answers_text import is_numbers
from groundprep.dialects.vlmr1_refcoco import NORMALISED, normalized
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import PIXELS, SizeWH

SOLUTION_NORMALISED = Rule(
    "solution-normalised", Severity.ERROR, "the solution is 0 to 1000 of the image's sides, and is read as pixels"
)
DERIVED_DIFFERS = Rule(
    "derived-differs", Severity.WARNING, "normalized_solution or bbox_list does not follow from the solution"
)

RULES = (SOLUTION_NORMALISED, DERIVED_DIFFERS)

DIALECT = "vlmr1-refcoco"

SLACK = 1
"""Rounding down, up or to the nearest: the derived integers may differ by so much."""


def refcoco_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the derived keys of a record that was read as pixels from such a row."""
    origin = subject.record.origin
    if origin is None or origin.dialect != DIALECT or origin.row_frame.frame != PIXELS:
        return
    row, size_wh = origin.value, next(iter(subject.sizes_wh), None)
    solution, stated = row["solution"], row.get("normalized_solution")
    if size_wh is not None and stated is not None and is_numbers(stated, 4):
        if stated == solution and _away(normalized(solution, size_wh), stated) > SLACK:
            yield subject.finding(
                SOLUTION_NORMALISED,
                "the solution equals normalized_solution, so it is 0 to 1000 and no pixels",
                found=solution,
                expected=f"pixels of an image of {size_wh[0]}x{size_wh[1]}",
                fix="read the file with --source-frame rel1000-truncated",
            )
            return
        yield from _normalised(subject, stated, normalized(solution, size_wh), size_wh)
    yield from _bbox_list(subject, row)


def _normalised(
    subject: Subject, stated: Sequence[float], follows: Sequence[float], size_wh: SizeWH
) -> Iterator[Finding]:
    if _away(stated, follows) > SLACK:
        yield subject.finding(
            DERIVED_DIFFERS,
            "normalized_solution does not follow from solution and the image's size",
            found=stated,
            expected=f"{follows} ({NORMALISED} / {size_wh[0]} x {size_wh[1]})",
            fix="find out which of the two is right; `groundprep convert --dialect vlmr1-refcoco` makes it anew",
        )


def _bbox_list(subject: Subject, row: Mapping[str, Any]) -> Iterator[Finding]:
    """`bbox_list` ends one pixel before the solution."""
    boxes, (x0, y0, x1, y1) = row.get("bbox_list"), row["solution"]
    if boxes is None:
        return
    if len(boxes) != 1 or not is_numbers(boxes[0], 4) or _away(boxes[0], [x0, y0, x1 - 1, y1 - 1]) > SLACK:
        yield subject.finding(
            DERIVED_DIFFERS,
            "bbox_list does not follow from solution",
            found=boxes,
            expected=f"[[{x0}, {y0}, {x1 - 1}, {y1 - 1}]]",
            fix="find out which of the two is right",
        )


def _away(a: Sequence[float], b: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
