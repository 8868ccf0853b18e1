from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundprep.errors import PayloadError, RecordError
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile
from groundprep.training.rows import STORE_BATCH_ROWS, RowStore, TrainRow, as_examples, row_of, seen_image

CHAIN = get_profile("easyr1").with_limits(3_136, 25_088).chain
HINT = '<image>Hint: Object and its coordinates in this image: {"star": [[7, 3, 40, 21]]}'
PROBLEM = HINT + "\nPlease detect der rote Stern in this image."
ANSWER = '```json\n[{"bbox_2d": [7, 3, 40, 21], "label": "der rote Stern"}]\n```'


def png(size_wh: tuple[int, int]) -> bytes:
    w, h = size_wh
    ramp = np.linspace(0, 255, w * h * 3).reshape(h, w, 3).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(ramp).save(out, "PNG")
    return out.getvalue()


def record(*, problem: str = PROBLEM, images: int = 1, data: bytes | None = None) -> Record:
    refs = tuple(ImageRef(None, BytesImage(data or png((196, 152)))) for _ in range(images))
    value = {"problem": problem, "answer": ANSWER}
    return Record(source=Source("d.parquet", 7), images=refs).with_origin(
        "easyr1", value, RowFrame(get_profile("easyr1").frame, CHAIN)
    )


def test_the_prompt_is_the_problem_without_its_image_mark_and_the_truth_is_verbatim() -> None:
    row = row_of(record(), CHAIN, ImageLoader())
    assert row.prompt == PROBLEM.removeprefix("<image>")
    assert row.ground_truth == ANSWER
    assert row.source == Source("d.parquet", 7)


def test_the_seen_size_is_the_last_of_the_chain() -> None:
    row = row_of(record(), CHAIN, ImageLoader())
    assert row.size_wh == (196, 152)
    assert row.steps_wh == ((179, 139), (168, 140))
    assert row.seen_wh == (168, 140)


@pytest.mark.parametrize(
    ("problem", "images"), [(PROBLEM + "<image>", 1), (PROBLEM.removeprefix("<image>"), 1), (PROBLEM, 2), (PROBLEM, 0)]
)
def test_anything_but_one_image_and_one_mark_is_refused(problem: str, images: int) -> None:
    with pytest.raises(RecordError) as caught:
        row_of(record(problem=problem, images=images), CHAIN, ImageLoader())
    assert caught.value.code == "image-mark"


def test_a_broken_image_is_refused() -> None:
    with pytest.raises(PayloadError):
        row_of(record(data=b"\x89PNG broken"), CHAIN, ImageLoader())


def test_the_image_is_resized_step_by_step_as_the_trainer_does() -> None:
    data = png((196, 152))
    image = Image.open(io.BytesIO(data)).convert("RGB")
    by_hand = image.resize((179, 139), Image.Resampling.BICUBIC).resize((168, 140), Image.Resampling.BICUBIC)
    assert seen_image(data, [(179, 139), (168, 140)]).tobytes() == by_hand.tobytes()


def test_a_step_that_keeps_the_size_changes_no_pixel() -> None:
    data = png((168, 140))
    assert seen_image(data, [(168, 140), (168, 140)]).tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_an_orientation_tag_is_not_applied() -> None:
    image, exif = Image.new("RGB", (61, 37)), Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    assert seen_image(out.getvalue(), []).size == (61, 37)


def test_a_chain_without_steps_shows_the_stored_size() -> None:
    row = row_of(record(), ResizeChain(()), ImageLoader())
    assert row.seen_wh == (196, 152)


def test_the_store_gives_back_every_row_in_order_and_decodes_on_demand(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra train")
    chain = ResizeChain((SqrtLimit(3_136, 12_544), SmartResize(28, 784, 100_000, "min-pixels-branch", "5.23")))
    store = RowStore(tmp_path / "rows.arrow")
    sizes_wh = [(120 + i, 90 + 2 * i) for i in range(STORE_BATCH_ROWS + 3)]
    for i, size_wh in enumerate(sizes_wh):
        steps_wh = tuple(step for _, step in chain.trace(size_wh))
        store.add(TrainRow(Source("d", i + 1), f"ask {i} ☂", f"[{i}]", png(size_wh), size_wh, steps_wh))
    store.close()
    rows = datasets.Dataset.from_file(str(store.path)).with_transform(as_examples)
    assert rows.num_rows == len(sizes_wh)
    for i, size_wh in enumerate(sizes_wh):
        example = rows[i]
        assert example["prompt"] == [{"role": "user", "content": f"ask {i} ☂"}]
        assert example["ground_truth"] == f"[{i}]"
        assert example["image"].size == chain.seen_wh(size_wh)
