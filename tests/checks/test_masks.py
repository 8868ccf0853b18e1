"""Masks and outlines: of this image, not empty, going round once, and where the box is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundprep.checks.base import Subject
from groundprep.checks.masks import cancelled_share, mask_findings
from groundprep.checks.verdicts import Verdict
from groundprep.geometry.masks import MaskHW, encode_rle
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, BoxXYXY, Mask, Polygon, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile

SIZE_WH = (61, 37)
BOX = (7.0, 3.0, 40.0, 21.0)
RING = (7.5, 3.0, 40.0, 3.0, 40.0, 21.0, 7.5, 20.0)


STAR = tuple(
    number
    for i in range(40)
    for radius, angle in [(9 + 6 * (i % 2), i * math.pi / 20)]
    for number in (30 + radius * math.cos(angle), 18 + radius * math.sin(angle))
)


def subject(*regions: Region, profile: str | None = None) -> Subject:
    record = Record(Source("é.json", 2), id=7, images=(ImageRef("é.jpg", FileImage("é.jpg")),), regions=regions)
    return Subject(record, (Verdict(SIZE_WH),), None if profile is None else get_profile(profile))


def codes(*regions: Region, profile: str | None = None) -> list[str]:
    return [finding.code for finding in mask_findings(subject(*regions, profile=profile))]


def outline(*rings: tuple[float, ...], box: BoxXYXY | None = BOX) -> Region:
    return Region("狗", None if box is None else Box(box), polygon=Polygon(rings))


def drawn(x0: int, y0: int, x1: int, y1: int, size_wh: tuple[int, int] = SIZE_WH) -> MaskHW:
    mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def run_lengths(mask: MaskHW, box: BoxXYXY | None = BOX) -> Region:
    return Region("狗", None if box is None else Box(box), mask=Mask((mask.shape[0], mask.shape[1]), encode_rle(mask)))


def test_a_sound_outline_and_a_sound_mask_give_nothing() -> None:
    assert codes(outline(RING), run_lengths(drawn(7, 3, 40, 21))) == []


def test_an_outline_on_one_line_encloses_nothing() -> None:
    (finding,) = mask_findings(subject(outline((7.0, 3.0, 20.0, 10.0, 33.0, 17.0))))
    assert (finding.code, finding.severity, finding.record) == ("polygon-degenerate", "error", 7)
    assert codes(outline((7.0, 3.0, 20.0, 10.0, 33.0, 17.5), box=None)) == []


def test_an_outline_like_a_figure_8_is_crossed() -> None:
    assert codes(outline((7.0, 3.0, 40.0, 21.0, 40.0, 3.0, 7.0, 21.0))) == ["polygon-crossed"]
    assert codes(outline(RING, (10.0, 5.0, 12.0, 9.0, 12.0, 5.0, 10.0, 9.0))) == ["polygon-crossed"]


@pytest.mark.parametrize(
    "ring",
    [
        RING,
        RING[::-1],
        (0, 0, 30, 0, 30, 1, 1, 1, 1, 30, 0, 30),
        STAR,
        (0, 0, 20, 0, 20, 20, 0, 20, 0, 0),
        (0, 0, 20, 0, 20, 20, 10, 20, 10, 20, 0, 20),
        (0, 0, 30, 0, 30, 20, 29, 20, 31, 19, 0, 19),
    ],
    ids=["box", "backwards", "L", "star", "closed", "a point twice", "a small loop"],
)
def test_outlines_that_go_round_once_are_not_crossed(ring: tuple[float, ...]) -> None:
    assert cancelled_share(ring) < 0.2


def test_the_cancelled_share_is_what_the_smaller_lobe_takes_away() -> None:
    assert cancelled_share((0, 0, 10, 10, 10, 0, 0, 10)) == 1.0
    # Lobes of 337.5 and 37.5: of the 375 that it goes round, 2 x 37.5 are cancelled.
    assert cancelled_share((0, 0, 30, 30, 30, 0, 0, 10)) == pytest.approx(0.2, abs=0.01)


def test_a_mask_of_another_image_is_found_before_it_is_decoded() -> None:
    assert codes(run_lengths(drawn(7, 3, 21, 30, (37, 61)))) == ["mask-size"]
    assert codes(Region("狗", Box(BOX), mask=Mask((1_000_000, 1_000_000), "0"))) == ["mask-size"]


def test_empty_and_broken_masks_are_found() -> None:
    assert codes(run_lengths(drawn(0, 0, 0, 0))) == ["mask-empty"]
    assert codes(Region("狗", Box(BOX), mask=Mask((37, 61), "\x7f"))) == ["mask-broken"]
    assert codes(Region("狗", Box(BOX), mask=Mask((37, 61), (5, 6)))) == ["mask-size"]


def test_conversion_itself_tells_of_masks_that_it_has_to_draw() -> None:
    assert codes(run_lengths(drawn(0, 0, 0, 0)), profile="vlmr1-seg") == []
    assert codes(run_lengths(drawn(0, 0, 0, 0)), profile="rexomni-sft") == ["mask-empty"]
    assert codes(outline((7.0, 3.0, 20.0, 10.0, 33.0, 17.0)), profile="vlmr1-seg") == ["polygon-degenerate"]


def test_a_mask_elsewhere_than_its_box_is_found_and_a_loose_box_is_not() -> None:
    (finding,) = mask_findings(subject(run_lengths(drawn(41, 22, 60, 36))))
    assert (finding.code, finding.severity) == ("mask-box-differs", "warning")
    assert "IoU 0.00" in str(finding.found)
    assert codes(run_lengths(drawn(10, 4, 38, 20))) == []
    assert codes(outline(RING, box=(41.0, 3.0, 60.0, 21.0))) == ["mask-box-differs"]
    assert codes(outline(RING, box=(7.0, 3.0, 7.0, 21.0))) == []  # a box without area is a finding of its own


def test_mask_images_are_opened(tmp_path: Path) -> None:
    def pictured(size_wh: tuple[int, int], box: tuple[int, int, int, int] | None) -> Region:
        image = Image.new("L", size_wh)
        if box is not None:
            image.paste(255, box)
        path = tmp_path / f"é {size_wh} {box}.png"
        image.save(path)
        return Region("狗", Box(BOX), mask=Mask(path=str(path)))

    assert codes(pictured(SIZE_WH, (7, 3, 40, 21))) == []
    assert codes(pictured(SIZE_WH, None), pictured((37, 61), (7, 3, 30, 21))) == ["mask-empty", "mask-size"]
    (finding,) = mask_findings(subject(Region("狗", mask=Mask(path=str(tmp_path / "nirgends.png")))))
    assert (finding.code, finding.message.startswith("region 0: ")) == ("image-missing", True)
