"""The file as a whole: are its numbers in the frame that its trainer will take them for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from groundprep.checks.alignment import Alignment
from groundprep.checks.base import Rule
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import Space
from groundprep.profile import Profile, RowFrame

FRAME_MISMATCH = Rule(
    "frame-mismatch", Severity.ERROR, "the file was written for another trainer, revision, limits or frame"
)
FRAME_UNKNOWN = Rule(
    "frame-unknown", Severity.WARNING, "the file does not say for which trainer and limits its numbers were made"
)

RULES = (FRAME_MISMATCH, FRAME_UNKNOWN)

CONVERT = "convert the source again with the --for, --min-pixels and --max-pixels of this training"

FrameSays: TypeAlias = Literal["user", "file", "layout", "nobody"]
"""Who says which frame a file's numbers are in: --source-frame or a mixture; its metadata or manifest; the layout, which has
only one, or the rows themselves; nobody, so that `--for` is taken at its word."""


class FileFrame(NamedTuple):
    """What is known of the frame of a file.

    Args:
        path: the file.
        dialect, container: how its rows are laid out.
        row_frame: the frame that its numbers were read in.
        says: who says so.
        metadata: the trainer profile that its `groundprep` metadata or its manifest names, if there is one.
    """

    path: str
    dialect: str
    container: str
    row_frame: RowFrame
    says: FrameSays
    metadata: Mapping[str, Any] | None = None


def reads_as_is(dialect: str, container: str, profile: Profile) -> bool:
    """Say whether rows are judged as they stand: they are laid out for the profile's trainer, or nearly so.

    Any others are judged as a conversion would write them. Training rows are never converted in silence; a TSV is read by its
    own line index, so that rows of its dialect in another container have to be converted as well.
    """
    if dialect in SCORED_ROWS and profile.dialect in SCORED_ROWS:
        return True
    return dialect == profile.dialect and (container == profile.container or profile.container != "tsv")


def frame_findings(file: FileFrame, profile: Profile, alignment: Alignment | None = None) -> Iterator[Finding]:
    """Yield what a file says of its frame otherwise than `--for` asks; at most one finding.

    Args:
        file: what is known of it.
        profile: with the limits and the frame that were asked for.
        alignment: how far its boxes are off, if that was measured.
    """
    wanted = RowFrame.of_profile(profile)
    if file.dialect != profile.dialect or not reads_as_is(file.dialect, file.container, profile):
        yield from _of_another_layout(file, profile, alignment)
    elif file.says == "nobody":
        if profile.frame.space is not Space.STORED:
            yield _unknown(file, profile, alignment)
    elif file.row_frame != wanted:
        yield _mismatch(file, profile, _beside("the trainer takes the numbers for others than they are", alignment))
    elif file.says == "file" and _names_another(file, profile):
        yield _mismatch(
            file,
            profile,
            "the file was written for another trainer; its numbers mean the same here",
            severity=Severity.WARNING,
        )


def _of_another_layout(file: FileFrame, profile: Profile, alignment: Alignment | None) -> Iterator[Finding]:
    """Yield a finding on rows of another layout: training rows that look nearly the same, or a file that names its trainer.

    Any other file is one to convert, and its boxes will follow.
    """
    if reads_as_is(file.dialect, file.container, profile):
        yield _mismatch(
            file,
            profile,
            _beside(f"the rows are laid out for another loader than {profile.name}'s", alignment),
            layouts=(file.dialect, profile.dialect),
        )
    elif file.metadata is not None and file.metadata.get("profile") != profile.name:
        yield _mismatch(
            file,
            profile,
            f"the file was written for another trainer; {profile.name} reads it after a conversion",
            severity=Severity.WARNING,
        )


def _names_another(file: FileFrame, profile: Profile) -> bool:
    metadata = file.metadata or {}
    return (metadata.get("profile"), metadata.get("revision")) != (profile.name, profile.revision)


def _unknown(file: FileFrame, profile: Profile, alignment: Alignment | None) -> Finding:
    message = "the file does not say for which trainer its numbers were made; --for is taken at its word"
    if alignment is not None and alignment.if_stored.px is not None:
        px, where = round(alignment.if_stored.px, 1), alignment.if_stored.source
        message += f" (pixels of the stored images would be up to {px:g} px beside, in {where})"
    return _finding(FRAME_UNKNOWN, file, message, found=None, expected=f"metadata that says {_shown_profile(profile)}")


def _beside(message: str, alignment: Alignment | None) -> str:
    if alignment is None or not alignment.error.px:
        return message
    return f"{message}: its boxes are up to {round(alignment.error.px, 1):g} px beside, in {alignment.error.source}"


def _mismatch(
    file: FileFrame,
    profile: Profile,
    message: str,
    *,
    layouts: tuple[str, str] | None = None,
    severity: Severity = Severity.ERROR,
) -> Finding:
    found = _shown_metadata(file.metadata) if file.says == "file" and file.metadata else _shown_frame(file.row_frame)
    expected = _shown_profile(profile)
    if layouts is not None:
        found, expected = (f"{layout} rows, {text}" for layout, text in zip(layouts, (found, expected), strict=True))
    return _finding(FRAME_MISMATCH, file, message, found=found, expected=expected, severity=severity)


def _shown_profile(profile: Profile) -> str:
    return _shown_metadata(profile.as_metadata())


def _shown_metadata(metadata: Mapping[str, Any]) -> str:
    limits = metadata.get("limits")
    low, high = (limits.get("min_pixels"), limits.get("max_pixels")) if isinstance(limits, Mapping) else (None, None)
    steps = [step.get("op") for step in metadata.get("chain") or () if isinstance(step, Mapping)]
    return (
        f"{metadata.get('profile')}@{metadata.get('revision')}, {metadata.get('frame')}, {low} to {high} pixels,"
        f" {' then '.join(map(str, steps))}"
    )


def _shown_frame(row_frame: RowFrame) -> str:
    if row_frame.chain is None:
        return row_frame.frame.name
    low, high = row_frame.chain.limits
    return f"{row_frame.frame.name}, {low} to {high} pixels, {' then '.join(step.op for step in row_frame.chain.steps)}"


def _finding(
    rule: Rule,
    file: FileFrame,
    message: str,
    *,
    found: str | None,
    expected: str,
    severity: Severity | None = None,
) -> Finding:
    return Finding(
        code=rule.code,
        severity=severity or rule.severity,
        record=None,
        source=file.path,
        message=message,
        found=None if found is None else shown(found),
        expected=expected,
        fix=CONVERT,
    )
