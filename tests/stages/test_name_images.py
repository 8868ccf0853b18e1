"""Names of written image files: the row's own if safe and free, else a hash; never another image's file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from groundprep.errors import PayloadError, UsageError
from groundprep.image_names import is_safe_name
from groundprep.images import BytesImage, FileImage, ImageRef
from groundprep.record import Dropped, Record
from groundprep.source import Source
from groundprep.stages.name_images import NameImages
from tests.contracts.samples import loader, make_image, make_images, rexthinker_row, run, write_jsonl


def png(folder: Path, seed: int) -> bytes:
    return make_image(folder / f"roh/{seed}.png", seed=seed).read_bytes()


def hashed(data: bytes, characters: int = 16) -> str:
    return hashlib.sha256(data).hexdigest()[:characters] + ".png"


def names(folder: Path, *refs: ImageRef) -> list[str | None]:
    """Run the stage; check that every name leads to the very bytes of its image."""
    staging = folder / "aus"
    staging.mkdir(exist_ok=True)
    stage = NameImages(loader(), staging)
    given = []
    for ref, item in zip(
        refs, stage(Record(source=Source("é", n), images=(ref,)) for n, ref in enumerate(refs)), strict=True
    ):
        assert isinstance(item, Record)
        name = item.images[0].name
        assert (staging / str(name)).read_bytes() == ref.location.read()
        given.append(name)
    assert stage.counts.change == 0
    return given


def test_a_safe_name_is_kept_and_a_folder_in_it_is_made(tmp_path: Path) -> None:
    assert names(tmp_path, ImageRef("été/狗.png", BytesImage(png(tmp_path, 1)))) == ["été/狗.png"]


def test_the_same_image_under_the_same_name_is_one_file(tmp_path: Path) -> None:
    data = png(tmp_path, 1)
    refs = [ImageRef("a.png", BytesImage(data)), ImageRef("a.png", BytesImage(bytes(data)))]
    assert names(tmp_path, *refs) == ["a.png", "a.png"]


def test_another_image_of_the_same_name_gets_the_name_of_its_content(tmp_path: Path) -> None:
    one, two = png(tmp_path, 1), png(tmp_path, 2)
    refs = [ImageRef("a.png", BytesImage(data)) for data in (one, two, two, one)]
    assert names(tmp_path, *refs) == ["a.png", hashed(two), hashed(two), "a.png"]


@pytest.mark.parametrize(
    "name",
    ["../x.png", "/x.png", "a/../../x.png", ".hidden.png", "a/.git/x.png", "a\\b.png", "a//b.png", "./a.png", "", "a\nb.png",
     "a\u202eb.png", "x" * 201, "狗" * 70, "http://x/y.png", "\ud800.png", "..", "a/"],
)  # fmt: skip
def test_an_unsafe_name_is_replaced(tmp_path: Path, name: str) -> None:
    assert not is_safe_name(name)
    data = png(tmp_path, 1)
    assert names(tmp_path, ImageRef(name, BytesImage(data))) == [hashed(data)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aus", "roh"]


def test_images_without_a_name_are_named_by_content_and_true_format(tmp_path: Path) -> None:
    jpeg = make_image(tmp_path / "x.jpg").read_bytes()
    (name,) = names(tmp_path, ImageRef(None, BytesImage(jpeg)))
    assert name == hashlib.sha256(jpeg).hexdigest()[:16] + ".jpg"


def test_a_name_from_data_that_imitates_a_hash_never_captures_another_image(tmp_path: Path) -> None:
    """The first row names its file as the second row's content would be named."""
    one, two = png(tmp_path, 1), png(tmp_path, 2)
    refs = [ImageRef(hashed(two), BytesImage(one)), ImageRef(None, BytesImage(two))]
    assert names(tmp_path, *refs) == [hashed(two), hashed(two, 64)]


def test_a_name_that_is_a_folder_of_another_name_is_replaced(tmp_path: Path) -> None:
    one, two, three = (png(tmp_path, seed) for seed in (1, 2, 3))
    refs = [ImageRef("a.png", BytesImage(one)), ImageRef("a.png/b.png", BytesImage(two))]
    assert names(tmp_path, *refs) == ["a.png", hashed(two)]
    refs = [ImageRef("c/d.png", BytesImage(two)), ImageRef("c", BytesImage(three))]
    assert names(tmp_path, *refs) == ["c/d.png", hashed(three)]


def test_two_files_of_equal_content_share_the_hash_name(tmp_path: Path) -> None:
    data = png(tmp_path, 1)
    for name in ("x.png", "y.png"):
        (tmp_path / name).write_bytes(data)
    refs = [ImageRef("../é.png", FileImage(str(tmp_path / name))) for name in ("x.png", "y.png")]
    assert names(tmp_path, *refs) == [hashed(data), hashed(data)]


def test_a_broken_image_drops_its_record_only(tmp_path: Path) -> None:
    (tmp_path / "aus").mkdir()
    stage = NameImages(loader(), tmp_path / "aus")
    refs = [ImageRef("a.png", BytesImage(b"no image")), ImageRef("b.png", BytesImage(png(tmp_path, 1)))]
    first, second = stage(Record(source=Source("é", 1), images=(ref,)) for ref in refs)
    assert isinstance(first, Dropped)
    assert isinstance(second, Record)
    assert not (tmp_path / "aus/a.png").exists()


def test_without_a_folder_for_images_embedded_ones_are_refused(tmp_path: Path) -> None:
    stage = NameImages(loader(), None)
    named = Record(source=Source("é", 1), images=(ImageRef("a.png", FileImage("a.png")),))
    assert list(stage([named])) == [named]
    embedded = Record(source=Source("é", 2), images=(ImageRef("a.png", BytesImage(png(tmp_path, 1))),))
    with pytest.raises(UsageError) as caught:
        list(NameImages(loader(), None)([embedded]))
    assert caught.value.code == "image-out-needed"


def test_images_that_are_only_named_are_decoded_if_all_are_to_be(tmp_path: Path) -> None:
    make_images(tmp_path)
    source = write_jsonl(tmp_path / "in.jsonl", map(rexthinker_row, range(3)))
    assert run(source, tmp_path / "whole.jsonl", verify="decode").counts["written"] == 3
    broken = tmp_path / "bilder/straße 1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    run(source, tmp_path / "unlooked.jsonl", profile="vlmr1")
    with pytest.raises(PayloadError) as caught:
        run(source, tmp_path / "proven.jsonl", verify="decode")
    assert str(caught.value.source).endswith("in.jsonl:2")
    result = run(source, tmp_path / "dropped.jsonl", verify="decode", on_error="drop")
    assert (result.counts["dropped"], result.counts["written"]) == (1, 2)
