"""Rows of VLM-R1's segmentation fork: golden payloads, the reward's own reading, older answers."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_utils

from groundprep.containers import Row
from groundprep.dialects import DIALECTS, ReadContext, WriteContext
from groundprep.dialects.vlmr1_seg import VlmR1Seg
from groundprep.errors import PayloadError, RecordError
from groundprep.geometry.frames import PIXELS
from groundprep.geometry.masks import encode_rle
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.images import EXIF_ORIENTATION_TAG, FileImage, ImageRef
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from groundprep.record import Mask, Polygon, Record, Region
from groundprep.source import Source
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, extras, number, phrases, shuffled, words
from tests.contracts.samples import lost_and_rounded, make_image, read_jsonl, rexthinker_row, run, write_jsonl

FIXTURES = Path(__file__).parents[1] / "fixtures" / "vlmr1_seg"
QUESTION = "<image>What is the segmentation polynomial coordinates of the {}."

coefficient = st.floats(-40, 40, width=32) | st.integers(-40, 40)
ring = st.integers(3, 5).flatmap(lambda n: st.lists(number, min_size=2 * n, max_size=2 * n))
shapes = (
    st.fixed_dictionaries(
        {"centre": st.lists(number, min_size=2, max_size=2), "coeffs": st.lists(coefficient, min_size=1, max_size=9)},
        optional={"size": st.just([37, 61])},
    )
    | st.fixed_dictionaries({"centre": st.lists(number, min_size=2, max_size=2), "coeffs": coefficient})
    | st.builds(
        lambda key, value: {key: value},
        st.sampled_from(["polygon", "polygons"]),
        ring | st.lists(ring, min_size=1, max_size=2),
    )
    | st.just("masken/é.png").map(lambda name: {"mask_path": name})
)
answers = st.builds(
    lambda start, shape, end: start + json.dumps(shape) + end,
    st.sampled_from(["<answer>", "<answer> "]),
    shapes,
    st.sampled_from(["</answer>", " </answer>"]),
) | shapes.map(json.dumps)


class TestVlmR1Seg(DialectContract):
    name = "vlmr1-seg"
    container = "jsonl"
    rows: ClassVar = st.builds(
        lambda question, answer, optional, extra: (
            {
                "image": IMAGE_NAME,
                "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
            }
            | optional
            | extra
        ),
        words.map(QUESTION.format) | phrases | words.map("<image>Segment the {}.".format),
        answers,
        st.fixed_dictionaries(
            {}, optional={"id": st.integers() | words, "solution": shapes, "mask_iou": st.floats(0, 1)}
        ),
        extras(
            "image",
            "conversations",
            "id",
            "solution",
            "mask_iou",
            "problem",
            "annotation",
            "referring",
            "accu_reward_method",
        ),
    ).flatmap(shuffled)


def rows_and_columns(size_hw: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return y, x


def golden_masks() -> dict[str, tuple[NDArray[np.bool_], str, float]]:
    """Masks, their payloads and IoU. Source: specs/vlmr1_easydistill.md §2.6, A, C and D."""
    y, x = rows_and_columns((48, 64))
    a = (y >= 10) & (y < 30) & (x >= 8) & (x < 48)
    y, x = rows_and_columns((100, 100))
    c = (y >= 20) & (y <= 80) & (2 * np.abs(x - 50) <= y - 20)
    y, x = rows_and_columns((60, 80))
    d = ((y >= 40) & (y < 56) & (x >= 8) & (x < 70)) | ((y >= 8) & (y < 56) & (x >= 8) & (x < 20))
    return {
        "A": (
            a,
            '{"centre":[17.0,19.0],"coeffs":[14.3025,6.9726,5.1588,4.2442,1.1694,1.1416,0.4077,-0.3971],"size":[48,64]}',
            0.8718,
        ),
        "C": (
            c,
            '{"centre":[50.0,62.0],"coeffs":[23.7474,0.4984,-1.169,0.0238,0.1336,0.1651,-2.4207,-0.1486],"size":[100,100]}',
            0.706,
        ),
        "D": (
            d,
            '{"centre":[16.0,47.0],"coeffs":[16.767,8.3411,2.6361,8.4285,7.9987,2.7636,0.902,2.9184],"size":[60,80]}',
            0.6623,
        ),
    }


def record_of(mask: NDArray[Any], folder: Path, **region: Any) -> Record:
    name = f"é {mask.shape[0]}.png"
    make_image(folder / name, (mask.shape[1], mask.shape[0]))
    shape = Region("狗", mask=Mask((mask.shape[0], mask.shape[1]), encode_rle(mask)), **region)
    return Record(
        Source("é", 1), images=(ImageRef(name, FileImage(str(folder / name))),), referring="狗", answers=(shape,)
    )


def formatted(
    record: Record, dialect: VlmR1Seg | None = None, frame: RowFrame | None = None
) -> tuple[dict[str, Any], Losses]:
    context = WriteContext("jsonl", ImageLoader(), frame or RowFrame(PIXELS), Losses())
    return (dialect or VlmR1Seg()).format(record, context).value, context.losses


def drawn_by_the_reward(solution: str) -> NDArray[np.uint8]:
    """The reward's ground truth, written from the specification: last answer, 72 rays, clipped, drawn. Source: §2.3, §2.7."""
    from pycocotools import mask as coco

    shape = json.loads(re.findall(r"<answer>(.*?)</answer>", solution, re.DOTALL)[-1])
    h, w = shape["size"]
    angles = 2 * np.pi * np.arange(72) / 72
    radii = np.maximum(np.polynomial.chebyshev.chebval(np.cos(angles), shape["coeffs"]), 0)
    x = np.clip(shape["centre"][0] + radii * np.cos(angles), 0, w - 1)
    y = np.clip(shape["centre"][1] + radii * np.sin(angles), 0, h - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools with numpy 2
        return np.asarray(coco.decode(coco.frPyObjects([np.stack([x, y], axis=1).ravel().tolist()], h, w))[..., 0])


@pytest.mark.parametrize("name", golden_masks())
def test_a_mask_becomes_the_forks_own_numbers_and_says_what_they_are_worth(tmp_path: Path, name: str) -> None:
    mask, payload, iou = golden_masks()[name]
    row, losses = formatted(record_of(mask, tmp_path))
    assert row["conversations"] == [
        {"from": "human", "value": QUESTION.format("狗")},
        {"from": "gpt", "value": f"<answer>{payload}</answer>"},
    ]
    assert row["solution"] == json.loads(payload)
    assert row["mask_iou"] == pytest.approx(iou, abs=1e-4)
    loss = losses.as_data()["answers.mask"]
    assert loss["rounded"] == 1
    assert 1 < loss["largest_error_px"] < 60
    drawn = drawn_by_the_reward(row["conversations"][1]["value"])
    assert (drawn & mask).sum() / (drawn | mask).sum() == pytest.approx(iou, abs=2e-3)


def test_the_best_fit_is_a_choice_of_the_dialect_and_draws_better(tmp_path: Path) -> None:
    mask, _, iou = golden_masks()["D"]
    row, _ = formatted(record_of(mask, tmp_path), VlmR1Seg(fit="best", order=10))
    assert len(row["solution"]["coeffs"]) == 10
    assert row["mask_iou"] > iou


def test_for_the_trainer_the_shape_is_drawn_on_the_image_that_the_model_sees(tmp_path: Path) -> None:
    """The reward compares without any correction. Source: specs/vlmr1_easydistill.md §2.7."""
    y, x = rows_and_columns((720, 1280))
    mask = ((x - 900) / 120) ** 2 + ((y - 200) / 80) ** 2 <= 1
    row, _ = formatted(record_of(mask, tmp_path), frame=RowFrame.of_profile(get_profile("vlmr1-seg")))
    assert row["solution"]["size"] == [728, 1288]
    seen_x, seen_y = 900 * 1288 / 1280, 200 * 728 / 720
    assert row["solution"]["centre"] == pytest.approx([seen_x, seen_y], abs=2)
    drawn = drawn_by_the_reward(row["conversations"][1]["value"])
    assert drawn.shape == (728, 1288)
    y, x = rows_and_columns((728, 1288))
    wanted = ((x - seen_x) / (120 * 1288 / 1280)) ** 2 + ((y - seen_y) / (80 * 728 / 720)) ** 2 <= 1
    assert (drawn & wanted).sum() / (drawn | wanted).sum() > 0.9


def parsed(path: str, folder: Path, row_frame: RowFrame | None = None) -> list[Record]:
    context = ReadContext(ImageRoot(str(folder)), ImageLoader(), row_frame or RowFrame(PIXELS))
    return [DIALECTS["vlmr1-seg"].parse(Row(Source("é", 1), row, None), context) for row in read_jsonl(FIXTURES / path)]


def test_a_shape_is_read_as_the_outline_of_72_points_that_the_trainer_draws(tmp_path: Path) -> None:
    first, second = parsed("chebyshev.jsonl", tmp_path)
    assert (first.referring, first.category, first.turns) == ("bowl", "bowl", ())
    (outline,) = first.answers[0].polygon.rings
    assert len(outline) == 144
    radius = sum([14.3025, 6.9726, 5.1588, 4.2442, 1.1694, 1.1416, 0.4077, -0.3971])
    assert outline[:2] == pytest.approx((17.0 + radius, 19.0), abs=1e-5)
    assert first.answers[0].extra["size"] == [48, 64]
    assert set(second.extra) == {"mask_iou"}, "solution says the answer once more"


def test_what_repeats_the_shape_does_not_stay_behind_when_the_image_is_turned(tmp_path: Path) -> None:
    (row, _) = read_jsonl(FIXTURES / "chebyshev.jsonl")
    shape = json.loads(row["conversations"][1]["value"][8:-9])
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = 3
    Image.new("RGB", (64, 48)).save(tmp_path / "kopf.jpg", exif=exif)
    write_jsonl(tmp_path / "a.jsonl", [row | {"image": "kopf.jpg", "solution": shape}])
    flags: dict[str, Any] = {"exif": "bake", "image_out": str(tmp_path / "aus")}
    run(tmp_path / "a.jsonl", tmp_path / "b.json", to="coco", **flags)
    assert "solution" not in json.loads((tmp_path / "b.json").read_text())["images"][0]
    run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", dialect="vlmr1-seg", **flags)
    (turned,) = read_jsonl(tmp_path / "c.jsonl")
    assert turned["solution"] == json.loads(turned["conversations"][1]["value"][8:-9])
    assert turned["solution"] != shape


def test_the_numbers_come_back_exactly_through_a_layout_that_holds_polygons(tmp_path: Path) -> None:
    rows = read_jsonl(FIXTURES / "chebyshev.jsonl")
    for row, size_wh in zip(rows, ((64, 48), (120, 100)), strict=True):
        make_image(tmp_path / row["image"], size_wh)
    write_jsonl(tmp_path / "a.jsonl", rows)
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni")
    second = run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="vlmr1-seg")
    assert lost_and_rounded(first) == {"extra.mask_iou"}  # rexomni rows have no place for it
    assert lost_and_rounded(second) == set()
    for before, after in zip(rows, read_jsonl(tmp_path / "c.jsonl"), strict=True):
        assert after["conversations"] == before["conversations"]
        assert after["solution"] == json.loads(before["conversations"][1]["value"][8:-9])


