"""Does a row fit into what its trainer allows: tokens of prompt, answer and both, boxes of a label, rows of a batch?

Image tokens are exact: one for each square of the vision tower's patches after merging, in the size that the resize chain gives,
and two marks. Text is counted by a tokenizer or estimated (see `tokens`). A limit that is exceeded for certain is an error; one
that is exceeded only by the guess, or by what the trainer's own template is said to take, is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.row_text import RowText, Text, row_text
from groundprep.checks.tokens import TokenCount
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.resize import SmartResize
from groundprep.profile import Budget, Profile

PROMPT_TOO_LONG = Rule(
    "prompt-too-long", Severity.ERROR, "the prompt, images included, has more tokens than the trainer allows"
)
ANSWER_TOO_LONG = Rule(
    "answer-too-long", Severity.ERROR, "the right answer has more tokens than the trainer lets the model write"
)
SEQUENCE_TOO_LONG = Rule(
    "sequence-too-long", Severity.ERROR, "prompt and answer together have more tokens than the trainer allows"
)
LABEL_BOXES = Rule(
    "label-boxes",
    Severity.WARNING,
    "a label has more boxes than the trainer's reward looks at, so it cannot reach 1",
    suppresses=REWARD_VERDICTS,
)
ROWS_FEW = Rule(
    "rows-few", Severity.ERROR, "there are fewer rows than one batch of the trainer, which then takes no step"
)

RULES = (PROMPT_TOO_LONG, ANSWER_TOO_LONG, SEQUENCE_TOO_LONG, LABEL_BOXES)

IMAGE_MARKS = 2
"""Tokens around an image's own: vision start and end. Source: specs/rexthinker.md §4.6."""

OVER = {
    "drops": "the trainer leaves the row out",
    "cuts": "the trainer cuts its end off",
    "fails": "the trainer stops",
}


