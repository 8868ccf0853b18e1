"""The judges of `make interop` are no rubber stamps: what differs is a problem; the committed page is of a run without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.environments import READERS, last_line
from tests.interop.inputs import Document
from tests.interop.report import PAGE, Verdict, page_of
from tests.interop.verdicts import document_problems, mask_problems, training_problems

BOX = ("bilder/straße 0.png", "狗", 7.5, 3.0, 32.5, 18.25)
WANTED = Document(Path("é.json"), images=2, categories=1, boxes=(BOX, BOX), crowd=1)
SEEN: dict[str, Any] = {"images": 2, "categories": 1, "crowd": 1, "annotations": 2, "boxes": [[*BOX], [*BOX]]}


def test_what_is_as_it_should_be_is_no_problem() -> None:
    assert list(document_problems(WANTED, SEEN)) == []
    stems = SEEN | {"boxes": [["bilder/straße 0", *BOX[1:]]] * 2}
    assert list(document_problems(WANTED, stems, stems=True)) == []


@pytest.mark.parametrize(("change", "problem"), [
    ({"images": 1}, "1 images instead of 2"),
    ({"crowd": 0}, "0 crowd instead of 1"),
    ({"annotations": 3}, "3 annotations instead of 2"),
    ({"boxes": [[*BOX]]}, "1 boxes of the source are not there"),
    ({"boxes": [[*BOX], [*BOX[:4], 33.0, 18.25]]}, "a box that the source has not"),
    ({"boxes": [[*BOX], ["bilder/straße 0.png", "chien", *BOX[2:]]]}, "a box that the source has not"),
    ({"average_precision": 0.5}, "score 0.500 instead of 1"),
    ({"detected": ["coco", "yolo"]}, "recognised as"),
])  # fmt: skip
def test_every_difference_is_a_problem(change: dict[str, Any], problem: str) -> None:
    assert problem in next(document_problems(WANTED, SEEN | change))


def test_a_mask_of_other_pixels_is_a_problem() -> None:
    assert list(mask_problems({"masks": [[1, 300]]}, {"masks": [[1, 300]]})) == []
    assert list(mask_problems({"masks": [[1, 299]]}, {"masks": [[1, 300]]})) != []


def test_an_image_that_the_model_sees_at_another_size_is_a_problem() -> None:
    seen = {"rows": 84, "steps": 2, "loss_is_finite": True, "stored_wh": [[160, 120]], "seen_wh": [[168, 112]]}
    assert list(training_problems("trl-sft", seen)) == []
    assert "instead of (168, 112)" in next(training_problems("trl-sft", seen | {"seen_wh": [[160, 112]]}))


def test_a_failure_is_one_line_that_names_the_reader() -> None:
    verdict = Verdict(READERS[0], "9.9", problems=["coco: 1 images instead of 2", "and so on"])
    assert verdict.line == f"FAILED {READERS[0].name} 9.9: coco: 1 images instead of 2 (and 1 more)"
    assert last_line("Traceback …\n  é\nValueError: nein\n\n") == "ValueError: nein"
    assert "**failed**" in page_of([verdict], "0")


def test_the_committed_report_is_of_a_run_in_which_every_reader_passed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    passed = [line.split("|")[1].strip() for line in page.splitlines() if line.endswith("| ok |")]
    assert passed == [reader.name for reader in READERS]
    assert "failed" not in page
