"""Rex-Thinker's annotation rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

from groundprep.errors import RecordError
from groundprep.geometry.frames import FRAMES
from groundprep.losses import Losses
from groundprep.profile import RowFrame
from tests.contracts.dialects import IMAGE_NAME, DialectContract, box, extras, phrases, shuffled, words
from tests.contracts.samples import make_images, read_jsonl, rexthinker_row, run, same_json, write_jsonl

KEYS = ("image_name", "referring", "ans", "category", "candidate_boxes", "id", "annotation", "problem", "answer")
candidate = st.builds(
    lambda bbox, optional, extra: {"bbox": bbox} | optional | extra,
    box,
    st.fixed_dictionaries({}, optional={"category": words | st.none(), "score": st.floats(0, 1) | st.none()}),
    extras("bbox", "category", "score"),
).flatmap(shuffled)
rows = st.builds(
    lambda required, optional, extra: {"image_name": IMAGE_NAME} | required | optional | extra,
    st.fixed_dictionaries({"referring": phrases, "ans": box | st.lists(box, max_size=3)}),
    st.fixed_dictionaries(
        {},
        optional={
            "category": words | st.none(),
            "candidate_boxes": st.none() | st.lists(candidate, max_size=3),
            "id": st.none() | st.integers() | words | st.floats(0, 1) | st.lists(st.integers(), max_size=2),
        },
    ),
    extras(*KEYS),
).flatmap(shuffled)


class TestRexThinker(DialectContract):
    name = "rexthinker"
    container = "jsonl"
    rows: ClassVar = rows

    def test_a_row_read_in_another_frame_keeps_all_but_its_boxes(self, tmp_path: Path) -> None:
        make_images(tmp_path)
        row = {"note": [1, {"é": None}]} | rexthinker_row(1, ans=[7, 3, 33, 18], id="狗")
        row["candidate_boxes"][0]["source"] = "dino"
        write_jsonl(tmp_path / "in.jsonl", [row])
        result = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", source_frame="pixels-xywh")
        (written,) = read_jsonl(tmp_path / "out.jsonl")
        assert list(written) == list(row)
        assert written["ans"] == [7, 3, 40, 21]
        assert [c["bbox"] for c in written["candidate_boxes"]] == [[7, 3, 47, 24], [1.5, 2, 31.5, 38]]
        assert written["candidate_boxes"][0]["source"] == "dino"
        assert {key: written[key] for key in row if key not in ("ans", "candidate_boxes")} == {
            key: row[key] for key in row if key not in ("ans", "candidate_boxes")
        }
        assert not any(loss["lost"] or loss["rounded"] for loss in result.losses.values())

    def test_a_changed_field_is_edited_in_its_place(self, folder: Path) -> None:
        from dataclasses import replace

        value = {
            "ans": [],
            "x": 1,
            "candidate_boxes": [],
            "referring": "alt",
            "category": "c",
            "image_name": IMAGE_NAME,
        }
        record = self.parsed(value, folder)
        record = replace(record, referring="neu 狗", category="d", candidates=None)
        assert same_json(
            self.formatted(record),
            {"ans": [], "x": 1, "referring": "neu 狗", "category": "d", "image_name": IMAGE_NAME},
        )

    @pytest.mark.parametrize(
        "ans", [[1, 2, 3], [[1, 2, 3, 4], 5], [[1, 2, 3]], [[]], "x", None, [1, 2, 3, "4"], [True, 1, 2, 3], 7, {}]
    )
    def test_an_answer_of_another_shape_is_refused(self, folder: Path, ans: Any) -> None:
        with pytest.raises(RecordError):
            self.parsed(rexthinker_row(ans=ans), folder)

    @pytest.mark.parametrize(
        ("ans", "count"), [([], 0), ([1, 2, 3, 4], 1), ([[1, 2, 3, 4]], 1), ([[1, 2, 3, 4], [5, 6, 7, 8]], 2)]
    )
    def test_answers_are_none_one_or_several(self, folder: Path, ans: list[Any], count: int) -> None:
        assert len(self.parsed(rexthinker_row(ans=ans), folder).answers) == count

    def test_no_candidates_yet_is_told_from_none_found(self, folder: Path) -> None:
        assert self.parsed(rexthinker_row(candidate_boxes=None), folder).candidates is None
        assert self.parsed(rexthinker_row(candidate_boxes=[]), folder).candidates == ()

    def test_a_number_read_in_one_unit_is_rounded_in_another_and_the_report_says_so(self, folder: Path) -> None:
        losses = Losses()
        record = self.parsed(rexthinker_row(image_name=IMAGE_NAME), folder)
        written = self.formatted(record, losses, RowFrame(FRAMES["rel1000"]))
        assert written["ans"] == [
            round(n / side * 1000) for n, side in zip([7.5, 3, 40, 21.25], [61, 37] * 2, strict=True)
        ]
        assert losses.as_data()["answers.box"]["rounded"] == 1
        assert 0 < losses.as_data()["answers.box"]["largest_error_px"] <= 0.5 * 61 / 1000
