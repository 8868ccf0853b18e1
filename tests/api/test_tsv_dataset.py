"""`TsvDataset`: the samples of a TSV by number, in any process and thread."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import groundprep
from groundprep.api import tsv_dataset
from groundprep.errors import FormatError, LineIndexError, PayloadError, RecordError
from groundprep.images import decode_rgb
from tests.contracts.samples import read_jsonl, rexomni_row, run, write_jsonl


@pytest.fixture
def prefix(data: Path) -> Path:
    """A TSV of 40 samples that share three images."""
    write_jsonl(data / "many.jsonl", (rexomni_row(n, annotation={"boxes": [], "größe": n}) for n in range(40)))
    run(data / "many.jsonl", data / "out/toy", to="tsv")
    return data / "out/toy"


def digest(item: Any) -> tuple[Any, int]:
    return item.annotation["größe"], hash(item.image)


def read_in_worker(dataset: Any, numbers: list[int], results: Any) -> None:
    results.put([(dataset[n].annotation["größe"], len(dataset[n].image)) for n in numbers])


def test_it_holds_the_rows_and_the_very_bytes_of_the_images(prefix: Path, data: Path) -> None:
    dataset = groundprep.TsvDataset(str(prefix))
    rows = read_jsonl(data / "many.jsonl")
    assert len(dataset) == len(rows) == 40
    for row, item in zip(rows, dataset, strict=True):
        assert item.annotation == row["annotation"]
        assert item.image == (data / row["image_name"]).read_bytes()


def test_every_integer_counts_from_either_end_and_no_farther(prefix: Path) -> None:
    dataset = groundprep.TsvDataset(str(prefix))
    assert digest(dataset[-1]) == digest(dataset[39]) == digest(dataset[np.int64(39)])
    assert digest(dataset[-40]) == digest(dataset[0])
    for number in (40, -41):
        with pytest.raises(IndexError, match=f"sample {number} of 40"):
            _ = dataset[number]
    with pytest.raises(TypeError):
        _ = dataset["3"]


def test_decode_gives_rgb_pixels(prefix: Path) -> None:
    raw, pixels = groundprep.TsvDataset(str(prefix))[1].image, groundprep.TsvDataset(str(prefix), decode=True)[1].image
    assert pixels.mode == "RGB"
    assert (np.asarray(pixels) == np.asarray(decode_rgb(raw))).all()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_read_what_the_parent_reads_though_it_reads_at_the_same_time(prefix: Path, method: str) -> None:
    dataset = groundprep.TsvDataset(str(prefix))
    expected = [(dataset[n].annotation["größe"], len(dataset[n].image)) for n in range(40)]  # files are open now
    context = multiprocessing.get_context(method)
    results = context.Queue()
    workers = [context.Process(target=read_in_worker, args=(dataset, list(range(40)), results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(20):
        assert [(item.annotation["größe"], len(item.image)) for item in dataset] == expected
    assert [results.get(timeout=60) for _ in workers] == [expected, expected]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_threads_may_share_it(prefix: Path) -> None:
    dataset = groundprep.TsvDataset(str(prefix))
    expected = [digest(item) for item in dataset]
    with ThreadPoolExecutor(8) as pool:
        assert [digest(item) for item in pool.map(dataset.__getitem__, list(range(40)) * 5)] == expected * 5


def test_a_pickle_holds_paths_only(prefix: Path) -> None:
    dataset = groundprep.TsvDataset(str(prefix), decode=True)
    data = pickle.dumps(dataset)
    assert len(data) < 1000
    again = pickle.loads(data)
    assert again.decode
    assert again[7].annotation == dataset[7].annotation


def test_a_part_of_a_tsv_is_read_through_its_line_index(prefix: Path, data: Path) -> None:
    lines = Path(f"{prefix}.annotations.tsv.lineidx").read_bytes().splitlines()
    part = data / "other" / "part.lineidx"
    part.parent.mkdir()
    part.write_bytes(b"\r\n".join([lines[7], lines[3], lines[7]]))  # reordered, repeated, CRLF, no last line end
    dataset = groundprep.TsvDataset(str(part), annotations=f"{prefix}.annotations.tsv", images=f"{prefix}.images.tsv")
    assert [item.annotation["größe"] for item in dataset] == [7, 3, 7]


def test_damage_is_told_when_the_sample_is_asked_for(prefix: Path) -> None:
    index = Path(f"{prefix}.annotations.tsv.lineidx")
    lines = index.read_bytes().split(b"\n")
    lines[1], lines[2], lines[3] = b"12x", str(int(lines[2]) + 1).encode(), b"99999999"
    index.write_bytes(b"\n".join(lines))
    annotations = Path(f"{prefix}.annotations.tsv")
    annotations.write_bytes(annotations.read_bytes().replace('"größe": 5}'.encode(), '"größe": 5]'.encode()))
    dataset = groundprep.TsvDataset(str(prefix))
    assert dataset[0].annotation["größe"] == 0
    for number in (1, 2, 3):
        with pytest.raises(LineIndexError):
            _ = dataset[number]
    with pytest.raises(RecordError):
        _ = dataset[5]
    images = Path(f"{prefix}.images.tsv")
    images.write_bytes(images.read_bytes().replace(b"iVBOR", b"iVB*R", 1))
    with pytest.raises(PayloadError):
        _ = dataset[0]


def test_missing_and_empty_files_are_told_at_once(prefix: Path) -> None:
    for suffix in (".images.tsv", ".annotations.tsv", ".annotations.tsv.lineidx"):
        path = Path(str(prefix) + suffix)
        kept = path.read_bytes()
        path.write_bytes(b"")
        with pytest.raises(FormatError, match="empty"):
            groundprep.TsvDataset(str(prefix))
        path.unlink()
        with pytest.raises(FormatError, match="does not exist"):
            groundprep.TsvDataset(str(prefix))
        path.write_bytes(kept)


def test_torch_is_not_imported(prefix: Path) -> None:
    code = f"import sys, groundprep; groundprep.TsvDataset({str(prefix)!r}, decode=True)[0]; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.binary(max_size=300).map(lambda data: data.replace(b"x", b"\n")), st.integers(1, 70))
def test_line_ends_are_found_piece_by_piece(text: bytes, piece_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv_dataset, "PIECE_BYTES", piece_bytes)
        assert tsv_dataset.line_ends(text).tolist() == [place for place, byte in enumerate(text) if byte == 10]
