"""Files of a layout that looks like the trainer's: its loader takes them as they stand, and reads something else.

Every other file stops the loader at once. Rows of these are judged as a conversion would write them, so that it has to be said
that they were not converted yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from groundprep.checks.base import Rule
from groundprep.checks.files import FileFrame
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

LAYOUT_DIFFERS = Rule(
    "layout-differs", Severity.WARNING, "the trainer's loader takes the file as it stands, but it is of another layout"
)

LOOK_ALIKES = (
    # `image` and `conversations` (specs/vlmr1_easydistill.md §1.2, §2.1; specs/targets.md §3.3).
    frozenset({"vlmr1", "vlmr1-ovd", "vlmr1-seg", "qwen-vl"}),
    # `image_path`, `instruction` and `abs_box` (specs/vlmr1_easydistill.md §3.2).
    frozenset({"easydistill", "easydistill-single"}),
)
"""Dialects whose rows have the same keys."""


def layout_findings(file: FileFrame, profile: Profile) -> Iterator[Finding]:
    """Yield a warning on a file that looks like the trainer's; one that names its trainer says so itself (`frame-mismatch`)."""
    if file.dialect == profile.dialect or file.metadata is not None:
        return
    if any({file.dialect, profile.dialect} <= alike for alike in LOOK_ALIKES):
        yield Finding(
            code=LAYOUT_DIFFERS.code,
            severity=LAYOUT_DIFFERS.severity,
            record=None,
            source=file.path,
            message=f"{profile.name}'s loader takes the file as it stands and reads its answers for others than they are;"
            " the rows were judged as a conversion would write them",
            found=f"{file.dialect} rows",
            expected=f"{profile.dialect} rows",
            fix=f"convert the file first: groundprep convert … --for {profile.name}",
        )
