"""Edited images: the right pixels at the right size, format and orientation; everything else untouched."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from groundprep.image_loader import ImageLoader
from groundprep.images import EXIF_ORIENTATION_TAG, BytesImage, FileImage, ImageRef, decode, exif_orientation
from groundprep.record import Box, Dropped, Record, Region
from groundprep.source import Source
from groundprep.stages.transcode import ImageEdit, TranscodeImages
from groundprep.trainers import get_profile

CHAIN = get_profile("rexthinker").chain
SIZE_WH = (161, 97)


def picture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 255, (97, 161, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((16, 10)).resize(SIZE_WH, Image.Resampling.BICUBIC)
    if mode == "RGBA":
        smooth.putalpha(Image.linear_gradient("L").resize(SIZE_WH))
        return smooth
    return smooth.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = orientation
    exif[0x010E] = "a description that stays"
    return encoded(picture(), "JPEG", quality=98, exif=exif)


def edit_one(tmp_path: Path, data: bytes, edit: ImageEdit, name: str | None = "straße.bin") -> tuple[Record, bytes]:
    record = Record(
        source=Source("a.jsonl", 1),
        images=(ImageRef(name, BytesImage(data), declared_size_wh=SIZE_WH),),
        answers=(Region("狗", box=Box((7.5, 3.0, 40.0, 21.0))),),
    )
    (edited,) = TranscodeImages(ImageLoader(), edit, tmp_path / "store")([record])
    assert isinstance(edited, Record), edited
    return edited, edited.images[0].location.read()


@pytest.mark.parametrize(
    ("kind", "mode", "kept", "kept_mode"),
    [
        ("JPEG", "RGB", "JPEG", "RGB"),
        ("JPEG", "L", "JPEG", "L"),
        ("JPEG", "CMYK", "JPEG", "CMYK"),
        ("PNG", "RGBA", "PNG", "RGBA"),
        ("PNG", "P", "PNG", "RGB"),
        ("PNG", "1", "PNG", "RGB"),
        ("PNG", "I;16", "PNG", "RGB"),
        ("WEBP", "RGB", "PNG", "RGB"),
        ("BMP", "RGB", "PNG", "RGB"),
        ("TIFF", "CMYK", "PNG", "RGB"),
        ("TIFF", "F", "PNG", "RGB"),
        ("GIF", "P", "PNG", "RGB"),
        ("PPM", "L", "PNG", "L"),
    ],
)
def test_every_format_is_resized_to_a_size_that_the_chain_leaves_alone(
    tmp_path: Path, kind: str, mode: str, kept: str, kept_mode: str
) -> None:
    image = picture("L").convert("I").convert("I;16") if mode == "I;16" else picture(mode)
    edited, data = edit_one(tmp_path, encoded(image, kind), ImageEdit(CHAIN))
    result = decode(data)
    assert (result.format, result.mode) == (kept, kept_mode)
    assert CHAIN.seen_wh(result.size) == result.size == edited.images[0].declared_size_wh
    w, h = result.size
    assert edited.answers[0].box is not None
    assert edited.answers[0].box.xyxy == (7.5 / 161 * w, 3 / 97 * h, 40 / 161 * w, 21 / 97 * h)
    assert edited.images[0].name == ("straße.png" if kept == "PNG" and kind != "PNG" else "straße.bin")


def test_a_jpeg_stays_close_to_what_bicubic_makes_of_it_and_keeps_all_chroma(tmp_path: Path) -> None:
    source = encoded(picture(), "JPEG", quality=98)
    _, data = edit_one(tmp_path, source, ImageEdit(CHAIN))
    result = decode(data)
    exact = decode(source).resize(result.size, Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(result, float) - np.asarray(exact, float)).mean() < 1.5
    assert result.layer[0][1:3] == (1, 1)  # the luminance is sampled as often as the chroma: 4:4:4


@pytest.mark.parametrize("orientation", range(2, 9))
def test_bake_turns_pixels_as_loaders_would_and_removes_the_tag_only(tmp_path: Path, orientation: int) -> None:
    source = with_orientation(orientation)
    edited, data = edit_one(tmp_path, source, ImageEdit(bakes_exif=True))
    result = decode(data)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(source)))
    assert result.size == upright.size == edited.images[0].declared_size_wh
    assert np.abs(np.asarray(result, float) - np.asarray(upright, float)).mean() < 2
    assert exif_orientation(data) == 1
    assert EXIF_ORIENTATION_TAG not in result.getexif()
    assert result.getexif()[0x010E] == "a description that stays"


def test_a_resize_that_keeps_exif_keeps_the_tag_and_the_stored_orientation(tmp_path: Path) -> None:
    _, data = edit_one(tmp_path, with_orientation(6), ImageEdit(CHAIN))
    assert exif_orientation(data) == 6
    assert decode(data).size == CHAIN.seen_wh(SIZE_WH)


def test_bake_and_resize_take_the_size_of_the_upright_image(tmp_path: Path) -> None:
    _, data = edit_one(tmp_path, with_orientation(6), ImageEdit(CHAIN, bakes_exif=True))
    assert decode(data).size == CHAIN.seen_wh((97, 161))


@pytest.mark.parametrize("edit", [ImageEdit(CHAIN), ImageEdit(CHAIN, bakes_exif=True), ImageEdit(bakes_exif=True)])
def test_an_image_that_needs_nothing_passes_through_as_the_same_record(tmp_path: Path, edit: ImageEdit) -> None:
    data = encoded(picture().resize((168, 112)), "WEBP")
    record, unchanged = edit_one(tmp_path, data, edit)
    assert unchanged is data
    assert record.images[0].name == "straße.bin"
    assert not (tmp_path / "store").exists()


def test_an_image_is_transcoded_once_and_taken_from_the_store_by_a_later_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture(), "JPEG"))
    record = Record(source=Source("a.jsonl", 1), images=(ImageRef("a.jpg", FileImage(str(path))),))
    first = TranscodeImages(ImageLoader(), ImageEdit(CHAIN), tmp_path / "store")([record] * 5)
    (stored,) = (tmp_path / "store").rglob("*.jpg")
    assert {item.images[0].location for item in first if isinstance(item, Record)} == {FileImage(str(stored))}
    marked = encoded(Image.new("RGB", (168, 112), "red"), "JPEG")
    stored.write_bytes(marked)  # proves that a later run reads it
    TranscodeImages(ImageLoader(), ImageEdit(CHAIN), tmp_path / "store")([record])
    assert stored.read_bytes() == marked
    stored.write_bytes(marked[:500])  # torn by a power failure
    TranscodeImages(ImageLoader(), ImageEdit(CHAIN), tmp_path / "store")([record])
    assert decode(stored.read_bytes()).getpixel((3, 3)) != (254, 0, 0)
    assert len(list((tmp_path / "store").rglob("*.*"))) == 1


def test_another_edit_of_the_same_image_is_another_file(tmp_path: Path) -> None:
    for edit in (ImageEdit(CHAIN), ImageEdit(get_profile("easyr1").chain), ImageEdit(CHAIN, bakes_exif=True)):
        edit_one(tmp_path, encoded(picture(), "JPEG"), edit)
    assert len(list((tmp_path / "store").rglob("*.jpg"))) == 3


def test_a_damaged_or_refused_image_drops_its_record_only(tmp_path: Path) -> None:
    good = encoded(picture(), "JPEG")
    wide = encoded(Image.new("L", (28 * 300, 28)), "PNG")
    records = [
        Record(source=Source("a.jsonl", row), images=(ImageRef(None, BytesImage(data)),))
        for row, data in enumerate((good, good[: len(good) // 2], wide, b"no image"), start=1)
    ]
    items = TranscodeImages(ImageLoader(), ImageEdit(CHAIN), tmp_path / "store")(records)
    assert [item.code if isinstance(item, Dropped) else "ok" for item in items] == [
        "ok",
        "image-broken",
        "size-refused",
        "image-broken",
    ]
    assert [item.source.row for item in items] == [1, 2, 3, 4]
