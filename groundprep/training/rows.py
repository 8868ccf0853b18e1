"""Training rows: what a trainer is given for one record, and a store that holds them on disk.

The prompt is the row's problem without its `<image>` mark (the image becomes the first content item, as in EasyR1), the
ground truth is the row's answer, verbatim, and the image is resized by the profile's own chain before any processor sees it.
Images stay encoded until a row is used: the store is memory-mapped, so memory does not grow with the data.
Source: EasyR1 @b44b311 verl/utils/dataset.py (specs/rexthinker.md §3.2, §3.3, §4.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundprep.dialects.hints import IMAGE_MARK
from groundprep.errors import RecordError
from groundprep.geometry.frames import SizeWH
from groundprep.geometry.resize import ResizeChain
from groundprep.image_loader import ImageLoader
from groundprep.images import decode_rgb
from groundprep.record import Record
from groundprep.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

STORE_BATCH_ROWS = 32


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One training row.

    Args:
        source: where it came from.
        prompt: the user's text, without the image mark.
        ground_truth: what the reward compares with, verbatim.
        image: the encoded image.
        size_wh: the stored image's size.
        steps_wh: its size after each step of the chain; the last one is what the model sees.
    """

    source: Source
    prompt: str
    ground_truth: str
    image: bytes
    size_wh: SizeWH
    steps_wh: tuple[SizeWH, ...]

    @property
    def seen_wh(self) -> SizeWH:
        """The (width, height) that the model sees."""
        return self.steps_wh[-1] if self.steps_wh else self.size_wh


def row_of(record: Record, chain: ResizeChain, loader: ImageLoader) -> TrainRow:
    """Return a record that was read from a training row; raises RecordError (`image-mark`), PayloadError."""
    assert record.origin is not None
    problem, answer = str(record.origin.value["problem"]), str(record.origin.value["answer"])
    marks = problem.count(IMAGE_MARK)
    if len(record.images) != 1 or marks != 1:
        raise RecordError(
            "a training row needs exactly one image and one <image> in its problem",
            code="image-mark",
            found=f"{len(record.images)} images and {marks} <image>",
            fix="take <image> out of the referring expression, or drop the row",
        )
    size_wh = loader.size_wh(record.images[0])
    steps_wh = tuple(step_wh for _, step_wh in chain.trace(size_wh))
    prompt = problem.replace(IMAGE_MARK, "", 1)
    return TrainRow(record.source, prompt, answer, loader.read(record.images[0]), size_wh, steps_wh)


def seen_image(data: bytes, steps_wh: Iterable[SizeWH]) -> Image.Image:
    """Return the decoded image as RGB, resized step by step (bicubic) as the trainer does; raises PayloadError.

    A step that keeps the size resamples nothing. Orientation tags are not applied: EasyR1's reader does not either.
    """
    from PIL.Image import Resampling

    image = decode_rgb(data)
    for step_wh in steps_wh:
        width, height = step_wh
        if image.size != (width, height):
            image = image.resize((width, height), Resampling.BICUBIC)
    return image


class RowStore:
    """Writes training rows to an Arrow stream, a few at a time; `datasets.Dataset.from_file` maps it into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        self._schema = store_schema()
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: TrainRow) -> None:
        """Append one row."""
        steps = [list(step_wh) for step_wh in row.steps_wh]
        self._rows.append({"text": row.prompt, "ground_truth": row.ground_truth, "bytes": row.image, "steps_wh": steps})
        if len(self._rows) == STORE_BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rows:
            self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def store_schema() -> pa.Schema:
    """Return the columns of the store."""
    import pyarrow as pa

    return pa.schema(
        [
            ("text", pa.string()),
            ("ground_truth", pa.string()),
            ("bytes", pa.binary()),
            ("steps_wh", pa.list_(pa.list_(pa.int64()))),
        ]
    )


def as_examples(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return stored rows as TRL wants them: `prompt` (a chat), `image` (decoded, resized) and `ground_truth`."""
    return {
        "prompt": [[{"role": "user", "content": text}] for text in batch["text"]],
        "image": [seen_image(data, steps) for data, steps in zip(batch["bytes"], batch["steps_wh"], strict=True)],
        "ground_truth": batch["ground_truth"],
    }
