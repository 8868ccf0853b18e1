"""Paths with an @, which EasyR1 takes for the start of a split's name."""

from __future__ import annotations

import pickle

from groundprep.checks.base import Subject
from groundprep.checks.split_names import SplitNameWatch, cuts_at_split
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile


def found(*paths: str, native: bool = True) -> list[tuple[str, str, str]]:
    watch = SplitNameWatch()
    for path in paths:
        subject = Subject(Record(Source(path, 1)), profile=get_profile("easyr1"), is_native=native)
        assert list(watch.see(pickle.loads(pickle.dumps(watch.note([subject, subject]))))) == []
    return [(finding.code, str(finding.severity), finding.source) for finding in watch.findings()]


def test_a_path_with_an_at_sign_is_an_error_told_once() -> None:
    assert found("dép@t/x.parquet", "dép@t/x.parquet", "x.parquet") == [("at-in-path", "error", "dép@t/x.parquet")]


def test_other_paths_are_fine() -> None:
    assert found("été/x:y.parquet") == []
    assert found("dép@t/x.jsonl", native=False) == []  # convert gives the trainer another file


def test_only_easyr1_takes_splits() -> None:
    assert [cuts_at_split(get_profile(name)) for name in ("easyr1", "rexthinker", "trl")] == [True, False, False]
