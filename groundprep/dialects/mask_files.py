"""Masks that lie in image files of their own, for rows that can only hold the mask itself; and how exact a mask still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundprep.images import FileImage
from groundprep.losses import Losses
from groundprep.record import Mask

if TYPE_CHECKING:
    from groundprep.geometry.masks import MaskHW

MASK_THRESHOLD = 128
"""Mask images are 0 and 255. Source: oguz-kolukisa/VLM-R1 @6db601e (specs/vlmr1_easydistill.md §2.9)."""


def read_mask(path: str, size_hw: tuple[int, int] | None = None) -> MaskHW:
    """Return a mask image as a mask; raises PayloadError, and RecordError (`mask-size`) if it is not of the size given."""
    import numpy as np

    from groundprep.geometry.masks import as_mask, require_size_of_image
    from groundprep.images import decode

    mask = as_mask(np.asarray(decode(FileImage(path).read()).convert("L")) >= MASK_THRESHOLD)
    if size_hw is not None:
        require_size_of_image(mask.shape, (size_hw[1], size_hw[0]))
    return mask


def mask_of_file(path: str, size_hw: tuple[int, int]) -> Mask:
    """Return a mask image as run lengths; raises PayloadError, and RecordError (`mask-size`) if it is not of that size."""
    from groundprep.geometry.masks import encode_rle

    return Mask(size_hw, encode_rle(read_mask(path, size_hw)))


def report_drift(mask: Mask | None, name: str, losses: Losses) -> None:
    """Count a mask that is written as rounded, if resampling has moved its edge."""
    if mask is not None and mask.drift_px:
        losses.rounded(name, mask.drift_px)
