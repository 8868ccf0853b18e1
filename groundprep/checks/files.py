"""The file as a whole: does it say that it was written for the trainer that shall read it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundprep.checks.base import Rule
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

PROFILE_DIFFERS = Rule(
    "profile-differs", Severity.ERROR, "the file was written for another trainer, revision, limits or frame"
)
PROFILE_UNKNOWN = Rule(
    "profile-unknown", Severity.WARNING, "the file does not say for which trainer and limits its numbers were made"
)

RULES = (PROFILE_DIFFERS, PROFILE_UNKNOWN)

COMPARED = ("profile", "revision", "limits", "frame", "chain")


def profile_findings(
    path: str, dialect: str, metadata: Mapping[str, Any] | None, profile: Profile, *, frame_named: bool
) -> Iterator[Finding]:
    """Yield what a file of training rows says otherwise than `--for` asks.

    Args:
        path: the file.
        dialect: of its rows; only training rows are in a trainer's pixels.
        metadata: its `groundprep` metadata, if it has any.
        profile: with the limits and the frame that were asked for.
        frame_named: `--source-frame` says what the numbers mean.
    """
    if dialect not in SCORED_ROWS or profile.dialect not in SCORED_ROWS:
        return
    wanted = profile.as_metadata()
    if dialect != profile.dialect:
        yield _finding(
            PROFILE_DIFFERS,
            path,
            f"the rows are laid out for another loader than {profile.name}'s",
            found=dialect,
            expected=profile.dialect,
        )
    if metadata is None:
        if not frame_named:
            yield _finding(
                PROFILE_UNKNOWN,
                path,
                "the file does not say for which trainer its numbers were made; --for is taken at its word",
                found=None,
                expected=f"groundprep metadata that says {_shown(wanted)}",
            )
        return
    if any(metadata.get(key) != wanted[key] for key in COMPARED):
        yield _finding(
            PROFILE_DIFFERS,
            path,
            "the file was written for another trainer or other limits",
            found=_shown(metadata),
            expected=_shown(wanted),
        )


def _shown(metadata: Mapping[str, Any]) -> str:
    limits = metadata.get("limits")
    low, high = (limits.get("min_pixels"), limits.get("max_pixels")) if isinstance(limits, Mapping) else (None, None)
    steps = [step.get("op") for step in metadata.get("chain") or () if isinstance(step, Mapping)]
    return f"{metadata.get('profile')}@{metadata.get('revision')}, {low} to {high} pixels, {' then '.join(map(str, steps))}"


def _finding(rule: Rule, path: str, message: str, *, found: str | None, expected: str) -> Finding:
    return Finding(
        code=rule.code,
        severity=rule.severity,
        record=None,
        source=path,
        message=message,
        found=None if found is None else shown(found),
        expected=expected,
        fix="convert the source again with the --for, --min-pixels and --max-pixels of this training",
    )
