from __future__ import annotations

import io
import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from groundprep.checks import verdicts
from groundprep.checks.base import Subject
from groundprep.checks.images import image_findings, image_screen
from groundprep.checks.verdicts import ImageVerdicts
from groundprep.errors import PayloadError
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, FileImage, ImageRef, Location
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile

SIZE_WH = (61, 37)


def encoded(kind: str, orientation: int | None = None) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.effect_noise(SIZE_WH, 90).convert("RGB").save(file, kind, exif=exif)
    return file.getvalue()


def subject(data: bytes, *, verify: Any = "decode", declared: tuple[int, int] | None = None, **extra: Any) -> Subject:
    ref = ImageRef("é.jpg", BytesImage(data), declared)
    record = Record(Source("a.jsonl", 2), id=5, images=(ref,), extra=extra)
    return Subject(record, (ImageVerdicts(ImageLoader(), verify=verify).of(ref),))


def codes(data: bytes, **more: Any) -> list[str]:
    return [finding.code for finding in image_findings(subject(data, **more))]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_good_image_gives_no_finding_and_its_size(kind: str) -> None:
    good = subject(encoded(kind))
    assert list(image_findings(good)) == []
    assert good.sizes_wh == (SIZE_WH,)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_exif_rotation_is_a_warning(kind: str) -> None:
    (finding,) = image_findings(subject(encoded(kind, 6)))
    assert (finding.code, finding.severity, finding.found) == ("exif-rotated", "warning", "é.jpg: orientation 6")
    assert "groundprep convert --exif bake" in str(finding.fix)
    assert codes(encoded(kind, 1)) == []


