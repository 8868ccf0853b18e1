"""Images: bytes are proven, nothing is re-encoded."""

from __future__ import annotations

import base64
import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundprep.errors import LineIndexError, PayloadError
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, FileImage, ImageRef, TsvImage, decode, decode_base64, probe
from tests.contracts.samples import make_image


def test_a_loader_gives_the_very_bytes_and_the_stored_size(tmp_path: Path) -> None:
    path = make_image(tmp_path / "é.png", (61, 37))
    ref = ImageRef("é.png", FileImage(str(path)))
    loader = ImageLoader()
    assert loader.known_size_wh(ref) is None
    assert loader.read(ref) == path.read_bytes()
    assert loader.size_wh(ref) == loader.known_size_wh(ref) == (61, 37)


def test_what_is_no_image_is_refused_and_truncated_pixels_when_decoded(tmp_path: Path) -> None:
    data = make_image(tmp_path / "é.jpg", (333, 90)).read_bytes()
    for broken in (b"", b"GIF89a", b"no image", b"%PDF-1.4", data[:20], bytes(100)):
        with pytest.raises(PayloadError):
            probe(broken)
    assert probe(data[: len(data) // 2]).size_wh == (333, 90)
    with pytest.raises(PayloadError):
        decode(data[: len(data) // 2])


def test_formats_outside_the_list_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (61, 37)).save(buffer, "ICO")
    with pytest.raises(PayloadError, match="opened"):
        probe(buffer.getvalue())


def test_exif_orientation_never_turns_the_stored_size() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (61, 37)).save(buffer, "JPEG", exif=exif)
    assert probe(buffer.getvalue()).size_wh == (61, 37)
    assert decode(buffer.getvalue()).size == (61, 37)


@given(st.binary(max_size=60), st.sampled_from([b"%b", b"b'%b'", b'b"%b"']))
def test_base64_is_read_with_and_without_the_legacy_wrapper(data: bytes, wrapper: bytes) -> None:
    assert decode_base64(wrapper % base64.b64encode(data)) == data


@pytest.mark.parametrize("payload", [b"AAA", b"AA*A", b"AAAA AAAA", "é".encode(), b"A"])
def test_damaged_base64_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        decode_base64(payload)
    assert caught.value.code == "image-base64"


def test_a_tsv_image_is_found_by_its_offset_and_only_there(tmp_path: Path) -> None:
    one, two = (make_image(tmp_path / f"{seed}.png", (300, 200), seed=seed).read_bytes() for seed in (1, 2))
    lines = [b"0\t" + base64.b64encode(one) + b"\n", b"x\t" + base64.b64encode(two) + b"\trest\n"]
    path = tmp_path / "é.images.tsv"
    path.write_bytes(b"".join(lines))
    assert TsvImage(str(path), 0).read() == one
    assert TsvImage(str(path), len(lines[0])).read() == two
    for offset in (1, len(lines[0]) - 1, len(lines[0]) + 1, path.stat().st_size, 10**17):
        with pytest.raises(LineIndexError):
            TsvImage(str(path), offset).read()


def test_equal_bytes_are_the_same_image_and_others_are_not() -> None:
    assert BytesImage(b"a").key == BytesImage(bytes(bytearray(b"a"))).key != BytesImage(b"b").key


def test_a_file_that_says_nothing_of_its_size_is_read_to_its_end(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    fifo = tmp_path / "é.png"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    assert FileImage(str(fifo)).read() == data
    writer.join()


def test_a_directory_is_no_image_file(tmp_path: Path) -> None:
    with pytest.raises(PayloadError) as caught:
        FileImage(str(tmp_path)).read()
    assert caught.value.code == "image-missing"
