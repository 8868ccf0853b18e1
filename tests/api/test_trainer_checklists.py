"""The lines of docs/checklists.md, end to end: one defect in a sound file gives the one finding that names it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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
    return conversation(
        f"<image>{format_ovd_question(labels)}", fenced(labelled(BOX)) if answer is None else answer, **more
    )


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
        [("question-junk", "warning")],
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
SOUND_SEG["conversations"] = seg({"centre": [900.0, 400.0], "coeffs": [80.0, 2.5], "size": [728, 1288]})[
    "conversations"
]

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
    "nothing": (
        seg({"centre": [0.0, 0.0], "coeffs": [0.0] * 8, "size": [420, 644]}),
        [("polygon-degenerate", "error")],
    ),
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


def write_tsv(annotations: list[dict[str, Any]], directory: Path, image: Path, *, index: bytes | None = None) -> Path:
    """Write a TSV by hand, all rows with one image; specs/rexomni.md §1.2."""
    payload = base64.b64encode(image.read_bytes())
    (directory / "x.images.tsv").write_bytes(b"0\t" + payload + b"\n")
    lines = [b"0\t" + json.dumps(annotation, ensure_ascii=False).encode() + b"\n" for annotation in annotations]
    (directory / "x.annotations.tsv").write_bytes(b"".join(lines))
    offsets = [sum(map(len, lines[:n])) for n in range(len(lines))]
    entries = b"".join(b"%d\n" % offset for offset in offsets)
    (directory / "x.annotations.tsv.lineidx").write_bytes(entries if index is None else index)
    return directory / "x"


def omni_findings(
    annotations: list[dict[str, Any]], profile: str, images: Path, directory: Path, **more: Any
) -> list[tuple[str, str, str]]:
    path = write_tsv(annotations, directory, images / "b.png", **more)
    result = validate(ValidateConfig(SourceConfig((str(path),)), profile=profile, ignore=("rows-few",)))
    return [(f.code, str(f.severity), f.source.rsplit(":", 1)[-1]) for f in result.findings]


def boxes(*entries: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"boxes": [{"bbox": box, "phrase": phrase} for phrase, box in entries]} | more


def points(*entries: tuple[str, Any]) -> dict[str, Any]:
    return {"points": [{"point": point, "phrase": phrase} for phrase, point in entries]}


SFT_S, SFT_U, GRPO = "rexomni-sft@478e44f", "rexomni-sft@8c474a3", "rexomni-grpo"


def everywhere(code: str, severity: str) -> dict[str, list[tuple[str, str]]]:
    return {profile: [(code, severity)] for profile in (SFT_S, SFT_U, GRPO)}


ABSENT = boxes(("le chat", [103, 99, 238, 177]), ("狗", None))
OMNI: dict[str, tuple[dict[str, Any], dict[str, list[tuple[str, str]]]]] = {
    "a sound row": (boxes(("le chat", BOX)), {}),
    "a caption instead of a phrase": ({"boxes": [{"bbox": BOX, "caption": "le chat"}]}, {}),
    "an absent phrase": (ABSENT, {SFT_S: [("absent-not-held", "error")], GRPO: [("absent-not-held", "error")]}),
    "all absent": (
        boxes(("狗", None)),
        {SFT_S: [("absent-not-held", "error")], GRPO: [("absent-not-held", "error")]},
    ),
    "both there and absent": (
        boxes(("le chat", BOX), ("le chat", None)),
        everywhere("phrase-contradicted", "error"),
    ),
    "nothing": (
        boxes(),
        everywhere("list-empty", "warning"),
    ),
    "points beside boxes": (
        boxes(("le chat", BOX)) | points(("la 狗", [110, 120])),
        {
            SFT_S: [("list-ignored", "warning")],
            GRPO: [("keys-differ", "error")],
        },
    ),
    "points alone": (
        points(("la 狗", [110, 120])),
        {
            SFT_S: [("list-missing", "error")],
            SFT_U: [("list-missing", "error")],
            GRPO: [("list-missing", "error")],
        },
    ),
    "a key of its own": (
        boxes(("le chat", BOX), width=644),
        {GRPO: [("keys-differ", "error")]},
    ),
    "an underscore": (
        boxes(("le_chat", BOX)),
        {
            SFT_S: [("phrase-not-normal", "warning")],
            SFT_U: [("phrase-not-normal", "warning")],
            GRPO: [("phrase-not-normal", "error")],
        },
    ),
    "a blank at the end": (
        boxes(("le chat ", BOX)),
        {
            SFT_S: [("phrase-not-normal", "warning")],
            SFT_U: [("phrase-not-normal", "warning")],
            GRPO: [("phrase-not-normal", "error")],
        },
    ),
    "nothing left": (boxes(("/x", BOX)), everywhere("phrase-not-normal", "error")),
    "the template's mark": (
        boxes(("a [OBJ]", BOX)),
        everywhere("phrase-not-normal", "error"),
    ),
    "one bin": (
        boxes(("le chat", [100, 99, 100.2, 177])),
        everywhere("box-collapsed", "error"),
    ),
    "inverted": (
        boxes(("le chat", [238, 99, 103, 177])),
        everywhere("box-inverted", "error"),
    ),
    "beyond the border": (
        boxes(("le chat", [103, 99, 700, 177])),
        everywhere("box-outside", "error"),
    ),
    "a misspelled key": (
        {"boxes": [{"box": BOX, "phrase": "le chat"}]},
        everywhere("missing-key", "error"),
    ),
    "no phrase": (
        {"boxes": [{"bbox": BOX}]},
        everywhere("missing-key", "error"),
    ),
    "a phrase that is null": (
        {"boxes": [{"bbox": BOX, "phrase": None, "caption": "le chat"}]},
        everywhere("wrong-type", "error"),
    ),
    "three numbers": (
        boxes(("le chat", [103, 99, 238])),
        everywhere("box-shape", "error"),
    ),
}


@pytest.mark.parametrize("profile", [SFT_S, SFT_U, GRPO])
@pytest.mark.parametrize(("row", "expected"), list(OMNI.values()), ids=list(OMNI))
def test_an_annotation_gives_the_finding_of_its_defect(
    row: dict[str, Any], expected: dict[str, list[tuple[str, str]]], profile: str, images: Path, tmp_path: Path
) -> None:
    sound = boxes(("der Hund", OTHER))
    found = omni_findings([sound, row, sound], profile, images, tmp_path)
    assert sorted((code, severity) for code, severity, _ in found) == expected.get(profile, [])
    assert all(place == "2" for _, _, place in found)


def test_a_name_that_the_grpo_trainer_uses_itself_is_an_error_once_a_file(images: Path, tmp_path: Path) -> None:
    rows = [boxes(("der Hund", OTHER), prompt="Detect.", uid=n) for n in range(3)]
    found = omni_findings(rows, GRPO, images, tmp_path)
    assert [(code, severity) for code, severity, _ in found] == [("column-reserved", "error")] * 2
    assert omni_findings(rows, SFT_U, images, tmp_path) == []


def test_a_file_in_which_every_row_is_skipped_never_comes_to_an_end(images: Path, tmp_path: Path) -> None:
    codes = [code for code, _, _ in omni_findings([boxes(), boxes()], SFT_U, images, tmp_path)]
    assert codes == ["list-empty", "list-empty", "skips-long"]
    codes = [code for code, _, _ in omni_findings([boxes(), boxes()], GRPO, images, tmp_path)]
    assert codes == ["list-empty", "list-empty"]


def test_files_of_points_are_sound_for_the_revision_that_reads_them(images: Path, tmp_path: Path) -> None:
    rows = [points(("le chat", [110, 120])), points(("狗", [10, 20]), ("x", None))]
    assert omni_findings(rows, SFT_U, images, tmp_path) == []
    assert {code for code, _, _ in omni_findings(rows, SFT_S, images, tmp_path)} == {"absent-not-held", "list-missing"}


@pytest.mark.parametrize(
    ("index", "code"), [(b"\xef\xbb\xbf0\n", "bom"), (b"0\n\n", "line-index"), (b"3\n", "line-index")]
)
def test_an_index_that_the_dataset_class_cannot_read_is_an_error(
    index: bytes, code: str, images: Path, tmp_path: Path
) -> None:
    rows = [boxes(("le chat", BOX))]
    assert [found[:2] for found in omni_findings(rows, SFT_U, images, tmp_path, index=index)] == [(code, "error")]


def test_a_missing_index_is_an_error_for_the_trainer_and_a_warning_without_one(images: Path, tmp_path: Path) -> None:
    path = write_tsv([boxes(("le chat", BOX))], tmp_path, images / "b.png")
    (tmp_path / "x.annotations.tsv.lineidx").unlink()
    for profile, severity in ((SFT_U, "error"), (None, "warning")):
        (found,) = validate(ValidateConfig(SourceConfig((str(path),)), profile=profile)).findings
        assert (found.code, found.severity) == ("no-lineidx", severity)


@pytest.mark.parametrize(("profile", "severity"), [("vlmr1", "error"), ("qwen3-vl", "warning")])
def test_a_blank_line_stops_vlmr1_and_is_an_oddity_where_the_file_is_converted(
    profile: str, severity: str, images: Path, tmp_path: Path
) -> None:
    text = json.dumps(rec()) + "\n\n" + json.dumps(rec(OTHER, "la 狗") | {"id": 2}) + "\n"
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8")
    source = SourceConfig((str(path),), image_root=str(images), from_name="vlmr1")
    (found,) = validate(ValidateConfig(source, profile=profile, select=("blank-line",))).findings
    assert found.severity == severity


MULTI = {"0": [[10, 20, 90, 110]], "1": [], "2": [[5, 6, 70, 80], [300, 200, 400, 300]], "3": []}


def distilled(images: Path, truth: Any, **more: Any) -> dict[str, Any]:
    row = {"image_path": str(images / "b.png"), "instruction": "Où ?", "abs_box": truth, "height": 420, "width": 644}
    return {key: value for key, value in (row | more).items() if value is not ...}


MULTI_ROWS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a sound row": ({"truth": MULTI}, []),
    "a name": ({"truth": MULTI | {"chien": [[1, 2, 30, 40]]}}, [("label-needed", "error")]),
    "a fifth label": ({"truth": MULTI | {"4": []}}, [("label-needed", "error")]),
    "a label with a zero": ({"truth": MULTI | {"00": []}}, [("label-needed", "error")]),
    "no label 3": ({"truth": {k: MULTI[k] for k in "012"}}, [("label-missing", "warning")]),
    "no label 0": ({"truth": {k: MULTI[k] for k in "123"}}, [("label-missing", "error")]),
    "label 0 without a box": ({"truth": MULTI | {"0": []}}, [("useless-answer-scores", "warning")]),
    "a list": ({"truth": BOX}, [("abs-box-kind", "error")]),
    "fractions": ({"truth": MULTI | {"1": [[10.5, 20, 90, 110]]}}, [("box-not-integer", "warning")]),
    "whole numbers with a point": ({"truth": MULTI | {"1": [[10.0, 21, 90, 110]]}}, []),
    "no area": ({"truth": MULTI | {"1": [[10, 21, 90, 21]]}}, [("box-degenerate", "error")]),
    "a box twice": ({"truth": MULTI | {"1": [[10, 21, 90, 60]] * 2}}, [("box-repeated", "warning")]),
    "another size": ({"truth": MULTI, "height": 644, "width": 420}, [("size-differs", "error")]),
    "the image's mark": ({"truth": MULTI, "instruction": "<image>Où ?"}, [("image-mark-as-words", "warning")]),
    "too many boxes": (
        {"truth": MULTI | {"0": [[n, 2 * n, n + 90, 2 * n + 110] for n in range(30)]}},
        [("answer-too-long", "error")],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), list(MULTI_ROWS.values()), ids=list(MULTI_ROWS))
def test_labelled_boxes_of_easydistill_give_the_finding_of_their_defect(
    changes: dict[str, Any], expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    sound = distilled(images, MULTI, image_path=str(images / "狗.png"), height=728, width=1288)
    found = findings([sound, distilled(images, **changes), sound], "easydistill", images, tmp_path)
    assert [(code, severity) for code, severity, _ in found] == expected
    assert all(place == "2" for _, _, place in found)


SINGLE_ROWS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a sound row": ({}, []),
    "no abs_box": ({"truth": ...}, [("abs-box-missing", "error")]),
    "no bbox": ({"bbox": ...}, []),
    "two boxes": ({"truth": OTHER}, [("abs-box-differs", "warning")]),
    "labels": ({"truth": MULTI, "bbox": ...}, [("abs-box-kind", "error")]),
    "fractions": ({"truth": [10.25, 20, 30, 40], "bbox": ...}, [("box-not-integer", "warning")]),
    "no area": ({"truth": [10, 20, 10, 40], "bbox": ...}, [("box-degenerate", "error")]),
}


@pytest.mark.parametrize(("changes", "expected"), list(SINGLE_ROWS.values()), ids=list(SINGLE_ROWS))
def test_one_box_of_easydistill_gives_the_finding_of_its_defect(
    changes: dict[str, Any], expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    row = distilled(images, **({"truth": BOX, "bbox": BOX} | changes))
    sound = distilled(images, BOX, bbox=BOX, instruction="Wo ?")
    found = findings([sound, row, sound], "easydistill-single", images, tmp_path)
    assert [(code, severity) for code, severity, _ in found] == expected
    assert all(place == "2" for _, _, place in found)


def test_a_relative_path_is_a_warning_and_what_convert_would_write_is_none(images: Path, tmp_path: Path) -> None:
    relative = distilled(images, BOX, bbox=BOX, image_path="b.png")
    assert findings([relative], "easydistill-single", images, tmp_path) == [("image-path-relative", "warning", "1")]
    foreign = {"image_name": "b.png", "ans": BOX, "category": "chien", "referring": "le chien"}
    assert findings([foreign], "easydistill-single", images, tmp_path, frame="pixels") == []


def qwen(answer: str, question: str = "<image>\nPlease detect le chien in this image.", **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": "b.png", "conversations": turns} | more


def detected(*numbers: Any, key: str = "bbox_2d") -> str:
    return json.dumps([{key: list(numbers), "label": "le chien"}])


TOKENS = "<|object_ref_start|>le chien<|object_ref_end|><|box_start|>(103,99),(238,177)<|box_end|>"
BROKEN = '[{\\"bbox_2d\\": [103, 99, 238, 177], "label": "le chien"}]'
QWEN: dict[str, tuple[dict[str, Any], str, list[tuple[str, str]]]] = {
    "a sound row": (qwen(detected(103, 99, 238, 177)), "qwen2.5-vl", []),
    "a point": (qwen(detected(103, 99, key="point_2d")), "qwen2.5-vl", []),
    "words": (qwen("There is none."), "qwen2.5-vl", []),
    "tokens": (qwen(TOKENS), "qwen2-vl", []),
    "tokens for another model": (qwen(TOKENS), "qwen3-vl", [("answer-style", "error")]),
    "JSON for another model": (qwen(detected(103, 99, 238, 177)), "qwen2-vl", [("answer-style", "error")]),
    "quotes that are not escaped": (qwen(BROKEN), "qwen3-vl", [("answer-unparsed", "error")]),
    "tokens that are cut off": (qwen(TOKENS[:-5]), "qwen2-vl", [("answer-unparsed", "error")]),
    "fractions": (qwen(detected(103.5, 99, 238, 177)), "qwen3-vl", [("box-not-integer", "warning")]),
    "no mark": (
        qwen(detected(103, 99, 238, 177), "Please detect le chien in this image."),
        "qwen3-vl",
        [("image-mark", "error")],
    ),
    "two marks": (
        qwen(detected(103, 99, 238, 177), "<image><image>Please detect le chien in this image."),
        "qwen2.5-vl",
        [("image-mark", "error")],
    ),
    "two marks for two images": (
        qwen("They differ.", "<image>\n<image>\nWhat?", image=["b.png", "狗.png"]),
        "qwen3-vl",
        [],
    ),
    "beyond 1000": (qwen(detected(103, 99, 1100, 177)), "qwen3-vl", [("box-outside", "error")]),
    "no area": (qwen(detected(103, 99, 103, 177)), "qwen3-vl", [("box-degenerate", "error")]),
}


@pytest.mark.parametrize(("row", "profile", "expected"), list(QWEN.values()), ids=list(QWEN))
def test_a_conversation_of_qwen_gives_the_finding_of_its_defect(
    row: dict[str, Any], profile: str, expected: list[tuple[str, str]], images: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    source = SourceConfig((str(path),), image_root=str(images), from_name="qwen-vl", source_frame=profile)
    result = validate(ValidateConfig(source, profile=profile))
    assert [(finding.code, str(finding.severity)) for finding in result.findings] == expected


def test_rows_that_other_layouts_would_fit_as_well_are_those_of_the_trainer(images: Path, tmp_path: Path) -> None:
    fence = f"{FENCE}json\n{detected(103, 99, 238, 177)}\n{FENCE}"
    assert findings([qwen(fence)], "qwen2.5-vl", images, tmp_path) == []
    assert findings([rec(), rec(fence)], "vlmr1", images, tmp_path) == [("answer-not-box", "error", "2")]
    mixed = [distilled(images, {"0": [BOX], "1": [], "2": [], "3": []}), distilled(images, BOX)]
    assert findings(mixed, "easydistill", images, tmp_path) == [("abs-box-kind", "error", "2")]


def test_the_trainers_own_instruction_behind_the_official_question_is_no_damaged_expression(
    images: Path, tmp_path: Path
) -> None:
    suffix = "Think in <think> </think> tags and then output the final answer in <answer> </answer> tags"
    row = rec(words=f"le chien. {suffix}")
    assert findings([row], "vlmr1", images, tmp_path) == [("question-junk", "warning", "1")]
    assert findings([rec(words="le <answer> chien")], "vlmr1", images, tmp_path) == [("text-mark", "error", "1")]


def test_turns_that_begin_with_the_system_are_one_defect(images: Path, tmp_path: Path) -> None:
    row = rec()
    row["conversations"].insert(0, {"from": "system", "value": "Tu aides."})
    assert findings([row], "vlmr1", images, tmp_path) == [("turns-swapped", "error", "1")]


def referring(box: list[Any], words: str = "le chien", image: str = "b.png") -> dict[str, Any]:
    return {"image_name": image, "ans": box, "category": "chien", "referring": words}


FOREIGN: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a sound expression as one box": (referring(BOX), "vlmr1", []),
    "a sound expression as labelled boxes": (referring(BOX), "vlmr1-ovd", []),
    "a sound expression for InternVL": (referring(BOX), "vlmr1-internvl", []),
    "a sound expression for EasyDistill": (referring(BOX), "easydistill-single", []),
    "a sound expression for Rex-Omni": (referring(BOX), "rexomni-grpo", []),
    "a sound expression for Qwen2": (referring(BOX), "qwen2-vl", []),
    "no answer as one box": (referring([]), "vlmr1", ["one-answer-needed"]),
    "no answer as labelled boxes": (referring([]), "vlmr1-ovd", []),
    "two answers as one box": (referring([BOX, OTHER]), "vlmr1-internvl", ["one-answer-needed"]),
    "a pixel as one box": (referring([103, 99, 104, 177]), "vlmr1", ["box-one-pixel"]),
    "less than a pixel as labelled boxes": (referring([103.1, 99, 103.3, 177]), "vlmr1-ovd", ["box-collapsed"]),
    "less than a pixel for Qwen3": (referring([103.1, 99, 103.3, 177], image="狗.png"), "qwen3-vl", ["box-collapsed"]),
    "less than a bin": (referring([1000, 99, 1000.3, 177], image="狗.png"), "rexomni-sft", ["box-collapsed"]),
    "no integer box": (referring([103.1, 99, 103.3, 177]), "easydistill-single", ["box-degenerate"]),
    "a word for a label": (referring(BOX), "easydistill", ["label-needed"]),
    "a label": (referring(BOX, "0"), "easydistill", []),
    "no answer as tokens": (referring([]), "qwen2-vl", ["negative-not-held"]),
    "no answer for Rex-Omni": (referring([]), "rexomni-sft@478e44f", ["absent-not-held"]),
    "the image's mark": (referring(BOX, "le <image>"), "vlmr1", ["reserved-text"]),
    "a box as a shape": (referring(BOX), "vlmr1-seg", ["no-mask"]),
    "a slash in an expression": (referring(BOX, "a/b"), "rexomni-grpo", ["phrase-not-normal"]),
    "a short side": (referring([10, 2, 60, 15], image="klein.png"), "qwen2.5-vl", []),
    "a short side that is refused": (referring([10, 2, 60, 15], image="klein.png"), "vlmr1-ovd", ["size-refused"]),
    "a short side that is enlarged": (referring([10, 2, 60, 15], image="klein.png"), "rexomni-grpo", []),
    "a short side that is skipped": (referring([10, 2, 60, 15], image="klein.png"), "rexomni-sft", ["size-refused"]),
}


def test_a_box_of_which_nothing_is_inside_is_one_defect_and_leaves_that_of_another_box(
    images: Path, tmp_path: Path
) -> None:
    def judged(*boxes: list[float]) -> list[str]:
        candidates = [{"bbox": box, "category": "chien"} for box in (*boxes, [300, 200, 400, 300])]
        row = referring(list(boxes[0])) | {"candidate_boxes": candidates}
        return [code for code, _, _ in findings([row], "rexthinker", images, tmp_path, frame="pixels")]

    beyond, thin = [700, 20, 760, 110], [103.1, 99, 103.3, 177]
    assert judged(beyond) == ["box-outside", "box-outside"]  # the answer, and the candidate that it is
    assert sorted(judged(beyond, thin)) == ["box-collapsed", "box-outside", "box-outside"]


@pytest.mark.parametrize(("row", "profile", "codes"), list(FOREIGN.values()), ids=list(FOREIGN))
def test_a_file_of_another_layout_is_judged_as_convert_would_write_it(
    row: dict[str, Any], profile: str, codes: list[str], images: Path, tmp_path: Path
) -> None:
    assert [code for code, _, _ in findings([row], profile, images, tmp_path, frame="pixels")] == codes


def test_a_conversation_of_another_layout_is_judged_as_it_would_be_carried_over(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [qwen("Es sind drei.", "<image>\nWie viele?"), qwen(detected(103, 99, 238, 177))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = SourceConfig((str(path),), image_root=str(images), from_name="qwen-vl", source_frame="qwen2.5-vl")
    codes = {
        profile: [(f.code, f.source.rsplit(":", 1)[-1]) for f in validate(config).findings]
        for profile in ("vlmr1", "vlmr1-ovd", "vlmr1-seg")
        for config in [ValidateConfig(source, profile=profile, ignore=("rows-few", "layout-differs"))]
    }
    assert codes == {
        "vlmr1": [("no-phrase", "1")],
        "vlmr1-ovd": [("answer-not-fenced", "1")],
        "vlmr1-seg": [("no-phrase", "1"), ("no-mask", "2")],
    }


def test_a_file_of_which_every_answer_lacks_its_fence_is_still_one_of_detection(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [ovd(json.dumps([labelled([*BOX[:3], 150 + n])]), labels=("chien", str(n)), id=n) for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = SourceConfig((str(path),), image_root=str(images))
    result = validate(ValidateConfig(source, profile="vlmr1-ovd", ignore=("frame-unknown",)))
    assert [(f.code, f.source.rsplit(":", 1)[-1]) for f in result.findings] == [
        ("answer-not-fenced", "1"),
        ("answer-not-fenced", "2"),
        ("answer-not-fenced", "3"),
    ]


def test_detection_rows_for_the_trainer_of_one_box_must_be_converted_first(images: Path, tmp_path: Path) -> None:
    rows = [ovd(fenced(labelled(BOX)), labels=("chien",))]
    assert findings(rows, "vlmr1", images, tmp_path, frame="pixels") == [
        ("layout-differs", "warning", str(tmp_path / "zeilen.jsonl"))
    ]
