"""Oddities of a file that our readers accept with a warning, and that the named trainer's loader does not survive.

They are raised to errors only where the trainer reads the very file: a file of another layout is converted first, and written
without them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from groundprep.checks.files import reads_as_is
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

_JSON_LINES = frozenset({"blank-line", "bom"})
"""`json.loads` of each line, of an empty one too, and of text that begins with a byte order mark."""

FATAL: Mapping[str, frozenset[str]] = {
    # Source: VLM-R1 @90052f4: "no blank lines" (specs/vlmr1_easydistill.md §1.2).
    "vlmr1": _JSON_LINES,
    "vlmr1-ovd": _JSON_LINES,
    "vlmr1-seg": _JSON_LINES,
    # Source: Rex-Omni @478e44f: int() of every line of the index when the dataset is made (specs/rexomni.md §2.1).
    "rexomni": frozenset({"bom", "no-lineidx"}),
    # Source: EasyDistill @acbe49b and qwen-vl-finetune @23d3cce: json.load and json.loads (§3.2; specs/targets.md §3.3).
    "easydistill": frozenset({"bom"}),
    "easydistill-single": frozenset({"bom"}),
    "qwen-vl": frozenset({"bom"}),
}
"""Dialect of the profile → codes of readers' warnings."""


def as_loader_sees(finding: Finding, dialect: str, container: str, profile: Profile | None) -> Finding:
    """Return a reader's warning as an error if the trainer's loader stops there.

    Args:
        finding: what the reader of a file warns of.
        dialect: of the file's rows.
        container: of the file.
        profile: the trainer, if one was named.
    """
    if profile is None or not reads_as_is(dialect, container, profile):
        return finding
    if finding.code not in FATAL.get(profile.dialect, frozenset()):
        return finding
    return msgspec.structs.replace(
        finding, severity=Severity.ERROR, message=f"{finding.message}; {profile.name}'s loader stops there"
    )
