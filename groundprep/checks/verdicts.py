"""What is known of an image after it was looked at once, however many records share it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from groundprep.errors import LineIndexError, PayloadError
from groundprep.geometry.frames import SizeWH
from groundprep.image_header import ROTATING_FORMATS, header_of, read_header
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, FileImage, ImageRef, decode, exif_orientation, frames_of, orientation_of
from groundprep.jpeg import ImageInfo

if TYPE_CHECKING:
    from PIL import Image

Trait: TypeAlias = Literal["16-bit", "alpha", "cmyk", "palette", "animated"]
"""What may make a trainer see another picture than a person does. `alpha`: some pixel is not opaque, whatever the mode."""

REMEMBERED_VERDICTS = 65_536
"""An image that comes again after so many others is looked at again: memory stays flat."""

PLAIN_MODES = ("RGB", "L")
MODES_OVER_8_BITS = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
PALETTE_MODES = ("P", "PA", "1")
"""Pillow resizes these to the nearest pixel, whatever filter is asked for. Source: Pillow, Image.resize."""

FORMATS_WITH_FRAMES = ("GIF", "PNG", "TIFF", "WEBP")
"""An MPO's further pictures are a camera's previews of the first."""

DIGEST_BYTES = 16


class Verdict(NamedTuple):
    """What an image is.

    Args:
        size_wh: stored (width, height); None if the image is missing or broken.
        orientation: EXIF, 1 to 8.
        problem: code, message, found, expected and fix of what is wrong with it.
        traits: what may make a trainer see another picture; with `header`, `alpha` is not known.
        digest: of the image's bytes, 128 bits; None with `header`, because hashing costs more than parsing a header.
    """

    size_wh: SizeWH | None
    orientation: int = 1
    problem: dict[str, Any] | None = None
    traits: tuple[Trait, ...] = ()
    digest: bytes | None = None


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
        self._under_way: dict[Hashable, threading.Event | None] = {}

    def of(self, ref: ImageRef) -> Verdict:
        """Return the verdict on an image; whoever asks while another thread looks at it waits for that thread."""
        key = ref.location.key
        known = self._known.get(key)
        if known is not None:
            return known
        if self.verify == "header":  # reading a header twice costs less than making sure that nobody does
            return self._keep(key, self._look(ref))
        return self._of_one_thread(key, ref)

    def _keep(self, key: Hashable, verdict: Verdict) -> Verdict:
        self._known[key] = verdict
        while len(self._known) > REMEMBERED_VERDICTS:
            self._known.popitem(last=False)
        return verdict

    def _of_one_thread(self, key: Hashable, ref: ImageRef) -> Verdict:
        while True:
            with self._lock:
                verdict = self._known.get(key)
                if verdict is not None:
                    return verdict
                if key not in self._under_way:
                    self._under_way[key] = None  # nobody waits, in most cases
                    break
                other = self._under_way[key]
                if other is None:
                    other = self._under_way[key] = threading.Event()
            other.wait()
        try:
            verdict = self._look(ref)
        finally:
            with self._lock:
                waiting = self._under_way.pop(key)
                if verdict is not None:
                    self._keep(key, verdict)
            if waiting is not None:
                waiting.set()
        return verdict

    def _look(self, ref: ImageRef) -> Verdict:
        try:
            if self.verify == "header":
                return self._look_at_header(ref)
            data = self.loader.read(ref)
            info = self.loader.info(ref)
            orientation = exif_orientation(data) if info.format in ROTATING_FORMATS else 1
            image = decode(data)
            orientation = orientation if info.format in ROTATING_FORMATS else orientation_of(image)
            key = ref.location.key if isinstance(ref.location, BytesImage) else digest_of_bytes(data)
        except (PayloadError, LineIndexError) as error:
            return Verdict(None, problem={name: value for name, value in error.as_dict().items() if name != "source"})
        assert isinstance(key, bytes)
        return Verdict(info.size_wh, orientation, None, traits_of(image, info), key)

    def _look_at_header(self, ref: ImageRef) -> Verdict:
        location = ref.location
        header = read_header(location.path) if isinstance(location, FileImage) else header_of(self.loader.read(ref))
        size_wh, mode = header.info.size_wh, header.info.mode
        self.loader.remember(ref, size_wh)
        traits = _traits_of_mode(mode)
        return Verdict(size_wh, header.orientation, traits=(*traits, "animated") if header.is_animated else traits)


def digest_of_bytes(data: bytes) -> bytes:
    """Return 128 bits that stand for an image's bytes: those of `BytesImage.key`, wherever the image lies."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def traits_of(image: Image.Image, info: ImageInfo) -> tuple[Trait, ...]:
    """Return the traits of a decoded image; `info` is what its header says."""
    if info.mode in PLAIN_MODES and info.format not in FORMATS_WITH_FRAMES:
        return ()
    found: list[Trait] = list(_traits_of_mode(info.mode))
    if _is_see_through(image):
        found = [*(trait for trait in found if trait != "palette"), "alpha"]
    if _has_frames(image, info):
        found.append("animated")
    return tuple(found)


def _traits_of_mode(mode: str) -> tuple[Trait, ...]:
    if mode in MODES_OVER_8_BITS:
        return ("16-bit",)
    if mode == "CMYK":
        return ("cmyk",)
    return ("palette",) if mode in PALETTE_MODES else ()


def _is_see_through(image: Image.Image) -> bool:
    """Say whether any pixel is not opaque; an alpha channel that is opaque everywhere changes nothing."""
    if not image.has_transparency_data:
        return False
    alpha = image.getchannel("A") if "A" in image.getbands() else image.convert("RGBA").getchannel("A")
    return alpha.getextrema()[0] < 255  # type: ignore[operator]  # one band: two numbers


def _has_frames(image: Image.Image, info: ImageInfo) -> bool:
    return info.format in FORMATS_WITH_FRAMES and frames_of(image) > 1
