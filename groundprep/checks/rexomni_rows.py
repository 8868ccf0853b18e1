"""Rex-Omni's rows: phrases that its task functions leave alone, absences and keys that its loaders can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.tokens import TokenizerTokens
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.record import Record

GRPO = "rexomni-grpo"

PHRASE_NOT_NORMAL = Rule(
    "phrase-not-normal",
    Severity.ERROR,
    "the trainer rewrites the phrase (`/`, `_`, `,`), or it holds text that steers the model",
    suppresses=(*REWARD_VERDICTS, "phrase-empty", "text-control", "text-mark", "text-spaces"),
)
ABSENT_NOT_HELD = Rule(
    "absent-not-held",
    Severity.ERROR,
    "the phrase is absent from the image, which this trainer's loader cannot hold",
    suppresses=REWARD_VERDICTS,
)
PHRASE_IS_BIN = Rule(
    "phrase-coordinate-token",
    Severity.WARNING,
    "a character of the phrase has the token of a coordinate, and the model reads it as one",
)
KEYS_DIFFER = Rule(
    "keys-differ",
    Severity.ERROR,
    "the rows' top-level keys differ, which stops the GRPO loader's collation",
    suppresses=("list-ignored",),
)

RULES = (PHRASE_NOT_NORMAL, PHRASE_IS_BIN, ABSENT_NOT_HELD, KEYS_DIFFER)

BIN_TOKENS = range(150_643, 151_643)
"""`<0>` to `<999>` are the last 1000 tokens of Qwen2.5's vocabulary. Source: specs/rexomni.md §3.7."""

STEERING = ("<", ">", "[OBJ]", "\n", "\r")
"""Source: specs/rexomni.md §3.3: template marks, coordinate and special tokens, line breaks; `<image>` is among `<`."""


def annotation_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the annotation of a row: the row itself in a TSV, its key `annotation` in json and jsonl."""
    annotation = row.get("annotation")
    return annotation if isinstance(annotation, Mapping) else row


def normal_phrase(phrase: str) -> str:
    """Return a phrase as the trainer writes it: cut at the first `/`, `_` to space, `,` deleted; nothing else.

    Source: Rex-Omni @478e44f modify_cateogry_name (specs/rexomni.md §3.3).
    """
    return phrase.split("/", 1)[0].replace("_", " ").replace(",", "")


def phrase_findings(subject: Subject) -> Iterator[Finding]:
    """Yield phrases that the trainer will not see as they are.

    A rewritten phrase is harmless in SFT (a warning); under GRPO the ground truth keeps the written phrase, so that the
    right answer scores 0 (an error). Steering text and phrases of which nothing is left are errors everywhere.
    """
    grpo = subject.profile is not None and subject.profile.name == GRPO
    for phrase in dict.fromkeys(_phrases(subject.record)):
        normal = normal_phrase(phrase).strip()
        steering = [mark for mark in STEERING if mark in phrase]
        if phrase == normal and phrase and not steering:
            continue
        fatal = grpo or not normal or bool(steering)
        yield subject.finding(
            PHRASE_NOT_NORMAL,
            "the trainer does not see this phrase as it is",
            found=phrase,
            expected=f"no {shown(steering[0])}" if steering else shown(normal) or "a phrase",
            fix="rewrite the phrase",
            severity=Severity.ERROR if fatal else Severity.WARNING,
            about=phrase,
        )


def token_findings(subject: Subject) -> Iterator[Finding]:
    """Yield phrases whose own tokens are those of coordinates; only a tokenizer (`--tokenizer`) can tell."""
    if not isinstance(subject.tokens, TokenizerTokens):
        return
    for phrase in dict.fromkeys(_phrases(subject.record)):
        bins = [token - BIN_TOKENS.start for token in subject.tokens.ids(phrase) if token in BIN_TOKENS]
        if bins:
            yield subject.finding(
                PHRASE_IS_BIN,
                "the tokenizer gives the phrase a token that stands for a coordinate here",
                found=f"{phrase}: {', '.join(f'<{number}>' for number in bins)}",
                expected="characters with tokens of their own",
                fix="reword the phrase: such characters are rare symbols",
            )


def absent_findings(subject: Subject) -> Iterator[Finding]:
    """Yield phrases that are absent from the image; for profiles whose loader skips them or fails.

    One that has a place as well is a contradiction (`phrase-contradicted`): which of the two is right is not known.
    """
    record = subject.record
    regions = (*record.regions, *record.answers)
    placed = {region.phrase for region in regions if region.phrase is not None and not region.is_absent}
    absent = [region.phrase or "" for region in regions if region.is_absent and region.phrase not in placed]
    if record.referring is not None and not record.answers:
        absent.append(record.referring)
    for phrase in dict.fromkeys(absent):
        yield subject.finding(
            ABSENT_NOT_HELD,
            "the phrase is absent from the image, which this trainer cannot be told in a row",
            found=phrase,
            expected="phrases with a box",
            fix="remove the phrase; name absent ones in the trainer's extra_categories",
        )


READ = "boxes"
"""The one list that the GRPO loader reads."""


class RowKeys(NamedTuple):
    """One row: what messages call it, and its top-level keys."""

    record: Record
    keys: frozenset[str]


class KeysWatch:
    """Compares every row's top-level keys with those of the first row that has `boxes`; it remembers those only."""

    def __init__(self) -> None:
        self._first: RowKeys | None = None

    def note(self, subjects: Sequence[Subject]) -> list[RowKeys] | None:
        """Return every row's keys."""
        return [
            RowKeys(_place_of(subject.record), frozenset(annotation_of(subject.row))) for subject in subjects
        ] or None

    def see(self, note: list[RowKeys]) -> Iterator[Finding]:
        """Yield an error for every row whose keys are not those of the first row that the loader can read at all."""
        for row in note:
            if self._first is None and READ not in row.keys:
                continue  # `list-missing` tells it, and sound rows are not to be like it
            self._first = self._first or row
            expected = self._first.keys
            if row.keys != expected:
                yield Subject(row.record).finding(
                    KEYS_DIFFER,
                    "the row has other top-level keys than the first one, and the loader needs the same in all",
                    found=", ".join(sorted(row.keys)),
                    expected=f"{', '.join(sorted(expected))} (as in {shown(str(self._first.record.source))})",
                    fix="keep `boxes` only, or give every row the same keys",
                )

    def findings(self) -> Iterator[Finding]:
        """Yield nothing more."""
        yield from ()


def _place_of(record: Record) -> Record:
    """Return a record that says no more than where it is and what it is called."""
    return Record(record.source, record.id)


def _phrases(record: Record) -> Iterator[str]:
    if record.referring is not None:
        yield record.referring
    for region in record.regions:
        if region.phrase is not None:
            yield region.phrase
