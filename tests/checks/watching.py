"""Runs a watch over subjects as `validate` does: batches, their notes pickled on the way, then what it found."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from groundprep.checks.base import Subject, Watch
from groundprep.finding import Finding


def watched(watch: Watch, subjects: Sequence[Subject], batch: int = 2) -> list[Finding]:
    """Return what a watch finds on single rows and at the end; its notes are taken by another instance's method."""
    found: list[Finding] = []
    for start in range(0, len(subjects), batch):
        note = watch.note(subjects[start : start + batch])
        found += watch.see(pickle.loads(pickle.dumps(note)))
    return [*found, *watch.findings()]
