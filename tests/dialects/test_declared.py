"""What a conversion changes without a place for it in the target is declared; nothing turns into its opposite on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundprep.errors import RecordError
from tests.contracts.samples import (
    lost_and_rounded,
    make_images,
    read_jsonl,
    rexomni_row,
    rexthinker_row,
    run,
    write_jsonl,
)

IMAGE = "bilder/straße 0.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path)
    return tmp_path


def qwen_row(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"image": IMAGE, "conversations": turns} | more


def added(result: Any) -> dict[str, int]:
    return {name: loss["added"] for name, loss in result.losses.items() if loss["added"]}


def test_a_shape_is_refused_where_only_boxes_fit_and_never_becomes_an_absent_label(folder: Path) -> None:
    """EasyDistill's SFT rows said of a polygon that its label was not in the image."""
    seg = {
        "image": IMAGE,
        "conversations": [
            {"from": "human", "value": "<image>What is the segmentation polynomial coordinates of the 2."},
            {"from": "gpt", "value": '<answer>{"polygon": [8, 10, 48, 10, 48.5, 30], "size": [37, 61]}</answer>'},
        ],
    }
    write_jsonl(folder / "a.jsonl", [seg])
    with pytest.raises(RecordError) as caught:
        run(folder / "a.jsonl", folder / "b.json", dialect="easydistill-sft")
    assert caught.value.code == "no-box"


def test_labels_of_an_image_become_one_row_each_where_a_row_holds_one_box(folder: Path) -> None:
    row = {
        "image_path": IMAGE,
        "instruction": "Draw.",
        "abs_box": {"0": [[1, 2, 30, 31]], "1": [], "2": [[5, 6, 20, 22]], "3": []},
    }
    write_jsonl(folder / "a.jsonl", [row])
    result = run(folder / "a.jsonl", folder / "b.jsonl", dialect="easydistill-single", on_error="drop")
    assert (result.counts["exploded"], result.counts["written"]) == (3, 2)
    assert [r["abs_box"] for r in read_jsonl(folder / "b.jsonl")] == [[1, 2, 30, 31], [5, 6, 20, 22]]


def test_a_path_is_absolute_for_the_trainer_that_joins_no_root(folder: Path) -> None:
    row = {"image_path": IMAGE, "instruction": "Click.", "bbox": [1, 2, 30, 31], "abs_box": [1, 2, 30, 31]}
    write_jsonl(folder / "a.jsonl", [row])
    run(folder / "a.jsonl", folder / "same.jsonl")
    result = run(folder / "a.jsonl", folder / "out/b.jsonl", profile="easydistill-single", image_root=str(folder))
    assert read_jsonl(folder / "same.jsonl") == [row]
    assert read_jsonl(folder / "out/b.jsonl")[0]["image_path"] == str(folder / IMAGE)
    assert result.losses["images.name"]["renamed"] == 1


def test_marks_of_images_do_not_stay_as_text_where_the_trainer_puts_the_images_in(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [qwen_row("Wie viele?", "drei")])
    run(
        folder / "a.jsonl",
        folder / "b.jsonl",
        profile="trl-sft",
        dialect="trl-sft",
        from_name="qwen-vl",
        source_frame="qwen3-vl",
    )
    (row,) = read_jsonl(folder / "b.jsonl")
    assert row["prompt"] == [{"role": "user", "content": "Wie viele?"}]


def test_a_free_question_about_an_image_is_not_merged_with_what_is_asked_for_in_it(folder: Path) -> None:
    """Merged, its words became the question to boxes that nobody had asked for with them."""
    hint = '<image>Hint: Object and its coordinates in this image: {"chien": []}\nPlease detect 狗 in this image.'
    rows = [
        {"problem": "<image>Wie viele?", "answer": "drei", "images": [IMAGE]},
        {"problem": hint, "answer": "```json\n[]\n```", "images": [IMAGE]},
    ]
    write_jsonl(folder / "a.jsonl", rows)
    result = run(folder / "a.jsonl", folder / "b.jsonl", profile="vlmr1-ovd", source_frame="easyr1", on_error="drop")
    (row,) = read_jsonl(folder / "b.jsonl")
    assert "detect the following objects: ['狗']" in row["conversations"][0]["value"]
    assert (result.counts["merged"], result.counts["dropped"]) == (0, 1)


