"""Rex-Omni's rows: phrases that its task functions leave alone, absences and keys that its loaders can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundprep.checks.base import Rule, Subject
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.record import Record

GRPO = "rexomni-grpo"

PHRASE_NOT_NORMAL = Rule(
    "phrase-not-normal",
    Severity.ERROR,
    "the trainer rewrites the phrase (`/`, `_`, `,`), or it holds text that steers the model",
)
ABSENT_NOT_HELD = Rule(
    "absent-not-held", Severity.ERROR, "the phrase is absent from the image, which this trainer's loader cannot hold"
)
KEYS_DIFFER = Rule(
    "keys-differ", Severity.ERROR, "the rows' top-level keys differ, which stops the GRPO loader's collation"
)

RULES = (PHRASE_NOT_NORMAL, ABSENT_NOT_HELD, KEYS_DIFFER)

STEERING = ("<", ">", "[OBJ]", "\n", "\r")
"""Source: specs/rexomni.md §3.3: template marks, coordinate and special tokens, line breaks; `<image>` is among `<`."""


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
        )


def absent_findings(subject: Subject) -> Iterator[Finding]:
    """Yield phrases that are absent from the image; for profiles whose loader skips them or fails."""
    record = subject.record
    absent = [region.phrase or "" for region in (*record.regions, *record.answers) if region.is_absent]
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


class KeysWatch:
    """Compares every row's top-level keys with those of the first row."""

    def __init__(self) -> None:
        self._first: tuple[str, frozenset[str]] | None = None

    def see(self, record: Record, row: Mapping[str, Any]) -> Finding | None:
        """Return a finding if this row's keys are not those of the first row."""
        keys = frozenset(row)
        if self._first is None:
            self._first = (str(record.source), keys)
        place, expected = self._first
        if keys == expected:
            return None
        return Subject(record).finding(
            KEYS_DIFFER,
            "the row has other top-level keys than the first one, and the loader needs the same in all",
            found=", ".join(sorted(keys)),
            expected=f"{', '.join(sorted(expected))} (as in {shown(place)})",
            fix="keep `boxes` only, or give every row the same keys",
        )


def _phrases(record: Record) -> Iterator[str]:
    if record.referring is not None:
        yield record.referring
    for region in record.regions:
        if region.phrase is not None:
            yield region.phrase
