"""Masks that lie in image files of their own, for rows that can only hold the mask itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundprep.errors import RecordError
from groundprep.images import FileImage
from groundprep.record import Mask

if TYPE_CHECKING:
    from groundprep.geometry.masks import MaskHW

MASK_THRESHOLD = 128
"""Mask images are 0 and 255. Source: oguz-kolukisa/VLM-R1 @6db601e (specs/vlmr1_easydistill.md §2.9)."""


def read_mask(path: str, size_hw: tuple[int, int] | None = None) -> MaskHW:
    """Return a mask image as a mask; raises PayloadError, and RecordError (`mask-size`) if it is not of the size given."""
    import numpy as np

    from groundprep.geometry.masks import as_mask
    from groundprep.images import decode

    mask = as_mask(np.asarray(decode(FileImage(path).read()).convert("L")) >= MASK_THRESHOLD)
    if size_hw is not None and mask.shape != size_hw:
        raise RecordError(
            "the mask was drawn on an image of another size",
            code="mask-size",
            found=f"{mask.shape[1]}x{mask.shape[0]}",
            expected=f"{size_hw[1]}x{size_hw[0]}",
            fix="use the image that was annotated, at its stored size",
        )
    return mask


def mask_of_file(path: str, size_hw: tuple[int, int]) -> Mask:
    """Return a mask image as run lengths; raises PayloadError, and RecordError (`mask-size`) if it is not of that size."""
    from groundprep.geometry.masks import encode_rle

    return Mask(size_hw, encode_rle(read_mask(path, size_hw)))
