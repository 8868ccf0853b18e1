"""What `convert` is told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from groundprep.api.image_edits import ExifMode, ResizeMode
from groundprep.api.sources import SourceConfig
from groundprep.api.units import UnitChange
from groundprep.pipeline import OnError


@dataclass(frozen=True, slots=True)
class ConvertConfig:
    """What `convert` shall do.

    Args:
        sources: what to read.
        dst: destination; a prefix for tsv; `-` writes jsonl to standard output.
        profile: the trainer to write for, `NAME[@REV]`.
        to: a container, dialect or corpus; None: what the destination's name, the profile or the source say.
        dialect: the dialect to write.
        image_out: directory for image files, when the target names files.
        frame: the trainer's frame, or the one that the trainer's own converter assumes.
        min_pixels, max_pixels: override the profile's limits.
        verify: prove images by their header, or decode them all.
        resize: store images as they are, or at the nearest size that the profile's chain leaves alone.
        exif: leave the EXIF orientation to the loader, or turn the pixels and drop the tag; boxes follow.
        dedupe_images: store each image once in a TSV, however many rows share it.
        strict_lossless: fail before writing if anything would be rounded or lost.
        dry_run: do everything but write.
        negatives: how many phrases to add to every image that say what is not in it, from the sources' own.
        seed: decides which.
        fit: how masks become Chebyshev numbers: as the fork does (None too), or the best numbers of that form.
        min_mask_iou: the least IoU of those numbers with their mask; rows below are bad rows.
        label_map: phrases and EasyDistill's labels, `cat=0,dog=1` or a JSON file; None: the source's categories, if at most four.
        crowds: keep outlines around many objects (COCO's iscrowd), which a trainer reads as one, or leave them out.
        sampling: of a trainer's YAML: it says which rows the trainer shall choose (None too), or they are chosen now.
        dropped: where dropped rows and their reasons go if dst is `-`; a file has them in its sidecar.
        on_error, limit, overwrite, fresh, workers: see `groundprep --help`; workers never change the bytes.
    """

    sources: SourceConfig
    dst: str
    profile: str | None = None
    to: str | None = None
    dialect: str | None = None
    image_out: str | None = None
    frame: Literal["trainer", "converter"] = "trainer"
    min_pixels: int | None = None
    max_pixels: int | None = None
    verify: Literal["header", "decode"] = "header"
    dedupe_images: bool = True
    strict_lossless: bool = False
    dry_run: bool = False
    negatives: int = 0
    seed: int = 0
    on_error: OnError = "fail"
    limit: int | None = None
    overwrite: bool = False
    fresh: bool = False
    workers: int | None = None
    resize: ResizeMode = "none"
    exif: ExifMode = "keep"
    fit: Literal["fork", "best"] | None = None
    min_mask_iou: float | None = None
    label_map: str | None = None
    sampling: Literal["keep", "apply"] | None = None
    crowds: Literal["keep", "drop"] = "keep"
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What `convert` did.

    Args:
        outputs: the files under their final names.
        counts, losses, warnings: see the manifest and docs/cli.md.
        side_files: what lies in the sidecar for people: names behind labels, a trainer's configuration.
        paste: what the trainer's configuration or command line must say, for people to paste.
        units: what was inserted because a row of the target is another unit than a row of the source.
        unchanged: the very same output was there already.
    """

    outputs: tuple[str, ...]
    counts: dict[str, int]
    losses: dict[str, Any]
    warnings: list[dict[str, Any]]
    dropped_file: str | None
    container: str
    dialect: str
    profile: dict[str, Any] | None
    units: tuple[UnitChange, ...] = ()
    unchanged: bool = False
    side_files: tuple[str, ...] = ()
    paste: str | None = None
