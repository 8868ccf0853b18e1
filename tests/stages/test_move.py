"""A record moves with its image: geometry follows, shares of sides stay, what cannot follow is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.geometry.masks import box_xyxy_of_mask, decode_rle, encode_rle
from groundprep.geometry.orientation import Move, upright_wh
from groundprep.images import FileImage, ImageRef
from groundprep.profile import RowFrame
from groundprep.record import Box, Candidate, Keypoints, Mask, Native, Point, Polygon, Record, Region, Turn
from groundprep.source import Source
from groundprep.stages.move import moved_record
from groundprep.stages.transcode import TURNS

DOUBLED = Move((61, 37), 1, (122, 111))
TURNED = Move((61, 37), 6, (37, 61))
IMAGES = (ImageRef("straße.png", FileImage("straße.png")),)


def record(**changes: object) -> Record:
    return Record(source=Source("données.jsonl", 1), images=IMAGES, **changes)


def test_every_kind_of_geometry_is_scaled_and_its_numbers_are_no_longer_those_of_the_row() -> None:
    region = Region(
        "狗",
        box=Box((7.5, 3, 40, 21), Native(PIXELS, [7.5, 3, 40, 21])),
        point=Point((10, 20), Native(PIXELS, [10, 20])),
        polygon=Polygon(((1, 2, 3, 4, 5, 6),)),
        keypoints=Keypoints(((3, 4, 2), (0, 0, 0)), ("nez", "œil")),
    )
    moved = moved_record(record(answers=(region,), candidates=(Candidate(Box((1, 2, 3, 4))),)), IMAGES, [DOUBLED])
    answer = moved.answers[0]
    assert answer.box == Box((15.0, 9.0, 80.0, 63.0))
    assert answer.point == Point((20.0, 60.0))
    assert answer.polygon == Polygon(((2.0, 6.0, 6.0, 12.0, 10.0, 18.0),))
    assert answer.keypoints == Keypoints(((6.0, 12.0, 2), (0, 0, 0)), ("nez", "œil"))
    assert moved.candidates == (Candidate(Box((2.0, 6.0, 6.0, 12.0))),)


def test_shares_of_the_sides_survive_a_resize_verbatim_but_not_a_turn() -> None:
    native = Native(FRAMES["rel1000"], [123, 81, 655, 568])
    regions = (Region("狗", box=Box((7.5, 3.0, 40.0, 21.0), native)), Region("absent"))
    assert moved_record(record(regions=regions), IMAGES, [DOUBLED]).regions[0].box == Box(
        (15.0, 9.0, 80.0, 63.0), native
    )
    turned = moved_record(record(regions=regions), IMAGES, [TURNED])
    assert turned.regions == (Region("狗", box=Box((16.0, 7.5, 34.0, 40.0))), Region("absent"))


def test_a_region_of_another_image_moves_with_that_image() -> None:
    regions = (Region("a", box=Box((1, 1, 2, 2)), image=1), Region("b", box=Box((1, 1, 2, 2)), image=0))
    unmoved = Move((61, 37), 1, (61, 37))
    moved = moved_record(record(regions=regions), IMAGES * 2, [unmoved, DOUBLED])
    assert moved.regions[0].box == Box((2.0, 3.0, 4.0, 6.0))
    assert moved.regions[1] is regions[1]
    with pytest.raises(RecordError, match="image that the row does not have"):
        moved_record(record(regions=regions), IMAGES, [DOUBLED])


def test_candidates_keep_their_place_for_text_that_cites_them() -> None:
    boxes = [Box((1.0, 2.0, 3.0, 4.0), Native(PIXELS, [1, 2, 3, 4])), Box((7.5, 3.0, 40.0, 21.0))]
    read = record(candidates=tuple(map(Candidate, boxes))).with_origin("humanref-cot", {}, RowFrame(PIXELS))
    moved = moved_record(read, IMAGES, [DOUBLED])
    assert moved.origin is not None
    assert not moved.unchanged("candidates")
    assert [
        a.box is b.box for a, b in zip(moved.origin.record.candidates or (), moved.candidates or (), strict=True)
    ] == [True] * 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"turns": (Turn("gpt", "the dog is at [7, 3, 40, 21]"),)}, "text-fixed"),
        ({"instruction": "what is at (7.5, 3)?"}, "text-fixed"),
        ({"extra": {"answer": "[[1, 2, 3, 4]]"}}, "text-fixed"),
        ({"answers": (Region("狗", mask=Mask((37, 61), "abc")),)}, "mask-broken"),
        ({"answers": (Region("狗", mask=Mask((61, 37), (61 * 37,))),)}, "mask-size"),
        ({"answers": (Region("狗", mask=Mask(None, (9, 1))),)}, "mask-size"),
        ({"extra": {"visual_prompt": {"狗": [[7, 3, 40, 21]]}}}, "text-fixed"),
        ({"extra": {"extracted_predictions": {"狗": [[7, 3, 40, 21]]}}}, "text-fixed"),
        ({"regions": (Region("狗", Box((7.5, 3, 40, 21)), extra={"keypoints": {"nez": [8, 20]}}),)}, "text-fixed"),
    ],
)
def test_what_cannot_follow_is_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(RecordError) as caught:
        moved_record(record(**changes), IMAGES, [DOUBLED])
    assert caught.value.code == code


def test_boxes_as_they_were_drawn_before_answers_moved_onto_candidates_follow_the_image() -> None:
    drawn = [[7.5, 3, 40, 21]]
    moved = moved_record(record(extra={"answer_annotated": drawn, "note": "é"}), IMAGES, [DOUBLED])
    assert moved.extra == {"answer_annotated": [[15.0, 9.0, 80.0, 63.0]], "note": "é"}
    assert drawn == [[7.5, 3, 40, 21]]


def test_text_in_shares_of_the_sides_may_stay_on_a_resized_image() -> None:
    turns = (Turn("gpt", "[123, 81, 655, 568]"),)
    read = record(turns=turns).with_origin("vlmr1", {}, RowFrame(FRAMES["rel1000"]))
    assert moved_record(read, IMAGES, [DOUBLED]).turns is turns
    with pytest.raises(RecordError):
        moved_record(read, IMAGES, [TURNED])


def test_a_mask_that_is_not_written_lets_the_box_of_its_region_go() -> None:
    mask = Mask((37, 61), "abc")
    both, alone = Region("狗", Box((7.5, 3.0, 40.0, 21.0)), mask=mask), Region("狗", mask=mask)
    moved = moved_record(record(answers=(both,)), IMAGES, [DOUBLED], ignores_masks=True)
    assert moved.answers[0].box is not None
    assert moved.answers[0].box.xyxy == (15.0, 9.0, 80.0, 63.0)
    assert moved.answers[0].mask is mask
    with pytest.raises(RecordError) as caught:  # a box may be drawn around a mask that stands alone
        moved_record(record(answers=(alone,)), IMAGES, [DOUBLED], ignores_masks=True)
    assert caught.value.code == "mask-broken"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("to_wh", [(61, 37), (37, 61), (122, 111), (20, 14)])
def test_a_mask_lies_where_pillow_puts_the_pixels_of_its_image(orientation: int, to_wh: tuple[int, int]) -> None:
    rows, columns = np.mgrid[:37, :61]
    mask_hw = ((columns - 20) ** 2 / 300 + (rows - 11) ** 2 / 80 < 1).astype(np.uint8)
    region = Region("狗", mask=Mask((37, 61), encode_rle(mask_hw)), extra={"area": int(mask_hw.sum()), "note": "é"})
    move = Move((61, 37), orientation, to_wh)
    moved = moved_record(record(regions=(region,)), IMAGES, [move]).regions[0]
    picture = Image.fromarray(mask_hw * 255)
    if orientation != 1:
        picture = picture.transpose(Image.Transpose[TURNS[orientation]])
    expected_hw = np.asarray(picture.resize(to_wh, Image.Resampling.NEAREST)) // 255
    assert moved.mask is not None
    assert moved.mask.size_hw == to_wh[::-1]
    assert np.array_equal(decode_rle(moved.mask.counts, to_wh[::-1]), expected_hw)
    assert moved.extra["area"] == pytest.approx(mask_hw.sum() * to_wh[0] * to_wh[1] / (61 * 37))
    shrinks = any(to < since for to, since in zip(to_wh, upright_wh((61, 37), orientation), strict=True))
    assert (moved.mask.drift_px > 0) == shrinks
    assert moved.mask.drift_px < 3


def test_a_mask_in_a_file_becomes_run_lengths_of_the_moved_image(tmp_path: Path) -> None:
    mask_hw = np.zeros((37, 61), np.uint8)
    mask_hw[5:20, 7:40] = 255
    path = tmp_path / "maske ö.png"
    Image.fromarray(mask_hw).save(path)
    moved = moved_record(record(answers=(Region("狗", mask=Mask(path=str(path))),)), IMAGES, [DOUBLED]).answers[0].mask
    assert moved is not None
    assert moved.path is None
    assert box_xyxy_of_mask(decode_rle(moved.counts, (111, 122))) == (14.0, 15.0, 80.0, 60.0)


def test_a_mask_that_would_vanish_in_a_smaller_image_is_refused() -> None:
    dot = Region("狗", Box((2, 0, 3, 1)), mask=Mask((37, 61), (1, 1, 37 * 61 - 2)))
    with pytest.raises(RecordError, match="too small for the resized image") as caught:
        moved_record(record(answers=(dot,)), IMAGES, [Move((61, 37), 1, (20, 12))])
    assert caught.value.code == "mask-empty"
    empty = Region("狗", Box((2, 0, 3, 1)), mask=Mask((37, 61), (37 * 61,)))
    assert moved_record(record(answers=(empty,)), IMAGES, [DOUBLED]).answers[0].mask == Mask(
        (111, 122), encode_rle(np.zeros((111, 122)))
    )


def test_the_size_that_a_row_states_is_that_of_the_moved_image_unless_it_never_was() -> None:
    stated = record(extra={"width": 61, "note": "é", "height": 37})
    assert moved_record(stated, IMAGES, [DOUBLED]).extra == {"width": 122, "note": "é", "height": 111}
    assert moved_record(stated, IMAGES, [TURNED]).extra == {"width": 37, "note": "é", "height": 61}
    for extra in ({"width": 60, "height": 37}, {"width": 61}, {"height": "37", "width": "61"}, {}):
        other = record(extra=extra)
        assert moved_record(other, IMAGES, [DOUBLED]).extra is other.extra
