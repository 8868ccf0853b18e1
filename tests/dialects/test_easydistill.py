"""EasyDistill's rows: labelled boxes, one box, and the SFT companion."""

from __future__ import annotations

import ast
import base64
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from groundprep.dialects.easydistill import MULTI_INSTRUCTION
from groundprep.dialects.easydistill_sft import format_dict_literal, parse_dict_literal
from groundprep.errors import RecordError
from groundprep.trainers import get_profile
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, shuffled, words
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

FIXTURES = Path(__file__).parents[1] / "fixtures" / "easydistill"
KEYS = ("image_path", "instruction", "abs_box", "bbox", "height", "width", "id")

sizes = st.fixed_dictionaries({}, optional={"height": st.just(37), "width": st.just(61), "id": st.integers() | words})
labelled = st.dictionaries(st.sampled_from("0123") | words, st.lists(box, max_size=2), max_size=4)
single = (
    box.map(lambda numbers: {"abs_box": numbers})
    | box.map(lambda n: {"bbox": n})
    | st.tuples(box, box).map(lambda p: {"bbox": p[0], "abs_box": p[1]})
)


def distilled(boxes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda instruction, value, optional, extra: (
            {"image_path": IMAGE_NAME, "instruction": instruction} | value | optional | extra
        ),
        phrases
        | words.map("Locate {} in this image and answer with nothing but its bounding box as [x1,y1,x2,y2]".format),
        boxes,
        sizes,
        extras(*KEYS),
    ).flatmap(shuffled)


class TestMulti(DialectContract):
    name = "easydistill"
    container = "jsonl"
    rows: ClassVar = distilled(labelled.map(lambda value: {"abs_box": value}))


class TestSingle(DialectContract):
    name = "easydistill-single"
    container = "jsonl"
    rows: ClassVar = distilled(single)


class TestSft(DialectContract):
    name = "easydistill-sft"
    container = "json"
    rows: ClassVar = st.builds(
        lambda question, boxes, first, extra: (
            {
                "messages": [
                    {"role": "user", "content": question} | first,
                    {"role": "assistant", "content": str(boxes)},
                ],
                "images": IMAGE_NAME,
            }
            | extra
        ),
        st.just("<image>" + MULTI_INSTRUCTION) | phrases,
        st.dictionaries(st.integers(0, 5), st.lists(box, max_size=2), max_size=4),
        extras("role", "content"),
        extras("messages", "images", "id", "problem", "answer"),
    ).flatmap(shuffled)


def trained_on(path: Path) -> list[tuple[str, str, Any]]:
    """Read a file as the trainer does: (image_path, instruction, abs_box); nothing else is looked at. Source: §3.2."""
    rows = read_jsonl(path)
    return [(row["image_path"], row["instruction"], row["abs_box"]) for row in rows]


def test_a_single_box_is_written_under_both_keys_in_the_integers_that_the_model_sees(data: Path) -> None:
    run(data / "expressions.jsonl", data / "out.jsonl", profile="easydistill-single")
    raw = read_jsonl(data / "out.jsonl")
    sizes_wh = [(61, 37), (640, 426), (90, 333)]
    for number, (path, instruction, truth) in enumerate(trained_on(data / "out.jsonl")):
        w, h = sizes_wh[number % 3]
        seen = get_profile("easydistill-single").seen_wh((w, h))
        expected = [round(n / side * s) for n, side, s in zip([7.5, 3, 40, 21.25], (w, h) * 2, seen * 2, strict=True)]
        assert truth == raw[number]["bbox"] == expected
        assert all(type(n) is int for n in truth)
        assert path == str(data / f"bilder/straße {number % 3}.png")
        assert Path(path).is_file()
        assert f"le chien n°{number} à gauche 狗" in instruction
        assert (raw[number]["height"], raw[number]["width"]) == (h, w)


