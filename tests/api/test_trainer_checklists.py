"""The lines of docs/checklists.md, end to end: one defect in a sound file gives the one finding that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groundprep.api.convert import ConvertConfig, convert
from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from groundprep.dialects.answers_text import REC_END, REC_START, format_ovd_question

SIZES_WH = {"été.png": (640, 476), "狗.png": (1288, 728), "klein.png": (90, 20), "b.png": (644, 420)}
"""Sides in multiples of 28 for all but the first and the third: stored and seen pixels are the same there."""

BOX = [103, 99, 238, 177]
OTHER = [20, 30, 90, 200]
FENCE = "```"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bilder")
    for number, (name, size_wh) in enumerate(SIZES_WH.items()):
        Image.new("RGB", size_wh, (40 * number, 90, 200)).save(directory / name)
    return directory


def findings(
    rows: list[dict[str, Any]] | str, profile: str, images: Path, directory: Path, *, frame: str | None = None
) -> list[tuple[str, str, str]]:
    """Return (code, severity, row) of what is found, but for the number of rows: three are no batch. Rows are numbered."""
    path = directory / "zeilen.jsonl"
    if not isinstance(rows, str):
        numbered = (row | ({"id": n} if "id" in row else {}) for n, row in enumerate(rows))
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in numbered)
    path.write_text(rows, encoding="utf-8")
    source = SourceConfig((str(path),), image_root=str(images), source_frame=frame or profile)
    result = validate(ValidateConfig(source, profile=profile, ignore=("rows-few",)))
    return [(f.code, str(f.severity), f.source.rsplit(":", 1)[-1]) for f in result.findings]


def conversation(question: str, answer: Any, image: Any = "b.png", **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 1, "image": image, "conversations": turns} | more


def rec(answer: Any = None, words: str = "le chien à gauche", **more: Any) -> dict[str, Any]:
    return conversation(f"<image>{REC_START}{words}{REC_END}", BOX if answer is None else answer, **more)


def fenced(*objects: Any) -> str:
    return f"{FENCE}json\n{json.dumps(objects, ensure_ascii=False)}\n{FENCE}"


def labelled(box: list[float], label: str | None = "chien") -> dict[str, Any]:
    return {"bbox_2d": box} | ({} if label is None else {"label": label})


def ovd(answer: str | None = None, labels: tuple[str, ...] = ("chien", "狗"), **more: Any) -> dict[str, Any]:
    return conversation(f"<image>{format_ovd_question(labels)}", fenced(labelled(BOX)) if answer is None else answer, **more)


def seg(shape: Any = None, **more: Any) -> dict[str, Any]:
    sound = {"centre": [300.0, 200.0], "coeffs": [80.0, 2.5], "size": [420, 644]}
    answer = shape if isinstance(shape, str) else f"<answer>{json.dumps(sound if shape is None else shape)}</answer>"
    return conversation("<image>What is the segmentation polynomial coordinates of the vélo.", answer, **more)


REC: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a sound row": (rec(), []),
    "the list as text": (rec("[103.5, 99, 238, 177]"), []),
    "an object": (rec('{"bbox_2d": [103, 99, 238, 177]}'), [("answer-not-box", "error")]),
    "two boxes": (rec("[[103, 99, 238, 177], [1, 2, 30, 40]]"), [("answer-not-box", "error")]),
    "three numbers": (rec([103, 99, 238]), [("answer-not-box", "error")]),
    "no JSON": (rec("on the left"), [("answer-not-box", "error")]),
    "one pixel wide": (rec([103.2, 99, 104.2, 177]), [("box-one-pixel", "error")]),
    "more than one pixel": (rec([103, 99, 105, 177]), []),
    "no area": (rec([103, 99, 103, 177]), [("box-degenerate", "error")]),
    "outside": (rec([103, 99, 700, 177]), [("box-outside", "error")]),
    "two images": (rec(image=["b.png", "狗.png"]), [("one-image-needed", "error")]),
    "one image in a list": (rec(image=["b.png"]), []),
    "a short side": (rec([10, 2, 60, 15], image="klein.png"), [("size-refused", "error")]),
    "the trainer's suffix": (
        rec(words="le chien. First output the thinking process in <think> </think> tags"),
        [("text-mark", "error")],
    ),
    "tags after another question": (
        conversation("<image>Où est-il ? Answer in <answer> </answer>.", BOX),
        [("question-junk", "warning")],
    ),
    "another question": (conversation("<image>Où est-il ?", BOX), []),
    "a third turn": (
        rec() | {"conversations": [*rec()["conversations"], {"from": "human", "value": "Et alors ?"}]},
        [("turns-ignored", "warning")],
    ),
    "a system turn first": (
        rec() | {"conversations": [{"from": "system", "value": "Denke."}, {"from": "gpt", "value": BOX}]},
        [("turns-swapped", "error")],
    ),
    "the answer first": (
        rec() | {"conversations": [{"from": "gpt", "value": "Où ?"}, {"from": "human", "value": BOX}]},
        [("turns-swapped", "error")],
    ),
    "a column that is replaced": (rec(problem="Où ?"), [("column-reserved", "warning")]),
}


@pytest.mark.parametrize(("row", "expected"), list(REC.values()), ids=list(REC))
def test_a_row_of_one_box_gives_the_finding_of_its_defect(
    row: dict[str, Any], expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    found = findings([rec(words="la 狗"), row], "vlmr1", images, tmp_path)
    assert sorted((code, severity) for code, severity, _ in found) == expected
    assert all(place == "2" for code, _, place in found)


SOUND_OVD = conversation(f"<image>{format_ovd_question(('tram',))}", fenced(labelled(BOX, "tram")))

OVD: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a sound row": (ovd(), []),
    "nothing there": (ovd("None"), []),
    "no fence": (ovd(json.dumps([labelled(BOX)])), [("answer-not-fenced", "error")]),
    "another word for nothing": (ovd("none"), [("answer-not-fenced", "error")]),
    "two fences": (ovd(fenced(labelled(BOX)) + fenced(labelled(OTHER))), [("fences-several", "warning")]),
    "another case": (ovd(fenced(labelled(BOX, "Chien"))), [("label-not-asked", "error")]),
    "a blank more": (ovd(fenced(labelled(BOX, "chien "))), [("label-not-asked", "error")]),
    "another label": (ovd(fenced(labelled(BOX, "chat"))), [("label-not-asked", "error")]),
    "no label": (ovd(fenced(labelled(BOX, None))), [("label-not-asked", "error")]),
    "a question without a list": (
        conversation("<image>Detect every chien in JSON.", fenced(labelled(BOX))),
        [],
    ),
    "a label that the words do not hold": (
        conversation("<image>Detect everything in JSON.", fenced(labelled(BOX))),
        [("label-not-asked", "warning")],
    ),
    "too many boxes": (
        ovd(fenced(*(labelled([n, 2 * n, n + 40, 2 * n + 30]) for n in range(101)))),
        [("label-boxes", "warning")],
    ),
    "as many as are looked at": (ovd(fenced(*(labelled([n, 2 * n, n + 40, 2 * n + 30]) for n in range(100)))), []),
    "a method": (ovd(accu_reward_method="odLength"), []),
    "no method": (ovd(accu_reward_method="odlength"), [("reward-method", "error")]),
    "another method": (conversation("<image>A ou B ?", "B", accu_reward_method="mcq"), []),
    "several lines of another": (
        conversation("<image>A ou B ?", "B\nparce que", accu_reward_method="mcq"),
        [("answer-lines", "warning")],
    ),
    "no area": (ovd(fenced(labelled([10, 20, 10, 40]))), [("box-degenerate", "error")]),
    "a broken fence": (ovd(f"{FENCE}json\n[{{]\n{FENCE}"), [("bad-json", "error")]),
    "a fence of something else": (ovd(fenced({"label": "chien"})), [("bad-answer", "error")]),
}


@pytest.mark.parametrize(("row", "expected"), list(OVD.values()), ids=list(OVD))
def test_a_row_of_labelled_boxes_gives_the_finding_of_its_defect(
    row: dict[str, Any], expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    found = findings([SOUND_OVD, row, SOUND_OVD], "vlmr1-ovd", images, tmp_path)
    assert sorted((code, severity) for code, severity, _ in found) == expected
    assert all(place == "2" for _, _, place in found)


def test_internvl_may_have_several_images_and_no_small_ones(images: Path, tmp_path: Path) -> None:
    several = rec([500, 300, 700, 900], image=["b.png", "狗.png"])
    small = rec([100, 100, 700, 900], image="klein.png")
    found = findings([rec([100, 100, 700, 900], words="la 狗"), several, small], "vlmr1-internvl", images, tmp_path)
    assert ("image-side-short", "error", "3") in found
    assert not {code for code, _, place in found if place == "1"}
    assert "one-image-needed" not in {code for code, _, _ in found}


def test_pixels_in_a_file_for_internvl_are_found_box_by_box_and_as_a_whole(images: Path, tmp_path: Path) -> None:
    rows = [rec([200 + n, 300, 1100 + n, 700], f"la 狗 n°{n}", image="狗.png") for n in range(25)]
    codes = {code for code, _, _ in findings(rows, "vlmr1-internvl", images, tmp_path)}
    assert codes == {"box-outside"}
    path = tmp_path / "zeilen.jsonl"
    taken = validate(ValidateConfig(SourceConfig((str(path),), image_root=str(images)), profile="vlmr1-internvl"))
    assert {"box-outside", "frame-contradicted"} <= {finding.code for finding in taken.findings}


SOUND_SEG = seg() | {"image": "狗.png"}
SOUND_SEG["conversations"] = seg(
    {"centre": [900.0, 400.0], "coeffs": [80.0, 2.5], "size": [728, 1288]}
)["conversations"]

SEG: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a sound row": (seg(), []),
    "no size": (seg({"centre": [300.0, 200.0], "coeffs": [80.0, 2.5]}), [("shape-size-missing", "error")]),
    "width first": (
        seg({"centre": [300.0, 200.0], "coeffs": [80.0], "size": [644, 420]}),
        [("mask-size", "error")],
    ),
    "on the border": (
        seg({"centre": [0.0, 200.0], "coeffs": [80.0], "size": [420, 644]}),
        [("mask-border-centre", "warning")],
    ),
    "nothing": (seg({"centre": [0.0, 0.0], "coeffs": [0.0] * 8, "size": [420, 644]}), [("polygon-degenerate", "error")]),
    "drawn badly": (seg(mask_iou=0.71), [("first-row-lacks", "warning"), ("mask-iou-low", "warning")]),
    "polygons": (
        seg({"polygons": [[8, 10, 48, 10, 48, 30], [50, 2, 60, 2, 55, 9]], "size": [420, 644]}),
        [("shape-not-chebyshev", "error")],
    ),
    "one polygon": (
        seg({"polygon": [8, 10, 48, 10, 48, 30], "size": [420, 644]}),
        [("shape-not-chebyshev", "warning")],
    ),
    "words": (seg("it is round"), [("shape-not-chebyshev", "error")]),
}


@pytest.mark.parametrize(("row", "expected"), list(SEG.values()), ids=list(SEG))
def test_a_row_of_a_shape_gives_the_finding_of_its_defect(
    row: dict[str, Any], expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    found = findings([SOUND_SEG, SOUND_SEG, row], "vlmr1-seg", images, tmp_path)
    assert sorted((code, severity) for code, severity, _ in found) == expected
    assert all(place == "3" for _, _, place in found)
