"""What Rex-Omni's loaders make of an annotation: which lists they read, and when they skip the row for its successor.

Each dataset class reads one list: `boxes` (GroundingTSVDataset, and TSVRLHFDataset for GRPO) or, in the later revision's SFT
only, `points` (PointingTSVDataset). A row without that list ends the training with a KeyError. A row whose list is empty is
skipped in SFT: the next one is trained in its place, by a call inside the call, until Python's recursion ends. GRPO asks for
nothing there.
Source: Rex-Omni @478e44f and @8c474a3 (specs/rexomni.md §2.2 to §2.4, §3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from groundprep.checks.base import REWARD_VERDICTS, Rule, Subject
from groundprep.checks.rexomni_rows import annotation_of
from groundprep.dialects.rexomni import KINDS
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile
from groundprep.record import Record

LIST_MISSING = Rule(
    "list-missing",
    Severity.ERROR,
    "the row lacks the list that the trainer's loader reads: `boxes`, or `points` in a file of points",
    suppresses=(*REWARD_VERDICTS, "keys-differ"),
)
LIST_IGNORED = Rule(
    "list-ignored", Severity.WARNING, "the row has points or polygons that the trainer's loader does not read"
)
LIST_EMPTY = Rule(
    "list-empty", Severity.WARNING, "nothing is annotated: the trainer skips the row, or asks for nothing in it"
)
SKIPS_LONG = Rule(
    "skips-long", Severity.ERROR, "so many rows are skipped one after the other that the loader's recursion fails"
)

RULES = (LIST_MISSING, LIST_IGNORED, LIST_EMPTY, SKIPS_LONG)

LONGEST_SKIP = 900
"""About 1000 skips deep Python gives up (specs/rexomni.md §2.3); the calls around them count too."""

POINTING = frozenset({"rexomni-sft@8c474a3"})
"""The profiles whose repository has a dataset class for points that works (specs/rexomni.md §2.4, §3.1)."""

SFT = "rexomni-sft"


def loader_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on the lists of one annotation."""
    assert subject.profile is not None
    annotation = annotation_of(subject.row)
    held = [kind for kind in KINDS if annotation.get(kind)]
    readable = _readable(subject.profile)
    present = [kind for kind in readable if kind in annotation]
    if not present:
        yield subject.finding(
            LIST_MISSING,
            f"the row has no {' or '.join(readable)}, which ends the training with a KeyError",
            found=", ".join(sorted(annotation)) or "no key",
            expected=" or ".join(readable),
            fix="leave such rows out, or train them with a loader of your own",
        )
        return
    ignored = [kind for kind in held if kind not in readable]
    is_empty = not any(annotation[kind] for kind in present)
    if ignored:
        yield subject.finding(
            LIST_IGNORED,
            f"{subject.profile.full_name} has no loader for these, and nothing else is in the row"
            if is_empty
            else f"{subject.profile.full_name} has no loader for these: they teach nothing",
            found=", ".join(f"{len(annotation[kind])} {kind}" for kind in ignored),
            expected=" or ".join(readable),
            fix="remove them, or write a task function for them",
        )
    elif is_empty:
        skipped = subject.profile.name == SFT
        yield subject.finding(
            LIST_EMPTY,
            "nothing is annotated: the trainer skips the row and trains the next one twice"
            if skipped
            else "nothing is annotated: the trainer asks for nothing, and every answer without a box is right",
            found=f"{present[0]}: []",
            expected="at least one phrase",
            fix="leave the row out, or say which phrases are absent",
        )


def _readable(profile: Profile) -> tuple[str, ...]:
    return ("boxes", "points") if profile.full_name in POINTING else ("boxes",)


class RowLists(NamedTuple):
    """One row: what messages call it, which of the readable lists it has, and whether the loader skips it."""

    record: Record
    kinds: frozenset[str]
    is_skipped: bool


@dataclass(slots=True)
class _File:
    """What was seen of one file.

    Args:
        kinds: the lists that all rows so far have.
        rows, skipped: how many there are, and how many of them are skipped.
        run: the rows skipped without a break up to now.
        longest: the most of them.
    """

    kinds: frozenset[str]
    rows: int = 0
    skipped: int = 0
    run: int = 0
    longest: int = 0


class LoaderWatch:
    """Finds rows of another kind than the file's, and runs of skipped rows. Memory: a few numbers for each file."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def note(self, subjects: Sequence[Subject]) -> list[RowLists]:
        """Return which lists each row has."""
        return [_lists_of(subject) for subject in subjects]

    def see(self, note: list[RowLists]) -> Iterator[Finding]:
        """Yield an error for every row that lacks the list of the rows before it."""
        for row in note:
            file = self._files.setdefault(row.record.source.path, _File(row.kinds))
            if file.kinds & row.kinds:
                file.kinds &= row.kinds
            elif file.kinds and row.kinds:  # a row without any list is reported by itself
                yield _of_another_kind(row, file)
            else:
                file.kinds |= row.kinds
            file.rows += 1
            file.skipped += row.is_skipped
            file.run = file.run + 1 if row.is_skipped else 0
            file.longest = max(file.longest, file.run)

    def findings(self) -> Iterable[Finding]:
        """Yield an error for every file in which the loader would not come to an end."""
        for path, file in self._files.items():
            endless = file.skipped == file.rows
            if endless or file.longest >= LONGEST_SKIP:
                yield Finding(
                    code=SKIPS_LONG.code,
                    severity=SKIPS_LONG.severity,
                    record=None,
                    source=path,
                    message="the trainer skips every row, and ends with a RecursionError"
                    if endless
                    else "the trainer skips so many rows one after the other that it ends with a RecursionError",
                    found=f"{file.skipped if endless else file.longest} rows without a phrase",
                    expected=f"fewer than {LONGEST_SKIP} in a row",
                    fix="leave rows without a phrase out, or shuffle the line index",
                )


def skips_rows(profile: Profile) -> bool:
    """Say whether the watch concerns a profile: GRPO skips nothing and reads one list only."""
    return profile.name == SFT


def _lists_of(subject: Subject) -> RowLists:
    assert subject.profile is not None
    annotation = annotation_of(subject.row)
    kinds = frozenset(kind for kind in _readable(subject.profile) if kind in annotation)
    is_skipped = bool(kinds) and not any(annotation[kind] for kind in kinds)
    return RowLists(Record(subject.record.source, subject.record.id), kinds, is_skipped)


def _of_another_kind(row: RowLists, file: _File) -> Finding:
    return Subject(row.record).finding(
        LIST_MISSING,
        "one dataset class reads one of the lists, and this row has another than the rows before it",
        found=", ".join(sorted(row.kinds)),
        expected=", ".join(sorted(file.kinds)),
        fix="put boxes and points into annotation files of their own; they may share the images",
    )
