"""Choices that only one layout has: the fit of Chebyshev masks, names behind EasyDistill's labels, Rex-Omni's further keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundprep.api.convert_config import ConvertConfig
from groundprep.dialects import Dialect
from groundprep.dialects.easydistill import LABELS, EasyDistill
from groundprep.dialects.easydistill_sft import EasyDistillSft
from groundprep.dialects.rexomni import RexOmni
from groundprep.dialects.vlmr1_seg import VlmR1Seg
from groundprep.errors import UsageError
from groundprep.profile import Profile
from groundprep.record import Header

MAX_LABEL_MAP_BYTES = 100_000

WITH_LABELS: dict[str, type[EasyDistill | EasyDistillSft]] = {kind.name: kind for kind in (EasyDistill, EasyDistillSft)}

GRPO = "rexomni-grpo"
"""Its collation stops where rows have other top-level keys than the first one (specs/rexomni.md §2.4)."""

LABELS_FILE = "labels.json"
"""The side file that keeps the names (specs/vlmr1_easydistill.md §3.6); `--label-map` reads it again."""


def with_options(dialect: Dialect, config: ConvertConfig, header: Header, profile: Profile | None = None) -> Dialect:
    """Return the dialect as the configuration wants it; raises UsageError for an option that it does not have."""
    if dialect.name != VlmR1Seg.name:
        _refuse(dialect, "hold no Chebyshev masks", "--for vlmr1-seg", fit=config.fit, min_mask_iou=config.min_mask_iou)
    if dialect.name not in WITH_LABELS:
        _refuse(dialect, "have no labels", "--for easydistill or --dialect easydistill-sft", label_map=config.label_map)
    if dialect.name in WITH_LABELS:
        labels = _labels_of(header) if config.label_map is None else parse_label_map(config.label_map)
        return WITH_LABELS[dialect.name](labels) if labels else dialect
    if dialect.name == RexOmni.name:
        return RexOmni(plain=True) if profile is not None and profile.name == GRPO else dialect
    if config.min_mask_iou is not None and not 0 <= config.min_mask_iou <= 1:
        raise UsageError("--min-mask-iou is an IoU", found=config.min_mask_iou, expected="0 to 1")
    if config.fit is not None or config.min_mask_iou is not None:
        return VlmR1Seg(config.fit or "fork", min_iou=config.min_mask_iou)
    return dialect


def options_of(dialect: Dialect) -> dict[str, Any]:
    """Return a dialect's choices, for the manifest; nothing where it has none or takes the usual ones."""
    given: dict[str, Any] = {}
    if isinstance(dialect, VlmR1Seg):
        given = {"fit": None if dialect.fit == "fork" else dialect.fit, "min_mask_iou": dialect.min_iou}
    elif isinstance(dialect, EasyDistill | EasyDistillSft):
        given = {"label_map": dict(dialect.labels) or None}
    return {name: value for name, value in given.items() if value is not None}


def side_files_of(dialect: Dialect) -> dict[str, str]:
    """Return the files that belong beside the output, name → text: a label map, where phrases were given labels."""
    if not isinstance(dialect, EasyDistill | EasyDistillSft) or not dialect.labels:
        return {}
    labels = {name: int(label) for name, label in dialect.labels.items()}
    return {LABELS_FILE: json.dumps(labels, ensure_ascii=False, indent=2) + "\n"}


def parse_label_map(text: str) -> dict[str, str]:
    """Return phrase → label of `cat=0,dog=1` or of a JSON file `{"cat": 0, "dog": 1}`; raises UsageError (`bad-label-map`)."""
    pairs = _read_pairs(text) if text.endswith(".json") else [_split(entry) for entry in text.split(",")]
    labels: dict[str, str] = {}
    for name, label in pairs:
        written = str(label) if type(label) is int else label
        if not name or written not in LABELS:
            raise _refusal(text, f"{name}={label}", "a phrase and a label from 0 to 3, such as cat=0")
        if name in labels:
            raise _refusal(text, f"{name} twice", "every phrase once")
        labels[name] = str(written)
    if not labels:
        raise _refusal(text, "no phrase", "at least one phrase and its label")
    return labels


def _split(entry: str) -> tuple[str, str]:
    name, _, label = entry.rpartition("=")
    return name.strip(), label.strip()


def _read_pairs(path: str) -> list[tuple[str, Any]]:
    try:
        data = Path(path).read_bytes()[: MAX_LABEL_MAP_BYTES + 1]
        pairs = json.loads(data, object_pairs_hook=list) if len(data) <= MAX_LABEL_MAP_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _refusal(path, reason, "a JSON object of phrases and labels") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise _refusal(path, "no JSON object" if pairs is not None else "a longer file", "a short JSON object")
    return pairs


def _refusal(source: str, found: object, expected: str) -> UsageError:
    return UsageError(
        "this is no map of labels", code="bad-label-map", source=f"--label-map {source}", found=found, expected=expected
    )


def _labels_of(header: Header) -> Mapping[str, str]:
    """Return labels for the source's own categories, in the order of their table, if there are at most four.

    The first one gets 0, which is the only class whose boxes the trainer's rewards count (specs/vlmr1_easydistill.md §3.5).
    """
    names = list(dict.fromkeys(header.categories.values()))
    if len(names) > len(LABELS) or set(names) <= set(LABELS):
        return {}
    return dict(zip(names, LABELS, strict=False))


def _refuse(dialect: Dialect, reason: str, expected: str, **options: object) -> None:
    given = [f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"rows of {dialect.name} {reason}", found=" ".join(given), expected=expected)