def test_a_truncated_image_is_broken_if_it_is_decoded() -> None:
    data = encoded("JPEG")
    assert codes(data[: len(data) // 2]) == ["image-broken"]
    assert codes(data[: len(data) // 2], verify="header") == []
    assert codes(data, verify="header") == []
    assert codes(encoded("JPEG", 8), verify="header") == ["exif-rotated"]


def test_a_broken_image_has_no_size_and_carries_the_reason() -> None:
    broken = subject(b"not an image", declared=(9, 9))
    (finding,) = image_findings(broken)
    assert (finding.code, finding.severity, finding.source, finding.record) == ("image-broken", "error", "a.jsonl:2", 5)
    assert finding.found == "é.jpg: 12 bytes starting b'not an i'"
    assert broken.sizes_wh == (None,)


def test_a_long_name_keeps_its_end_and_an_image_without_a_name_its_number() -> None:
    turned = BytesImage(encoded("JPEG", 6))
    names = ("é/" * 80 + "狗.jpg", None)
    refs = tuple(ImageRef(name, turned) for name in names)
    verdict = ImageVerdicts(ImageLoader()).of(refs[0])
    first, second = image_findings(Subject(Record(Source("a.jsonl", 2), images=refs), (verdict, verdict)))
    assert first.found == "…" + "é/" * 27 + "狗.jpg"[-5:] + ": orientation 6"
    assert second.found == "image 1: orientation 6"
    (alone,) = image_findings(Subject(Record(Source("a.jsonl", 2), images=refs[1:]), (verdict,)))
    assert alone.found == "orientation 6"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    ref = ImageRef("é.jpg", FileImage(str(tmp_path / "é.jpg")))
    verdict = ImageVerdicts(ImageLoader()).of(ref)
    assert verdict.problem is not None
    assert verdict.problem["code"] == "image-missing"


@pytest.mark.parametrize(
    "claim",
    [{"declared": (37, 61)}, {"width": 37, "height": 61}, {"width": 61, "height": 36}],
    ids=["declared", "swapped", "extra"],
)
def test_a_size_that_differs_from_the_declared_one_is_an_error(claim: dict[str, Any]) -> None:
    (finding,) = image_findings(subject(encoded("PNG"), **claim))
    assert (finding.code, finding.severity, finding.found) == ("size-differs", "error", "é.jpg: 61x37")


def test_a_transposed_size_is_said_to_be_one_and_an_exif_rotation_explains_it() -> None:
    def told(orientation: int | None, declared: tuple[int, int]) -> list[tuple[str, str]]:
        found = image_findings(subject(encoded("JPEG", orientation), declared=declared))
        return [(finding.code, finding.message) for finding in found]

    other = "the image has another size than the data says"
    transposed = "the data says the image's width and height the wrong way round"
    turned = "the data says the size of the image after its EXIF rotation, and the pixels are stored unturned"
    assert told(None, (37, 60)) == [("size-differs", other)]
    assert told(None, (37, 61)) == [("size-differs", transposed)]
    assert told(6, (37, 61)) == [("size-differs", turned)]
    assert [code for code, _ in told(3, (37, 61))] == ["size-differs", "exif-rotated"]
    assert [code for code, _ in told(6, (61, 37))] == ["exif-rotated"]


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


NOISE = Image.effect_noise(SIZE_WH, 90)
SECOND = Image.effect_noise(SIZE_WH, 30).convert("RGB")
GLASS = Image.merge("RGBA", [*NOISE.convert("RGB").split(), Image.linear_gradient("L").resize(SIZE_WH)])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (saved(Image.new("I;16", SIZE_WH, 40_000), "PNG"), "image-16-bit"),
        (saved(Image.new("F", SIZE_WH, 0.5), "TIFF"), "image-16-bit"),
        (saved(GLASS, "PNG"), "image-alpha"),
        (saved(GLASS, "WEBP", lossless=True), "image-alpha"),
        (saved(NOISE.convert("P"), "PNG", transparency=NOISE.getpixel((5, 5))), "image-alpha"),
        (saved(NOISE.convert("RGB").convert("CMYK"), "JPEG"), "image-cmyk"),
        *(
            (saved(NOISE.convert("RGB"), kind, save_all=True, append_images=[SECOND]), "image-animated")
            for kind in ("GIF", "WEBP", "PNG", "TIFF")
        ),
    ],
)
def test_what_loaders_make_another_picture_of_is_a_warning(data: bytes, code: str) -> None:
    (finding,) = image_findings(subject(data))
    assert (finding.code, finding.severity) == (code, "warning")
    assert str(finding.found).startswith("é.jpg: ")


@pytest.mark.parametrize(
    "data",
    [
        saved(NOISE.convert("RGBA"), "PNG"),
        saved(NOISE, "PNG"),
        saved(NOISE, "JPEG"),
        saved(NOISE.convert("P"), "PNG"),
        saved(NOISE.convert("P"), "GIF"),
        saved(NOISE.convert("1"), "PNG"),
        saved(NOISE.convert("RGB"), "TIFF"),
        saved(NOISE.convert("RGB"), "MPO", save_all=True, append_images=[SECOND]),
    ],
    ids=["opaque alpha", "grey PNG", "grey JPEG", "palette", "GIF", "one bit", "one page", "a camera's preview"],
)
def test_what_every_loader_shows_as_it_is_gives_nothing(data: bytes) -> None:
    assert codes(data) == codes(data, verify="header") == []


def test_the_header_tells_all_but_transparency() -> None:
    assert codes(saved(Image.new("I;16", SIZE_WH, 40_000), "PNG"), verify="header") == ["image-16-bit"]
    assert codes(saved(SECOND.convert("CMYK"), "JPEG"), verify="header") == ["image-cmyk"]
    assert codes(saved(SECOND, "GIF", save_all=True, append_images=[NOISE]), verify="header") == ["image-animated"]
    assert codes(saved(GLASS, "PNG"), verify="header") == []


def of_trainer(data: bytes, profile: str | None) -> list[str]:
    given = subject(data)
    named = None if profile is None else get_profile(profile)
    return [finding.code for finding in image_findings(replace(given, profile=named))]


def test_a_palette_counts_where_the_loader_resizes_before_it_converts() -> None:
    large = saved(NOISE.resize((1300, 900)).convert("P"), "PNG")
    fitting = saved(NOISE.resize((610, 370)).convert("P"), "PNG")
    assert of_trainer(large, "rexthinker") == ["image-palette"]
    assert of_trainer(saved(NOISE.resize((1300, 900)), "PNG"), "rexthinker") == []
    assert of_trainer(fitting, "rexthinker") == of_trainer(large, "easyr1") == of_trainer(large, "vlmr1") == []
    assert of_trainer(saved(NOISE.resize((90, 60)).convert("1"), "PNG"), "easyr1") == ["image-palette"]
    assert of_trainer(large, "vlmr1-internvl") == of_trainer(large, None) == []
    assert of_trainer(saved(NOISE.resize((90, 60)).convert("P"), "PNG"), "rexomni-grpo") == []  # converts first


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [
        ((27, 90), ["image-side-short"]),
        ((90, 27), ["image-side-short"]),
        ((28, 90), []),
        ((5801, 29), ["image-ratio-high"]),
        ((29, 5800), []),
        ((2, 900), ["image-ratio-high"]),
    ],
)
def test_sizes_that_some_trainer_refuses_are_a_warning_unless_a_trainer_is_named(
    size_wh: tuple[int, int], expected: list[str]
) -> None:
    data = saved(Image.new("L", size_wh), "PNG")
    assert codes(data) == expected
    assert [finding.found for finding in image_findings(subject(data))] == ["é.jpg: {}x{}".format(*size_wh)][
        : len(expected)
    ]
    assert of_trainer(data, "rexomni-sft") == []  # its own chain decides: `size-refused`


def test_equal_bytes_have_equal_digests_wherever_they_lie(tmp_path: Path) -> None:
    data = encoded("PNG")
    (tmp_path / "é.png").write_bytes(data)
    filed = ImageRef("é.png", FileImage(str(tmp_path / "é.png")))
    decoding, probing = ImageVerdicts(ImageLoader()), ImageVerdicts(ImageLoader(), verify="header")
    digest = decoding.of(filed).digest
    assert digest == decoding.of(ImageRef(None, BytesImage(data))).digest
    assert digest != decoding.of(ImageRef(None, BytesImage(encoded("PNG")))).digest
    assert digest is not None
    assert probing.of(filed).digest is None


def test_keys_that_declare_no_size_are_left_alone() -> None:
    for extra in (
        {"width": 61, "height": 37},
        {"width": "37", "height": 61},
        {"width": True, "height": True},
        {"width": 9},
    ):
        assert codes(encoded("PNG"), **extra) == []


@dataclass(frozen=True)
class Counted:
    """A location that counts how often it is read, and lets others come meanwhile."""

    data: bytes
    reads: list[int] = field(default_factory=list, compare=False)
    start: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def key(self) -> Hashable:
        return self.data

    def read(self) -> bytes:
        self.start.wait(5)
        self.reads.append(threading.get_ident())
        return self.data


def test_a_shared_image_is_read_once_even_by_many_threads() -> None:
    location = Counted(encoded("JPEG", 3))
    ref = ImageRef("é.jpg", cast("Location", location))
    seen = ImageVerdicts(ImageLoader())
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(seen.of, ref) for _ in range(24)]
        location.start.set()
        found = {future.result() for future in waiting}
    assert (len(found), len(location.reads)) == (1, 1)
    assert found.pop().orientation == 3


