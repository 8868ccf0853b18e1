from __future__ import annotations

from typing import Any

from groundprep.checks.base import Subject
from groundprep.checks.rexomni_loader import LONGEST_SKIP, LoaderWatch, loader_findings, skips_rows
from groundprep.finding import Finding
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile

BOX = {"bbox": [7.5, 3.0, 40.0, 21.0], "phrase": "le chien"}
POINT = {"point": [9, 4], "phrase": "le chien"}


def subject(number: int, row: dict[str, Any], profile: str = "rexomni-sft", path: str = "é.tsv") -> Subject:
    return Subject(Record(Source(path, number)), profile=get_profile(profile), row=row)


def watch(*rows: dict[str, Any], batch: int = 3) -> list[Finding]:
    """Show rows to a watch in batches, as a run does."""
    watching = LoaderWatch()
    subjects = [subject(number, row) for number, row in enumerate(rows, start=1)]
    found: list[Finding] = []
    for start in range(0, len(subjects), batch):
        found += watching.see(watching.note(subjects[start : start + batch]))
    return [*found, *watching.findings()]


def test_the_annotation_of_a_json_row_is_looked_at_inside() -> None:
    row = {"image_name": "é.jpg", "annotation": {"boxes": [BOX], "polygons": [{"polygon": [1, 2, 3, 4, 5, 9]}]}}
    (finding,) = loader_findings(subject(4, row))
    assert (finding.code, finding.severity, finding.source, finding.found) == (
        "list-ignored",
        "warning",
        "é.tsv:4",
        "1 polygons",
    )


def test_polygons_alone_are_one_finding_that_says_that_nothing_else_is_there() -> None:
    row = {"boxes": [], "polygons": [{"polygon": [1, 2, 3, 4, 5, 9]}]}
    (finding,) = loader_findings(subject(1, row))
    assert finding.code == "list-ignored"
    assert "nothing else is in the row" in finding.message


def test_what_an_empty_row_means_depends_on_the_stage() -> None:
    (sft,) = loader_findings(subject(1, {"boxes": []}))
    (grpo,) = loader_findings(subject(1, {"boxes": []}, "rexomni-grpo"))
    assert sft.code == grpo.code == "list-empty"
    assert "skips the row" in sft.message
    assert "asks for nothing" in grpo.message


def test_a_row_of_points_among_rows_of_boxes_is_an_error_at_its_row() -> None:
    (finding,) = watch({"boxes": [BOX]}, {"points": [POINT]}, {"boxes": [BOX], "points": [POINT]}, {"boxes": [BOX]})
    assert (finding.code, finding.source, finding.found, finding.expected) == (
        "list-missing",
        "é.tsv:2",
        "points",
        "boxes",
    )


def test_rows_with_both_lists_do_not_decide_which_of_them_the_file_is_for() -> None:
    both = {"boxes": [BOX], "points": [POINT]}
    assert watch(both, {"points": [POINT]}, both, {"points": [POINT]}) == []
    (finding,) = watch(both, {"points": [POINT]}, {"boxes": [BOX]})
    assert finding.source == "é.tsv:3"


def test_a_long_run_of_skipped_rows_is_an_error_and_a_shorter_one_is_not() -> None:
    sound, empty = {"boxes": [BOX]}, {"boxes": []}
    assert watch(sound, *[empty] * (LONGEST_SKIP - 1), sound, *[empty] * (LONGEST_SKIP - 1), batch=100) == []
    (finding,) = watch(sound, *[empty] * LONGEST_SKIP, sound, batch=100)
    assert (finding.code, finding.severity, finding.source, finding.found) == (
        "skips-long",
        "error",
        "é.tsv",
        f"{LONGEST_SKIP} rows without a phrase",
    )


def test_each_file_is_a_data_set_of_its_own() -> None:
    watching = LoaderWatch()
    note = watching.note([subject(1, {"boxes": [BOX]}), subject(1, {"points": [POINT]}, path="狗.tsv")])
    assert [*watching.see(note), *watching.findings()] == []


def test_grpo_skips_nothing() -> None:
    assert skips_rows(get_profile("rexomni-sft@478e44f"))
    assert not skips_rows(get_profile("rexomni-grpo"))