@pytest.mark.parametrize(
    ("name", "flags"),
    [("b", {"profile": "rexomni-sft"}), ("b.json", {"to": "coco"}), ("b.jsonl", {"profile": "vlmr1-ovd"})],
)
def test_a_box_that_answers_an_instruction_is_refused_where_it_needs_words(
    folder: Path, name: str, flags: dict[str, Any]
) -> None:
    """Grouped, the box vanished without a word; in COCO its category had no name."""
    row = {
        "image_path": IMAGE,
        "instruction": "Click on the Straße.",
        "bbox": [1, 2, 30, 31],
        "abs_box": [1, 2, 30, 31],
    }
    write_jsonl(folder / "a.jsonl", [row])
    with pytest.raises(RecordError) as caught:
        run(folder / "a.jsonl", folder / name, **flags)
    assert caught.value.code == "no-phrase"


def test_further_keys_of_an_absent_phrase_are_lost_with_it(folder: Path) -> None:
    annotation = {"boxes": [{"bbox": None, "phrase": "é", "note": 1}, {"bbox": [1, 2, 30, 31], "phrase": "狗"}]}
    write_jsonl(folder / "a.jsonl", [rexomni_row(0, annotation=annotation, id=7)])
    result = run(folder / "a.jsonl", folder / "b.jsonl", dialect="rexthinker")
    assert result.losses["regions.extra.note"]["lost"] == 1
    assert result.losses["id"]["renamed"] == 1, "it is the image's now: extra.image_id"


def test_an_instruction_that_the_targets_own_question_replaces_is_lost(folder: Path) -> None:
    row = qwen_row("Find them.", '[{"bbox_2d": [100, 100, 600, 600], "label": "狗"}]')
    write_jsonl(folder / "a.jsonl", [row])
    for target in ({"profile": "vlmr1"}, {"dialect": "vlmr1-refcoco"}, {"profile": "easydistill-single"}):
        result = run(folder / "a.jsonl", folder / "b.jsonl", source_frame="qwen3-vl", overwrite=True, **target)
        assert result.losses["instruction"]["lost"] == 1


def test_labels_that_a_question_of_its_own_does_not_name_are_lost(folder: Path) -> None:
    row = {"image_path": IMAGE, "instruction": "Draw.", "abs_box": {"0": [[1, 2, 30, 31]], "1": [], "2": [], "3": []}}
    write_jsonl(folder / "a.jsonl", [row])
    result = run(folder / "a.jsonl", folder / "b.jsonl", dialect="vlmr1-ovd")
    assert result.losses["regions.absent"]["lost"] == 3


def test_what_a_document_says_once_is_lost_in_rows(folder: Path) -> None:
    image = {"id": 1, "file_name": IMAGE, "width": 61, "height": 37}
    box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 30, 31], "area": 930, "iscrowd": 0}
    table = [{"id": 7, "name": "狗", "supercategory": "animal"}]
    document = {
        "info": {"year": 2026},
        "licenses": [{"id": 1}],
        "images": [image],
        "annotations": [box],
        "categories": table,
    }
    (folder / "a.json").write_text(json.dumps(document), encoding="utf-8")
    result = run(folder / "a.json", folder / "b.jsonl", dialect="rexomni")
    lost = {name: loss["lost"] for name, loss in result.losses.items() if name.startswith("header.")}
    assert lost == {"header.categories": 1, "header.info": 1, "header.licences": 1}
    again = run(folder / "a.json", folder / "c.json", to="coco")
    assert lost_and_rounded(again) == set()
    assert again.losses["header.categories"]["kept"] == 1


