"""Images at another size or turned upright, and all that is annotated on them moved along: the one place that re-encodes.

`--resize fixed-point` stores each image at a size that the trainer's chain leaves alone; `--exif bake` turns its pixels as
its EXIF orientation says. An image that needs neither passes through, bytes untouched. The new files lie in a store under
the name of what they were made from (SHA-256 of the bytes, and the edit), so that an image is transcoded once however many
rows share it, and an interrupted run resumes where it was. JPEG stays JPEG (quality 95, 4:4:4), PNG stays PNG, every other
format becomes PNG. Only the first frame of an animation is kept, as trainers keep it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from groundprep.errors import LineIndexError, PayloadError, RecordError
from groundprep.geometry.fixed_point import fixed_point_wh
from groundprep.geometry.orientation import Move, upright_wh
from groundprep.geometry.resize import ResizeChain
from groundprep.image_loader import ImageLoader
from groundprep.images import (
    EXIF_ORIENTATION_TAG,
    BytesImage,
    FileImage,
    ImageRef,
    Location,
    decode,
    open_image,
    orientation_of,
)
from groundprep.record import Dropped, Record
from groundprep.stages.move import moved_record

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 95
JPEG_FORMATS = ("JPEG", "MPO")
KEPT_MODES = {"JPEG": ("L", "RGB", "CMYK"), "PNG": ("L", "LA", "RGB", "RGBA")}
"""Pillow modes that are stored as they are; every other becomes RGB (RGBA with transparency), which trainers make of it."""
LOCKS = 64
TURNS = {  # EXIF orientation → Pillow's transposition that makes the image upright
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True, slots=True)
class ImageEdit:
    """What shall become of images.

    Args:
        chain: store images at a size that this chain leaves alone; None: at their own.
        bakes_exif: turn pixels as the EXIF orientation says, and remove the tag.
        ignores_masks: masks will not be written, so that they need not follow their image.
    """

    chain: ResizeChain | None = None
    bakes_exif: bool = False
    ignores_masks: bool = False

    def move_of(self, image: Image.Image) -> Move:
        """Return where an opened image's pixels go; raises SizeRefusedError."""
        orientation = orientation_of(image) if self.bakes_exif else 1
        upright = upright_wh((image.width, image.height), orientation)
        to_wh = upright if self.chain is None else fixed_point_wh(self.chain, upright)
        return Move((image.width, image.height), orientation, to_wh)

    def write(self, data: bytes, move: Move, file: IO[bytes]) -> None:
        """Write the edited image into a file, a real one: only then Pillow lets other threads run while it encodes a JPEG.

        Encoding is a quarter of the work; into memory, two threads took turns at it. Raises PayloadError.
        """
        from PIL import Image

        image = decode(data)
        kind = output_format(image.format)
        exif, profile = image.getexif(), image.info.get("icc_profile")
        pixels = _storable(image, kind)
        if move.orientation != 1:
            pixels = pixels.transpose(Image.Transpose[TURNS[move.orientation]])
            del exif[EXIF_ORIENTATION_TAG]
        if pixels.size != move.to_wh:
            pixels = pixels.resize(move.to_wh, Image.Resampling.BICUBIC)
        kept = {"exif": exif.tobytes()} if len(exif) else {}
        if profile is not None and pixels.mode == image.mode:
            kept["icc_profile"] = profile
        if kind == "JPEG":
            pixels.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, **kept)
        else:
            pixels.save(file, "PNG", **kept)

    @property
    def digest(self) -> bytes:
        """What tells this edit from every other."""
        return repr((self.chain, self.bakes_exif)).encode()


class Edited(NamedTuple):
    """An edited image: where its bytes are, how pixels moved, and whether its format changed to PNG."""

    location: Location
    move: Move
    becomes_png: bool


class TranscodeImages:
    """A batch stage: every record with its images edited and its geometry moved.

    Args:
        store: a directory for new images; what an earlier run of the same command left there is used again.
    """

    REMEMBERED = 65_536

    def __init__(self, loader: ImageLoader, edit: ImageEdit, store: Path) -> None:
        self.loader = loader
        self.edit = edit
        self.store = store
        self._edited: OrderedDict[Hashable, Edited] = OrderedDict()
        self._memory = threading.Lock()
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def __call__(self, records: list[Record]) -> list[Record | Dropped]:
        """Return the records in order; one whose image or geometry cannot follow is Dropped. Runs on any thread."""
        return [self._record(record) for record in records]

    def _record(self, record: Record) -> Record | Dropped:
        try:
            edited = [self._image(ref) for ref in record.images]
            if all(one.move.is_nothing for one in edited):
                return record
            refs = tuple(_new_ref(ref, one) for ref, one in zip(record.images, edited, strict=True))
            return moved_record(record, refs, [one.move for one in edited], ignores_masks=self.edit.ignores_masks)
        except (RecordError, PayloadError, LineIndexError) as error:
            error.at(record.source)
            row = record.origin.value if record.origin else None
            return Dropped(record.source, error.code, error.message, row, error)

    def _image(self, ref: ImageRef) -> Edited:
        if isinstance(ref.location, BytesImage):  # an unchanged image would be remembered with its bytes
            return self._edit(ref)
        key = ref.location.key
        with self._memory:
            known = self._edited.get(key)
        if known is None:
            known = self._edit(ref)
            with self._memory:
                self._edited[key] = known
                if len(self._edited) > self.REMEMBERED:
                    self._edited.popitem(last=False)
        return known

    def _edit(self, ref: ImageRef) -> Edited:
        data = self.loader.read(ref)
        image = open_image(data)
        move = self.edit.move_of(image)
        kind = output_format(image.format)
        becomes_png = kind == "PNG" and image.format != "PNG"
        if move.is_nothing:
            return Edited(ref.location, move, becomes_png)
        digest = hashlib.sha256(self.edit.digest + hashlib.sha256(data).digest()).hexdigest()
        path = self.store / digest[:2] / (digest + (".jpg" if kind == "JPEG" else ".png"))
        with self._locks[int(digest[:8], 16) % LOCKS]:
            if not _is_whole(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_suffix(f".{threading.get_ident()}.tmp")
                with temporary.open("wb") as file:
                    self.edit.write(data, move, file)
                temporary.replace(path)
        return Edited(FileImage(str(path)), move, becomes_png)


def output_format(source_format: str | None) -> str:
    """Return the format that an edited image is stored in."""
    return "JPEG" if source_format in JPEG_FORMATS else "PNG"


def _storable(image: Image.Image, kind: str) -> Image.Image:
    """Return the image in a mode that the format holds and that can be resampled."""
    if image.mode in KEPT_MODES[kind] and "transparency" not in image.info:
        return image
    return image.convert("RGBA" if kind == "PNG" and image.has_transparency_data else "RGB")


def _is_whole(path: Path) -> bool:
    """Say whether the store holds this image complete: a power failure may have left a torn file."""
    try:
        decode(path.read_bytes())
    except (FileNotFoundError, PayloadError):
        return False
    return True


def _new_ref(ref: ImageRef, edited: Edited) -> ImageRef:
    name = ref.name
    if name is not None and edited.becomes_png and not edited.move.is_nothing:
        name = str(PurePosixPath(name).with_suffix(".png"))
    declared = None if ref.declared_size_wh is None else edited.move.to_wh
    return replace(ref, name=name, location=edited.location, declared_size_wh=declared)
