"""Try-out: the hand-written files of every trainer's layout, each row with the trainer that it was written for.

No error is found in a sound row, every warning is true, and the few rows that were written with a defect are found by its code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from groundprep.api.sources import SourceConfig
from groundprep.api.validate import ValidateConfig, validate
from tests.contracts.samples import make_image

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"

Found = list[tuple[str, str, int | None]]


class Case(NamedTuple):
    """Rows (1-based; empty: all) of a fixture, the sizes of the images that they name, and what must be found."""

    file: str
    profile: str
    rows: tuple[int, ...]
    images: dict[str, tuple[int, int]]
    found: Found


FEW: tuple[str, str, int | None] = ("rows-few", "warning", None)
"""True of every fixture: a handful of rows is no batch."""

UNKNOWN: tuple[str, str, int | None] = ("frame-unknown", "warning", None)
"""True of every file without metadata whose numbers depend on the trainer."""

COCO = "train2014/COCO_train2014_000000581857.jpg"
STREET = {"strasse/été.jpg": (812, 560), "strasse/狗.jpg": (640, 476)}
SHELF = {"regal/été 260.jpg": (1280, 720), "regal/狗 360.jpg": (1280, 720)}
RELATIVE = "image-path-relative"

CASES = {
    "REC": Case("vlmr1/rec.jsonl", "vlmr1", (1, 2), {COCO: (427, 640)}, [FEW]),
    "REC with a row of another reward": Case(
        "vlmr1/rec.jsonl",
        "vlmr1",
        (),
        {COCO: (427, 640), "a/été.png": (61, 37), "a/狗.png": (61, 37)},
        [("one-image-needed", "error", 3), ("answer-not-box", "error", 3), FEW],
    ),
    "OVD": Case("vlmr1/ovd.jsonl", "vlmr1-ovd", (), STREET, [UNKNOWN]),
    "RefCOCO, to be converted": Case("vlmr1/refcoco.json", "vlmr1", (), {COCO: (427, 640)}, [FEW]),
    "Chebyshev": Case(
        "vlmr1_seg/chebyshev.jsonl",
        "vlmr1-seg",
        (),
        {"train2014/COCO_train2014_000000000009.jpg": (64, 48), "train2014/été.jpg": (120, 100)},
        [("first-row-lacks", "warning", 2), FEW, UNKNOWN],  # `mask_iou`, which the second row has alone
    ),
    "EasyDistill": Case("easydistill/multi.jsonl", "easydistill", (1,), SHELF, [(RELATIVE, "warning", 1), UNKNOWN]),
    "EasyDistill's shipped sample, whose flat box caps the score": Case(
        "easydistill/multi.jsonl",
        "easydistill",
        (2,),
        SHELF,
        [("box-degenerate", "error", 1), (RELATIVE, "warning", 1), UNKNOWN],
    ),
    "EasyDistill, one box": Case(
        "easydistill/single.jsonl",
        "easydistill-single",
        (2,),
        {"bild/été.png": (1920, 1080)},
        [(RELATIVE, "warning", 1), UNKNOWN],
    ),
    "EasyDistill, one box as it is documented, which its loader cannot read": Case(
        "easydistill/single.jsonl",
        "easydistill-single",
        (1,),
        {"bild/été.png": (1920, 1080)},
        [(RELATIVE, "warning", 1), ("abs-box-missing", "error", 1), UNKNOWN],
    ),
    "EasyDistill's SFT companion, to be converted": Case(
        "easydistill/sft.json",
        "easydistill",
        (),
        {"260.jpg": (1280, 720)},
        [("useless-answer-scores", "warning", 1)],  # label 0 is empty, and it alone is scored
    ),
    "Qwen3-VL": Case("qwen-vl/rows.jsonl", "qwen3-vl", (1, 2), {}, [UNKNOWN]),
    "Qwen2-VL": Case("qwen-vl/rows.jsonl", "qwen2-vl", (3,), {}, []),
    "TRL": Case("trl/rows.jsonl", "trl", (1,), {}, [("candidate-single", "warning", 1), UNKNOWN]),
    "TRL's SFT": Case("trl-sft/rows.jsonl", "trl-sft", (), {}, [UNKNOWN]),
    "Rex-Omni's engine, to be converted": Case("rexomni-engine/rows.jsonl", "rexomni-sft", (), {}, []),
    "Rex-Omni's evaluation, to be converted": Case("rexomni-eval/rows.jsonl", "rexomni-sft", (1,), {}, []),
}


def verdict(case: Case, directory: Path) -> Found:
    shutil.copytree(FIXTURES / Path(case.file).parent, directory, dirs_exist_ok=True)
    for number, (name, size_wh) in enumerate(case.images.items()):
        make_image(directory / name, size_wh, seed=number)
    path = directory / Path(case.file).name
    if case.rows:
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("".join(lines[number - 1] + "\n" for number in case.rows), encoding="utf-8")
    result = validate(ValidateConfig(SourceConfig((str(path),)), profile=case.profile))
    return [(f.code, str(f.severity), _row(f.source)) for f in result.findings]


def _row(source: str) -> int | None:
    number = source.rpartition(":")[2]
    return int(number) if number.isdecimal() else None


@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
def test_the_fixtures_rows_are_judged_truly(case: Case, tmp_path: Path) -> None:
    assert sorted(verdict(case, tmp_path), key=repr) == sorted(case.found, key=repr)


def test_the_toy_tsv_is_sound_for_the_revision_that_it_was_written_for() -> None:
    result = validate(ValidateConfig(SourceConfig((str(ROOT / "toy_data" / "toy"),)), profile="rexomni-sft"))
    found: dict[str, list[int]] = {}
    for finding in result.findings:
        found.setdefault(finding.code, []).append(int(finding.source.rpartition(":")[2]))
    assert found == {"exif-rotated": [10, 11, 12], "image-alpha": [34, 35, 36]}
    assert result.errors == 0