@pytest.mark.parametrize("resize", ["none", "fixed-point"])
def test_the_path_is_that_of_the_image_which_is_written(data: Path, resize: str) -> None:
    run(
        data / "expressions.jsonl",
        data / "o.jsonl",
        profile="easydistill-single",
        image_out=str(data / "aus"),
        resize=resize,
    )
    for number, (path, _, _) in enumerate(trained_on(data / "o.jsonl")):
        row = read_jsonl(data / "o.jsonl")[number]
        assert Path(path).parent == data / "aus" / "bilder"
        with Image.open(path) as image:
            assert image.size == (row["width"], row["height"])
        assert (image.size == get_profile("easydistill-single").seen_wh(image.size)) == (resize == "fixed-point")


def test_all_four_labels_are_written_and_boxes_that_cannot_be_matched_are_left_out(tmp_path: Path) -> None:
    """A degenerate box caps the score; the shipped sample has one. Source: specs/vlmr1_easydistill.md §3.5."""
    make_images(tmp_path)
    boxes = [
        ([7.5, 3, 40, 21.25], "2"),
        ([10, 5, 10, 30], "2"),
        ([7, 3, 40, 21], "2"),
        ([8, 3, 40, 21], "2"),
        ([1, 2, 30, 36], "0"),
        (None, "1"),
    ]
    entries = [{"bbox": numbers, "phrase": phrase} for numbers, phrase in boxes]
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(1, annotation={"boxes": entries})])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="easydistill")
    ((_, instruction, truth),) = trained_on(tmp_path / "b.jsonl")
    assert instruction == MULTI_INSTRUCTION
    assert truth == {"0": [[1, 2, 30, 36]], "1": [], "2": [[8, 3, 40, 21], [7, 3, 40, 21]], "3": []}
    assert result.losses["regions.box"]["lost"] == 2
    assert result.losses["regions.box"]["largest_error_px"] == 0.5


@pytest.mark.parametrize("phrase", ["chien", "4", "00"])
def test_a_phrase_that_is_no_label_is_refused_and_names_the_other_form(tmp_path: Path, phrase: str) -> None:
    make_images(tmp_path)
    write_jsonl(
        tmp_path / "a.jsonl", [rexomni_row(1, annotation={"boxes": [{"bbox": [1, 2, 3, 4], "phrase": phrase}]})]
    )
    with pytest.raises(RecordError, match="easydistill-single") as caught:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill")
    assert caught.value.code == "label-needed"


def test_an_expression_is_no_label_either(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(1)])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill")
    assert caught.value.code == "label-needed"


@pytest.mark.parametrize(
    ("ans", "code"),
    [
        ([], "one-answer-needed"),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], "one-answer-needed"),
        ([5, 5, 5.2, 30], "box-degenerate"),
    ],
)
def test_a_single_box_row_needs_one_box_with_an_area(tmp_path: Path, ans: Any, code: str) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(1, ans=ans)])
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill-single")
    assert caught.value.code == code


def test_rows_that_only_have_the_documented_key_gain_the_one_that_is_read(tmp_path: Path) -> None:
    """The documented rows raise KeyError 'abs_box' in the trainer. Source: specs/vlmr1_easydistill.md §3.2."""
    make_image(tmp_path / "bild/été.png", (1920, 1080))
    write_jsonl(tmp_path / "a.jsonl", read_jsonl(FIXTURES / "single.jsonl")[:1])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill-single")
    ((_, instruction, truth),) = trained_on(tmp_path / "b.jsonl")
    assert instruction == "Click on the Straße button"
    assert truth == read_jsonl(tmp_path / "b.jsonl")[0]["bbox"] == [855, 728, 1077, 789]


def test_a_documented_box_that_differs_from_the_one_that_is_read_is_not_lost_in_silence(data: Path) -> None:
    row = {"image_path": "bilder/straße 1.png", "instruction": "é", "bbox": [1, 2, 3, 4], "abs_box": [5, 6, 30, 40]}
    write_jsonl(data / "a.jsonl", [row])
    run(data / "a.jsonl", data / "b.jsonl", dialect="vlmr1")
    (written,) = read_jsonl(data / "b.jsonl")
    assert written["conversations"][1]["value"] == [5, 6, 30, 40]
    assert written["bbox"] == [1, 2, 3, 4]


