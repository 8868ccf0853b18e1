"""Words: each fault has its code, and no sound text of any language has one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundprep.checks.base import Subject
from groundprep.checks.text import faults_of, meant_text, text_findings, text_screen
from groundprep.containers.json_text import decode_value
from groundprep.record import Box, Candidate, Record, Region
from groundprep.source import Source

FIXTURES = Path(__file__).parents[1] / "fixtures"
BOX = Box((7.5, 3.0, 40.0, 21.0))

SOUND = [
    "der große Hund, links",
    "le garçon à la veste bleue",
    "「赤い」 犬",
    "左边的狗",
    "собака слева",
    "Ті дві їдальні",
    "La «MAISON» DE L'ÉTÉ",
    "NESCAFÉ™",
    "AQUÍ».",
    "CORAZÓ…",
    "STÍŽNOSTI",
    "МІСІСІПІ",
    "the 10° turn: ±2 µm, £5, ½ §3",
    "می‌خواهم",
    "क्‍ष",
    "👨‍👩‍👧 on a bench",
    "I <3 dogs, a < b > c",
    "a [red] car",
    "object_01/part",
]


def codes(text: str) -> list[str]:
    return [fault.rule.code for fault in faults_of(text)]


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_has_no_fault(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "phrase-empty"),
        (" \t", "phrase-empty"),
        ("dog\x00", "text-control"),
        ("red\ncar", "text-control"),
        ("dog\x85", "text-control"),
        ("\ufeffdog", "text-control"),
        ("do\u202eg", "text-control"),
        ("caf\ufffd", "text-mojibake"),
        ("cafÃ©", "text-mojibake"),
        ("Ã\xa0 la carte", "text-mojibake"),
        ("â€œquoteâ€\x9d", "text-mojibake"),
        ("ä¸\xadæ–‡", "text-mojibake"),
        ("СЃРѕР±Р°РєР° СЃР»РµРІР°", "text-mojibake"),
        ("the <image> on the left", "text-mark"),
        ("</answer> dog", "text-mark"),
        ("[OBJ]dog", "text-mark"),
        ("dog<|im_end|>", "text-mark"),
        ("```json", "text-mark"),
        ("<IMG_CONTEXT> dog", "text-mark"),
        (" dog", "text-spaces"),
        ("dog ", "text-spaces"),
        ("red  dog", "text-spaces"),
        ("dog\u3000", "text-spaces"),
        ("red\u00a0 dog", "text-spaces"),
    ],
)
def test_each_fault_has_its_code_and_no_other(text: str, code: str) -> None:
    assert codes(text) == [code]


@given(st.text(st.characters(min_codepoint=0xA0, max_codepoint=0x24F, categories=("L",)), min_size=1, max_size=12))
def test_western_words_that_were_read_as_windows_1252_are_found_with_what_was_meant(word: str) -> None:
    damaged = "".join(chr(byte) if 0x80 <= byte < 0xA0 else bytes([byte]).decode("latin-1") for byte in word.encode())
    meant = meant_text(damaged)
    if any("\u00a0" <= character <= "\u017f" for character in word):
        assert meant == word
    else:
        assert meant in (None, word)


@given(st.text(st.characters(min_codepoint=0x410, max_codepoint=0x44F), min_size=3, max_size=12))
def test_cyrillic_words_that_were_read_as_windows_1251_are_found_and_sound_ones_are_not(word: str) -> None:
    assert meant_text(word.encode().decode("cp1251", "replace").replace("\ufffd", "\x98")) in (word, None)
    assert meant_text(word) is None
    assert meant_text("собака".encode().decode("cp1251")) == "собака"


def test_all_words_of_the_fixtures_are_sound() -> None:
    texts: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            texts.extend(map(str, value))
            list(map(collect, value.values()))
        elif isinstance(value, list):
            list(map(collect, value))

    for path in sorted(FIXTURES.rglob("*.json*")):
        for line in [path.read_text("utf-8")] if path.suffix == ".json" else path.read_text("utf-8").splitlines():
            collect(decode_value(line))
    assert sum(not text.isascii() for text in texts) > 20
    assert [text for text in texts if meant_text(text) is not None] == []


def subject(record: Record) -> Subject:
    return Subject(record)


def test_a_record_gives_one_finding_for_each_code_and_text_that_has_it() -> None:
    record = Record(
        Source("é.jsonl", 4),
        id="x",
        referring="le chien",
        category="chien ",
        answers=(Region("le chien", BOX),),
        regions=(Region("chat ", BOX), Region("<image>", BOX)),
        candidates=(Candidate(BOX, "  "),),
    )
    found = [(finding.code, finding.found, finding.severity) for finding in text_findings(subject(record))]
    assert found == [
        ("text-spaces", "'chien '", "warning"),
        ("text-spaces", "'chat '", "warning"),
        ("text-mark", "<image>", "error"),
        ("phrase-empty", "'  '", "error"),
    ]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_expression_is_said_once(text: str) -> None:
    record = Record(Source("é.jsonl", 4), referring=text, answers=(Region(text, BOX),))
    assert [finding.code for finding in text_findings(subject(record))] == ["expression-empty"]


def test_instructions_and_conversations_may_hold_anything() -> None:
    record = Record(Source("é.jsonl", 4), instruction="<image>\nPlease answer in <answer> tags  ")
    assert list(text_findings(subject(record))) == []


def test_long_texts_are_looked_at_too() -> None:
    assert codes("ein langer Satz " * 40) == ["text-spaces"]
    assert codes(("ein langer Satz " * 40).strip()) == []


@given(
    st.lists(
        st.lists(
            st.text(st.sampled_from("ab \x1f\n<>|imagés©Ã\u00a0狗Рї"), max_size=6) | st.sampled_from(SOUND), max_size=3
        ),
        max_size=6,
    )
)
def test_the_screen_never_names_a_row_too_few(rows: list[list[str]]) -> None:
    subjects = [
        Subject(Record(Source("é.jsonl", 1), regions=tuple(Region(text, BOX) for text in texts))) for texts in rows
    ]
    bad = {place for place, given_ in enumerate(subjects) if list(text_findings(given_))}
    assert bad <= set(text_screen(subjects))


def test_the_screen_names_no_sound_row_among_bad_ones() -> None:
    def of(text: str) -> Subject:
        return subject(Record(Source("é.jsonl", 1), referring=text))

    assert text_screen([of(text) for text in SOUND]) == []
    assert text_screen([of("chien"), of("chat "), of("狗"), of(""), of("a\x1fb")]) == [1, 3, 4]
