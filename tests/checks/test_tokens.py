"""How many tokens a text takes: estimated by Qwen's split rule, or counted."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from groundprep.checks.tokens import ESTIMATED, TokenCount, TokenizerTokens
from groundprep.errors import HubUnavailableError, UsageError

TOY_VLM = Path(__file__).parents[2] / "toy_data" / "vlm"


@pytest.mark.parametrize(
    ("text", "at_least", "qwen", "likely"),
    [  # the middle number was counted with Qwen's own vocabulary
        ("", 0, 0, 0),
        ("402", 3, 3, 3),
        ("[402, 95, 526, 198], [", 20, 20, 20),
        (' {"person": [[402, 95, 526, 198], [94, 46, 451, 276]]}\n', 40, 41, 40),
        ("Please detect a young boy doing a skateboard trick in this image.", 13, 13, 14),
        ("AT_SECURE_x", 3, 3, 3),
        ("Donaudampfschifffahrt", 1, 10, 4),
        ("большая собака", 2, 4, 9),
        ("左边的狗", 1, 3, 4),
    ],
)
def test_the_bound_holds_for_qwen_and_the_guess_is_near_it_for_numbers(
    text: str, at_least: int, qwen: int, likely: int
) -> None:
    assert ESTIMATED(text) == TokenCount(at_least, likely)
    assert at_least <= qwen


def test_a_guess_is_never_below_the_bound() -> None:
    for text in ("é è ê", "ß", "'s dog's", "\n\n  \r\n x", "कुत्ता", "🐕🐕", "a_b/c", "½ ²"):
        count = ESTIMATED(text)
        assert 1 <= count.at_least <= count.likely


@pytest.mark.model
def test_a_tokenizer_of_a_directory_counts_exactly() -> None:
    tokenizer = TokenizerTokens(str(TOY_VLM))
    assert tokenizer("[402, 95, 226, 198]").likely < ESTIMATED("[402, 95, 226, 198]").likely  # it holds whole numbers
    assert tokenizer("le garçon").at_least == tokenizer("le garçon").likely > 2
    assert tokenizer.name == str(TOY_VLM)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        TokenizerTokens(str(tmp_path))
    assert raised.value.code == "no-tokenizer"
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), UsageError)


@pytest.mark.model
def test_a_broken_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("[", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}', encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        TokenizerTokens(str(tmp_path))
    assert raised.value.code == "no-tokenizer"
    assert "\n" not in str(raised.value)


def test_a_name_that_is_no_directory_and_no_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises((UsageError, HubUnavailableError)) as raised:
        TokenizerTokens(str(tmp_path / "nichts"))
    assert raised.value.code == "no-model"
