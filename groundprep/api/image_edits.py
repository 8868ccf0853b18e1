"""`--resize` and `--exif` of `convert`: whether images are edited at all, and what that needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from groundprep.errors import UsageError
from groundprep.image_loader import ImageLoader
from groundprep.profile import Profile
from groundprep.stages.transcode import ImageEdit, TranscodeImages

ResizeMode: TypeAlias = Literal["none", "fixed-point"]
ExifMode: TypeAlias = Literal["keep", "bake"]

STORE = "transcoded"
"""The directory of a sidecar that holds edited images until the run is complete."""


def image_edit(resize: ResizeMode, exif: ExifMode, profile: Profile | None, *, frame: str) -> ImageEdit | None:
    """Return what shall become of images, or None if they stay as they are; raises UsageError."""
    if resize == "none" and exif == "keep":
        return None
    if resize == "none":
        return ImageEdit(bakes_exif=True)
    if profile is None:
        raise UsageError(
            "whose resize chain shall leave the images alone?", found="--resize fixed-point", expected="--for PROFILE"
        )
    if frame == "converter":
        raise UsageError(
            "images are resized for the trainer's chain, the reference converter has another",
            found="--resize fixed-point --frame converter",
            fix="drop one of the two",
        )
    return ImageEdit(profile.chain, bakes_exif=exif == "bake")


def require_place(
    edit: ImageEdit | None, *, embeds_images: bool, image_out: str | None, image_roots: list[str]
) -> None:
    """Raise UsageError if edited images would have no place, or would replace the originals."""
    if edit is None or embeds_images:
        return
    if image_out is None:
        raise UsageError(
            "the target names image files, and the new images need a place",
            code="image-out-needed",
            found="--resize fixed-point or --exif bake",
            fix="pass --image-out DIR",
        )
    if any(Path(image_out).resolve() == Path(root).resolve() for root in image_roots):
        raise UsageError(
            "the new images would replace the originals",
            code="image-out-is-root",
            found=f"--image-out {image_out}",
            expected="another directory than the images'",
            fix="choose another --image-out",
        )


@contextmanager
def transcoding(edit: ImageEdit | None, loader: ImageLoader, sidecar: Path | None) -> Iterator[TranscodeImages | None]:
    """Yield the stage that edits images. Its store is removed at the end, unless the run was cut off: then it resumes.

    `sidecar` is where the store lies; None: in a temporary directory.
    """
    if edit is None:
        if sidecar is not None:
            shutil.rmtree(sidecar / STORE, ignore_errors=True)  # of a run of another configuration that was cut off
        yield None
    elif sidecar is None:
        with TemporaryDirectory(prefix="groundprep-") as name:
            yield TranscodeImages(loader, edit, Path(name))
    else:
        store = sidecar / STORE
        try:
            yield TranscodeImages(loader, edit, store)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            shutil.rmtree(store, ignore_errors=True)
            raise
        shutil.rmtree(store, ignore_errors=True)