def test_an_outline_that_was_changed_on_the_way_is_encoded_anew(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (64, 48))
    (record, _) = parsed("chebyshev.jsonl", tmp_path)
    outline = tuple(n + 3 for n in record.answers[0].polygon.rings[0])
    region = Region("bowl", polygon=Polygon((outline,)), extra=record.answers[0].extra)
    image = ImageRef("é.png", FileImage(str(tmp_path / "é.png")))
    row, _ = formatted(Record(Source("é", 1), images=(image,), referring="bowl", answers=(region,)))
    assert row["solution"]["centre"] != [17.0, 19.0]


def seg_row(shape: dict[str, Any], **keys: Any) -> dict[str, Any]:
    answer = f"<answer>{json.dumps(shape, separators=(',', ':'))}</answer>"
    turns = [{"from": "human", "value": QUESTION.format("狗")}, {"from": "gpt", "value": answer}]
    return {"id": 1, "image": "é.png", "conversations": turns} | keys


def shape_of(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(row["conversations"][1]["value"][8:-9])


def fork_shape(size_hw: tuple[int, int]) -> dict[str, Any]:
    """A shape for which the fork's own encoder finds another centre."""
    coeffs = [45.402, -17.8792, 11.5931, -24.4825, 11.3376, -1.5632, 3.7124, 1.2138]
    return {"centre": [188.0, 135.0], "coeffs": coeffs, "size": list(size_hw)}


def test_numbers_stay_where_the_stored_image_is_the_one_that_the_model_sees(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (336, 252))
    row = seg_row(fork_shape((252, 336)))
    write_jsonl(tmp_path / "a.jsonl", [row])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg")
    assert read_jsonl(tmp_path / "b.jsonl") == [row]
    assert lost_and_rounded(result) == set()


@pytest.mark.parametrize("resize", ["none", "fixed-point"])
def test_numbers_that_follow_their_image_draw_the_same_shape_scaled(tmp_path: Path, resize: str) -> None:
    make_image(tmp_path / "é.png", (340, 260))
    write_jsonl(tmp_path / "a.jsonl", [seg_row(fork_shape((260, 340)))])
    places = {"image_out": str(tmp_path / "aus")} if resize == "fixed-point" else {}
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg", resize=resize, **places)
    shape = shape_of(read_jsonl(tmp_path / "b.jsonl")[0])
    assert shape["size"] == [252, 336]
    assert shape["centre"] == pytest.approx([188 * 336 / 340, 135 * 252 / 260], abs=0.005)
    assert len(shape["coeffs"]) == 8
    assert result.losses["answers.polygon"]["largest_error_px"] < 2


def test_a_shape_drawn_anew_is_worth_no_more_than_what_it_was_read_from(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (340, 260))
    rows = [seg_row(fork_shape((260, 340)), mask_iou=0.64), seg_row(fork_shape((260, 340)), id=2)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg")
    known, unknown = read_jsonl(tmp_path / "b.jsonl")
    assert 0.6 < known["mask_iou"] <= 0.64
    assert "mask_iou" not in unknown
    for row, code in ((rows[0], "mask-iou-low"), (rows[1], "mask-iou-unknown")):
        write_jsonl(tmp_path / "c.jsonl", [row])
        with pytest.raises(RecordError) as caught:
            run(tmp_path / "c.jsonl", tmp_path / "d.jsonl", profile="vlmr1-seg", min_mask_iou=0.8)
        assert caught.value.code == code


def test_the_older_polygons_are_read_ring_by_ring_and_written_as_a_shape_for_the_trainer(tmp_path: Path) -> None:
    make_image(tmp_path / "train2014/été.jpg", (64, 48))
    nested, flat = parsed("older.jsonl", tmp_path)
    assert nested.answers[0].polygon.rings == ((8, 10, 48, 10, 48.5, 30, 8, 30), (50, 2, 60, 2, 55, 9))
    assert flat.answers[0].polygon.rings == ((8, 10, 48, 10, 48.5, 30),)
    assert (nested.referring, flat.referring) == ("vélo", "狗")
    write_jsonl(tmp_path / "a.jsonl", read_jsonl(FIXTURES / "older.jsonl"))
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg")
    row = read_jsonl(tmp_path / "b.jsonl")[0]
    assert row["conversations"][0]["value"] == "<image>Segment the vélo."
    assert drawn_by_the_reward(row["conversations"][1]["value"]).shape == (56, 56)
    assert 0 < row["mask_iou"] < 1


def test_a_mask_file_is_found_under_the_image_root_and_drawn(tmp_path: Path) -> None:
    mask, _, _ = golden_masks()["A"]
    make_image(tmp_path / "été.jpg", (64, 48))
    (tmp_path / "masken").mkdir()
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "masken/17_0.png")
    (record,) = parsed("mask_path.jsonl", tmp_path)
    assert record.referring == "the bike à gauche"
    assert record.answers[0].mask == Mask(path=str(tmp_path / "masken/17_0.png"))
    write_jsonl(tmp_path / "a.jsonl", read_jsonl(FIXTURES / "mask_path.jsonl"))
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert row["mask_iou"] > 0.8
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "masken/17_0.png")
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", profile="vlmr1-seg")
    assert caught.value.code == "mask-size"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_a_mask_file_becomes_run_lengths_where_a_row_holds_the_mask_itself(tmp_path: Path) -> None:
    mask, _, _ = golden_masks()["A"]
    make_image(tmp_path / "été.jpg", (64, 48))
    (tmp_path / "masken").mkdir()
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "masken/17_0.png")
    write_jsonl(tmp_path / "a.jsonl", read_jsonl(FIXTURES / "mask_path.jsonl"))
    run(tmp_path / "a.jsonl", tmp_path / "coco.json", to="coco")
    document = json.loads((tmp_path / "coco.json").read_text())
    (annotation,) = document["annotations"]
    assert np.array_equal(mask_utils.decode(annotation["segmentation"]), mask)
    assert annotation["area"] == mask.sum()
    y, x = np.nonzero(mask)
    assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
    run(tmp_path / "a.jsonl", tmp_path / "eval.jsonl", to="rexomni-eval")
    (row,) = read_jsonl(tmp_path / "eval.jsonl")
    (entry,) = row["gt"]["the bike à gauche"]
    assert np.array_equal(mask_utils.decode(entry), mask)


