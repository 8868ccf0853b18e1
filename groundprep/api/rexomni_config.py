"""What Rex-Omni's own configuration must say of a TSV: its entry in `datasets`, and the phrases that no row may hold.

The entry has plain values only, and names of the trainer's own checkout: its configuration imports them already.
Source: Rex-Omni @478e44f and @8c474a3 (specs/rexomni.md §2.2, §2.4, §3.6, §4, §11.5, §11.6).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from groundprep.api.dialect_options import GRPO
from groundprep.checks.rexomni_rows import PHRASE_NOT_NORMAL, STEERING, normal_phrase
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.profile import Profile
from groundprep.stages.hold_regions import HoldRegions

CONFIG_FILE = "rexomni_config.py"
CATEGORIES_FILE = "extra_categories.json"

BOXES_ONLY = frozenset({"rexomni-sft@478e44f", "rexomni-grpo@478e44f"})
"""The revisions without PointingTaskFn and null entries; under GRPO both are broken (§2.4, §3.1)."""

MANY_CATEGORIES = 100
"""The maintainers use up to 20 negatives a sample, elsewhere 80 to 100; 365 names overflow 4,096 tokens (§3.6)."""

SHOWN_CATEGORIES = 20


def stage_for(profile: Profile | None, dialect: str) -> HoldRegions | None:
    """Return the stage that a Rex-Omni profile needs; None for other trainers, and for rows that it does not read."""
    if profile is None or profile.dialect != "rexomni" or dialect != profile.dialect:
        return None
    return HoldRegions(boxes_only=profile.full_name in BOXES_ONLY)


@dataclass(frozen=True, slots=True)
class TrainerEntry:
    """What a Rex-Omni configuration needs to know of one output.

    Args:
        profile: the trainer, with the limits that the output was written for.
        prefix: of the TSV; None where the rows are in another container, which this trainer does not read.
        held: the stage after the last record.
    """

    profile: Profile
    prefix: str | None
    held: HoldRegions

    @property
    def categories(self) -> list[str]:
        """The absent phrases as the trainer writes them, each once, without those that would steer the model."""
        names = [normal_phrase(phrase).strip() for phrase in self.held.absent if not _steers(phrase)]
        return [name for name in dict.fromkeys(names) if name]

    @property
    def side_files(self) -> dict[str, str]:
        """The files that belong beside the output, name → text."""
        files = {} if self.prefix is None else {CONFIG_FILE: self.text()}
        if self.categories:
            files[CATEGORIES_FILE] = json.dumps(self.categories, ensure_ascii=False, indent=2) + "\n"
        return files

    def findings(self) -> list[Finding]:
        """Return what is doubtful about the absent phrases: too many of them, or some that cannot be named."""
        found = []
        if len(self.categories) > MANY_CATEGORIES:
            found.append(
                _warning(
                    "extra-categories-many",
                    "every one of the absent phrases is asked for in every row, and all of them may not fit a prompt",
                    found=f"{len(self.categories)} phrases",
                    expected=f"at most about {MANY_CATEGORIES}",
                    fix="keep the most useful ones in extra_categories, or write for rexomni-sft@8c474a3, whose rows hold them",
                )
            )
        unnamed = [phrase for phrase in self.held.absent if _steers(phrase) or not normal_phrase(phrase).strip()]
        if unnamed:
            found.append(
                _warning(
                    PHRASE_NOT_NORMAL.code,
                    "an absent phrase holds text that steers the model, and is not among the extra categories",
                    found=shown(unnamed[0]),
                    fix="rewrite the phrase",
                )
            )
        return found

    def text(self, shown: int | None = None) -> str:
        """Return the entry for `datasets` as Python; `shown` categories at most, None: all of them."""
        is_grpo = self.profile.name == GRPO
        lines = [
            f"# One of the data sets in finetuning/configs/{'grpo' if is_grpo else 'sft'}.py, which imports these names already."
        ]
        if self.held.points and self.held.boxes:
            lines.append(
                "# The rows have boxes and points: a row without the key that a data set reads stops the training."
            )
        if self.categories:
            lines.append(
                "# extra_categories are asked for in every row that has no box of them, also where nobody looked for them."
            )
        kinds = (
            ["TSVRLHFDataset"]
            if is_grpo
            else ["GroundingTSVDataset"]
            if self.held.boxes or not self.held.points
            else []
        )
        kinds += ["PointingTSVDataset"] if self.held.points else []
        for kind in kinds:
            lines += self._entry(kind, shown)
        return "\n".join(lines) + "\n"

    def _entry(self, kind: str, shown: int | None) -> list[str]:
        """Return one data set; the keys of SFT and GRPO differ (§2.2, §2.4)."""
        prefix = os.path.abspath(self.prefix or "")  # noqa: PTH100 (lexical: links stay links)
        low, high = self.profile.chain.limits
        files = ("image_tsv_file", "anno_tsv_file", "anno_idx_file")
        limits = ("min_pixels", "max_pixels")
        further = ['    reward_name="box_iou",']
        if kind != "TSVRLHFDataset":
            files, limits = (
                ("img_tsv_file", "ann_tsv_file", "ann_lineidx_file"),
                ("image_min_pixels", "image_max_pixels"),
            )
            further = ['    ori_box_format="xyxy",'] if kind == "GroundingTSVDataset" else []
        task, prompts = "GroundingTaskFn", "GROUNDING_SINGLE_REGION_STAGE_XYXY"
        if kind == "PointingTSVDataset":
            task, prompts = "PointingTaskFn", "POINTING_POINT"
        suffixes = (".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx")
        return [
            "dict(",
            f"    type={kind},",
            *(f"    {key}={_quoted(prefix + suffix)}," for key, suffix in zip(files, suffixes, strict=True)),
            *(f"    {key}={value}," for key, value in zip(limits, (low, high), strict=True)),
            *further,
            "    task_fn=dict(",
            f"        type={task},",
            f"        task_prompts={prompts},",
            f"        image_min_pixels={low},",
            f"        image_max_pixels={high},",
            *self._extra_categories(shown),
            "    ),",
            "),",
        ]

    def _extra_categories(self, shown: int | None) -> list[str]:
        names = self.categories
        if not names:
            return []
        listed = ", ".join(map(_quoted, names[:shown]))
        rest = f", …  # {len(names)} in all: see {CATEGORIES_FILE}" if shown is not None and len(names) > shown else ""
        return [f"        extra_categories=[{listed}{rest}" if rest else f"        extra_categories=[{listed}],"]


def _steers(phrase: str) -> bool:
    return any(mark in phrase for mark in STEERING)


def _quoted(text: str) -> str:
    """Return a string literal that is Python and JSON alike."""
    return json.dumps(text, ensure_ascii=False)


def _warning(code: str, message: str, **details: str) -> Finding:
    return Finding(
        code=code, severity=Severity.WARNING, record=None, source="extra_categories", message=message, **details
    )