def budget_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what a row has more of than its trainer allows; nothing where no limit is known."""
    if subject.profile is None:
        return
    budget = subject.profile.budget
    limits = (budget.prompt_tokens, budget.response_tokens, budget.sequence_tokens)
    text = None if limits == (None, None, None) else row_text(subject)
    if text is not None:
        yield from _token_findings(subject, budget, text)
    if budget.boxes_per_label is not None:
        yield from _label_findings(subject, budget.boxes_per_label)


def image_tokens(size_wh: SizeWH, profile: Profile) -> int | None:
    """Return how many tokens an image of this stored (width, height) is, marks included; None if no grid is known.

    Source: (seen width / factor) x (seen height / factor), the factor being patch x merge (specs/rexthinker.md §4.6,
    specs/rexomni.md §3.7). Raises SizeRefusedError.
    """
    last = profile.chain.steps[-1]
    if not isinstance(last, SmartResize):
        return None
    width, height = profile.seen_wh(size_wh)
    return (width // last.factor) * (height // last.factor) + IMAGE_MARKS


class _Side(NamedTuple):
    """One limit: the code of what exceeds it, the tokens, how many of them are images', and the template's."""

    rule: Rule
    limit: int | None
    tokens: TokenCount
    images: int
    template: int


def _token_findings(subject: Subject, budget: Budget, text: RowText) -> Iterator[Finding]:
    assert subject.profile is not None
    sizes = [image_tokens(wh, subject.profile) for wh in subject.sizes_wh if wh is not None]
    images = sum(tokens or 0 for tokens in sizes)
    if _fits(budget, images, text):
        return
    prompt, answer = _count(subject, text.prompt), _count(subject, text.answer)
    both = TokenCount(prompt.at_least + answer.at_least, prompt.likely + answer.likely)
    sides = (
        _Side(PROMPT_TOO_LONG, budget.prompt_tokens, prompt, images, budget.template_tokens),
        _Side(ANSWER_TOO_LONG, budget.response_tokens, answer, 0, 0),
        _Side(SEQUENCE_TOO_LONG, budget.sequence_tokens, both, images, budget.template_tokens),
    )
    for side in sides:
        if side.limit is not None:
            yield from _over(subject, budget, side, side.limit)


def _fits(budget: Budget, images: int, text: RowText) -> bool:
    """Say whether a row is so short that nothing needs to be counted: a token is a byte at least, as in most rows."""
    limits = (budget.prompt_tokens, budget.response_tokens, budget.sequence_tokens)
    least = min(limit for limit in limits if limit is not None)
    texts = (text.prompt, text.answer)
    longest = sum(len(part.encode("utf-8", "surrogatepass")) + 1 for side in texts for part in side.parts)
    return images + longest + sum(side.marks for side in texts) + budget.template_tokens <= least


def _count(subject: Subject, text: Text) -> TokenCount:
    counts = [subject.tokens(part) for part in text.parts]
    return TokenCount(
        sum(count.at_least for count in counts) + text.marks, sum(count.likely for count in counts) + text.marks
    )


def _over(subject: Subject, budget: Budget, side: _Side, limit: int) -> Iterator[Finding]:
    at_least, likely = side.tokens.at_least + side.images, side.tokens.likely + side.images + side.template
    if likely <= limit and at_least <= limit:
        return
    certain = at_least > limit
    if side.rule is ANSWER_TOO_LONG:
        what, then = "the right answer", "the model is cut off before it ends"
        fix = "keep fewer boxes in a row, or allow longer answers (--max-response-length) in the training too"
    else:
        what, then = ("the prompt" if side.rule is PROMPT_TOO_LONG else "the row"), OVER[budget.over]
        fix = "use fewer candidates or smaller images (--max-pixels), or allow more tokens in the training and here"
    yield subject.finding(
        side.rule,
        f"{what} {'has' if certain else 'may have'} more tokens than the trainer allows: {then}",
        found=_shown(subject, side, at_least, likely),
        expected=f"at most {limit} tokens",
        fix=fix,
        severity=Severity.ERROR if certain else Severity.WARNING,
    )


def _shown(subject: Subject, side: _Side, at_least: int, likely: int) -> str:
    exact = side.tokens.at_least == side.tokens.likely
    text = f"{side.tokens.likely} of text" if exact else f"{side.tokens.at_least} to about {side.tokens.likely} of text"
    parts = [f"{side.images} of images"] if side.images else []
    parts += [f"{text} ({subject.tokens.name})"]
    parts += [f"about {side.template} of the template"] if side.template else []
    total = str(at_least) if at_least == likely else f"{at_least} to about {likely}"
    return f"{total} tokens: {', '.join(parts)}"


def _label_findings(subject: Subject, limit: int) -> Iterator[Finding]:
    record = subject.record
    counts = Counter(region.phrase for region in record.regions or record.answers if region.box is not None)
    for phrase, count in counts.items():
        if count > limit:
            yield subject.finding(
                LABEL_BOXES,
                "a label has more boxes than the trainer's reward looks at: the right answer cannot score 1",
                found=f"{count} boxes of {phrase!r}",
                expected=f"at most {limit}",
                fix="cut the image into tiles, or leave the row out",
            )


class _Rows(NamedTuple):
    """What is remembered of some rows: how many, the first one's file, the trainer's name and its budget."""

    rows: int
    path: str
    trainer: str
    budget: Budget


class RowsWatch:
    """Counts the rows that a trainer reads; it remembers their number and the first note."""

    def __init__(self) -> None:
        self._rows = 0
        self._first: _Rows | None = None

    def note(self, subjects: Sequence[Subject]) -> _Rows | None:
        """Return how many rows there are."""
        if not subjects or subjects[0].profile is None:
            return None
        profile = subjects[0].profile
        return _Rows(len(subjects), subjects[0].record.source.path, profile.name, profile.budget)

    def see(self, note: _Rows | None) -> Iterable[Finding]:
        """Add them up."""
        if note is not None:
            self._first = self._first or note
            self._rows += note.rows
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield an error if the rows are fewer than the user's batch, a warning if they are fewer than the default one."""
        budget = Budget() if self._first is None else self._first.budget
        if self._first is None or budget.batch_rows is None or self._rows >= budget.batch_rows:
            return
        whose = "of this training" if budget.batch_named else f"of {self._first.trainer}'s default configuration"
        yield Finding(
            code=ROWS_FEW.code,
            severity=Severity.ERROR if budget.batch_named else Severity.WARNING,
            record=None,
            source=self._first.path,
            message=f"there are fewer rows than one batch {whose}, so that the training takes no step",
            found=f"{self._rows} rows" if self._rows != 1 else "1 row",
            expected=f"at least {budget.batch_rows}",
            fix="train with a smaller batch and pass it as --train-batch-size, or repeat or add rows",
        )


def has_limits(profile: Profile) -> bool:
    """Say whether anything is known that a row of this profile may exceed."""
    budget = profile.budget
    limits = (budget.prompt_tokens, budget.response_tokens, budget.sequence_tokens, budget.boxes_per_label)
    return any(limit is not None for limit in limits)


def has_batch(profile: Profile) -> bool:
    """Say whether a batch size is known."""
    return profile.budget.batch_rows is not None