def test_a_mask_outside_the_image_root_is_refused(tmp_path: Path) -> None:
    (row,) = read_jsonl(FIXTURES / "mask_path.jsonl")
    row["conversations"][1]["value"] = '{"mask_path": "../../geheim.png"}'
    with pytest.raises(PayloadError) as caught:
        VlmR1Seg().parse(Row(Source("é", 1), row, None), ReadContext(ImageRoot(str(tmp_path)), ImageLoader()))
    assert caught.value.code == "image-name"


@pytest.mark.parametrize(
    ("answers", "code"),
    [((), "one-answer-needed"), ((Region("a"), Region("b")), "one-answer-needed"), ((Region("a"),), "no-mask")],
)
def test_a_row_without_exactly_one_shape_is_refused(tmp_path: Path, answers: Any, code: str) -> None:
    make_image(tmp_path / "é.png")
    image = ImageRef("é.png", FileImage(str(tmp_path / "é.png")))
    with pytest.raises(RecordError) as caught:
        formatted(Record(Source("é", 1), images=(image,), referring="狗", answers=answers))
    assert caught.value.code == code


def test_a_mask_without_a_pixel_is_refused_and_boxes_alone_are_no_shape(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        formatted(record_of(np.zeros((30, 40), np.uint8), tmp_path))
    assert caught.value.code == "mask-empty"
    make_image(tmp_path / "é.png")
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(image_name="é.png")])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="vlmr1-seg")
    assert caught.value.code == "no-mask"


