"""What one run knows of its images: every one is read and probed where it is met, and its size is remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Literal

from groundprep.config import MAX_IMAGE_PIXELS
from groundprep.errors import PayloadError
from groundprep.geometry.frames import SizeWH
from groundprep.images import MISSING, BytesImage, ImageRef, decode, probe
from groundprep.jpeg import ImageInfo


class ImageLoader:
    """Reads and probes images for one run: remembers sizes (bounded) and, per thread, the last image's bytes.

    Args:
        verify: `header` proves that an image opens; `decode` decodes all of its pixels as well.

    Attributes:
        accepts_declared: where a file is missing, the size that the data declares will do; whoever wants bytes still fails.
        declared_only: images whose size was only declared, each counted when it is met (again after 65,536 others).
    """

    REMEMBERED_SIZES = 65_536

    def __init__(self, *, verify: Literal["header", "decode"] = "header") -> None:
        self.verify = verify
        self.accepts_declared = False
        self.declared_only = 0
        self._sizes: OrderedDict[Hashable, SizeWH] = OrderedDict()
        self._declared: OrderedDict[Hashable, None] = OrderedDict()
        self._last = threading.local()

    def read(self, ref: ImageRef) -> bytes:
        """Return the image's bytes, proven to open; raises PayloadError."""
        return self._load(ref)[0]

    def info(self, ref: ImageRef) -> ImageInfo:
        """Return what the header says; raises PayloadError."""
        return self._load(ref)[1]

    def size_wh(self, ref: ImageRef, declared_wh: SizeWH | None = None) -> SizeWH:
        """Return (width, height) of the stored image; raises PayloadError.

        `declared_wh` is what the row says, if its image does not; see `accepts_declared`.
        """
        if isinstance(ref.location, BytesImage):
            return self._load(ref)[1].size_wh
        key = ref.location.key
        size_wh = self._sizes.get(key)
        if size_wh is not None:
            return size_wh
        try:
            return self._load(ref)[1].size_wh
        except PayloadError as error:
            stated_wh = ref.declared_size_wh or declared_wh
            if not (self.accepts_declared and stated_wh and isinstance(error.__cause__, MISSING)):
                raise
            if min(stated_wh) < 1 or stated_wh[0] * stated_wh[1] > MAX_IMAGE_PIXELS:
                raise
            self._note_declared(key)
            return stated_wh

    def _note_declared(self, key: Hashable) -> None:
        if key not in self._declared:
            self.declared_only += 1
            self._declared[key] = None
            while len(self._declared) > self.REMEMBERED_SIZES:
                self._declared.popitem(last=False)

    def remember(self, ref: ImageRef, size_wh: SizeWH) -> None:
        """Take the size of an image that somebody else has looked at."""
        if not isinstance(ref.location, BytesImage):
            self._remember(ref.location.key, size_wh)

    def _remember(self, key: Hashable, size_wh: SizeWH) -> None:
        self._sizes[key] = size_wh
        while len(self._sizes) > self.REMEMBERED_SIZES:
            self._sizes.popitem(last=False)

    def known_size_wh(self, ref: ImageRef) -> SizeWH | None:
        """Return (width, height) if this image was read before, else None; never reads."""
        if isinstance(ref.location, BytesImage):
            last = self._last.__dict__.get("loaded")
            return last[2].size_wh if last is not None and last[0] == ref.location else None
        return self._sizes.get(ref.location.key)

    def _load(self, ref: ImageRef) -> tuple[bytes, ImageInfo]:
        location = ref.location
        last = self._last.__dict__.get("loaded")
        if last is not None and last[0] == location:
            return last[1], last[2]
        data = location.read()
        info = probe(data)
        if self.verify == "decode":
            decode(data)
        self._last.loaded = (location, data, info)
        if not isinstance(location, BytesImage):
            self._remember(location.key, info.size_wh)
        return data, info