def test_rows_in_the_trainers_frame_gain_the_keys_and_labels_that_it_reads(tmp_path: Path) -> None:
    """A row without abs_box ends the training, one without label 0 earns nothing (specs/vlmr1_easydistill.md §3.2, §3.5)."""
    make_images(tmp_path)
    row = {"image_path": "bilder/straße 1.png", "instruction": "é"}
    write_jsonl(tmp_path / "a.jsonl", [row | {"bbox": [5, 6, 30, 40]}, row | {"abs_box": [7, 8, 31, 41]}])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill-single", source_frame="easydistill-single")
    assert [(r["bbox"], r["abs_box"]) for r in read_jsonl(tmp_path / "b.jsonl")] == [
        ([5, 6, 30, 40], [5, 6, 30, 40]),
        ([7, 8, 31, 41], [7, 8, 31, 41]),
    ]
    write_jsonl(tmp_path / "c.jsonl", [row | {"abs_box": {"2": [[5, 6, 30, 40]]}}])
    run(tmp_path / "c.jsonl", tmp_path / "d.jsonl", profile="easydistill", source_frame="easydistill")
    assert read_jsonl(tmp_path / "d.jsonl")[0]["abs_box"] == {"0": [], "1": [], "2": [[5, 6, 30, 40]], "3": []}


def test_numbers_in_the_trainers_frame_that_are_no_integers_are_rounded_and_never_cut(tmp_path: Path) -> None:
    """A 640 x 426 image is seen as 644 x 420."""
    make_images(tmp_path)
    write_jsonl(
        tmp_path / "a.jsonl",
        [{"image_path": "bilder/straße 1.png", "instruction": "é", "abs_box": {"0": [[5.75, 6, 30.25, 40]]}}],
    )
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", profile="easydistill", source_frame="easydistill")
    assert read_jsonl(tmp_path / "b.jsonl")[0]["abs_box"]["0"] == [[6, 6, 30, 40]]
    loss = result.losses["regions.box"]
    assert (loss["kept"], loss["rounded"]) == (0, 1)
    assert loss["largest_error_px"] == pytest.approx(0.25 / 644 * 640, abs=1e-6)


@pytest.mark.parametrize(
    ("flags", "size_wh"),
    [({"resize": "fixed-point", "profile": "easydistill"}, (84, 56)), ({"exif": "bake"}, (37, 61))],
)
def test_the_stated_size_is_that_of_the_image_which_is_written(
    tmp_path: Path, flags: dict[str, Any], size_wh: tuple[int, int]
) -> None:
    """Height and width are those of the actual file (specs/vlmr1_easydistill.md §3.6)."""
    turned = Image.Exif()
    turned[0x112] = 6
    with Image.open(make_image(tmp_path / "é.png")) as image:
        image.save(tmp_path / "é.png", exif=turned)
    boxes = {"0": [[5, 6, 30, 31]], "1": [], "2": [], "3": []}
    row = {"image_path": "é.png", "instruction": "é", "height": 37, "width": 61, "abs_box": boxes}
    write_jsonl(tmp_path / "a.jsonl", [row])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", image_out=str(tmp_path / "aus"), **flags)
    (written,) = read_jsonl(tmp_path / "b.jsonl")
    assert list(written) == list(row)
    with Image.open(written["image_path"]) as image:
        assert image.size == (written["width"], written["height"]) == size_wh


