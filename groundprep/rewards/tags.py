"""Text between two literal tags, as the trainers' patterns `open(.*?)close` find it, in linear time."""

from __future__ import annotations

ANSWER = ("<answer>", "</answer>")
FENCE = ("```json", "```")


def first_between(text: str, tags: tuple[str, str]) -> str | None:
    """Return the text between the first opening tag and the next closing one; None if there is no such pair."""
    start = text.find(tags[0])
    if start < 0:
        return None
    start += len(tags[0])
    end = text.find(tags[1], start)
    return None if end < 0 else text[start:end]


def last_between(text: str, tags: tuple[str, str]) -> str | None:
    """Return the last of the texts that lie between the tags, found from the left without overlap; None if there is none."""
    found, start = None, text.find(tags[0])
    while start >= 0:
        start += len(tags[0])
        end = text.find(tags[1], start)
        if end < 0:
            break
        found = (start, end)
        start = text.find(tags[0], end + len(tags[1]))
    return None if found is None else text[found[0] : found[1]]
