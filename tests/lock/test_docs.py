"""Docs and code agree: every verb and every flag is in docs/cli.md, the README's commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from groundprep.cli import VERBS, app
from groundprep.cli.options import GLOBAL_ANNOTATIONS
from groundprep.containers import CONTAINERS
from groundprep.corpora import CORPORA
from groundprep.dialects import DIALECTS
from groundprep.trainers import PROFILES

ROOT = Path(__file__).parents[2]
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def options_of(verb: str) -> list[str]:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    return [
        option
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    ]


def section(verb: str) -> str:
    match = re.search(rf"^## `groundprep {verb}`$(.*?)(?=^## |\Z)", CLI, re.MULTILINE | re.DOTALL)
    assert match, f"docs/cli.md has no section for {verb}"
    return match[1]


@pytest.mark.parametrize("verb", [verb.NAME for verb in VERBS])
def test_every_flag_of_a_verb_is_documented(verb: str) -> None:
    shared = {"--" + name.replace("_", "-") for name in GLOBAL_ANNOTATIONS}
    missing = [option for option in options_of(verb) if option not in shared and f"`{option}" not in section(verb)]
    assert missing == []


def test_every_global_option_is_documented() -> None:
    assert [name for name in GLOBAL_ANNOTATIONS if f"`--{name.replace('_', '-')}" not in CLI] == []


def test_every_command_that_the_readme_shows_exists() -> None:
    verbs = {verb.NAME for verb in VERBS}
    blocks = "\n".join(re.findall(r"^```console$(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    shown = set(re.findall(r"^(?:\$ )?groundprep ([a-z-]+)", blocks, re.MULTILINE))
    assert shown
    assert shown <= verbs


def test_the_readme_begins_with_the_two_commands() -> None:
    commands = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert commands[:2] == ["demo", "test"]


def test_names_of_containers_dialects_and_profiles_are_unique() -> None:
    names = [*CONTAINERS, *DIALECTS, *CORPORA]
    assert len(names) == len(set(names))
    assert len({profile.full_name for profile in PROFILES.values()}) == len(PROFILES)
    assert not {profile.name for profile in PROFILES.values()} & set(CONTAINERS)
