"""Columns of a file of training rows that the trainer itself uses for something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from groundprep.checks.base import Rule, Subject
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile

COLUMN_RESERVED = Rule(
    "column-reserved",
    Severity.ERROR,
    "a column has a name that the trainer uses itself, and is overwritten or stops it",
)

_VERL = frozenset(
    {
        "input_ids",
        "attention_mask",
        "position_ids",
        "raw_prompt_ids",
        "multi_modal_data",
        "multi_modal_inputs",
        "ground_truth",
        "uid",
        "prompts",
        "responses",
    }
)
"""Source: EasyR1 @b44b311 and the copy that Rex-Thinker bundles (specs/rexthinker.md §4.2)."""

RESERVED = {
    "rexthinker-parquet": _VERL,
    "easyr1": _VERL,
    # Source: TRL 1.16 GRPOTrainer._calculate_rewards: columns become keyword arguments beside prompts and completions, which
    # raises TypeError; the other two are overwritten.
    "trl": frozenset({"prompts", "completions", "trainer_state", "log_extra", "log_metric"}),
    # Source: Rex-Omni @478e44f: every top-level key of the annotation flows into the batch (specs/rexomni.md §2.4).
    "rexomni-grpo": frozenset(
        {
            "prompt",
            "answer",
            "ground_truth",
            "multi_modal_data",
            "multi_modal_inputs",
            "input_ids",
            "attention_mask",
            "position_ids",
            "raw_prompt_ids",
            "uid",
        }
    ),
}
"""Dialect of the profile, or its name where a dialect serves several trainers → names."""

OVERWRITTEN = {
    # Source: VLM-R1 @90052f4: keys that the loader derives from the conversation (specs/vlmr1_easydistill.md §1.2). The fork's
    # viewer reads `solution`, so that its rows have one (§2.7).
    "vlmr1": frozenset({"problem", "solution", "image_path"}),
    "vlmr1-ovd": frozenset({"problem", "solution", "image_path"}),
    "vlmr1-seg": frozenset({"problem", "image_path"}),
}
"""Dialect of the profile → names whose values the trainer replaces before anything reads them: no more than a warning."""

WRITES_FURTHER_KEYS = ("rexomni-grpo", *OVERWRITTEN)
"""Rows of these keep further keys of the source when `convert` writes them."""


def reserves_columns(profile: Profile) -> bool:
    """Say whether a profile's trainer has reserved names."""
    return bool(_names(profile))


def _names(profile: Profile) -> frozenset[str]:
    reserved = RESERVED.get(profile.name) or RESERVED.get(profile.dialect) or frozenset()
    return reserved | OVERWRITTEN.get(profile.dialect, frozenset())


class ColumnWatch:
    """Finds reserved columns, once for each file and name: it remembers no more than that."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}

    def note(self, subjects: Sequence[Subject]) -> dict[tuple[str, str], Finding] | None:
        """Return the findings on rows as they stand in the file, and on those that `convert` would write with further keys."""
        found: dict[tuple[str, str], Finding] = {}
        for subject in subjects:
            profile = subject.profile
            if profile is None or not (subject.is_native or {profile.name, profile.dialect} & {*WRITES_FURTHER_KEYS}):
                continue
            for name in sorted(_names(profile) & subject.row.keys()):
                found.setdefault((subject.record.source.path, name), _finding(subject, name))
        return found or None

    def see(self, note: dict[tuple[str, str], Finding] | None) -> Iterable[Finding]:
        """Keep those that are new."""
        for key, finding in (note or {}).items():
            self._found.setdefault(key, finding)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield them."""
        yield from self._found.values()


def _finding(subject: Subject, name: str) -> Finding:
    assert subject.profile is not None
    is_overwritten = name in OVERWRITTEN.get(subject.profile.dialect, frozenset())
    return subject.finding(
        COLUMN_RESERVED,
        f"{subject.profile.name}'s trainer replaces a column of this name before anything reads it"
        if is_overwritten
        else f"{subject.profile.name}'s trainer uses a column of this name for itself",
        found=name,
        expected="another name, or no such column",
        fix="rename or remove the column",
        severity=Severity.WARNING if is_overwritten else None,
    )