@pytest.mark.parametrize(
    "shape",
    [
        {"centre": [1], "coeffs": [1]},
        {"centre": [1, 2], "coeffs": []},
        {"centre": [1, 2], "coeffs": ["3"]},
        {"centre": [1, 2], "coeffs": [1e12]},
        {"polygon": [1, 2, 3, 4]},
        {"polygon": ["1", 2, 3, 4, 5, 6]},
        {"polygons": {}},
        {"mask_path": 3},
    ],
)
def test_a_shape_of_another_form_is_an_error_of_its_row(tmp_path: Path, shape: Any) -> None:
    row = {"image": "é.png", "conversations": [{"value": QUESTION.format("狗")}, {"value": json.dumps(shape)}]}
    with pytest.raises(RecordError) as caught:
        VlmR1Seg().parse(Row(Source("é", 1), row, None), ReadContext(ImageRoot(str(tmp_path)), ImageLoader()))
    assert caught.value.code in {"bad-answer", "polygon-shape", "number-range"}


def test_boxes_beside_a_mask_are_counted_as_lost(tmp_path: Path) -> None:
    from groundprep.record import Box

    _, losses = formatted(record_of(golden_masks()["A"][0], tmp_path, box=Box((8, 10, 48, 30))))
    assert losses.as_data()["answers.box"]["lost"] == 1


