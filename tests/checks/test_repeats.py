"""One question, two answers: within a row, between rows of one image, and between files of the same bytes."""

from __future__ import annotations

import random

import pytest

from groundprep.checks.base import Subject
from groundprep.checks.repeats import (
    ConflictWatch,
    _asked,
    _asked_plainly,
    contradiction_findings,
)
from groundprep.checks.verdicts import Verdict
from groundprep.images import BytesImage, FileImage, ImageRef
from groundprep.record import Box, BoxXYXY, Mask, Point, Record, Region
from groundprep.source import Source
from tests.checks.watching import watched

HERE, THERE = (7.5, 3.0, 40.0, 21.0), (1.0, 2.0, 30.0, 33.0)
SAME, DIFFERENT = b"1" * 16, b"2" * 16


def region(box: BoxXYXY | None, phrase: str) -> Region:
    return Region(phrase, None if box is None else Box(box))


def row(
    number: int,
    referring: str,
    *answers: BoxXYXY,
    image: str = "é.jpg",
    digest: bytes | None = SAME,
    path: str = "ü.jsonl",
) -> Subject:
    regions = tuple(region(box, referring) for box in answers)
    ref = ImageRef(image, FileImage(f"/bilder/{image}"))
    record = Record(Source(path, number), images=(ref,), referring=referring, answers=regions)
    return Subject(record, (Verdict((61, 37), digest=digest),))


def found(*subjects: Subject) -> list[tuple[str, str, str | None]]:
    findings = watched(ConflictWatch(), subjects)
    return [(finding.code, finding.source, finding.found) for finding in findings]


def test_rows_of_one_image_that_answer_one_expression_differently_are_found() -> None:
    rows = [row(1, "le chien", HERE), row(2, "le chat", HERE), row(3, "Le  chien", THERE), row(4, "le chien", HERE)]
    assert found(*rows) == [
        ("same-expression-different-answers", "ü.jsonl:3", "the earlier row is ü.jsonl:1"),
    ]


def test_a_phrase_that_is_there_in_one_row_and_absent_in_another_is_a_conflict() -> None:
    assert [source for _, source, _ in found(row(1, "狗", HERE), row(2, "狗"), row(3, "狗", HERE))] == ["ü.jsonl:2"]
    assert [source for _, source, _ in found(row(1, "狗"), row(2, "狗"), row(3, "狗", HERE))] == ["ü.jsonl:3"]


@pytest.mark.parametrize(
    "rows",
    [
        (row(1, "le chien", HERE), row(2, "le chien", HERE)),
        (row(1, "le chien", HERE, THERE), row(2, "le chien", THERE, HERE)),
        (row(1, "le chien", HERE), row(2, "le chien", (7.6, 3.1, 40.2, 20.9))),
        (row(1, "le chien", HERE), row(2, "un chien", THERE)),
        (row(1, "le chien", HERE), row(2, "le chien", THERE, image="ü.jpg", digest=DIFFERENT)),
        (row(1, "", HERE), row(2, "", THERE)),
    ],
    ids=["equal", "another order", "within a pixel", "other words", "another image", "no words"],
)
def test_near_misses_are_no_conflicts(rows: tuple[Subject, ...]) -> None:
    assert found(*rows) == []


def test_files_with_the_same_bytes_have_a_code_of_their_own() -> None:
    rows = row(1, "le chien", HERE), row(2, "le chien", THERE, image="kopie.jpg", path="z.jsonl")
    assert found(*rows) == [("same-image-different-answers", "z.jsonl:2", "the earlier row is ü.jsonl:1")]
    assert found(row(1, "le chien", HERE, digest=None), row(2, "le chien", THERE, image="kopie.jpg", digest=None)) == []


def test_embedded_images_are_told_apart_by_their_bytes() -> None:
    def embedded(number: int, box: BoxXYXY, data: bytes) -> Subject:
        ref = ImageRef(None, BytesImage(data))
        return Subject(
            Record(Source("é.parquet", number), images=(ref,), referring="狗", answers=(region(box, "狗"),)),
            (Verdict((61, 37)),),
        )

    assert [code for code, *_ in found(embedded(1, HERE, b"a"), embedded(2, THERE, b"a"))] == [
        "same-expression-different-answers"
    ]
    assert found(embedded(1, HERE, b"a"), embedded(2, THERE, b"b")) == []


def test_a_box_and_a_point_are_two_ways_to_say_where_something_is() -> None:
    def shown(number: int, answer: Region) -> Subject:
        record = Record(Source("ü.jsonl", number), images=(ImageRef("é.jpg", FileImage("é.jpg")),), regions=(answer,))
        return Subject(record, (Verdict((61, 37), digest=SAME),))

    box, point = Region("狗", Box(HERE)), Region("狗", point=Point((9.0, 8.0)))
    mask, absent = Region("狗", mask=Mask((37, 61), "aaa")), Region("狗")
    assert found(shown(1, box), shown(2, point), shown(3, mask), shown(4, box), shown(5, point)) == []
    other = Region("狗", point=Point((30.0, 8.0)))
    assert [source for _, source, _ in found(shown(1, box), shown(2, point), shown(3, other), shown(4, absent))] == [
        "ü.jsonl:3",
        "ü.jsonl:4",
    ]


