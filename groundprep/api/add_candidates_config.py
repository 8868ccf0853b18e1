"""What `add-candidates` is asked to do, and what it says that it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from groundprep.api.sources import SourceConfig
from groundprep.containers import STDIN
from groundprep.detect import DEFAULT_DETECTOR, DetectorOptions
from groundprep.detect.batches import BATCH_SIZE
from groundprep.errors import UsageError
from groundprep.pipeline import OnError
from groundprep.stages.candidates import CandidateSettings


@dataclass(frozen=True, slots=True)
class AddCandidatesConfig:
    """What `add-candidates` shall do.

    Args:
        sources: what to read: one source, which is read three times, so not standard input.
        dst: destination; the ledger lies in its sidecar.
        detector: which detector, where, how precise, and its thresholds.
        candidates: answer policy, order, seed; its `hint_frame` is set from `profile`.
        batch_size: most images in a forward; part of the batch plan, so it may change the last digits.
        profile: the trainer in whose frame no two candidates may be equal. Parquet (or `to` easyr1) is written for it;
            json and jsonl keep the source's dialect and pixels, or become rexthinker where that dialect holds no candidates
            and the trainer reads them.
        to: a container or dialect to write.
        min_pixels, max_pixels: override the profile's limits.
        on_error: `fail`: do all the work that can be done, keep the ledger, name every bad row, write no output.
        limit, overwrite, fresh, workers: see `groundprep --help`; `overwrite` keeps the ledger, `fresh` forgets it.
    """

    sources: SourceConfig
    dst: str
    detector: DetectorOptions = field(default_factory=lambda: DetectorOptions(DEFAULT_DETECTOR))
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    batch_size: int = BATCH_SIZE
    profile: str | None = None
    to: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class AddCandidatesResult:
    """What `add-candidates` did.

    Args:
        outputs: the files under their final names.
        counts, losses, warnings: see the manifest and docs/cli.md.
        detections: forwards (pairs detected in this run), pairs, reused, images, boxes, split_batches, failed.
        answers: matched, appended, merged, and what became of candidates.
        seconds: of this run.
        unchanged: the very same output was there already.
    """

    outputs: tuple[str, ...]
    counts: dict[str, int]
    detections: dict[str, int]
    answers: dict[str, int]
    losses: dict[str, Any]
    warnings: list[dict[str, Any]]
    dropped_file: str | None
    container: str
    dialect: str
    profile: dict[str, Any] | None
    detector: str
    seconds: float
    unchanged: bool = False


def require_sound(config: AddCandidatesConfig) -> None:
    """Raise UsageError for values that make no sense."""
    if len(config.sources.paths) != 1:
        raise UsageError("one source is needed", found=" ".join(config.sources.paths), expected="SRC DST")
    if STDIN in (config.dst, config.sources.paths[0]):
        raise UsageError(
            "add-candidates reads its source more than once and keeps a ledger beside its destination",
            found="-",
            expected="files",
            fix="write standard input to a file first, and name a destination",
        )
    if config.batch_size < 1:
        raise UsageError("--batch-size is out of range", found=config.batch_size, expected="at least 1")
