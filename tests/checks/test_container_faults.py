from __future__ import annotations

import pytest

from groundprep.checks.container_faults import as_loader_sees
from groundprep.finding import Finding, Severity
from groundprep.trainers import get_profile


def warning(code: str) -> Finding:
    return Finding(
        code=code, severity=Severity.WARNING, record=None, source="é.jsonl:3", message="odd", fix="write it again"
    )


@pytest.mark.parametrize(
    ("code", "dialect", "container", "profile"),
    [
        ("blank-line", "vlmr1", "jsonl", "vlmr1"),
        ("blank-line", "vlmr1", "jsonl", "vlmr1-internvl"),
        ("bom", "vlmr1-ovd", "jsonl", "vlmr1-ovd"),
        ("bom", "rexomni", "tsv", "rexomni-grpo"),
        ("no-lineidx", "rexomni", "tsv", "rexomni-sft"),
        ("bom", "easydistill", "jsonl", "easydistill"),
        ("bom", "qwen-vl", "json", "qwen3-vl"),
    ],
)
def test_what_stops_the_loader_is_an_error_that_names_it(code: str, dialect: str, container: str, profile: str) -> None:
    found = as_loader_sees(warning(code), dialect, container, get_profile(profile))
    assert found.severity is Severity.ERROR
    assert found.message == f"odd; {profile}'s loader stops there"
    assert (found.code, found.source, found.fix) == (code, "é.jsonl:3", "write it again")


@pytest.mark.parametrize(
    ("code", "dialect", "container", "profile"),
    [
        ("blank-line", "vlmr1", "jsonl", None),
        ("blank-line", "vlmr1", "jsonl", "vlmr1-ovd"),
        ("blank-line", "rexthinker", "jsonl", "vlmr1"),
        ("blank-line", "qwen-vl", "jsonl", "qwen3-vl"),
        ("bom", "rexomni", "jsonl", "rexomni-sft"),
        ("crlf", "vlmr1", "jsonl", "vlmr1"),
        ("misnamed", "easydistill", "jsonl", "easydistill"),
    ],
)
def test_what_the_loader_survives_or_never_reads_stays_a_warning(
    code: str, dialect: str, container: str, profile: str | None
) -> None:
    named = None if profile is None else get_profile(profile)
    assert as_loader_sees(warning(code), dialect, container, named) == warning(code)
