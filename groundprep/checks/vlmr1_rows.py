"""What VLM-R1's loader reads of every conversation, whatever the task: images, and the first two turns.

Source: om-ai-lab/VLM-R1 @90052f4 grpo_jsonl.py and its trainer (specs/vlmr1_easydistill.md §1.2, §1.4, §5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.images import SHORTEST_SIDE, SIDE_SHORT
from groundprep.dialects.answers_text import (
    ANSWER_TAGS,
    IMAGE_MARK,
    parse_ovd_question,
    parse_rec_question,
    parse_seg_question,
)
from groundprep.finding import Finding, Severity
from groundprep.geometry.resize import SmartResize
from groundprep.profile import Profile

ONE_IMAGE_NEEDED = Rule(
    "one-image-needed",
    Severity.ERROR,
    "the row has no image or several, and the trainer wants one for each row",
    suppresses=REWARD_VERDICTS,
)
QUESTION_JUNK = Rule(
    "question-junk", Severity.WARNING, "the question holds tags that the trainer's own template adds after it"
)
TURNS_IGNORED = Rule("turns-ignored", Severity.WARNING, "the conversation has more turns than the trainer reads")
TURNS_SWAPPED = Rule(
    "turns-swapped",
    Severity.ERROR,
    "the trainer takes the first turn for the question whoever says it, and it is none",
    suppresses=REWARD_VERDICTS,
)

RULES = (ONE_IMAGE_NEEDED, QUESTION_JUNK, TURNS_IGNORED, TURNS_SWAPPED)

DIALECTS = ("vlmr1", "vlmr1-ovd", "vlmr1-seg")

THINK_TAGS = ("<think>", "</think>")
"""Every template of the trainer spells them after (or before) the question (§1.4)."""

SYSTEM = "system"
ASKERS, ANSWERERS = frozenset({"human", "user"}), frozenset({"gpt", "assistant"})


def is_vlmr1(profile: Profile) -> bool:
    """Say whether a profile's rows go through VLM-R1's loader."""
    return profile.dialect in DIALECTS


def is_qwen(profile: Profile) -> bool:
    """Say whether the model is one of Qwen's: its image processor's resize is part of the chain. InternVL cuts tiles."""
    return any(isinstance(step, SmartResize) for step in profile.chain.steps)


def conversation_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on images and turns of one row."""
    assert subject.profile is not None
    yield from _images(subject, subject.profile)
    turns = subject.row["conversations"]
    yield from _turns(subject, turns)
    question = turns[0]["value"]
    is_official = parse_ovd_question(question) is not None  # its own words name the answer tags (§1.6)
    tags = THINK_TAGS if is_official or subject.profile.dialect == "vlmr1-ovd" else (*THINK_TAGS, *ANSWER_TAGS)
    junk = [tag for tag in tags if tag in question]
    if junk:
        yield subject.finding(
            QUESTION_JUNK,
            "the trainer puts its own instruction behind the question, and the question brings one along",
            found=" ".join(junk),
            expected="the bare question",
            fix="remove the instruction from the question",
        )


def _images(subject: Subject, profile: Profile) -> Iterator[Finding]:
    """Yield too many or too few images, and small ones where the resize chain does not refuse them.

    At this revision Qwen's rows hold exactly one: the trainer compares the numbers of images and rows of a batch. InternVL may
    have several. A side below 28 pixels is refused by Qwen's resize (`size-refused`); for InternVL the trainer enlarges it, and
    then every later image of the batch to the same size (§1.2 rules 4 and 5).
    """
    image = subject.row.get("image", [])
    count = 1 if isinstance(image, str) else len(image)
    if count == 0 or (count > 1 and is_qwen(profile)):
        yield subject.finding(
            ONE_IMAGE_NEEDED,
            "at this revision a batch that holds such a row stops the trainer",
            found=f"{count} images",
            expected="one image" if is_qwen(profile) else "at least one image",
            fix="leave the row out, or give every image a row of its own",
        )
    for size_wh in () if is_qwen(profile) else subject.sizes_wh:
        if size_wh is not None and min(size_wh) < SHORTEST_SIDE:
            yield subject.finding(
                SIDE_SHORT,
                "the trainer enlarges the image, and every later one of its batch to the same size",
                found="{}x{}".format(*size_wh),
                expected=f"both sides >= {SHORTEST_SIDE}",
                fix="enlarge or drop the image",
                severity=Severity.ERROR,
            )


def answers_with_question(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether what the trainer takes for the answer is the question (`turns-swapped`): its form is no second defect."""
    answer = turns[1]["value"]
    if turns[1].get("from") not in ASKERS or not isinstance(answer, str):
        return False
    parsers = (parse_rec_question, parse_ovd_question, parse_seg_question)
    return answer.lstrip().startswith(IMAGE_MARK) or any(parse(answer) is not None for parse in parsers)


def _turns(subject: Subject, turns: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    asker, answerer = turns[0].get("from"), turns[1].get("from")
    if asker not in (None, *ASKERS) or answerer in ASKERS:
        yield subject.finding(
            TURNS_SWAPPED,
            "the trainer reads the first turn as the question and the second as the answer, and never looks at `from`",
            found=f"{asker}, {answerer}",
            expected="human, gpt",
            fix="begin with the question; a system turn has no place here",
        )
    if len(turns) > 2 and not (asker == SYSTEM and len(turns) == 3):  # without the system's turn there are two
        yield subject.finding(
            TURNS_IGNORED,
            "the trainer reads the first two turns only",
            found=f"{len(turns)} turns",
            expected="2",
            fix="give each question and answer a row of its own",
        )
