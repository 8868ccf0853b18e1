"""Text from data, made fit for a picture: nothing invisible stays invisible, nothing runs over the edge."""

from __future__ import annotations

from collections.abc import Callable

ELLIPSIS = "…"
LONGEST_LINE = 1_000
"""More characters than a line of a picture ever shows."""
LINE_BREAKS = ("\r\n", "\n", "\r", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")
# Joiners and variation selectors shape their neighbours: Persian, Indic scripts and emoji are wrong without them.
SHAPING = frozenset("\u200c\u200d\ufe0e\ufe0f")


def visible(text: str) -> str:
    r"""Return text with every control, format, surrogate and unassigned character escaped (`\x1b`); spaces become " "."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable() or character in SHAPING:
        return character
    if character.isspace() and character not in "\t\x1c\x1d\x1e\x1f" and character not in LINE_BREAKS:
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text, each visible."""
    for line_break in LINE_BREAKS:
        text = text.replace(line_break, "\n")
    return [visible(line) for line in text.split("\n")]


def one_line(text: str, max_characters: int) -> str:
    """Return text as one visible line, its line breaks shown as ⏎, cut with an ellipsis."""
    # A long text is cut before it is escaped too: each character gives at least one.
    line = " ⏎ ".join(visible_lines(text[: max_characters + 1]))
    return (
        line if len(line) <= max_characters and len(text) <= max_characters else line[: max_characters - 1] + ELLIPSIS
    )


def wrap(text: str, *, max_width: float, advance: Callable[[str], float], max_lines: int) -> list[str]:
    """Break a text into visible lines that fit.

    Args:
        text: as in the data; its own line breaks are kept.
        max_width: pixels, > 0.
        advance: the width of one character in pixels.
        max_lines: a text that needs more is cut, and a line more says how long it is.
    """
    lines: list[str] = []
    # What cannot be shown is not looked at either: a text may be many megabytes long.
    for paragraph in visible_lines(text[: max_lines * LONGEST_LINE]):
        rest = paragraph
        while True:
            if len(lines) == max_lines:
                return [*lines, _cut_note(text)]
            cut = _cut(rest, max_width, advance)
            lines.append(rest[:cut].rstrip(" ") if cut < len(rest) else rest)
            rest = rest[cut:].lstrip(" ")
            if not rest:
                break
    return lines if len(text) <= max_lines * LONGEST_LINE else [*lines, _cut_note(text)]


def _cut_note(text: str) -> str:
    return f"{ELLIPSIS} (cut: the text has {len(text)} characters)"


def _cut(text: str, max_width: float, advance: Callable[[str], float]) -> int:
    """Return how many characters go on the line: up to the last space that fits, else as many as fit, at least one."""
    width = 0.0
    space = 0
    for position, character in enumerate(text):
        width += advance(character)
        if width > max_width and character != " ":
            return space or max(1, position)
        if character == " ":
            space = position + 1
        elif is_breakable_script(character):
            space = position + 1 if width <= max_width else space
    return len(text)


def is_breakable_script(character: str) -> bool:
    """Say whether a line may break after this character without a space: Chinese, Japanese, Korean."""
    return "\u2e80" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af" or "\uff00" <= character <= "\uffef"
