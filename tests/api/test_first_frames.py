"""Numbers that contradict their frame are refused where a conversion needs no image, too, if the images are there."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from groundprep.errors import FormatError
from tests.contracts.samples import make_image, run, write_jsonl

SIZE_WH = (640, 426)


def write_rows(folder: Path, *, to_numbers: Any, number: int = 60, named: str = "é.png") -> Path:
    """Rows of boxes all over the image, written by `to_numbers` from their corners."""
    rng = random.Random(5)
    rows = []
    for index in range(number):
        x0, y0 = rng.uniform(0, SIZE_WH[0] - 60), rng.uniform(0, SIZE_WH[1] - 60)
        x1, y1 = rng.uniform(x0 + 20, SIZE_WH[0]), rng.uniform(y0 + 20, SIZE_WH[1])
        numbers = [round(value, 2) for value in to_numbers(x0, y0, x1, y1)]
        rows.append({"image_name": named, "ans": numbers, "category": "chien", "referring": f"le chien n°{index}"})
    return write_jsonl(folder / "in.jsonl", rows)


def per_mille(x0: float, y0: float, x1: float, y1: float) -> tuple[float, ...]:
    return (1000 * x0 / SIZE_WH[0], 1000 * y0 / SIZE_WH[1], 1000 * x1 / SIZE_WH[0], 1000 * y1 / SIZE_WH[1])


def y_first(x0: float, y0: float, x1: float, y1: float) -> tuple[float, ...]:
    return (y0, x0, y1, x1)


@pytest.mark.parametrize("flags", [{"profile": "vlmr1"}, {}, {"dialect": "easydistill-single"}])
@pytest.mark.parametrize(("to_numbers", "named"), [(per_mille, "rel1000"), (y_first, "pixels-yxyx")])
def test_a_row_that_only_names_its_image_is_looked_up(tmp_path: Path, flags: Any, to_numbers: Any, named: str) -> None:
    make_image(tmp_path / "é.png", SIZE_WH)
    source = write_rows(tmp_path, to_numbers=to_numbers)
    with pytest.raises(FormatError) as caught:
        run(source, tmp_path / "out.jsonl", **flags)
    assert caught.value.code == "frame-contradicted"
    assert f"--source-frame {named}" in str(caught.value.fix)
    assert not list(tmp_path.glob("out*"))
    run(source, tmp_path / "out.jsonl", source_frame=named, **flags)


@pytest.mark.parametrize("number", [19, 60])
def test_right_numbers_few_numbers_and_missing_images_pass(tmp_path: Path, number: int) -> None:
    make_image(tmp_path / "é.png", SIZE_WH)
    wrong = per_mille if number == 19 else lambda *corners: corners
    run(write_rows(tmp_path, to_numbers=wrong, number=number), tmp_path / "out.jsonl", profile="vlmr1")
    run(
        write_rows(tmp_path, to_numbers=per_mille, named="fehlt.png"),
        tmp_path / "missing.jsonl",
        profile="vlmr1",
        image_root=str(tmp_path),
    )


def test_only_the_first_images_are_opened_and_a_bad_row_is_told_where_it_comes(tmp_path: Path) -> None:
    make_image(tmp_path / "é.png", SIZE_WH)
    source = write_rows(tmp_path, to_numbers=lambda *corners: corners, number=700)
    lines = source.read_text(encoding="utf-8").splitlines()
    late = [json.dumps({"image_name": "é.png", "ans": [700, 500, 900, 800], "referring": "x"})] * 600
    source.write_text("\n".join([*lines[:600], "{oops}", *late]) + "\n", encoding="utf-8")
    result = run(source, tmp_path / "out.jsonl", profile="vlmr1", on_error="drop")
    assert (result.counts["dropped"], result.counts["written"]) == (1, 1200)


def test_coco_whose_declared_sides_are_swapped_is_refused_without_images(tmp_path: Path) -> None:
    rng = random.Random(1)
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "area": 400,
            "bbox": [rng.uniform(0, 600), 3, 20, 20],
        }
        for number in range(1, 41)
    ]
    document = {
        "images": [{"id": 1, "file_name": "é.png", "width": 426, "height": 640}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "chien"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        run(tmp_path / "coco.json", tmp_path / "out.jsonl", profile="vlmr1-ovd")
    assert caught.value.code == "frame-contradicted"
    assert "turned by a quarter" in str(caught.value)
