"""Rex-Thinker's and EasyR1's training rows: can the exact-match reward be reached?

The reward reads every bracket group of numbers in the answer and compares it with those in the completion, for equality:
one pixel beside is wrong, a box named twice makes the whole completion wrong, and a bracket group in the words counts as a
box. Source: Rex-Thinker reward_func.py @5038b47 (specs/rexthinker.md §3.4).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.dialects.hints import IMAGE_MARK, Answer, Hint, parse_answer, parse_problem
from groundprep.dialects.trl import scored_text
from groundprep.finding import Finding, Severity
from groundprep.record import Box

Numbers: TypeAlias = tuple[float, ...]

ANSWER_NOT_IN_HINT = Rule(
    "answer-not-in-hint",
    Severity.ERROR,
    "an answer box is not literally among the hints: the reward cannot be reached by choosing",
    suppresses=REWARD_VERDICTS,
)
ANSWER_DUPLICATE = Rule(
    "answer-duplicate",
    Severity.ERROR,
    "two answer boxes are equal after rounding: naming one is half right, naming both is wrong",
    suppresses=(*REWARD_VERDICTS, "box-repeated"),
)
ANSWER_NOT_SCORED = Rule(
    "answer-not-scored",
    Severity.ERROR,
    "the reward cannot read an answer box: signs, exponents, line breaks or wide spacing",
    suppresses=REWARD_VERDICTS,
)
HINT_DUPLICATE = Rule(
    "hint-duplicate",
    Severity.WARNING,
    "two hints are equal after rounding: a model that copies both scores nothing",
    suppresses=("hint-ambiguous",),
)
NO_CANDIDATES = Rule("no-candidates", Severity.WARNING, "the problem holds no hint to choose from")
BOX_COLLAPSED = Rule(
    "box-collapsed",
    Severity.ERROR,
    "a box has no area left after rounding to the trainer's pixels",
    suppresses=REWARD_VERDICTS,
)
DIGITS_IN_BRACKETS = Rule(
    "digits-in-brackets",
    Severity.ERROR,
    "words hold a bracket group of digits, which the reward takes for a box",
    suppresses=REWARD_VERDICTS,
)
IMAGE_MARK_COUNT = Rule(
    "image-mark",
    Severity.ERROR,
    "the problem does not hold exactly one <image> for each image",
    suppresses=("text-mark",),
)

RULES = (
    ANSWER_NOT_IN_HINT,
    ANSWER_DUPLICATE,
    ANSWER_NOT_SCORED,
    HINT_DUPLICATE,
    NO_CANDIDATES,
    BOX_COLLAPSED,
    DIGITS_IN_BRACKETS,
    IMAGE_MARK_COUNT,
)

SCORED = re.compile(r"\[([\d.]+(?:, ?[\d.]+)*)\]")
"""What the reward takes for a box. Source: specs/rexthinker.md §3.4: no sign, no space after `[`, at most one after a comma."""


def training_row_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the text of one training row, as it is or as a conversion would write it."""
    problem, answer = scored_text(subject.row)
    hint, answers = parse_problem(_with_one_mark(problem)), parse_answer(answer)
    yield from _marks(subject, problem)
    yield from _brackets(subject, hint, answer, answers)
    if hint is None or not hint.boxes:
        yield subject.finding(
            NO_CANDIDATES,
            "the problem holds no candidate boxes",
            expected="a hint with at least one box",
            fix=_fix_of_no_candidates(subject, has_hint=hint is not None),
        )
    if not subject.is_native and not subject.is_sized:
        return  # the numbers are not the trainer's
    if hint is not None:
        yield from _hints(subject, [tuple(box) for box in hint.boxes])
    boxes = _answer_boxes(answer, answers)
    yield from _answers(subject, boxes, [] if hint is None else [tuple(box) for box in hint.boxes])
    if not subject.is_native:
        yield from _collapsed(subject, hint, answers or [])


def _fix_of_no_candidates(subject: Subject, *, has_hint: bool) -> str:
    """Say what to do: a source's row says whether anybody looked for candidates, an empty hint does not."""
    lower = "lower --box-threshold of `groundprep add-candidates`, which found nothing, or drop the row"
    first = "run `groundprep add-candidates` first"
    if subject.is_native and has_hint:
        return (
            f"{first}, and convert what it writes; where it found nothing, lower its --box-threshold, or drop the row"
        )
    return first if subject.record.candidates is None else lower


def _with_one_mark(problem: str) -> str:
    """Return a problem with one mark in front, however many there are: their number is a defect of its own."""
    text = problem
    while text.startswith(IMAGE_MARK):
        text = text.removeprefix(IMAGE_MARK)
    return IMAGE_MARK + text


