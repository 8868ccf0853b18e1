"""Reading and writing rows whose images nobody looks at: their sizes are what the rows declare, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from groundprep.dialects import ReadContext
from groundprep.errors import PayloadError
from groundprep.geometry.frames import PIXELS, SizeWH, Space
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef
from groundprep.jpeg import ImageInfo
from groundprep.profile import RowFrame

STAND_IN_WH = (1000, 1000)
"""Where nothing is known, boxes are read as if the image had this size: it keeps their order, their area and their equality."""


class SizeUnknownError(PayloadError):
    """The row does not say how large its image is, and the image is not looked at."""


class DeclaredSizes(ImageLoader):
    """Knows of images what their rows say, and opens none; for one thread.

    Args:
        stand_in_wh: the (width, height) of images of unknown size; None: asking for it raises SizeUnknownError.
    """

    def __init__(self, stand_in_wh: SizeWH | None = None) -> None:
        super().__init__()
        self.stand_in_wh = stand_in_wh
        self.of_row_wh: SizeWH | None = None

    def look_at(self, value: Mapping[str, Any]) -> None:
        """Take the size that a row declares for its only image, if it does."""
        self.of_row_wh = None
        if "width" in value:  # mostly not
            width, height = value["width"], value.get("height")
            if type(width) is int and type(height) is int and width > 0 and height > 0:
                self.of_row_wh = width, height

    def known_size_wh(self, ref: ImageRef) -> SizeWH | None:
        """Return the (width, height) that the row declares for an image, or None."""
        declared_wh = ref.declared_size_wh
        return declared_wh if declared_wh is not None and min(declared_wh) > 0 else self.of_row_wh

    def size_wh(self, ref: ImageRef, declared_wh: SizeWH | None = None) -> SizeWH:
        """Return the (width, height) that the row declares, or the stand-in; raises SizeUnknownError."""
        size_wh = self.known_size_wh(ref) or declared_wh or self.stand_in_wh
        return size_wh if size_wh is not None else self._refuse()

    def read(self, ref: ImageRef) -> bytes:
        """Refuse: raises SizeUnknownError."""
        del ref
        return self._refuse()

    def info(self, ref: ImageRef) -> ImageInfo:
        """Refuse: raises SizeUnknownError."""
        del ref
        return self._refuse()

    def _refuse(self) -> NoReturn:
        raise SizeUnknownError("the row declares no image size, and images are not looked at (--verify none)")


def without_sizes(context: ReadContext) -> ReadContext:
    """Return a context that reads boxes of images of unknown size: the trainer's pixels as they are, shares of a stand-in."""
    row_frame = RowFrame(PIXELS) if context.row_frame.frame.space is Space.SEEN else context.row_frame
    return replace(context, loader=DeclaredSizes(STAND_IN_WH), row_frame=row_frame)
