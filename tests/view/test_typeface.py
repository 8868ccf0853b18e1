"""Fonts: the bundled one, an installed one, and a visible stand-in with a hint."""

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from groundprep.view.cmap import NOTHING, read_coverage
from groundprep.view.typeface import BUNDLED, Run, Typeface, installed_fonts

LATIN_GREEK_CYRILLIC = "äöüßÆøŁžé Ωμέγα ἀρχή собака їЄѢ – — … „“ ‘’ → × ≤ ½ € №"


def font_with(path: Path, character: str) -> Any:
    """Write a font that has one character: the bundled font's outlines under another cmap."""
    data = bytearray(BUNDLED.read_bytes())
    code = ord(character)
    group = struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, code, code, 36)
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + group
    for entry in range(12, 12 + 16 * struct.unpack_from(">H", data, 4)[0], 16):
        if data[entry : entry + 4] == b"cmap":
            struct.pack_into(">II", data, entry + 8, len(data), len(table))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(data) + table)
    return path


def drawn(typeface: Typeface, text: str) -> Any:
    picture = Image.new("RGB", (240, 40), "white")
    typeface.draw(ImageDraw.Draw(picture), (3, 3), text, px=20, fill="#000000")
    return picture


def ink(picture: Any) -> Any:
    return picture.convert("L").point(lambda value: 255 - value).getbbox()


def test_the_bundled_font_covers_latin_greek_and_cyrillic_without_any_installed_font() -> None:
    typeface = Typeface(directories=[])
    drawn(typeface, LATIN_GREEK_CYRILLIC)
    assert typeface.missing == set()
    assert typeface.hint() is None


def test_the_bundled_font_is_small_and_has_its_licence_beside_it() -> None:
    assert BUNDLED.stat().st_size < 300_000
    assert "Bitstream Vera" in (BUNDLED.parent / "LICENSE_DEJAVU.txt").read_text(encoding="utf-8")


def test_a_character_without_a_font_is_a_visible_box_and_one_hint_names_the_package() -> None:
    typeface = Typeface(directories=[])
    assert ink(drawn(typeface, "猫")) is not None
    assert typeface.hint() == (
        "no installed font has the character 猫: drawn as boxes; install a font that has them, such as fonts-noto-cjk"
    )
    drawn(typeface, "ไทย")
    assert "fonts-noto-cjk and fonts-noto-core" in typeface.hint()


def test_an_installed_font_is_used_for_what_the_bundled_one_lacks(tmp_path: Path) -> None:
    font = font_with(tmp_path / "nested" / "Häns.ttf", "猫")
    typeface = Typeface(directories=[tmp_path])
    assert typeface.runs("a猫b") == [Run("a", BUNDLED, False), Run("猫", font, False), Run("b", BUNDLED, False)]
    assert typeface.hint() is None
    assert drawn(typeface, "猫").tobytes() != drawn(Typeface(directories=[]), "猫").tobytes()


def test_an_installed_font_that_cannot_be_loaded_is_passed_over(tmp_path: Path) -> None:
    broken = font_with(tmp_path / "a.ttf", "猫")
    broken.write_bytes(broken.read_bytes().replace(b"head", b"daeh", 1))
    font = font_with(tmp_path / "b.ttf", "猫")
    assert Typeface(directories=[tmp_path]).runs("猫") == [Run("猫", font, is_rtl=False)]


def test_plain_styles_come_before_special_ones_whatever_the_disk_says(tmp_path: Path) -> None:
    for name in ("B-Bold.ttf", "C.ttf", "NotoSans.ttf", "A-Italic.otf", "readme.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in installed_fonts([tmp_path])] == [
        "NotoSans.ttf",
        "C.ttf",
        "A-Italic.otf",
        "B-Bold.ttf",
    ]


def test_what_is_measured_is_what_is_drawn() -> None:
    typeface = Typeface(directories=[])
    right = ink(drawn(typeface, "Hund #3 0.82"))[2] - 3
    assert abs(typeface.width("Hund #3 0.82", 20) - right) <= 3


def test_hebrew_and_numbers_in_it_are_ordered_for_the_eye() -> None:
    runs = Typeface(directories=[]).runs("the helmet; שלום (עולם) 12")
    assert runs[0] == Run("the helmet; ", BUNDLED, is_rtl=False)
    assert runs[1] == Run("12", BUNDLED, is_rtl=False)
    assert all(run.is_rtl for run in runs[2:])
    assert "".join(run.text for run in reversed(runs[2:])) == "שלום (עולם) "


def test_in_a_hebrew_line_latin_words_stand_left_of_what_they_follow() -> None:
    texts = [run.text for run in Typeface(directories=[]).runs("שלום on the right 12.5")]
    assert texts == ["on the right 12.5", " ", "שלום"]


def test_without_a_shaping_engine_right_to_left_text_is_still_in_order() -> None:
    typeface = Typeface(directories=[])
    typeface.shapes = False
    assert typeface._shaped(Run("abc", BUNDLED, True)) == ("cba", {})


@pytest.mark.parametrize("character", ["A", "ß", "Ω", "я", "→", "…"])
def test_coverage_has_what_the_font_has(character: str) -> None:
    assert character in read_coverage(BUNDLED)


@pytest.mark.parametrize("character", ["猫", "ไ", "\U0001f600", "\uffff"])
def test_coverage_has_nothing_else(character: str) -> None:
    assert character not in read_coverage(BUNDLED)


def test_coverage_of_a_one_character_font(tmp_path: Path) -> None:
    coverage = read_coverage(font_with(tmp_path / "one.ttf", "猫"))
    assert "猫" in coverage
    assert "A" not in coverage


@pytest.mark.parametrize("length", [0, 3, 11, 13, 40, 200])
def test_a_damaged_font_covers_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.ttf"
    path.write_bytes(BUNDLED.read_bytes()[:length])
    assert read_coverage(path) == NOTHING
    assert read_coverage(tmp_path / "absent.ttf") == NOTHING
