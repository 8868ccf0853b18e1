"""From dialect to dialect and back: whatever changes has been declared lost, renamed or rounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundprep.dialects import DIALECTS, detect_dialect
from groundprep.errors import FormatError, RecordError, UsageError
from groundprep.trainers import get_profile
from tests.contracts.samples import make_images, read_jsonl, rexomni_row, rexthinker_row, run, write_jsonl

LOSS_OF = {
    "image_name": "images.name",
    "image_id": "extra.image_id",
    "note": "extra.note",
    "id": "id",
    "ans": "answers.box",
    "category": "category",
    "candidate_boxes": "candidates",
}
side = st.integers(0, 36)
box = st.builds(lambda x, y, w, h: [x, y, x + w + 0.5, y + h], side, side, st.integers(1, 20), st.integers(1, 9))
rows = st.builds(
    lambda number, ans, boxes, optional: (
        rexthinker_row(number, ans=ans, candidate_boxes=[{"bbox": b, "category": "chien"} for b in boxes]) | optional
    ),
    st.integers(0, 2),
    box | st.lists(box, max_size=2).filter(lambda boxes: len(boxes) != 1),
    st.lists(box, max_size=2),
    st.fixed_dictionaries({}, optional={"id": st.text(max_size=3), "note": st.just({"é": [1]})}),
)


def declared(*results: Any) -> set[str]:
    return {n for r in results for n, loss in r.losses.items() if loss["lost"] or loss["rounded"] or loss["renamed"]}


@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.lists(rows, min_size=1, max_size=3))
@pytest.mark.parametrize("route", ["rexomni", "rexomni tsv", "easyr1", "rexthinker-parquet"])
def test_there_and_back_changes_nothing_that_was_not_declared(tmp_path: Path, route: str, data: list[Any]) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", data)
    flags: dict[str, Any] = {"overwrite": True}
    middle, there = {
        "rexomni": (tmp_path / "b.jsonl", {"dialect": "rexomni"}),
        "rexomni tsv": (tmp_path / "b", {"to": "tsv"}),
        "easyr1": (tmp_path / "b.parquet", {"profile": "easyr1"}),
        "rexthinker-parquet": (tmp_path / "b.parquet", {"profile": "rexthinker"}),
    }[route]
    back = {"dialect": "rexthinker"} | ({} if route == "rexomni" else {"image_out": str(tmp_path / "aus")})
    first = run(tmp_path / "a.jsonl", middle, **there, **flags)
    second = run(middle, tmp_path / "c.jsonl", **back, **flags)
    assert first.counts["written"] == second.counts["written"] == len(data)
    lost = declared(first, second)
    for before, after in zip(data, read_jsonl(tmp_path / "c.jsonl"), strict=True):
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                assert any(name.startswith(LOSS_OF[key]) for name in lost), (key, before.get(key), after.get(key), lost)
        assert after["referring"] == before["referring"]
        assert bool(after["ans"]) == bool(before["ans"])


@pytest.mark.parametrize("profile", ["easyr1", "rexthinker"])
def test_seen_pixels_come_back_within_one_pixel_of_the_seen_image_and_then_stay(data: Path, profile: str) -> None:
    run(data / "expressions.jsonl", data / "b.parquet", profile=profile)
    result = run(data / "b.parquet", data / "c.jsonl", dialect="rexthinker", image_out=str(data / "aus"))
    sizes = {0: (61, 37), 1: (640, 426), 2: (90, 333)}
    for number, row in enumerate(read_jsonl(data / "c.jsonl")):
        w, h = sizes[number % 3]
        seen_w, seen_h = get_profile(profile).seen_wh((w, h))
        for before, after, step in zip(rexthinker_row()["ans"], row["ans"], (w / seen_w, h / seen_h) * 2, strict=True):
            assert abs(before - after) <= step
    assert result.losses["answers.box"]["kept"] == 7
    run(data / "c.jsonl", data / "d.parquet", profile=profile, image_root=str(data / "aus"))
    import pyarrow.parquet as pq

    text = ["problem", "answer"]
    assert pq.read_table(data / "d.parquet", columns=text) == pq.read_table(data / "b.parquet", columns=text)


def test_the_two_training_layouts_carry_each_others_text_verbatim_in_the_same_frame(data: Path) -> None:
    import pyarrow.parquet as pq

    limits = {"min_pixels": 12_544, "max_pixels": 1_003_520}
    run(data / "expressions.jsonl", data / "a.parquet", profile="rexthinker", **limits)
    run(data / "a.parquet", data / "b.parquet", dialect="easyr1")
    run(data / "b.parquet", data / "c.parquet", dialect="rexthinker-parquet")
    tables = [pq.read_table(data / f"{name}.parquet", columns=["problem", "answer"]) for name in "abc"]
    assert tables[0] == tables[1] == tables[2]
    assert pq.read_table(data / "a.parquet", columns=["images"]) == pq.read_table(
        data / "c.parquet", columns=["images"]
    )


def test_a_phrase_that_is_absent_and_an_empty_answer_are_the_same_statement(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexthinker_row(0, ans=[])])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexomni")
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    assert row["annotation"] == {"boxes": [{"bbox": None, "phrase": rexthinker_row(0)["referring"]}]}
    run(tmp_path / "b.jsonl", tmp_path / "c.jsonl", dialect="rexthinker")
    assert read_jsonl(tmp_path / "c.jsonl")[0]["ans"] == []


def test_a_row_of_several_phrases_becomes_one_row_for_each(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(
        tmp_path / "a.jsonl",
        [rexomni_row(0), rexomni_row(1, annotation={"boxes": [{"bbox": [1, 2, 3, 4], "phrase": "é"}]})],
    )
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexthinker")
    assert {k: v for k, v in result.counts.items() if v} == {"read": 2, "exploded": 2, "written": 4}
    rows = read_jsonl(tmp_path / "b.jsonl")
    assert [(row["referring"], row["ans"]) for row in rows] == [
        ("chien à gauche", [7.5, 3, 40, 21.25]),
        ("狗", [[1, 2, 30, 36], [2, 2, 31, 36]]),
        ("Straßenbahn", []),
        ("é", [1, 2, 3, 4]),
    ]
    assert [row["image_name"] for row in rows] == ["bilder/straße 0.png"] * 3 + ["bilder/straße 1.png"]


def test_further_keys_survive_where_the_target_can_hold_them(tmp_path: Path) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [rexomni_row(0, split="été", id=9)])
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", dialect="rexthinker")
    assert {(row["split"], row["image_id"]) for row in read_jsonl(tmp_path / "b.jsonl")} == {("été", 9)}
    assert result.losses["extra.split"]["lost"] == 0


@pytest.mark.parametrize(("frame", "numbers"), [
    ("pixels-xywh", [7, 3, 33, 18]), ("pixels-cxcywh", [23.5, 12, 33, 18]), ("pixels-yxyx", [3, 7, 21, 40]),
    ("unit", [7 / 61, 3 / 37, 40 / 61, 21 / 37]), ("unit-xywh", [7 / 61, 3 / 37, 33 / 61, 18 / 37]),
])  # fmt: skip
def test_numbers_of_any_source_frame_are_written_as_pixels(tmp_path: Path, frame: str, numbers: list[float]) -> None:
    make_images(tmp_path)
    row = rexthinker_row(0, ans=numbers, candidate_boxes=[{"bbox": numbers, "category": "é"}])
    write_jsonl(tmp_path / "a.jsonl", [row])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", source_frame=frame)
    (written,) = read_jsonl(tmp_path / "b.jsonl")
    assert written["ans"] == pytest.approx([7, 3, 40, 21])
    assert written["candidate_boxes"][0]["bbox"] == pytest.approx([7, 3, 40, 21])


def test_a_pixel_dialect_written_for_a_trainer_is_read_as_pixels_again(data: Path) -> None:
    """The manifest names the trainer; the numbers stay pixels, and the manifest must say so."""
    flags = {"dialect": "rexthinker", "resize": "fixed-point", "image_out": str(data / "aus")}
    run(data / "expressions.jsonl", data / "aus/b.jsonl", profile="easyr1", **flags)
    run(data / "aus/b.jsonl", data / "aus/c.jsonl")
    assert read_jsonl(data / "aus/c.jsonl") == read_jsonl(data / "aus/b.jsonl")
    assert read_jsonl(data / "aus/b.jsonl") != read_jsonl(data / "expressions.jsonl")


def test_training_rows_without_a_known_frame_need_to_be_told(data: Path) -> None:
    import pyarrow.parquet as pq

    run(data / "expressions.jsonl", data / "b.parquet", profile="easyr1")
    table = pq.read_table(data / "b.parquet").replace_schema_metadata({})
    (data / "fremd").mkdir()
    pq.write_table(table, data / "fremd/b.parquet")
    with pytest.raises(UsageError) as caught:
        run(data / "fremd/b.parquet", data / "c.jsonl", dialect="rexthinker", image_out=str(data / "aus"))
    assert caught.value.code == "frame-unknown"
    for frame in ("seen-truncated", "seen"):
        with pytest.raises(UsageError):
            run(data / "fremd/b.parquet", data / "c.jsonl", dialect="rexthinker", source_frame=frame)
    run(data / "b.parquet", data / "c.jsonl", dialect="rexthinker", image_out=str(data / "aus"))
    run(
        data / "fremd/b.parquet",
        data / "d.jsonl",
        dialect="rexthinker",
        image_out=str(data / "aus"),
        source_frame="easyr1",
    )
    assert (data / "c.jsonl").read_bytes() == (data / "d.jsonl").read_bytes()


def test_rows_of_no_known_shape_are_refused_with_their_keys() -> None:
    with pytest.raises(FormatError) as caught:
        detect_dialect([{"bild": 1, "kasten": 2}], container="jsonl", path="é.jsonl")
    assert caught.value.code == "unknown-dialect"
    assert "kasten" in str(caught.value)


def test_rows_that_fit_two_dialects_are_refused_naming_both() -> None:
    both = {"image_name": "é.png", "referring": "狗", "ans": [], "annotation": {"boxes": []}}
    with pytest.raises(FormatError) as caught:
        detect_dialect([both, both], container="jsonl", path="é.jsonl")
    assert caught.value.code == "ambiguous-dialect"
    assert "rexomni and rexthinker" in str(caught.value)


def test_rows_that_fit_two_dialects_are_those_of_the_trainer_that_shall_read_them() -> None:
    both = {"image_name": "é.png", "referring": "狗", "ans": [], "annotation": {"boxes": []}}
    for name in ("rexomni", "rexthinker"):
        assert detect_dialect([both, both], container="jsonl", path="é.jsonl", preferred=name).name == name
    with pytest.raises(FormatError):
        detect_dialect([both, both], container="jsonl", path="é.jsonl", preferred="trl")


def test_the_dialect_of_most_rows_wins_and_names_are_unique() -> None:
    from groundprep.containers import CONTAINERS

    rows = [rexthinker_row(), rexthinker_row(), {"image_name": "x", "annotation": {}}]
    assert detect_dialect(rows, container="jsonl", path="é").name == "rexthinker"
    assert not set(DIALECTS) & set(CONTAINERS)


def question_row(question: str, answer: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>{question}"}, {"from": "gpt", "value": answer}]
    return {"image": "bilder/straße 0.png", "conversations": turns}


FENCED_DOG = '```json\n[{"bbox_2d": [7, 3, 40, 21], "label": "le chien"}]\n```'


@pytest.mark.parametrize("dialect", ["rexomni", "rexomni-engine", "rexomni-eval"])
def test_answers_to_a_question_of_its_own_are_phrases_of_the_image(tmp_path: Path, dialect: str) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [question_row("Où est-il ?", FENCED_DOG)])
    run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", from_name="vlmr1", dialect=dialect)
    (row,) = read_jsonl(tmp_path / "b.jsonl")
    found = {
        "rexomni": lambda: [(box["phrase"], box["bbox"]) for box in row["annotation"]["boxes"]],
        "rexomni-engine": lambda: [(p["phrase"], box["bbox"]) for p in row["phrases"] for box in p["boxes"]],
        "rexomni-eval": lambda: [(phrase, box) for phrase, boxes in row["gt"].items() for box in boxes],
    }[dialect]()
    assert found == [("le chien", [7, 3, 40, 21])]


@pytest.mark.parametrize("dialect", ["rexomni", "rexomni-engine", "rexomni-eval", "humanref-cot"])
def test_a_box_without_words_is_refused_and_does_not_vanish(tmp_path: Path, dialect: str) -> None:
    make_images(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [question_row("Où est-il ?", "[7, 3, 40, 21]")])
    target = tmp_path / ("b" if dialect == "humanref-cot" else "b.jsonl")
    with pytest.raises(RecordError) as caught:
        run(tmp_path / "a.jsonl", target, from_name="vlmr1", dialect=dialect)
    assert caught.value.code == "no-phrase"


def test_a_question_of_its_own_is_not_answered_with_other_phrases_of_its_image(tmp_path: Path) -> None:
    make_images(tmp_path)
    official = "Please provide the bounding box coordinate of the region this sentence describes: le chat."
    rows = [question_row("Où est le chien ?", FENCED_DOG), question_row(official, "[1, 2, 30, 20]")]
    rows.append(question_row("Et lui ?", "[1, 2, 30, 20]"))
    write_jsonl(tmp_path / "a.jsonl", rows)
    result = run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", from_name="vlmr1", profile="vlmr1-ovd", on_error="drop")
    own, detection = read_jsonl(tmp_path / "b.jsonl")
    assert own["conversations"][0]["value"] == "<image>Où est le chien ?"
    assert [own["conversations"][1]["value"].count(label) for label in ("le chien", "le chat")] == [1, 0]
    assert "detect the following objects: ['le chat']" in detection["conversations"][0]["value"]
    assert (result.counts["merged"], result.counts["dropped"]) == (0, 1)
