"""How many tokens a text takes: counted by a tokenizer, or estimated without one.

The estimate follows the split rule of Qwen2's to Qwen3's tokenizers, which cut a text into pieces and each piece into one or
more tokens. What matters most in grounding data follows from that rule alone: every digit is a token of its own, and so are the
comma and the blank between two numbers. So a piece is at least one token, which gives a bound that holds, and words give a
guess. docs/limits.md says how far off the guess was, measured. Tokenizers that cut numbers otherwise need `--tokenizer`.
Source of the split rule: Qwen2 tokenizer.json, as in specs/rexthinker.md §4.6 ("digits tokenise singly").
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from groundprep.errors import MissingDependencyError, UsageError, shown
from groundprep.hub import model_directory

PIECE = re.compile(r"(?:[^\r\n\w]|_)?[^\W\d_]+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
"""A word with the character before it; a digit; punctuation with the blank before it and line ends after it; blanks."""

COMMON_LETTERS = 9
"""An ASCII word of so many characters, with the one before it, is guessed to be one token."""

FURTHER_LETTERS = 4
"""What is longer takes a token for each so many characters more."""

BYTES_PER_TOKEN = 3
"""UTF-8 bytes of a piece that is not ASCII, for each token: right for Hangul and Devanagari, too many tokens for Cyrillic."""

TOKENIZER_FILES = ("*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken")


class TokenCount(NamedTuple):
    """Numbers of tokens: `at_least` so many, `likely` so many; equal when they were counted."""

    at_least: int
    likely: int


class TokenCounter(Protocol):
    """Counts the tokens of texts; any thread may call it."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def __call__(self, text: str) -> TokenCount:
        """Return the tokens of a text without special tokens around it."""


class EstimatedTokens:
    """The estimate; see the module."""

    name = "estimated"

    def __call__(self, text: str) -> TokenCount:
        """Return a bound and a guess for Qwen's tokenizers."""
        pieces = PIECE.findall(text)
        return TokenCount(len(pieces), sum(map(_likely_tokens, pieces)))


def _likely_tokens(piece: str) -> int:
    if not piece.isascii():
        return max(1, -(-len(piece.strip().encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN))
    if piece[-1].isalpha():
        return 1 + max(0, -(-(len(piece) - COMMON_LETTERS) // FURTHER_LETTERS))
    return 1


ESTIMATED = EstimatedTokens()


class TokenizerTokens:
    """A real tokenizer's count.

    Args:
        name: a directory, or an id on the Hugging Face Hub; code from there is never run.

    Raises:
        UsageError: `no-model` or `no-tokenizer`.
        HubUnavailableError: the hub cannot be reached.
        MissingDependencyError: transformers is not installed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tokenizer = _load(name)

    def __call__(self, text: str) -> TokenCount:
        """Return the exact number."""
        count = len(self.ids(text))
        return TokenCount(count, count)

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text without special tokens around it."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _load(name: str) -> Any:
    directory = model_directory(name, files=TOKENIZER_FILES, flag="--tokenizer")
    if not any(Path(directory).glob("tokenizer*")) and not any(Path(directory).glob("vocab*")):
        raise _no_tokenizer(name, "no tokenizer files")
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            "--tokenizer needs transformers", found="no transformers", fix="pip install transformers, or leave it out"
        ) from error
    try:
        return AutoTokenizer.from_pretrained(str(directory), trust_remote_code=False)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # what a wrong file of its makes it raise
        raise _no_tokenizer(name, shown(" ".join(str(error).split()))) from error


def _no_tokenizer(name: str, found: str) -> UsageError:
    return UsageError(
        "the directory holds no tokenizer that transformers can load",
        code="no-tokenizer",
        source=name,
        found=found,
        expected="tokenizer.json, or vocab.json and merges.txt, with tokenizer_config.json",
        fix="pass the model's own directory or id with --tokenizer",
    )
