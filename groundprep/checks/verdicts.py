"""What is known of an image after it was looked at once, however many records share it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from typing import Any, Literal, NamedTuple

from groundprep.errors import LineIndexError, PayloadError
from groundprep.geometry.frames import SizeWH
from groundprep.images import ImageLoader, ImageRef, decode, exif_orientation, orientation_of

REMEMBERED_VERDICTS = 65_536
"""An image that comes again after so many others is looked at again: memory stays flat."""

ROTATING_FORMATS = ("JPEG", "MPO", "WEBP", "TIFF")
"""Formats whose EXIF data can be read without the pixels (Pillow removes a TIFF's with them); a PNG's needs `decode`."""


class Verdict(NamedTuple):
    """What an image is.

    Args:
        size_wh: stored (width, height); None if the image is missing or broken.
        orientation: EXIF, 1 to 8.
        problem: code, message, found, expected and fix of what is wrong with it.
    """

    size_wh: SizeWH | None
    orientation: int = 1
    problem: dict[str, Any] | None = None


class ImageVerdicts:
    """Looks at every distinct image once; any thread may ask.

    Args:
        loader: reads the bytes.
        verify: `decode` decodes all pixels, `header` parses the header only.
    """

    def __init__(self, loader: ImageLoader, *, verify: Literal["header", "decode"] = "decode") -> None:
        self.loader = loader
        self.verify = verify
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Verdict] = OrderedDict()
        self._under_way: dict[Hashable, Future[Verdict]] = {}

    def of(self, ref: ImageRef) -> Verdict:
        """Return the verdict on an image; whoever asks while another thread looks at it waits for that thread."""
        key = ref.location.key
        with self._lock:
            verdict = self._known.get(key)
            if verdict is not None:
                return verdict
            other = self._under_way.get(key)
            mine: Future[Verdict] = Future()
            if other is None:
                self._under_way[key] = mine
        if other is not None:
            return other.result()
        try:
            verdict = self._look(ref)
            mine.set_result(verdict)
        finally:
            mine.cancel()  # does nothing to a future that has its result
            with self._lock:
                del self._under_way[key]
                if verdict is not None:
                    self._known[key] = verdict
                    while len(self._known) > REMEMBERED_VERDICTS:
                        self._known.popitem(last=False)
        return verdict

    def _look(self, ref: ImageRef) -> Verdict:
        try:
            data = self.loader.read(ref)
            info = self.loader.info(ref)
            orientation = exif_orientation(data) if info.format in ROTATING_FORMATS else 1
            if self.verify == "decode":
                image = decode(data)
                orientation = orientation if info.format in ROTATING_FORMATS else orientation_of(image)
        except (PayloadError, LineIndexError) as error:
            return Verdict(None, problem={name: value for name, value in error.as_dict().items() if name != "source"})
        return Verdict(info.size_wh, orientation)
