"""A look at the first rows of a conversion that needs no image: do their boxes lie in the images, where these are there?

Everywhere else the sizes are known when a row is written, and the verdict is on the whole file. Here nothing would open an image,
and 0–1000 would pass for pixels. So a few hundred images are opened, by their header, and missing ones are nobody's fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from groundprep.api.convert_config import ConvertConfig
from groundprep.api.sources import Sources, require_frames
from groundprep.api.target import Target
from groundprep.checks.frames import FrameTally
from groundprep.containers import STDIN, Reader
from groundprep.containers.selected import SelectedReader
from groundprep.dialects import Dialect, ReadContext
from groundprep.errors import PayloadError
from groundprep.geometry.frames import SizeWH
from groundprep.image_header import read_header
from groundprep.images import FileImage, ImageRef
from groundprep.pipeline import parse
from groundprep.record import Dropped, Record

FIRST_ROWS = 512
FIRST_MISSING = 32
"""So many images that are not there, and none that is: nobody meant to have them here."""


def require_frames_of_first_rows(config: ConvertConfig, sources: Sources, target: Target) -> None:
    """Raise FormatError (`frame-contradicted`) if the first rows of a source contradict its frame; opens no image twice."""
    looks_later = target.writer_type.embeds_images or config.image_out is not None or target.row_frame.frame.needs_size
    if looks_later or config.sources.source_frame is not None:
        return
    tally = FrameTally()
    for reader, dialect, context in zip(sources.readers, sources.dialects, sources.contexts, strict=True):
        rows = reader.reader if isinstance(reader, SelectedReader) else reader
        if rows.container in ("json", "jsonl") and rows.path != STDIN:
            for record, sizes_wh in _sized(rows, dialect, context):
                tally.see(record, sizes_wh)
    require_frames(tally, config.sources, sources)


def _sized(reader: Reader, dialect: Dialect, context: ReadContext) -> Iterator[tuple[Record, list[SizeWH | None]]]:
    """Yield the first records of which an image is there, with the sizes of their images."""
    known_wh: dict[str, SizeWH | None] = {}
    for row in islice(reader, FIRST_ROWS):
        record = parse(row, dialect, context)
        if isinstance(record, Dropped):
            continue  # told when its turn comes
        sizes_wh = [_size_wh(ref, known_wh) for ref in record.images]
        if any(sizes_wh):
            yield record, sizes_wh
        elif len(known_wh) >= FIRST_MISSING and not any(known_wh.values()):
            return


def _size_wh(ref: ImageRef, known_wh: dict[str, SizeWH | None]) -> SizeWH | None:
    if not isinstance(ref.location, FileImage):
        return None
    path = ref.location.path
    if path not in known_wh:
        try:
            known_wh[path] = read_header(path).info.size_wh
        except PayloadError:
            known_wh[path] = None
    return known_wh[path]
