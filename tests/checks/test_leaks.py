"""What of the training data is in the evaluation data."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.photos import photo
from groundprep.checks.base import Subject
from groundprep.checks.leaks import EvaluationIndex, Fingerprints, LeakCheck, image_id
from groundprep.finding import Finding
from groundprep.image_loader import ImageLoader
from groundprep.images import FileImage, ImageRef
from groundprep.record import Record
from groundprep.source import Source

PHOTOS = [photo(np.random.default_rng(seed), (181 + 7 * seed, 133)) for seed in range(5)]
LONG = "the man in the café with a red hat"


def stored(path: Path, image: Image.Image, quality: int = 90) -> ImageRef:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    path.write_bytes(file.getvalue())
    return ImageRef(path.name, FileImage(str(path)))


def record(ref: ImageRef, expression: str | None = "a dog", row: int = 1) -> Record:
    return Record(Source("eval.jsonl", row), images=(ref,), referring=expression)


def found(train: Record, *evaluation: Record, pixels: bool = True, names_only: bool = False) -> list[Finding]:
    index = EvaluationIndex(None if names_only else Fingerprints(ImageLoader(), pixels=pixels))
    for item in evaluation:
        index.add(item)
    index.finish()
    return list(LeakCheck(index)(Subject(train)))


def test_the_same_bytes_under_another_name_are_a_leaked_image(tmp_path: Path) -> None:
    ours = record(stored(tmp_path / "ours.jpg", PHOTOS[0]), "a cat")
    (finding,) = found(ours, record(stored(tmp_path / "theirs.jpg", PHOTOS[0])))
    assert (finding.code, finding.severity, finding.found) == ("leaked-image", "error", "ours.jpg")
    assert finding.expected == "not theirs.jpg (eval.jsonl:1)"


def test_a_recompressed_and_resized_copy_looks_the_same(tmp_path: Path) -> None:
    ours = record(stored(tmp_path / "ours.jpg", PHOTOS[1].resize((120, 88)), 50), "a cat")
    (finding,) = found(ours, *(record(stored(tmp_path / f"{n}.jpg", image)) for n, image in enumerate(PHOTOS)))
    assert (finding.code, finding.severity) == ("leaked-similar-image", "warning")
    assert finding.expected == "not 1.jpg (eval.jsonl:1)"
    assert found(ours, record(stored(tmp_path / "x.jpg", PHOTOS[1])), pixels=False) == []


def test_the_same_image_and_expression_are_a_leaked_row(tmp_path: Path) -> None:
    ours = record(stored(tmp_path / "ours.jpg", PHOTOS[2]), " A  dog.")
    finding, *others = found(ours, record(stored(tmp_path / "theirs.jpg", PHOTOS[2])))
    assert (finding.code, others) == ("leaked-row", [])


def test_another_image_with_the_same_name_is_no_leak_where_pixels_tell(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "eval").mkdir()
    ours = record(stored(tmp_path / "train" / "000000000042.jpg", PHOTOS[3]), "a cat")
    theirs = record(stored(tmp_path / "eval" / "COCO_val2014_000000000042.jpg", PHOTOS[4]))
    assert found(ours, theirs) == []
    (finding,) = found(ours, theirs, names_only=True)
    assert (finding.code, finding.severity) == ("leaked-image", "warning")


def test_a_missing_image_is_told_by_its_name(tmp_path: Path) -> None:
    ours = record(ImageRef("a/000000000042.jpg", FileImage(str(tmp_path / "gone.jpg"))), "a cat")
    (finding,) = found(ours, record(stored(tmp_path / "COCO_val2014_000000000042.jpg", PHOTOS[4])))
    assert "has the name of" in finding.message


def test_a_long_expression_is_told_and_a_short_one_is_not(tmp_path: Path) -> None:
    theirs = record(stored(tmp_path / "theirs.jpg", PHOTOS[0]), LONG.upper() + ".")
    (finding,) = found(record(stored(tmp_path / "ours.jpg", PHOTOS[1]), LONG), theirs)
    assert (finding.code, finding.severity) == ("leaked-expression", "warning")
    short = record(stored(tmp_path / "short.jpg", PHOTOS[0]), "man on the left")
    assert found(record(stored(tmp_path / "ours.jpg", PHOTOS[1]), "man on the left"), short) == []


def test_rows_without_an_expression_leak_images_only(tmp_path: Path) -> None:
    ours = record(stored(tmp_path / "ours.jpg", PHOTOS[0]), None)
    assert [item.code for item in found(ours, record(stored(tmp_path / "theirs.jpg", PHOTOS[0]), None))] == [
        "leaked-image"
    ]


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("train2014/COCO_train2014_000000581857.jpg", "581857"),
        ("000000581857.png", "581857"),
        ("2407890.jpg", "2407890"),
        ("a/IMG_12.JPG", "img_12"),
        ("été", "été"),
        ("", None),
        (None, None),
    ],
)
def test_the_id_of_an_image_survives_its_directory_prefix_and_extension(name: str | None, identity: str | None) -> None:
    assert image_id(name) == identity
