"""Names of images: they stay inside the root, whatever the data says."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.errors import PayloadError
from groundprep.image_names import ImageRoot
from groundprep.images import FileImage

segment = st.sampled_from(["a", "été", "..", ".", "", "狗.png", ".x", "..."])


@given(st.lists(segment, min_size=1, max_size=6).map("/".join))
def test_no_name_leaves_the_root_and_resolution_is_that_of_the_system(name: str) -> None:
    root = "/daten/bilder"
    expected = os.path.normpath(os.path.join(root, name))  # noqa: PTH118 (the reference is lexical)
    try:
        path = ImageRoot(root).locate(name).path
    except PayloadError as error:
        assert error.code == "image-name"  # noqa: PT017 (most names are accepted)
        assert not name or not (expected + "/").startswith(root + "/")
    else:
        assert path == expected
        assert (path + "/").startswith(root + "/")


@pytest.mark.parametrize(
    "name", ["http://x/a.png", "HTTPS://x", "s3://b/k", "file:///etc/passwd", "data:image/png;base64,AA", "gs:x"]
)
def test_urls_are_refused(name: str) -> None:
    with pytest.raises(PayloadError) as caught:
        ImageRoot(None).locate(name)
    assert caught.value.code == "image-url"


@pytest.mark.parametrize("name", ["", "a\0b", "../a", "a/../../b", "/etc/passwd", "/daten/bilder2/a"])
def test_names_that_are_empty_or_leave_the_root_are_refused(name: str) -> None:
    with pytest.raises(PayloadError) as caught:
        ImageRoot("/daten/bilder").locate(name)
    assert caught.value.code == "image-name"


def test_absolute_names_are_accepted_without_a_root_or_inside_it() -> None:
    assert ImageRoot(None, "/daten").locate("/elsewhere/a.png") == FileImage("/elsewhere/a.png")
    assert ImageRoot("/daten").locate("/daten/é.png") == FileImage("/daten/é.png")
    assert ImageRoot("/").locate("é.png") == FileImage("/é.png")
