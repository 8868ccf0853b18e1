"""Image files that a conversion writes: staged beside the output, moved into place when all is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from groundprep.errors import UsageError
from groundprep.output import writing


def publish_images(staging: Path, image_out: Path, *, overwrite: bool) -> None:
    """Move staged image files into place; a file of the same name must hold the same bytes, or `overwrite` be set."""
    staged = sorted(path for path in staging.rglob("*") if path.is_file())
    for path in staged:
        final = image_out / path.relative_to(staging)
        if final.exists() and not overwrite and final.read_bytes() != path.read_bytes():
            raise UsageError(
                "another image has this name already",
                code="output-exists",
                source=str(final),
                fix="pass --overwrite or another --image-out",
            )
    with writing(image_out):
        for path in staged:
            final = image_out / path.relative_to(staging)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(final)
            except OSError:  # another file system
                shutil.move(path, final)
