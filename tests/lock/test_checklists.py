"""docs/checklists.md names codes that `validate` reports, and the limits that the profiles hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from groundprep.checks.registry import RULES
from groundprep.profile import Profile
from groundprep.trainers import PROFILES

PAGE = (Path(__file__).parents[2] / "docs" / "checklists.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
LINES = [row for row in ROWS if len(row) == 3 and row[0] != "what has to be true" and set(row[0]) != {"-"}]
LIMITS = {
    name: row[1:] for row in ROWS if len(row) == 6 for name in re.findall(r"`([^`]+)`", row[0])
}  # name → prompt, answer, both, batch, over


def test_the_page_has_a_checklist_for_every_trainer_that_is_listed_here() -> None:
    assert len(LINES) > 40
    assert {"rexthinker", "easyr1", "trl", "trl-sft"} <= set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[1])
def test_every_line_names_codes_that_exist_with_their_severity(row: list[str]) -> None:
    codes = re.findall(r"`([^`]+)`", row[1])
    assert codes
    worst = {str(RULES[code].severity) for code in codes if code in RULES}
    assert set(codes) <= RULES.keys()
    assert worst & set(re.findall(r"error|warning", row[2]))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.full_name)
def test_the_limits_are_those_of_the_profiles(profile: Profile) -> None:
    budget = profile.budget
    expected = [budget.prompt_tokens, budget.response_tokens, budget.sequence_tokens, budget.batch_rows]
    assert LIMITS[profile.name][:4] == ["" if limit is None else f"{limit:,}" for limit in expected]
