r"""Words: empty, damaged on their way through an encoding, or holding what a trainer or a tokenizer takes for a sign of its own.

Looked at are expressions, phrases and categories: what a model is asked for. Free instructions and conversations may hold
anything. Sound text costs one search; what was found of a text is remembered, because a category comes with every row.

Mojibake is decided by one rule, not by a guess. Text is mojibake if it holds U+FFFD; or if all of it, taken as the bytes of
Windows-1252 (with Latin-1 where that has gaps) or Windows-1251, is valid UTF-8 beyond ASCII: `café` becomes `cafÃ©`. Words all
but never are, because every lead byte (Ã, Å, Ð, Р, С, …) must be followed by exactly its continuation bytes (©, ¡, °, …), for
every character beyond ASCII. Pairs that happen by accident (`NESCAFÉ™`, `AQUÍ»`, `STÍŽNOST`) would stand for rare letters, of
which three are asked for; of Windows-1251, whose letters include continuation bytes, three Cyrillic letters and nothing else.
Measured on 990,000 texts in 207 languages (the translations that come with a Linux system): none was named that was not damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from groundprep.checks.base import Rule, Subject
from groundprep.checks.labelled_rows import labelled_rows
from groundprep.checks.vlmr1_rows import THINK_TAGS, is_vlmr1
from groundprep.dialects.answers_text import ANSWER_TAGS
from groundprep.finding import Finding, Severity
from groundprep.record import Record

EXPRESSION_EMPTY = Rule("expression-empty", Severity.ERROR, "the expression holds no word")
PHRASE_EMPTY = Rule("phrase-empty", Severity.ERROR, "a phrase or category holds no word")
TEXT_CONTROL = Rule("text-control", Severity.WARNING, "words hold control characters, line breaks or invisible marks")
TEXT_MOJIBAKE = Rule("text-mojibake", Severity.WARNING, "words were decoded with the wrong encoding")
TEXT_MARK = Rule(
    "text-mark",
    Severity.ERROR,
    "words hold a placeholder or special token, which a trainer or tokenizer acts on",
    suppresses=("question-junk",),
)
TEXT_SPACES = Rule("text-spaces", Severity.WARNING, "words begin or end with a blank, or hold two in a row")

RULES = (EXPRESSION_EMPTY, PHRASE_EMPTY, TEXT_CONTROL, TEXT_MOJIBAKE, TEXT_MARK, TEXT_SPACES)

REMEMBERED_TEXTS = 8192
LONGEST_REMEMBERED = 200

MARKS = re.compile(
    r"<(?:image|video|audio)>|</?(?:answer|think)>|\[OBJ\]|```|<\|[^|<>\s]{1,60}\|>"
    r"|</?(?:s|img|ref|box|quad|p)>|<(?:pad|unk|bos|eos|IMG_CONTEXT)>"
)
"""What some trainer's loader, reward or tokenizer acts on.

Source: `<image>` counted by EasyR1, removed by VLM-R1 (specs/rexthinker.md §4.2, specs/vlmr1_easydistill.md §1.2); `<answer>` and
fences cut answers out (§1.2, §1.6; specs/rexthinker.md §3.4); `[OBJ]` is Rex-Omni's (specs/rexomni.md §3.3); `<|…|>` are the
tokens of Qwen's and Llama's tokenizers, the others those of InternVL's, of Kosmos-2's (`<p>`) and of SentencePiece models.
"""

_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Controls and line breaks; marks that turn the direction of text; marks and non-characters that nobody types.

Zero-width joiners and non-joiners and U+200B are left alone: Persian, Hindi, Thai and emoji need them.
"""

_SPACES = re.compile(r"^[ \u00a0\u3000]|[ \u00a0\u3000]$|[ \u00a0]{2}")

_MAYBE_MOJIBAKE = re.compile(
    r"\ufffd|[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u2122]|[\u0400-\u045f]{2}"
)
"""U+FFFD, or a lead byte with what a continuation byte looks like: most text needs no further look."""

_SUSPECT = re.compile("|".join(pattern.pattern for pattern in (_CONTROL, _SPACES, MARKS, _MAYBE_MOJIBAKE)))

_SEPARATOR = "\x1f"
_SUSPECTS_TOGETHER = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_SEPARATOR}\s*{_SEPARATOR}",
        _CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x1e"),
        rf"{_SEPARATOR}[ \u00a0\u3000]",
        rf"[ \u00a0\u3000][ \u00a0{_SEPARATOR}]",
        MARKS.pattern,
        *_MAYBE_MOJIBAKE.pattern.split("|"),
    )
)
"""The same of many texts at once; that one of them holds a separator itself is found by their number.

Several patterns, because a search is quick where the first character says that nothing begins there: a third of the time.
"""

LEAST_LETTERS = 3
_COMMON = re.compile(r"[\u00a0-\u017f\u0218-\u021b\u0800-\U0010ffff]")
"""Western letters and signs, the Romanian ones, and what takes three bytes or more: one of them is no accident."""

_CYRILLIC = re.compile(r"[\x00-\x7f\u0400-\u045f\u00ab\u00bb\u2010-\u2026\u2116]*")


class Fault(NamedTuple):
    """One thing that is wrong with a text."""

    rule: Rule
    message: str
    expected: str
    fix: str


