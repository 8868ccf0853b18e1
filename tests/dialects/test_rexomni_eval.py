"""Rex-Omni's evaluation rows: every shape that `gt` can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES
from groundprep.images import decode
from groundprep.profile import RowFrame
from groundprep.record import Mask
from tests.contracts.dialects import (
    IMAGE_NAME,
    DialectContract,
    box,
    extras,
    json_value,
    number,
    phrases,
    point,
    shuffled,
    words,
)
from tests.contracts.samples import (
    lost_and_rounded,
    make_image,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)

RLE = {"counts": "0P1", "size": [37, 61]}
polygon = st.integers(3, 5).flatmap(lambda n: st.lists(number, min_size=2 * n, max_size=2 * n))
mask = st.builds(
    lambda counts, extra: {"size": [37, 61], "counts": counts} | extra,
    words | st.lists(st.integers(0, 99)),
    extras("size", "counts", "bbox"),
)
keypoints = st.builds(lambda bbox, points: {"bbox": bbox, "keypoints": points, "phrase": "é"}, box, json_value)
truths = st.dictionaries(phrases, st.lists(box | point | polygon | mask | keypoints, max_size=3), max_size=3)


def eval_row(**changes: Any) -> dict[str, Any]:
    return {
        "image_path": "bilder/straße 0.png",
        "categories": ["Hund", "狗", "Straßenbahn"],
        "gt": {"Hund": [[7.5, 3, 40, 21.25], [1, 2, 30, 36]], "狗": [[2, 2, 31, 36]]},
        "dataset_name": "COCO",
        "task_name": "detection",
    } | changes


class TestRexOmniEval(DialectContract):
    name = "rexomni-eval"
    container = "jsonl"
    rows: ClassVar = st.builds(
        lambda gt, more, masks, extra: (
            {"image_path": IMAGE_NAME, "gt": gt, "categories": [*(gt if isinstance(gt, dict) else ["Knopf"]), *more]}
            | masks
            | extra
        ),
        truths | box | st.lists(box, max_size=2),
        st.lists(phrases, max_size=2),
        st.fixed_dictionaries(
            {}, optional={"gt_mask": st.dictionaries(phrases, st.lists(mask, max_size=2), max_size=2)}
        ),
        extras("image_path", "categories", "gt", "gt_mask", "dataset_name", "task_name", "conversations"),
    ).flatmap(shuffled)

    def test_a_mask_beside_a_box_of_the_same_object_is_one_region(self, folder: Path) -> None:
        record = self.parsed(eval_row(image_path=IMAGE_NAME, gt={"Hund": [[1, 2]]}, gt_mask={"Hund": [RLE]}), folder)
        assert [(r.phrase, r.point.xy if r.point else None, r.mask) for r in record.regions] == [
            ("Hund", (1, 2), Mask((37, 61), "0P1")),
            ("狗", None, None),
            ("Straßenbahn", None, None),
        ]
        assert record.regions[1].is_absent

    def test_a_bare_list_is_of_the_first_category(self, folder: Path) -> None:
        record = self.parsed(eval_row(image_path=IMAGE_NAME, gt=[1, 2, 3, 4], categories=["Knopf"]), folder)
        assert [(r.phrase, r.box.xyxy if r.box else None) for r in record.regions] == [("Knopf", (1, 2, 3, 4))]

    @pytest.mark.parametrize(
        "entry", [[1, 2, 3], {}, "box", None, {"counts": None, "size": [1, 2]}, {"bbox": "x"}, [1, 2, 3, 4, 5]]
    )
    def test_an_entry_of_another_shape_is_an_error_of_its_row(self, folder: Path, entry: Any) -> None:
        with pytest.raises(RecordError):
            self.parsed(eval_row(image_path=IMAGE_NAME, gt={"Hund": [entry]}), folder)

    @pytest.mark.parametrize("key", ["visual_prompt", "extracted_predictions"])
    def test_coordinates_that_are_only_carried_cannot_change_frame(self, folder: Path, key: str) -> None:
        self.frame = RowFrame(FRAMES["pixels-xywh"])
        plain = self.parsed(eval_row(image_path=IMAGE_NAME), folder)
        moved = self.formatted(plain, frame=RowFrame(FRAMES["pixels"]))
        assert moved["gt"]["Hund"][1] == [1, 2, 31, 38]
        record = self.parsed(eval_row(image_path=IMAGE_NAME) | {key: {"Hund": [[1, 2, 3, 4]]}}, folder)
        with pytest.raises(RecordError) as caught:
            self.formatted(record, frame=RowFrame(FRAMES["pixels"]))
        assert caught.value.code == "frame-fixed"


def test_categories_become_phrases_and_those_without_truth_are_absent(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [eval_row()])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert row["annotation"]["boxes"] == [
        {"bbox": [7.5, 3, 40, 21.25], "phrase": "Hund"},
        {"bbox": [1, 2, 30, 36], "phrase": "Hund"},
        {"bbox": [2, 2, 31, 36], "phrase": "狗"},
        {"bbox": None, "phrase": "Straßenbahn"},
    ]
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexomni-eval")
    (back,) = read_jsonl(tmp_path / "c.jsonl")
    assert back == eval_row(dataset_name="custom")


def test_an_expression_becomes_a_referring_task(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(0, candidate_boxes=None), rexthinker_row(1, ans=[])])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-eval")
    rows = read_jsonl(tmp_path / "b.jsonl")
    words_of = [rexthinker_row(n)["referring"] for n in range(2)]
    assert [(r["categories"], r["gt"], r["task_name"]) for r in rows] == [
        ([words_of[0]], {words_of[0]: [[7.5, 3, 40, 21.25]]}, "referring"),
        ([words_of[1]], {}, "referring"),
    ]
    assert "candidates" in lost_and_rounded(result)


def test_polygons_and_points_of_rex_omni_have_their_places(tmp_path: Path) -> None:
    make_images(tmp_path)
    annotation = {
        "points": [{"point": [3, 4], "phrase": "é"}],
        "polygons": [{"polygon": [1, 2, 30, 2, 30, 31], "phrase": "狗"}],
    }
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(0, annotation=annotation)])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-eval")
    assert read_jsonl(tmp_path / "b.jsonl")[0]["gt"] == {"é": [[3, 4]], "狗": [[1, 2, 30, 2, 30, 31]]}
    assert lost_and_rounded(result) == set()


@pytest.mark.parametrize("truth", [[7.5, 3, 40, 21.25], [[7.5, 3, 40, 21.25]], [[7.5, 3, 40, 21.25], [1, 2, 30, 36]]])
def test_the_boxes_of_a_gui_task_stay_a_list_when_they_move(tmp_path: Path, truth: list[Any]) -> None:
    """Source: specs/rexomni.md §9: for GUI tasks gt is a single list of boxes."""
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [eval_row(categories=["Knopf"], gt=truth, task_name="gui_grounding")])
    flags = {"resize": "fixed-point", "profile": "vlmr1-ovd", "image_out": str(tmp_path / "aus")}
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni-eval", **flags)
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    flat = truth if isinstance(truth[0], list) else [truth]
    moved = [[n / side * new for n, side, new in zip(box, (61, 37) * 2, (84, 56) * 2, strict=True)] for box in flat]
    assert row["gt"] == (moved if isinstance(truth[0], list) else moved[0])


def test_masks_stay_in_rows_that_are_not_the_trainers_own(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", (61, 37))
    runs = {"size": [37, 61], "counts": [37 * 20, 37 * 5, 37 * 36]}
    write_jsonl(tmp_path / "in.jsonl", [{"image_path": "é.png", "categories": ["狗"], "gt": {"狗": [runs]}}])
    flags: dict[str, Any] = {"resize": "fixed-point", "image_out": str(tmp_path / "aus"), "profile": "rexomni-sft"}
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", dialect="rexomni-eval", **flags)
    (entry,) = read_jsonl(tmp_path / "out.jsonl")[0]["gt"]["狗"]
    w, h = decode((tmp_path / "aus/é.png").read_bytes()).size
    assert (entry["size"], (w, h) != (61, 37)) == ([h, w], True)
    run(tmp_path / "in.jsonl", tmp_path / "out.json", to="coco", **flags | {"image_out": str(tmp_path / "aus2")})
    assert len(json.loads((tmp_path / "out.json").read_text())["annotations"]) == 1
