"""VLM-R1's Chebyshev fork: is the row's answer a shape that the reward can draw?

The mask_iou reward reads `centre` and `coeffs` of the solution, or one flat polygon; whatever else it finds there scores 0 for
every answer, without a word. What the shape is worth is looked at in `shapes`. Source: oguz-kolukisa/VLM-R1 @2070f13
qwen_module.py, @6db601e (specs/vlmr1_easydistill.md §2.1, §2.7, §2.9).
"""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.vlmr1_rows import answers_with_question
from groundprep.dialects.answers_text import is_numbers
from groundprep.dialects.vlmr1_seg import POLYGON_KEYS, parse_shape
from groundprep.finding import Finding, Severity

SHAPE_NOT_CHEBYSHEV = Rule(
    "shape-not-chebyshev",
    Severity.ERROR,
    "the answer is no centre with coefficients, which is what the trainer asks for and scores",
    suppresses=REWARD_VERDICTS,
)

RULES = (SHAPE_NOT_CHEBYSHEV,)


def answer_findings(subject: Subject) -> Iterator[Finding]:
    """Yield an error for an answer that cannot be drawn, a warning for a polygon, which the reward draws all the same."""
    answer = subject.row["conversations"][1]["value"]
    shape = parse_shape(answer)
    if shape is None and answers_with_question(subject.row["conversations"]):
        return
    if shape is not None and {"centre", "coeffs"} <= shape.keys():
        return
    is_drawn = shape is not None and any(
        isinstance(ring := shape.get(key), list) and is_numbers(ring, len(ring)) for key in POLYGON_KEYS
    )
    yield subject.finding(
        SHAPE_NOT_CHEBYSHEV,
        "the question asks for a centre and coefficients, and the answer is a polygon"
        if is_drawn
        else "the reward cannot draw this answer, and gives 0 for everything",
        found=answer,
        expected='{"centre": [x, y], "coeffs": [c0, c1, …], "size": [height, width]}',
        fix="write the row again with `groundprep convert --for vlmr1-seg`",
        severity=Severity.WARNING if is_drawn else Severity.ERROR,
    )