def text_screen(subjects: Sequence[Subject]) -> list[int]:
    """Return the places of the subjects whose texts are not all known to be sound; one search says so of a whole batch."""
    rows = labelled_rows(subjects)
    distinct: set[str | None] = {subject.record.referring for subject in subjects}
    for words in rows.places:
        distinct.update(words)
    for place in rows.others:
        distinct.update(texts_of(subjects[place].record))
    texts = [text for text in distinct if text is not None]
    together = _SEPARATOR + _SEPARATOR.join(texts) + _SEPARATOR
    is_sound = together.count(_SEPARATOR) <= len(texts) + 1
    if is_sound and not any(pattern.search(together) for pattern in _SUSPECTS_TOGETHER):
        return []
    return [place for place, subject in enumerate(subjects) if any(map(faults_of, texts_of(subject.record)))]


def text_findings(subject: Subject) -> Iterator[Finding]:
    """Yield findings on a record's expression, phrases and categories: for each code, every text that has it."""
    record = subject.record
    if record.referring is not None and not record.referring.strip():
        yield subject.finding(
            EXPRESSION_EMPTY,
            "the expression is empty",
            found=repr(record.referring),
            expected="words to be grounded",
            fix="write the expression, or drop the row",
        )
    for text in texts_of(record):
        for fault in faults_of(text):
            is_told = fault.rule is TEXT_MARK and _is_instruction(subject, text)
            if is_told or (text == record.referring and fault.rule is PHRASE_EMPTY):
                continue
            yield subject.finding(
                fault.rule,
                fault.message,
                found=repr(text) if fault.rule in (TEXT_SPACES, PHRASE_EMPTY) else text,
                expected=fault.expected,
                fix=fault.fix,
                about=text,
            )


def _is_instruction(subject: Subject, text: str) -> bool:
    """Say whether a text's marks are those of VLM-R1's own instruction behind the question, which `question-junk` tells."""
    if subject.profile is None or not is_vlmr1(subject.profile):
        return False
    return all(tag in text for tag in THINK_TAGS) and set(MARKS.findall(text)) <= {*THINK_TAGS, *ANSWER_TAGS}


def texts_of(record: Record) -> dict[str, None]:
    """Return a record's expression, phrases and categories, each once, in order."""
    texts = dict.fromkeys(text for text in (record.referring, record.category) if text is not None)
    for region in (*record.answers, *record.regions):
        if region.phrase is not None:
            texts[region.phrase] = None
        if region.category is not None:
            texts[region.category] = None
    for candidate in record.candidates or ():
        if candidate.phrase is not None:
            texts[candidate.phrase] = None
    return texts


def faults_of(text: str) -> tuple[Fault, ...]:
    """Return what is wrong with a text, each code at most once."""
    if len(text) <= LONGEST_REMEMBERED:
        return _remembered_faults(text)
    return tuple(_iter_faults(text))


@lru_cache(REMEMBERED_TEXTS)
def _remembered_faults(text: str) -> tuple[Fault, ...]:
    return tuple(_iter_faults(text))


def _iter_faults(text: str) -> Iterator[Fault]:
    if not text.strip():
        yield Fault(PHRASE_EMPTY, "a phrase or category is empty", "words", "write it, or remove the region")
        return
    if _SUSPECT.search(text) is None:
        return
    meant = meant_text(text)
    if meant is not None:
        expected = "the text as it was meant" if "\ufffd" in text else f"{meant} (most likely)"
        yield Fault(
            TEXT_MOJIBAKE, "the text was decoded with the wrong encoding", expected, "read its source as UTF-8 again"
        )
    control = _CONTROL.search(text)
    if control is not None and meant is None:  # mojibake is full of them, and of odd blanks
        name = f"U+{ord(control[0]):04X}"
        yield Fault(TEXT_CONTROL, f"the text holds the control character {name}", "printable text", "remove it")
    mark = MARKS.search(text)
    if mark is not None:
        message = f"the text holds {mark[0]}, which trainers or tokenizers take for a sign of their own"
        yield Fault(TEXT_MARK, message, f"no {mark[0]}", "reword the text")
    if _SPACES.search(text) is not None and meant is None:
        yield Fault(
            TEXT_SPACES,
            "the text begins or ends with a blank, or holds two in a row",
            repr(" ".join(text.split())),
            "remove the blanks",
        )


def meant_text(text: str) -> str | None:
    """Return what mojibake was meant to say (text with U+FFFD as it is), or None if the text is none."""
    if "\ufffd" in text:
        return text
    if _MAYBE_MOJIBAKE.search(text) is None:
        return None
    western, russian = _decoded(_bytes_1252(text)), _decoded(_bytes_of(text, "cp1251"))
    if western is not None and (_COMMON.search(western) or _letters(western) >= LEAST_LETTERS):
        return western
    if russian is not None and _CYRILLIC.fullmatch(russian) and _letters(russian) >= LEAST_LETTERS:
        return russian
    return None


def _bytes_1252(text: str) -> bytes | None:
    """Return the bytes that Windows-1252 would have read as this text; its five gaps as Latin-1, as browsers do."""
    data = bytearray()
    for character in text:
        encoded = bytes([ord(character)]) if ord(character) < 256 else _bytes_of(character, "cp1252")
        if encoded is None:
            return None
        data += encoded
    return bytes(data)


def _bytes_of(text: str, encoding: str) -> bytes | None:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return None


def _decoded(data: bytes | None) -> str | None:
    """Return the bytes as UTF-8, or None if they are not."""
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _letters(text: str) -> int:
    return sum(not character.isascii() for character in text)