def test_a_box_that_is_left_out_is_counted_once(tmp_path: Path) -> None:
    make_images(tmp_path)
    boxes = {"0": [[5, 6, 30, 40], [5, 6, 30, 40], [7, 8, 7, 9]], "1": [], "2": [[100, 50, 300, 77]], "3": []}
    write_jsonl(tmp_path / "a.jsonl", [{"image_path": "bilder/straße 1.png", "instruction": "é", "abs_box": boxes}])
    unmoved = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl").losses["regions.box"]
    assert (unmoved["kept"], unmoved["rounded"], unmoved["lost"]) == (4, 0, 0)
    moved = run(tmp_path / "a.jsonl", tmp_path / "c.jsonl", profile="easydistill").losses["regions.box"]
    assert (moved["kept"], moved["rounded"], moved["lost"]) == (0, 2, 2)


@pytest.mark.parametrize("dialect", ["rexomni", "rexomni-eval", "rexomni-engine", "humanref-cot"])
def test_the_box_of_a_free_instruction_is_refused_where_a_phrase_must_name_it(tmp_path: Path, dialect: str) -> None:
    """Left out, it would become an image that has nothing in it."""
    make_image(tmp_path / "é.png")
    write_jsonl(tmp_path / "a.jsonl", [{"image_path": "é.png", "instruction": "où ?", "abs_box": [7, 3, 40, 21]}])
    dst, flags = ("out", {"to": "tsv"}) if dialect == "humanref-cot" else ("out.jsonl", {})
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", tmp_path / dst, dialect=dialect, **flags)
    assert caught.value.code == "no-phrase"


def test_a_phrase_is_filed_under_the_category_of_its_row(tmp_path: Path) -> None:
    """HumanRef-CoT says of a whole row that all its candidates are persons."""
    make_image(tmp_path / "é.png")
    row = {"gt_boxes": [[1, 2, 9, 8], [7, 3, 32, 18]], "region_map": {"der Große 狗": [1], "niemand": []}}
    payload = base64.b64encode((tmp_path / "é.png").read_bytes()).decode()
    texts = {
        "images.tsv": f"0\t{payload}\n",
        "annotations.tsv": f"0\t{json.dumps(row)}\n",
        "annotations.tsv.lineidx": "0\n",
    }
    for suffix, text in texts.items():
        (tmp_path / f"in.{suffix}").write_text(text, encoding="utf-8")
    flags = {"label_map": "person=1", "image_out": str(tmp_path / "aus")}
    result = run(tmp_path / "in", tmp_path / "out.jsonl", dialect="easydistill", **flags)
    (written,) = read_jsonl(tmp_path / "out.jsonl")
    assert written["abs_box"] == {"0": [], "1": [[7, 3, 39, 21]], "2": [], "3": []}
    assert result.losses["regions.phrase"]["lost"] == 2


side = st.integers(0, 30)
integer_boxes = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], side, side, st.integers(1, 20), st.integers(1, 6))
THERE_AND_BACK = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@THERE_AND_BACK
@given(ans=integer_boxes, referring=words)
def test_rexthinker_there_and_back_differs_by_nothing_but_the_declared_losses(
    tmp_path: Path, ans: Any, referring: str
) -> None:
    make_images(tmp_path)
    row = rexthinker_row(1, ans=ans, referring=referring)
    write_jsonl(tmp_path / "a.jsonl", [row])
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="easydistill-single", overwrite=True)
    second = run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexthinker", overwrite=True)
    assert lost_and_rounded(first) | lost_and_rounded(second) <= {"category", "candidates"}
    assert first.losses["images.name"]["renamed"] == 1
    (after,) = read_jsonl(tmp_path / "c.jsonl")
    name = str(tmp_path / row["image_name"])
    assert after == {"image_name": name} | {key: row[key] for key in ("image_id", "ans", "referring")}