def test_the_memory_for_verdicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "REMEMBERED_VERDICTS", 2)
    seen = ImageVerdicts(ImageLoader())
    images = [Counted(encoded("PNG") + bytes([number])) for number in range(3)]
    for image in images:
        image.start.set()
    for image in (*images, images[2], images[1], images[0]):
        seen.of(ImageRef(None, cast("Location", replace(image))))
    assert [len(image.reads) for image in images] == [2, 1, 1]


def test_a_verdict_keeps_no_bytes_of_a_broken_image() -> None:
    verdict = ImageVerdicts(ImageLoader()).of(ImageRef(None, BytesImage(b"x" * 10_000)))
    assert verdict.problem is not None
    assert all(value is None or isinstance(value, str) for value in verdict.problem.values())
    assert not any(isinstance(value, PayloadError) for value in verdict.problem.values())


def test_the_screen_names_the_rows_of_which_there_is_something_to_say() -> None:
    good = saved(NOISE, "PNG")
    rows = [
        subject(good),
        subject(good, declared=(37, 61)),
        subject(good, width=61, height=36),
        subject(encoded("JPEG", 6)),
        subject(b"not an image"),
        subject(saved(GLASS, "PNG")),
        subject(saved(Image.new("L", (90, 20)), "PNG")),
        subject(good, declared=(61, 37)),
    ]
    assert image_screen(rows) == [place for place, row in enumerate(rows) if list(image_findings(row))]
    assert image_screen(rows) == [1, 2, 3, 4, 5, 6]