def test_the_phrases_of_an_image_are_questions_too_and_parts_of_a_row_are_named() -> None:
    def whole(number: int, part: int | None, *regions: Region) -> Subject:
        record = Record(
            Source("ü.jsonl", number, part), images=(ImageRef("é.jpg", FileImage("é.jpg")),), regions=regions
        )
        return Subject(record, (Verdict((61, 37), digest=SAME),))

    one = whole(1, None, region(HERE, "Hund"), region(THERE, "Hund"), region(HERE, "Katze"))
    two = whole(2, 3, region(HERE, "Hund"), region(HERE, "katze"))
    assert [(source, earlier) for _, source, earlier in found(one, two)] == [
        ("ü.jsonl:2#3", "the earlier row is ü.jsonl:1")
    ]
    assert found(whole(1, None, region(HERE, "Hund"), region(THERE, "hund"))) == []


def test_an_instruction_is_a_question_and_says_what_labels_stand_for() -> None:
    def told(
        number: int, instruction: str, *, answers: tuple[Region, ...] = (), regions: tuple[Region, ...] = ()
    ) -> Subject:
        images = (ImageRef("é.jpg", FileImage("é.jpg")),)
        record = Record(
            Source("ü.jsonl", number), images=images, instruction=instruction, answers=answers, regions=regions
        )
        return Subject(record, (Verdict((61, 37), digest=SAME),))

    here, there = (region(HERE, "0"),), (region(THERE, "0"),)
    labelled = told(1, "Où ?", regions=here), told(2, "où  ?", regions=there), told(3, "Wo?", regions=there)
    assert [source for _, source, _ in found(*labelled)] == ["ü.jsonl:2"]
    free = told(1, "Où ?", answers=here), told(2, "Où ?", answers=there), told(3, "Wo?", answers=there)
    assert [source for _, source, _ in found(*free)] == ["ü.jsonl:2"]
    assert found(told(1, "Combien ?"), told(2, "Combien ?")) == []


def test_many_planted_conflicts_are_found_at_their_rows_and_nothing_else() -> None:
    def asked(n: int, box: BoxXYXY) -> Subject:
        return row(n + 1, f"objet {n % 40}", box, image=f"{n % 10}.jpg", digest=b"%016d" % (n % 10))

    planted = set(random.Random(7).sample(range(40, 2000), 60))
    rows = [asked(n, THERE if n in planted else HERE) for n in range(2000)]
    sources = [finding.source for finding in watched(ConflictWatch(), rows, 8)]
    assert sources == [f"ü.jsonl:{n + 1}" for n in sorted(planted)]


def test_a_phrase_cannot_be_there_and_absent_in_one_row() -> None:
    regions = (region(HERE, "Hund"), region(None, "Hund"), region(None, "Katze"), region(THERE, "Maus"))
    (finding,) = contradiction_findings(Subject(Record(Source("ü.jsonl", 3), regions=regions)))
    assert (finding.code, finding.severity, finding.found) == ("phrase-contradicted", "error", "Hund")
    answers = (region(HERE, "le chien"), region(None, "le chien"))
    (finding,) = contradiction_findings(Subject(Record(Source("ü.jsonl", 3), referring="le chien", answers=answers)))
    assert finding.found == "le chien"
    sound = (region(HERE, "Hund"), region(THERE, "Hund"), region(None, "Katze"), region(None, "Katze"))
    assert list(contradiction_findings(Subject(Record(Source("ü.jsonl", 3), regions=sound)))) == []


@pytest.mark.parametrize("words", ["le garçon", "  Le  GARÇON ", "ß\u00a0犬\ttab", " ", "x" * 300])
@pytest.mark.parametrize("digest", [None, b"0123456789abcdef"])
@pytest.mark.parametrize("row", [1, 1 << 40, None])
def test_the_short_way_for_one_box_remembers_the_same(words: str, digest: bytes | None, row: int | None) -> None:
    image = ImageRef("é.jpg", FileImage("straße/é.jpg"))
    answer = Region(words, Box((7.5, 3.0, 40.25, 21.0)))
    record = Record(Source("é.jsonl", row, 1 << 20), images=(image,), referring=words, answers=(answer,))
    subject = Subject(record, (Verdict((61, 37), digest=digest),))
    assert [asked for asked in (_asked_plainly(subject),) if asked is not None] == list(_asked(subject))
