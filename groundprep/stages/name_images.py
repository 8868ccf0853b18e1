"""Names for images in rows that name files: kept as they are, or given to files written under `--image-out`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from groundprep.containers.offsets import OffsetIndex, digest_of
from groundprep.errors import PayloadError, UsageError
from groundprep.image_loader import ImageLoader
from groundprep.image_names import is_safe_name, true_extension
from groundprep.images import FileImage, ImageRef, probe
from groundprep.record import Dropped, Record
from groundprep.stages.base import StreamStage

HASH_CHARACTERS = 16


class NameImages(StreamStage):
    """Give every image a name, and with a staging directory also a file of that name.

    The row's own name is used if it is safe to write and no other image has it, else `<sha256[:16]>.<true extension>`.

    Args:
        staging: where files are written; None: nothing is written, rows must name files already.
        taken: names that are taken, shared with other stages that write into the same directory.
    """

    name = "name-images"

    def __init__(self, loader: ImageLoader, staging: Path | None, taken: OffsetIndex | None = None) -> None:
        super().__init__()
        self.loader = loader
        self.staging = staging
        # Digest of a name → 47 bits of the image that has it (of its place or its content).
        self._owners = OffsetIndex() if taken is None else taken

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the records with named images; an unreadable image drops its record."""
        for record in records:
            if self.staging is None:
                for ref in record.images:
                    self._require_named_file(ref, record)
                if self.loader.verify == "header":
                    yield record
                    continue
            try:
                refs = tuple(map(self._prove if self.staging is None else self._stage, record.images))
            except PayloadError as error:
                error.at(record.source)
                row = record.origin.value if record.origin else None
                yield Dropped(record.source, error.code, error.message, row, error)
                continue
            renamed = sum(new is not old for new, old in zip(refs, record.images, strict=True))
            self.losses.renamed("images.name", renamed)
            yield replace(record, images=refs) if renamed else record

    def _require_named_file(self, ref: ImageRef, record: Record) -> None:
        if ref.name is None or not isinstance(ref.location, FileImage):
            raise UsageError(
                "the source embeds its images and the target names files",
                code="image-out-needed",
                source=record.source,
                fix="pass --image-out DIR",
            )

    def _prove(self, ref: ImageRef) -> ImageRef:
        """Decode an image that nobody has looked at, where all are to be decoded."""
        if self.loader.known_size_wh(ref) is None:
            self.loader.read(ref)
        return ref

    def _stage(self, ref: ImageRef) -> ImageRef:
        if ref.name is not None and is_safe_name(ref.name):
            owner = self._owners.get(digest_of(ref.name.encode()))
            image_47 = _first_47_bits(digest_of(ref.location.key))
            if owner == image_47 or (owner is None and self._write(ref.name, self.loader.read(ref), image_47)):
                return ref
        data = self.loader.read(ref)
        content = hashlib.sha256(data)
        content_47 = _first_47_bits(content.digest())
        for stem in (content.hexdigest()[:HASH_CHARACTERS], content.hexdigest()):
            name = stem + true_extension(probe(data))
            owner = self._owners.get(digest_of(name.encode()))
            if owner == content_47 or (owner is None and self._write(name, data, content_47)):
                return replace(ref, name=name)
        raise PayloadError(
            "every file name for this image is taken by another image", code="image-name", found=ref.name
        )

    def _write(self, name: str, data: bytes, owner_47: int) -> bool:
        """Write a new file; say whether it could be: a name may clash with a folder, or in upper and lower case."""
        assert self.staging is not None
        path = self.staging / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            return False
        self._owners.set(digest_of(name.encode()), owner_47)
        return True


def _first_47_bits(digest: bytes) -> int:
    return int.from_bytes(digest[:6], "little") >> 1