def test_the_mask_file_of_a_turned_image_is_not_that_of_the_new_one(tmp_path: Path) -> None:
    (row, *_) = read_jsonl(FIXTURES / "mask_path.jsonl")
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = 6
    Image.new("RGB", (61, 37)).save(tmp_path / "kopf.jpg", exif=exif)
    Image.new("RGB", (61, 37)).save(tmp_path / "gerade.jpg")
    mask_hw = np.zeros((37, 61), np.uint8)
    mask_hw[5:30, 9:40] = 255
    (tmp_path / "masken").mkdir()
    Image.fromarray(mask_hw).save(tmp_path / "masken/17_0.png")
    write_jsonl(tmp_path / "a.jsonl", [row | {"image": name} for name in ("kopf.jpg", "gerade.jpg")])
    flags: dict[str, Any] = {"exif": "bake", "image_out": str(tmp_path / "aus")}
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", **flags)
    turned, straight = read_jsonl(tmp_path / "b.jsonl")
    assert "seg_mask_path" not in turned
    assert json.loads(turned["conversations"][1]["value"][8:-9])["size"] == [61, 37]
    assert straight == row | {"image": "gerade.jpg"}
    assert result.losses["extra.seg_mask_path"]["lost"] == 1
    write_jsonl(tmp_path / "a.jsonl", [straight | {"seg_mask_path": None}])
    run(tmp_path / "a.jsonl", tmp_path / "c.json", to="coco", from_name="vlmr1-seg")
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["images"][0]["seg_mask_path"] is None