@THERE_AND_BACK
@given(
    entries=st.lists(
        st.builds(lambda bbox, phrase: {"bbox": bbox, "phrase": phrase}, integer_boxes, st.sampled_from("0123")),
        min_size=1,
        max_size=5,
        unique_by=str,
    )
)
@pytest.mark.parametrize("middle", ["easydistill", "easydistill-sft"])
def test_rexomni_there_and_back_keeps_every_labelled_box(tmp_path: Path, middle: str, entries: Any) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(1, annotation={"boxes": entries})])
    first = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect=middle, overwrite=True)
    second = run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexomni", overwrite=True)
    assert lost_and_rounded(first) == set()
    assert lost_and_rounded(second) == {"instruction"}
    (after,) = read_jsonl(tmp_path / "c.jsonl")
    boxes = after["annotation"]["boxes"]
    assert [entry for entry in boxes if entry["bbox"]] == sorted(entries, key=lambda entry: entry["phrase"])
    assert {entry["phrase"] for entry in boxes} == set("0123")


def test_the_sft_answer_is_the_literal_of_the_published_sample(tmp_path: Path) -> None:
    """Source: specs/vlmr1_easydistill.md §3.2."""
    make_image(tmp_path / "260.jpg", (1280, 720))
    run(FIXTURES / "sft.json", tmp_path / "a.jsonl", dialect="rexomni", image_root=str(tmp_path))
    run(tmp_path / "a.jsonl", tmp_path / "b.json", dialect="easydistill-sft")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads((FIXTURES / "sft.json").read_text())


def test_the_reward_rows_and_their_sft_companion_hold_the_same(tmp_path: Path) -> None:
    for name in ("été 260", "狗 360"):
        make_image(tmp_path / f"regal/{name}.jpg", (1280, 720))
    write_jsonl(tmp_path / "a.jsonl", read_jsonl(FIXTURES / "multi.jsonl"))
    result = run(tmp_path / "a.jsonl", tmp_path / "b.json", dialect="easydistill-sft")
    assert result.losses["regions.box"]["lost"] == 1
    answers = [row["messages"][1]["content"] for row in json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))]
    assert answers[0] == "{0: [[10, 20, 90, 110]], 1: [], 2: [[619, 264, 723, 332], [961, 479, 1104, 557]], 3: []}"
    assert ast.literal_eval(answers[1]) == {0: [[5, 6, 70, 80]], 1: [], 2: [], 3: []}


@given(st.dictionaries(st.integers(0, 9).map(str), st.lists(integer_boxes, max_size=2), max_size=4))
def test_a_dict_literal_is_parsed_into_what_it_was_made_of(boxes: dict[str, Any]) -> None:
    assert parse_dict_literal(format_dict_literal(boxes)) == boxes


NO_DICTS = [
    "__import__('os')",
    "{0: open('x')}",
    '{"0": []}',
    "{0: [[1, 2, 3]]}",
    "{0: 5}",
    "[[], []]",
    "{",
    "",
    "{0: []} + {}",
]
NO_DICTS += [
    "{0: [" + "[" * 5000,
    "{[1]: []}",
    "{1e3: []}",
    "{0: [[1, 2, 3, 1e]]}",
    "{0: [[1,2,3," + "9" * 5000 + "]]}",
]


@pytest.mark.parametrize("text", NO_DICTS)
def test_what_is_no_dict_of_boxes_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_dict_literal(text)
    assert caught.value.code == "bad-answer"


@pytest.mark.parametrize("dialect", ["easydistill", "easydistill-sft"])
def test_a_conversation_without_boxes_does_not_claim_that_all_labels_are_absent(tmp_path: Path, dialect: str) -> None:
    make_image(tmp_path / "é.png")
    turns = [{"from": "human", "value": "<image>\nDescribe the image."}, {"from": "gpt", "value": "狗"}]
    write_jsonl(tmp_path / "in.jsonl", [{"image": "é.png", "conversations": turns}])
    with pytest.raises(RecordError, match="names no object") as caught:
        run(
            tmp_path / "in.jsonl", tmp_path / "out.jsonl", from_name="qwen-vl", dialect=dialect, source_frame="qwen3-vl"
        )
    assert caught.value.code == "no-phrase"
    assert not (tmp_path / "out.jsonl").exists()
