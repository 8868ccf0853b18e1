"""Pictures: readable on every background and at every size, honest about both."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundprep.errors import PayloadError, RecordError
from groundprep.geometry.masks import encode_rle
from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, FileImage, ImageRef, SizeWH
from groundprep.record import Box, Candidate, Keypoints, Mask, Point, Polygon, Record, Region
from groundprep.source import Source
from groundprep.view.labels import Rect
from groundprep.view.marks import (
    ANSWER_COLOUR,
    CANDIDATE_COLOUR,
    PHRASE_COLOURS,
    absent_phrases,
    candidate_label,
    legend_of,
    marks_of,
    phrase_colours,
)
from groundprep.view.paint import DARK, LIGHT, Painter, Viewport, luminance
from groundprep.view.picture import MARGIN_PX, PANEL, draw_record, shown_size
from groundprep.view.typeface import Typeface

SOURCE = Source("ä.jsonl", 3)
ANSWER = Box((7.5, 3.0, 40.0, 21.0))


@pytest.fixture(scope="module")
def typeface() -> Any:
    return Typeface(directories=[])


def rgb(colour: str) -> Any:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def embedded(picture: Any) -> Any:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return ImageRef("é.png", BytesImage(data.getvalue()))


def plain(colour: str = "black", size_wh: SizeWH = (61, 37)) -> Any:
    return embedded(Image.new("RGB", size_wh, colour))


def record(image: Any, **fields: Any) -> Any:
    return Record(SOURCE, id="é-7", images=(image,), referring=fields.pop("referring", "der Hund"), **fields)


def painted(background: str, marks: Any, size_wh: SizeWH = (610, 370)) -> Any:
    picture = Image.new("RGB", size_wh, background)
    viewport = Viewport((0, 0), size_wh, (61, 37), Rect(0, 0, *size_wh), 14)
    homeless = Painter(picture, viewport, Typeface(directories=[])).paint(marks)
    return np.asarray(picture), homeless


@pytest.mark.parametrize(
    ("stored_wh", "shown_wh", "words"),
    [
        ((60, 40), (780, 520), "enlarged 13×"),
        ((1, 1), (800, 800), "enlarged 800×"),
        ((400, 3), (800, 6), "enlarged 2×"),
        ((401, 300), (401, 300), "own size"),
        ((1600, 900), (1600, 900), "own size"),
        ((8000, 6000), (1600, 1200), "reduced to 1600×1200 px (20%)"),
        ((20_000, 3), (1600, 1), "reduced"),
    ],
)
def test_small_images_are_enlarged_by_a_whole_factor_and_huge_ones_reduced(
    stored_wh: SizeWH, shown_wh: SizeWH, words: str
) -> None:
    size_wh, note = shown_size(stored_wh)
    assert size_wh == shown_wh
    assert words in note


def test_a_crowded_image_is_shown_as_large_as_allowed() -> None:
    assert shown_size((512, 300), crowded=True)[0] == (1536, 900)


def test_an_enlarged_image_keeps_its_pixels_square(typeface: Typeface) -> None:
    chess = Image.fromarray(np.indices((37, 61)).sum(axis=0).astype(np.uint8) % 2 * 255).convert("RGB")
    picture = np.asarray(draw_record(record(embedded(chess), referring=None), ImageLoader(), typeface))
    inner = picture[MARGIN_PX : MARGIN_PX + 37 * 13, MARGIN_PX : MARGIN_PX + 61 * 13]
    assert (inner[6::13, 6::13] == np.asarray(chess)).all()


@pytest.mark.parametrize("background", ["#000000", "#FFFFFF", "#808080", ANSWER_COLOUR, CANDIDATE_COLOUR])
@pytest.mark.parametrize("dashed", [False, True])
def test_on_any_background_a_line_across_a_box_meets_strong_contrast(background: str, dashed: bool) -> None:
    candidate = Candidate(ANSWER)
    fields = {"candidates": (candidate,)} if dashed else {"answers": (Region(box=ANSWER),)}
    pixels, _ = painted(background, marks_of(record(plain(), **fields), 0, (61, 37)))
    edge = {tuple(pixel) for pixel in pixels[100:180, 60:95].reshape(-1, 3).tolist()}
    shades = [luminance(f"#{bytes(shade).hex()}") for shade in edge]
    assert (max(shades) + 0.05) / (min(shades) + 0.05) >= 3
    assert rgb(CANDIDATE_COLOUR if dashed else ANSWER_COLOUR) in edge


def test_answers_are_solid_and_candidates_dashed() -> None:
    answer, _ = painted("white", marks_of(record(plain(), answers=(Region(box=ANSWER),)), 0, (61, 37)))
    candidate, _ = painted("white", marks_of(record(plain(), candidates=(Candidate(ANSWER),)), 0, (61, 37)))
    rows = slice(40, 200)  # along the right edge, clear of labels
    solid = (answer[rows, 380:410] == rgb(ANSWER_COLOUR)).all(axis=2).any(axis=1)
    dashes = (candidate[rows, 390:412] == rgb(CANDIDATE_COLOUR)).all(axis=2).any(axis=1)
    assert solid.all()
    assert dashes.any()
    assert not dashes.all()


def test_an_answer_that_is_a_candidate_shows_both_lines_on_every_side() -> None:
    marks = marks_of(
        record(plain(), answers=(Region(box=ANSWER, candidate=0),), candidates=(Candidate(ANSWER),)), 0, (61, 37)
    )
    pixels, _ = painted("white", marks)
    for colour in (ANSWER_COLOUR, CANDIDATE_COLOUR):
        hits = (pixels == rgb(colour)).all(axis=2)
        assert hits[60:180, 60:90].any()
        assert hits[60:180, 385:415].any()
        assert hits[195:222, 200:390].any()
    assert marks[0].label == "answer = #0"


def test_a_box_is_drawn_where_it_is() -> None:
    pixels, _ = painted("white", marks_of(record(plain(), answers=(Region(box=ANSWER),)), 0, (61, 37)))
    hits = np.argwhere((pixels[:, 200:] == rgb(ANSWER_COLOUR)).all(axis=2))
    assert abs(hits[:, 0].min() - 30) <= 2
    assert abs(hits[:, 0].max() - 210) <= 2
    assert abs(hits[:, 1].max() + 200 - 400) <= 2


def test_a_point_is_a_ringed_dot() -> None:
    pixels, _ = painted("#808080", marks_of(record(plain(), answers=(Region(point=Point((30.0, 20.0))),)), 0, (61, 37)))
    row = pixels[200, 290:311].tolist()
    assert [tuple(p) for p in (row[10], row[10 - 6], row[10 - 8])] == [rgb(ANSWER_COLOUR), rgb(LIGHT), rgb(DARK)]


def test_a_polygon_a_mask_and_keypoints_are_drawn() -> None:
    mask = np.zeros((37, 61), np.uint8)
    mask[5:20, 30:50] = 1
    parts = {
        "polygon": Polygon(((5.0, 5.0, 40.0, 8.0, 20.0, 30.0),)),
        "mask": Mask((37, 61), encode_rle(mask)),
        "keypoints": Keypoints(((9.0, 9.0, 2), (20.0, 9.0, 1), (0.0, 0.0, 0))),
    }
    for name, part in parts.items():
        pixels, _ = painted("white", marks_of(record(plain(), answers=(Region(**{name: part}),)), 0, (61, 37)))
        assert (pixels == rgb(ANSWER_COLOUR)).all(axis=2).sum() > 100, name
    pixels, _ = painted("white", marks_of(record(plain(), answers=(Region(mask=parts["mask"]),)), 0, (61, 37)))
    assert tuple(pixels[120, 400]) not in (rgb(LIGHT), rgb(ANSWER_COLOUR))  # tinted inside
    assert tuple(pixels[300, 100]) == rgb(LIGHT)  # untouched outside


def test_a_mask_of_another_size_than_its_run_lengths_is_a_record_error(typeface: Typeface) -> None:
    broken = record(plain(), answers=(Region(mask=Mask((37, 61), (5, 5))),))
    with pytest.raises(RecordError, match="run lengths"):
        draw_record(broken, ImageLoader(), typeface)


def test_a_missing_image_is_a_payload_error(typeface: Typeface) -> None:
    missing = record(ImageRef("weg.png", FileImage("/nonexistent/weg.png")))
    with pytest.raises(PayloadError) as error:
        draw_record(missing, ImageLoader(), typeface)
    assert error.value.code == "image-missing"


@pytest.mark.parametrize(
    ("box", "label"),
    [
        ((7.5, 3.0, 40.0, 21.0), "#3 0.82"),
        ((40.0, 21.0, 7.5, 3.0), "#3 0.82 (inverted)"),
        ((70.0, 3.0, 90.0, 21.0), "#3 0.82 (outside)"),
        ((7.5, 3.0, 7.5, 21.0), "#3 0.82 (empty)"),
    ],
)
def test_a_candidate_is_labelled_with_index_and_score_and_what_is_odd(box: Any, label: str) -> None:
    assert candidate_label(3, Candidate(Box(box), score=0.8199), (61, 37)) == label


@pytest.mark.parametrize(
    "box", [(-1e300, -5.0, 1e300, 1e300), (40.0, 21.0, 7.5, 3.0), (9.0, 9.0, 9.0, 9.0), (70.0, 90.0, 71.0, 91.0)]
)
def test_impossible_boxes_are_drawn_without_failing(box: Any) -> None:
    fields = {"answers": (Region(box=Box(box)),), "candidates": (Candidate(Box(box)),)}
    pixels, homeless = painted("white", marks_of(record(plain(), **fields), 0, (61, 37)))
    assert homeless == 0
    assert (pixels == rgb(CANDIDATE_COLOUR)).all(axis=2).any()


def test_labels_that_find_no_room_are_counted(typeface: Typeface) -> None:
    crowd = tuple(
        Candidate(Box((float(i % 50), float(i % 30), i % 50 + 9.0, i % 30 + 6.0)), score=0.5) for i in range(900)
    )
    _, homeless = painted("white", marks_of(record(plain(), candidates=crowd), 0, (61, 37)))
    assert 0 < homeless < 900


def test_what_is_absent_is_listed_once() -> None:
    assert absent_phrases(record(plain())) == ["der Hund"]
    assert absent_phrases(record(plain(), answers=(Region(phrase="der Hund"),))) == ["der Hund"]
    assert absent_phrases(record(plain(), answers=(Region(box=ANSWER),))) == []
    regions = (Region("Katze"), Region("Maus", box=ANSWER), Region("Katze"))
    assert absent_phrases(record(plain(), referring=None, regions=regions)) == ["Katze"]


def test_colours_follow_the_order_of_phrases_and_differ_from_answers_and_candidates() -> None:
    regions = [Region("b", box=ANSWER), Region("a", box=ANSWER), Region("b", point=Point((1.0, 1.0)))]
    assert phrase_colours(regions) == {"b": PHRASE_COLOURS[0], "a": PHRASE_COLOURS[1]}
    assert len({ANSWER_COLOUR, CANDIDATE_COLOUR, *PHRASE_COLOURS}) == 2 + len(PHRASE_COLOURS)


def test_the_legend_says_what_is_there_and_how_often() -> None:
    fields = {
        "answers": (Region(box=ANSWER), Region(point=Point((1.0, 2.0)))),
        "candidates": (Candidate(ANSWER, "Hund", 0.5), Candidate(ANSWER, "Katze", None)),
        "regions": (Region("Σ", box=ANSWER), Region("Σ", box=ANSWER), Region("weg")),
    }
    texts = [entry.text for entry in legend_of(record(plain(), **fields))]
    assert texts == ["answer: 1 box, 1 point", "candidates, #index score: 2 boxes (Hund, Katze)", "Σ: 2 boxes"]


def test_the_panel_grows_with_the_text(typeface: Typeface) -> None:
    short = draw_record(record(plain()), ImageLoader(), typeface)
    long = draw_record(record(plain(), referring="der sehr lange Satz " * 40), ImageLoader(), typeface)
    assert long.width == short.width
    assert long.height > short.height + 100


def test_every_image_of_a_record_gets_its_own_marks(typeface: Typeface) -> None:
    both = Record(
        SOURCE,
        images=(plain("black"), plain("white", (30, 50))),
        referring="zwei",
        answers=(Region(box=ANSWER, image=1),),
    )
    pixels = np.asarray(draw_record(both, ImageLoader(), typeface))
    blue = (pixels == rgb(ANSWER_COLOUR)).all(axis=2)
    first_height = 37 * 13 + 2 * MARGIN_PX
    assert not blue[:first_height].any()
    assert blue[first_height : first_height + 50 * 16].any()


def test_a_record_without_an_image_is_a_panel_only(typeface: Typeface) -> None:
    picture = draw_record(Record(SOURCE, instruction="Wie viele?"), ImageLoader(), typeface)
    assert picture.height < 150
    assert (np.asarray(picture)[1:10] == rgb(PANEL)).all(axis=2)[:, 1:-1].all()


def test_equal_records_give_equal_pictures() -> None:
    fields = {"answers": (Region(box=ANSWER),), "candidates": (Candidate(ANSWER, "x", 0.5),)}
    first, second = (
        draw_record(record(plain(), **fields), ImageLoader(), Typeface(directories=[])).tobytes() for _ in range(2)
    )
    assert first == second
