"""docs/checklists.md, the registry of checks and the profiles agree."""

from __future__ import annotations

import re
from pathlib import Path

from groundprep.checks import CHECKS, RULES
from groundprep.trainers import PROFILES

TEXT = (Path(__file__).parents[2] / "docs" / "checklists.md").read_text(encoding="utf-8")
CODE_CELLS = re.findall(r"^\|[^|\n]+\|([^|\n]+)\|[^|\n]+\|$", TEXT, re.MULTILINE)
LISTED = {code for cell in CODE_CELLS for code in re.findall(r"`([a-z][a-z0-9-]+)`", cell)}


def test_every_code_of_a_checklist_exists() -> None:
    assert len(CODE_CELLS) > 100
    assert LISTED - RULES.keys() == set()


def test_every_trainer_has_a_checklist() -> None:
    headings = set(re.findall(r"^## (\S+)$", TEXT, re.MULTILINE))
    assert {profile.name for profile in PROFILES.values()} - headings == set()


def test_every_code_that_concerns_a_trainer_is_on_a_checklist() -> None:
    codes = {code for check in CHECKS if check.applies is not None for code in check.codes}
    assert codes - LISTED == set()
