"""Negatives: phrases of the data set, never one that any row says of the image."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundprep.image_loader import ImageLoader
from groundprep.images import BytesImage, ImageRef
from groundprep.record import Box, Record, Region
from groundprep.source import Source
from groundprep.stages.negatives import AddNegatives, PhraseCorpus
from tests.stages.test_split import picture

PHRASES = ["chien", "Straßenbahn", "狗", "tasse rouge", "vélo", "Baum", "кот"]


def image(number: int, name: str = "é.png") -> ImageRef:
    return ImageRef(name, BytesImage(picture(number)))


def of_image(row: int, number: int, phrases: list[str]) -> Record:
    regions = tuple(Region(phrase=phrase, box=Box((1.0, 0.0, 2.5, 2.0))) for phrase in phrases)
    return Record(Source("x.jsonl", row), images=(image(number, f"é{row}.png"),), regions=regions)


def of_expression(row: int, number: int, phrase: str, category: str = "ding") -> Record:
    answers = (Region(phrase=phrase, box=Box((1.0, 0.0, 2.5, 2.0))),)
    return Record(
        Source("x.jsonl", row), id=row, images=(image(number),), referring=phrase, category=category, answers=answers
    )


def run(records: list[Record], count: int, seed: int = 0) -> tuple[list[Record], AddNegatives]:
    corpus = PhraseCorpus(ImageLoader())
    for record in records:
        corpus.see(record)
    stage = AddNegatives(corpus, count, seed=seed)
    return [item for item in stage(records) if isinstance(item, Record)], stage


rows = st.lists(st.tuples(st.integers(0, 4), st.lists(st.sampled_from(PHRASES), max_size=4)), min_size=1, max_size=20)


@given(rows=rows, count=st.integers(1, 8), seed=st.integers(0, 5))
def test_no_negative_is_present_in_its_image_in_any_row(
    rows: list[tuple[int, list[str]]], count: int, seed: int
) -> None:
    records = [of_image(row, number, phrases) for row, (number, phrases) in enumerate(rows)]
    out, stage = run(records, count, seed)
    present: dict[int, set[str]] = {}
    for number, phrases in rows:
        present.setdefault(number, set()).update(phrases)
    vocabulary = set().union(*present.values())
    added: dict[int, list[str]] = {number: [] for number in present}
    for (number, phrases), record in zip(rows, out, strict=True):
        assert [region.phrase for region in record.regions[: len(phrases)]] == phrases
        added[number] += [region.phrase or "" for region in record.regions[len(phrases) :] if region.is_absent]
    for number, negatives in added.items():
        assert set(negatives) <= vocabulary - present[number]
        assert len(negatives) == len(set(negatives)) == min(count, len(vocabulary - present[number]))
    assert stage.added == sum(map(len, added.values()))
    assert stage.added + stage.missing == count * len(present)
    assert run(records, count, seed)[0] == out


def test_an_expression_is_followed_by_rows_of_their_own_once_for_an_image() -> None:
    records = [of_expression(1, 1, "a", "x"), of_expression(2, 1, "b"), of_expression(3, 2, "c", "z")]
    out, stage = run(records, 1)
    assert [(r.referring, bool(r.answers)) for r in out] == [
        ("a", True),
        ("c", False),
        ("b", True),
        ("c", True),
        (out[4].referring, False),
    ]
    assert (out[1].category, out[1].candidates, out[1].id, out[1].images) == ("z", None, None, records[0].images)
    assert stage.counts.exploded == 2
    assert str(out[1].source) == "x.jsonl:1#2"


def test_case_spacing_categories_and_stated_absences_count_as_present() -> None:
    absent = Record(Source("x.jsonl", 3), images=(image(1),), regions=(Region(phrase="Vélo"),))
    records = [
        of_expression(1, 1, "Le  chien", "DING"),
        absent,
        of_image(4, 2, ["le chien", "ding", "vélo", "STRASSE"]),
        of_image(5, 3, ["straße"]),
    ]
    out, _ = run(records, 9)
    assert [record.referring for record in out[1:2]] == ["STRASSE"]
    assert not any(region.phrase == "straße" for region in out[-2].regions)


def test_the_seed_decides_and_a_free_instruction_gets_none() -> None:
    records = [of_image(row, row, [phrase]) for row, phrase in enumerate(PHRASES)]
    assert len({tuple(str(r.regions) for r in run(records, 2, seed)[0]) for seed in range(10)}) > 5
    free = Record(Source("x.jsonl", 9), images=(image(9),), instruction="où ?")
    assert run([*records, free], 2)[0][-1] is free
