"""Text from data in pictures: visible, within the edges, nothing lost without a word."""

import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from groundprep.view.text import SHAPING, one_line, visible, visible_lines, wrap


def one_wide(_character: Any) -> float:
    return 1.0


def test_control_characters_become_escapes_and_spaces_become_spaces() -> None:
    assert visible("a\x1b[31m\x00\u202eb\u00a0c\u3000d\ud800") == "a\\x1b[31m\\x00\\u202eb c d\\ud800"


def test_joiners_stay_because_they_shape_their_neighbours() -> None:
    assert visible("می\u200cخواهم") == "می\u200cخواهم"


def test_line_breaks_of_every_kind_split_lines() -> None:
    assert visible_lines("a\r\nb\nc\rd\u2028e") == ["a", "b", "c", "d", "e"]


def test_a_label_is_one_line_and_is_cut_with_an_ellipsis() -> None:
    assert one_line("a\nb", 20) == "a ⏎ b"
    assert one_line("Straßenbahnhaltestelle", 10) == "Straßenba…"
    assert one_line("x" * 10, 10) == "x" * 10


@given(st.text(max_size=200))
def test_no_invisible_character_survives(text: str) -> None:
    assert all(character in SHAPING or character.isprintable() for line in visible_lines(text) for character in line)


@given(st.text(max_size=120), st.integers(1, 30))
def test_every_line_fits_and_no_visible_character_is_lost(text: str, width: int) -> None:
    lines = wrap(text, max_width=width, advance=one_wide, max_lines=10_000)
    assert all(len(line.rstrip(" ")) <= width for line in lines)
    joined = "".join(lines).replace(" ", "")
    assert joined == "".join(visible_lines(text)).replace(" ", "")


def test_words_are_kept_whole_and_chinese_breaks_anywhere() -> None:
    assert wrap("der kleine Hund", max_width=10, advance=one_wide, max_lines=9) == ["der kleine", "Hund"]
    assert wrap("左边的猫在睡觉", max_width=3, advance=one_wide, max_lines=9) == ["左边的", "猫在睡", "觉"]


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    lines = wrap("wort " * 1000, max_width=20, advance=one_wide, max_lines=3)
    assert lines == ["wort wort wort wort"] * 3 + ["… (cut: the text has 5000 characters)"]


def test_a_text_of_many_megabytes_is_not_looked_at_as_a_whole() -> None:
    seen = []

    def counting(character: str) -> float:
        seen.append(character)
        return 1.0

    lines = wrap("\u0301" * 5_000_000, max_width=50, advance=counting, max_lines=2)
    assert lines[-1] == "… (cut: the text has 5000000 characters)"
    assert len(seen) < 5_000


def test_combining_marks_are_not_counted_as_invisible() -> None:
    assert unicodedata.category("\u0301") == "Mn"
    assert visible("e\u0301") == "e\u0301"
