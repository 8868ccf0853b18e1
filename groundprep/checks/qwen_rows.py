"""The rows of Qwen's own trainer: image marks, and answers in the style and the numbers of the model that is trained.

A row whose marks do not fit its images is tried again and then silently replaced by the next one. An answer in another model's
style is learned as it stands. Source: QwenLM/Qwen3-VL @23d3cce qwen-vl-finetune, and its maintainers in issues 733 and 1659
(specs/targets.md §3.3).
"""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks.base import Rule, Subject
from groundprep.checks.easydistill_rows import fraction_findings
from groundprep.checks.training_rows import IMAGE_MARK_COUNT
from groundprep.dialects.easyr1 import ANSWERERS
from groundprep.dialects.grounding_text import BOX_START, GEOMETRY_KEYS, REF_START, parse_answer_text
from groundprep.dialects.hints import IMAGE_MARK
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

ANSWER_STYLE = Rule("answer-style", Severity.ERROR, "the answer writes boxes as another generation of the model does")
ANSWER_UNPARSED = Rule(
    "answer-unparsed", Severity.ERROR, "the answer spells boxes, and is neither JSON nor well-formed box tokens"
)

RULES = (ANSWER_STYLE, ANSWER_UNPARSED)

STYLES = {
    "json": '[{"bbox_2d": [x0, y0, x1, y1], "label": …}]',
    "tokens": f"{REF_START}…<|object_ref_end|>{BOX_START}(x0,y0),(x1,y1)<|box_end|>",
}


def is_qwen_trainer(profile: Profile) -> bool:
    """Say whether a profile is one of Qwen's own trainer."""
    return profile.dialect == "qwen-vl"


def qwen_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on one conversation."""
    turns = subject.row["conversations"]
    marks, images = sum(turn["value"].count(IMAGE_MARK) for turn in turns), len(subject.record.images)
    if marks != images:
        yield subject.finding(
            IMAGE_MARK_COUNT,
            f"the turns must hold one {IMAGE_MARK} for each image: the trainer silently takes another row instead",
            found=f"{marks} marks, {images} images",
            expected=f"{images}",
            fix=f"put {IMAGE_MARK} where each image belongs, and nowhere else",
        )
    for turn in turns:
        if turn["from"] in ANSWERERS:
            yield from _answer(subject, turn["value"])


def _answer(subject: Subject, answer: str) -> Iterator[Finding]:
    assert subject.profile is not None
    parsed = parse_answer_text(answer)
    if parsed is None:
        spelled = [key for key in (*GEOMETRY_KEYS, BOX_START) if key in answer]
        if spelled:
            yield subject.finding(
                ANSWER_UNPARSED,
                "the answer spells boxes, and nothing can read it: quotes that are not escaped, or a bracket too few",
                found=answer,
                expected=STYLES[subject.profile.style],
                fix="write the answer with a JSON serializer",
            )
        return
    if parsed.items and parsed.style != subject.profile.style:
        yield subject.finding(
            ANSWER_STYLE,
            f"{subject.profile.name} answers in another style, and in other numbers",
            found=answer,
            expected=STYLES[subject.profile.style],
            fix="write the rows again with `groundprep convert --for`",
        )
        return
    yield from fraction_findings(subject, [item.numbers for item in parsed.items], as_text=True)
