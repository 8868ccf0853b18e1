"""The least that a conversion must do: one thread reads each file, encodes it and writes it. No checks, no fsync."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pybase64
from PIL import Image


def floor_tsv(annotations: Path, images: Path, out: Path) -> None:
    """Read, base64, write: the floor under any TSV writer."""
    image_offset = annotation_offset = 0
    with (
        annotations.open("rb") as rows,
        out.with_suffix(".images.tsv").open("wb") as image_file,
        out.with_suffix(".annotations.tsv").open("wb") as annotation_file,
        out.with_suffix(".annotations.tsv.lineidx").open("wb") as index_file,
    ):
        for line in rows:
            row = json.loads(line)
            payload = pybase64.b64encode((images / row["image_name"]).read_bytes())
            image_line = b"%d\t%b\n" % (image_offset, payload)
            boxes = {"boxes": [{"bbox": row["ans"], "phrase": row["referring"]}]}
            annotation_line = b"%d\t%b\n" % (image_offset, json.dumps(boxes, ensure_ascii=False).encode())
            image_file.write(image_line)
            annotation_file.write(annotation_line)
            index_file.write(b"%d\n" % annotation_offset)
            image_offset += len(image_line)
            annotation_offset += len(annotation_line)


def floor_parquet(annotations: Path, images: Path, out: Path) -> None:
    """Read, hand to pyarrow, write: the floor under any parquet writer with embedded images."""
    schema = pa.schema([("images", pa.binary()), ("problem", pa.string()), ("answer", pa.string())])
    with (
        annotations.open("rb") as rows,
        pq.ParquetWriter(out, schema, compression="NONE", use_dictionary=False) as writer,
    ):
        batch: list[dict[str, object]] = []
        for line in rows:
            row = json.loads(line)
            data = (images / row["image_name"]).read_bytes()
            batch.append({"images": data, "problem": row["referring"], "answer": json.dumps(row["ans"])})
            if len(batch) == 100:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def reencode_tsv(annotations: Path, images: Path, out: Path) -> None:
    """Decode and write JPEG quality 75 per row, as Rex-Omni's converter does (specs/rexomni.md §1.3)."""
    with annotations.open("rb") as rows, out.open("wb") as file:
        for line in rows:
            buffer = io.BytesIO()
            Image.open(images / json.loads(line)["image_name"]).convert("RGB").save(buffer, "JPEG")
            file.write(pybase64.b64encode(buffer.getvalue()) + b"\n")


def reencode_parquet(annotations: Path, images: Path, out: Path) -> None:
    """Decode and write PNG per row, as Rex-Thinker's converter does (specs/rexthinker.md §2.2), then hand over to pyarrow."""
    schema = pa.schema([("images", pa.binary()), ("problem", pa.string()), ("answer", pa.string())])
    with annotations.open("rb") as rows, pq.ParquetWriter(out, schema) as writer:
        for line in rows:
            row = json.loads(line)
            buffer = io.BytesIO()
            Image.open(images / row["image_name"]).convert("RGB").save(buffer, "PNG")
            item = {"images": buffer.getvalue(), "problem": row["referring"], "answer": json.dumps(row["ans"])}
            writer.write_table(pa.Table.from_pylist([item], schema=schema))


def datasets_parquet(annotations: Path, images: Path, out: Path) -> None:
    """Do it with `datasets`: a generator of rows with the images' bytes embedded, then `to_parquet`."""
    import tempfile

    import datasets

    def rows() -> Iterator[dict[str, object]]:
        with annotations.open("rb") as file:
            for line in file:
                row = json.loads(line)
                image = {"bytes": (images / row["image_name"]).read_bytes(), "path": None}
                yield {"images": image, "problem": row["referring"], "answer": json.dumps(row["ans"])}

    text = datasets.Value("string")
    features = datasets.Features({"images": datasets.Image(), "problem": text, "answer": text})
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="groundprep-bench-") as cache:
        datasets.Dataset.from_generator(rows, features=features, cache_dir=cache).to_parquet(out)