def _marks(subject: Subject, problem: str) -> Iterator[Finding]:
    marks, images = problem.count(IMAGE_MARK), len(subject.record.images)
    if marks != images:
        yield subject.finding(
            IMAGE_MARK_COUNT,
            f"the problem must hold one {IMAGE_MARK} for each image",
            found=f"{marks} marks, {images} images",
            expected=f"{images}",
            fix=f"remove {IMAGE_MARK} from the expression"
            if marks > images
            else f"put {IMAGE_MARK} where the image belongs",
        )


def _brackets(subject: Subject, hint: Hint | None, answer: str, answers: list[Answer] | None) -> Iterator[Finding]:
    """Compare what the reward will read in the answer with the boxes that are meant."""
    groups = [match.group(0) for match in SCORED.finditer(answer)]
    strange: list[str] = []
    if hint is not None:
        strange = [match.group(0) for text in (hint.referring, hint.category) for match in SCORED.finditer(text)]
    if answers is None:
        strange += [group for group in groups if _numbers(group) is None]
    else:
        meant: Counter[Numbers | None] = Counter(tuple(item.box) for item in answers)
        read = Counter(_numbers(group) for group in groups)
        strange += [group for group in groups if (read - meant)[_numbers(group)]]
        for box in meant - read:
            yield subject.finding(
                ANSWER_NOT_SCORED,
                "the reward cannot read an answer box",
                found=list(box or ()),
                expected="[x0, y0, x1, y1] without signs",
                fix="write the row again with `groundprep convert --for`",
            )
    if strange:
        yield subject.finding(
            DIGITS_IN_BRACKETS,
            "the words hold a bracket group of digits, which the reward takes for a box",
            found=strange[0],
            expected="no digits in square brackets",
            fix="reword the expression",
        )


def _hints(subject: Subject, hints: Sequence[Numbers]) -> Iterator[Finding]:
    for box, count in Counter(hints).items():
        if count > 1:
            yield subject.finding(
                HINT_DUPLICATE,
                f"{count} hints are the same box",
                found=list(box),
                expected="every hint once",
                fix="remove one of the candidates",
            )


def _answers(subject: Subject, boxes: Sequence[Numbers], hints: Sequence[Numbers]) -> Iterator[Finding]:
    for box, count in Counter(boxes).items():
        if count > 1:
            yield subject.finding(
                ANSWER_DUPLICATE,
                f"{count} answers are the same box",
                found=list(box),
                expected="every answer once",
                fix="remove one of the answers",
            )
        if hints and subject.profile is not None and subject.profile.needs_answer_in_hint and box not in hints:
            nearest = min(hints, key=lambda hint: max(abs(a - b) for a, b in zip(hint, box, strict=False)))
            yield subject.finding(
                ANSWER_NOT_IN_HINT,
                "an answer is not among the hints, so copying a hint can never be right",
                found=list(box),
                expected=f"one of {len(hints)} hints; the nearest is {list(nearest)}",
                fix="run `groundprep add-candidates`, whose --answer-policy makes the answer a candidate",
            )


def _collapsed(subject: Subject, hint: Hint | None, answers: Sequence[Answer]) -> Iterator[Finding]:
    """Yield boxes that have an area in the data and none in the row."""
    record = subject.record
    stored: list[tuple[str, Box]] = [(f"answer {i}", r.box) for i, r in enumerate(record.answers) if r.box is not None]
    written: list[Sequence[float]] = [item.box for item in answers]
    if hint is not None and len(hint.boxes) == len(record.candidates or ()):
        stored += [(f"candidate {i}", c.box) for i, c in enumerate(record.candidates or ())]
        written += hint.boxes
    for (where, box), (x0, y0, x1, y1) in zip(stored, written, strict=True):
        had_area = box.xyxy[0] < box.xyxy[2] and box.xyxy[1] < box.xyxy[3]
        if had_area and (x0 >= x1 or y0 >= y1):
            yield subject.finding(
                BOX_COLLAPSED,
                f"{where} has no area left in the trainer's pixels",
                found=[x0, y0, x1, y1],
                expected="x0 < x1 and y0 < y1",
                fix="drop the object or the row: it is too small for this trainer",
                about=where,
            )


def _answer_boxes(answer: str, answers: list[Answer] | None) -> list[Numbers]:
    """Return the boxes of the answer; of an answer in free text, the ones that the reward reads."""
    if answers is not None:
        return [tuple(item.box) for item in answers]
    found = (_numbers(match.group(0)) for match in SCORED.finditer(answer))
    return [numbers for numbers in found if numbers is not None]


def _numbers(group: str) -> Numbers | None:
    """Return the numbers of a bracket group, or None for one such as `[1.2.3]`, which spoils the reward."""
    try:
        return tuple(float(item) if "." in item else int(item) for item in group[1:-1].split(","))
    except ValueError:
        return None