def test_what_the_target_requires_and_the_source_does_not_say_is_added(folder: Path) -> None:
    row = rexthinker_row(0)
    del row["candidate_boxes"], row["category"]
    write_jsonl(folder / "a.jsonl", [row])
    source = folder / "a.jsonl"
    assert added(run(source, folder / "a.parquet", profile="easyr1")) == {"candidates": 1}
    coco = added(run(source, folder / "b.json", to="coco"))
    assert coco == {
        "header.categories": 1,
        **dict.fromkeys(("regions.extra.id", "regions.extra.area", "regions.extra.iscrowd"), 1),
    }
    assert added(run(source, folder / "c.jsonl", dialect="rexomni-eval")) == {
        "extra.dataset_name": 1,
        "extra.task_name": 1,
    }
    engine = added(run(source, folder / "d.jsonl", dialect="rexomni-engine"))
    assert engine == {"extra.caption": 1, "answers.extra.start_char": 1, "answers.extra.end_char": 1}


def test_an_outline_without_a_box_gets_one_in_coco_and_that_is_added(folder: Path) -> None:
    annotation = {"polygons": [{"polygon": [5, 5, 30, 5, 30, 20], "phrase": "é"}]}
    write_jsonl(folder / "a.jsonl", [rexomni_row(0, annotation=annotation)])
    result = run(folder / "a.jsonl", folder / "b.json", to="coco")
    assert result.losses["regions.box"]["added"] == 1


def test_a_category_of_an_absent_phrase_is_lost_in_lvis(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [rexthinker_row(0, ans=[])])
    result = run(folder / "a.jsonl", folder / "b.json", to="lvis")
    assert result.losses["regions.category"]["lost"] == 1


def test_a_category_and_a_foreign_solution_are_lost_in_rows_of_shapes(folder: Path) -> None:
    image = {"id": 1, "file_name": IMAGE, "width": 61, "height": 37, "solution": "é"}
    ring = [5, 5, 30, 5, 30, 20, 5, 20]
    box = {
        "id": 1,
        "image_id": 1,
        "category_id": 7,
        "bbox": [5, 5, 25, 15],
        "segmentation": [ring],
        "phrase": "le petit",
    }
    document = {"images": [image], "annotations": [box], "categories": [{"id": 7, "name": "狗"}]}
    (folder / "a.json").write_text(json.dumps(document), encoding="utf-8")
    result = run(folder / "a.json", folder / "b.jsonl", profile="vlmr1-seg")
    assert result.losses["category"]["lost"] == 1
    assert result.losses["images.extra.solution"]["lost"] == 1
    assert {"extra.solution", "extra.mask_iou"} <= added(result).keys()


def test_an_answer_without_words_gets_no_empty_label(folder: Path) -> None:
    row = {"image_path": IMAGE, "instruction": "Click.", "bbox": [1, 2, 30, 31], "abs_box": [1, 2, 30, 31]}
    write_jsonl(folder / "a.jsonl", [row])
    run(folder / "a.jsonl", folder / "b.jsonl", profile="easyr1", dialect="easyr1")
    (written,) = read_jsonl(folder / "b.jsonl")
    assert "label" not in written["answer"]


def test_an_expression_whose_point_the_trainer_cannot_hold_leaves_no_absent_phrase(folder: Path) -> None:
    answers = ('[{"point_2d": [100, 100], "label": "狗"}]', "[]", '[{"bbox_2d": [100, 100, 600, 600], "label": "狗"}]')
    boxes = []
    for number, answer in enumerate(answers):
        write_jsonl(folder / f"{number}.jsonl", [qwen_row("Please detect 狗 in this image.", answer)])
        run(
            folder / f"{number}.jsonl",
            folder / f"b{number}",
            from_name="qwen-vl",
            profile="rexomni-grpo",
            source_frame="qwen3-vl",
        )
        (line,) = (folder / f"b{number}.annotations.tsv").read_text().splitlines()
        boxes.append([entry["bbox"] is None for entry in json.loads(line.split("\t")[1])["boxes"]])
    assert boxes == [[], [], [False]]


def test_a_row_of_polygons_keeps_an_empty_list_of_boxes_because_the_trainer_asks_for_one(folder: Path) -> None:
    gt = {"é": [[5, 5, 30, 5, 30, 20]]}
    write_jsonl(folder / "a.jsonl", [{"image_path": IMAGE, "categories": ["é"], "gt": gt}])
    run(folder / "a.jsonl", folder / "b.jsonl", dialect="rexomni")
    (row,) = read_jsonl(folder / "b.jsonl")
    assert row["annotation"].keys() == {"boxes", "polygons"}
