"""The header of an image as Pillow reads it, whatever the file; and no more of it is read than needed."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundprep import image_header
from groundprep.errors import PayloadError
from groundprep.image_header import header_of, read_header
from groundprep.jpeg import jpeg_header

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:PIL"
)  # its remarks on damage, which the command line hides too

SIZE_WH = (61, 37)
EXIF_TAG, XMP = 0x0112, b"http://ns.adobe.com/xap/1.0/\0"


def jpeg(mode: str = "RGB", **more: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, SIZE_WH).save(buffer, "JPEG", **more)
    return buffer.getvalue()


def exif(orientation: int, **more: int) -> Image.Exif:
    data = Image.Exif()
    data[EXIF_TAG] = orientation
    data[0x010E] = "straße"
    return data


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def with_segment(marker: int, data: bytes) -> bytes:
    """A JPEG with a segment right after its start."""
    plain = jpeg()
    return plain[:2] + segment(marker, data) + plain[2:]


def tiff(order: str, *entries: tuple[int, int, int, int]) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = b"".join(
        struct.pack(order + "HHIH", *entry) + b"\0\0" if entry[1] == 3 else struct.pack(order + "HHII", *entry)
        for entry in entries
    )
    return b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + body + bytes(4)


PLAIN = {
    "RGB": jpeg(),
    "L": jpeg("L"),
    "CMYK": jpeg("CMYK"),
    "progressive": jpeg(progressive=True),
    "turned": jpeg(exif=exif(6)),
    "upright": jpeg(exif=exif(1)),
    "no such turn": jpeg(exif=exif(77)),
    "comment": jpeg(comment="é" * 300),
    "colour profile": jpeg(icc_profile=bytes(range(256)) * 40),
    "big-endian": with_segment(0xE1, tiff(">", (0x0100, 3, 1, 5), (EXIF_TAG, 3, 1, 8))),
    "without orientation": with_segment(0xE1, tiff("<", (0x0100, 3, 1, 5))),
    "XMP": with_segment(0xE1, XMP + b"<x:xmpmeta/>"),
    "restart interval": with_segment(0xDD, b"\0\x04"),
}
ODD = {
    "orientation in XMP": with_segment(0xE1, XMP + b'<x tiff:Orientation="6"/>'),
    "XMP beside EXIF": with_segment(0xE1, XMP + b'tiff:Orientation="6"')[:-2] + b"\xff\xd9",
    "long orientation": with_segment(0xE1, tiff("<", (EXIF_TAG, 4, 1, 6))),
    "two orientations": with_segment(0xE1, tiff("<", (EXIF_TAG, 3, 1, 6), (EXIF_TAG, 3, 1, 3))),
    "EXIF cut off": with_segment(0xE1, tiff("<", (EXIF_TAG, 3, 1, 6))[:20]),
    "EXIF twice": with_segment(0xE1, tiff("<", (EXIF_TAG, 3, 1, 6)))[:2]
    + segment(0xE1, tiff("<", (EXIF_TAG, 3, 1, 6)))
    + with_segment(0xE1, tiff("<", (EXIF_TAG, 3, 1, 3)))[2:],
    "fill bytes": jpeg()[:2] + b"\xff\xff\xff" + jpeg()[2:],
    "junk between segments": jpeg()[:2] + b"\0\0junk" + jpeg()[2:],
    "bad tables": with_segment(0xDB, b"\x00" * 64),
    "two frames": jpeg()[: jpeg().index(b"\xff\xc4")] + jpeg()[jpeg().index(b"\xff\xc0") :],
    "no picture": jpeg()[: jpeg().index(b"\xff\xda")],
    "nothing": b"",
    "text": b"straight text",
    "twelve bits": jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "no height": jpeg().replace(struct.pack(">HH", 37, 61), struct.pack(">HH", 0, 61)),
    "a bomb": jpeg().replace(struct.pack(">HH", 37, 61), struct.pack(">HH", 65000, 65000)),
    "two components": jpeg().replace(b"\xff\xc0\x00\x11\x08\x00\x25\x00\x3d\x03", b"\xff\xc0\x00\x11\x08\x00\x25\x00\x3d\x02"),
}  # fmt: skip


def said(data: bytes, path: Path | None = None) -> object:
    """What is said of an image, by Pillow alone or as a file."""
    try:
        return header_of(data) if path is None else read_header(str(path))
    except PayloadError as error:
        return error.code, error.message, error.found


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_a_plain_jpeg_is_read_without_pillow_and_as_pillow_reads_it(data: bytes) -> None:
    assert jpeg_header(data) == header_of(data)


@pytest.mark.parametrize("data", [*PLAIN.values(), *ODD.values()], ids=[*PLAIN, *ODD])
def test_a_file_is_what_pillow_says_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "é.jpg"
    path.write_bytes(data)
    assert said(data, path) == said(data)


@given(st.sampled_from(sorted(PLAIN)), st.randoms(use_true_random=False))
def test_damage_never_makes_the_two_disagree_on_what_opens(name: str, draw: random.Random) -> None:
    data = bytearray(PLAIN[name])
    end = data.index(b"\xff\xda")
    for _ in range(draw.randint(1, 3)):
        data[draw.randrange(2, end)] = draw.choice((0, 1, 0x25, 0xC0, 0xDA, 0xE1, 0xFF, draw.randrange(256)))
    found = jpeg_header(bytes(data))
    if found is not None:
        assert found == said(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats_are_read_as_pillow_reads_them(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"straße.{kind.lower()}"
    frames = [Image.new("L", SIZE_WH, shade) for shade in (10, 200)]
    more = {"save_all": True, "append_images": frames[1:]} if kind in ("TIFF", "GIF", "WEBP") else {}
    frames[0].save(path, kind, **more)
    header = read_header(str(path))
    assert (header.info.size_wh, header.info.format) == (SIZE_WH, kind)
    assert header.is_animated == bool(more)


def test_an_mpo_is_no_plain_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "é.mpo"
    Image.new("RGB", SIZE_WH).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", SIZE_WH)])
    assert jpeg_header(path.read_bytes()) is None
    assert read_header(str(path)).info.format == "MPO"


def test_a_picture_behind_a_long_preview_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preview = segment(0xE2, b"ICC_PROFILE\0" + bytes(60_000))
    path = tmp_path / "é.jpg"
    path.write_bytes(jpeg()[:2] + preview + jpeg()[2:])
    monkeypatch.setattr(image_header, "header_of", None)  # Pillow is not asked
    assert read_header(str(path)).info.size_wh == SIZE_WH


def test_a_file_that_is_cut_off_behind_its_header_passes_and_one_that_is_missing_does_not(tmp_path: Path) -> None:
    path = tmp_path / "é.jpg"
    path.write_bytes(jpeg()[: jpeg().index(b"\xff\xda") + 20])
    assert read_header(str(path)).info.size_wh == SIZE_WH
    for bad in (tmp_path / "nirgends.jpg", tmp_path):
        with pytest.raises(PayloadError) as caught:
            read_header(str(bad))
        assert caught.value.code == "image-missing"
