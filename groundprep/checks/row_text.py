"""What a trainer makes of a row as text: what it asks the model, and the right answer as the model should write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from groundprep.checks.base import Subject
from groundprep.dialects import get_dialect
from groundprep.dialects.answers_text import IMAGE_MARK
from groundprep.dialects.exchange import ExchangeDialect
from groundprep.dialects.trl import SCORED_ROWS, scored_text


class Text(NamedTuple):
    """Texts that are put together, and the special tokens between them (those of an image are not counted here)."""

    parts: tuple[str, ...] = ()
    marks: int = 0


class RowText(NamedTuple):
    """What is asked and what is answered."""

    prompt: Text
    answer: Text


def row_text(subject: Subject) -> RowText | None:
    """Return a row's two sides as its profile's trainer builds them, without its template; None for other layouts."""
    if subject.profile is None:
        return None
    build = _BUILDERS.get(subject.profile.dialect)
    return None if build is None else build(subject.row)


def _scored(row: Mapping[str, Any]) -> RowText:
    problem, answer = scored_text(row)
    return _plain(problem, answer)


def _conversation(row: Mapping[str, Any]) -> RowText:
    """Source: VLM-R1 @90052f4: the first two turns; an answer that is a list becomes text (specs/vlmr1_easydistill.md §1.2)."""
    question, answer = (turn["value"] for turn in row["conversations"][:2])
    return _plain(question, answer)


def _exchange(name: str) -> Callable[[Mapping[str, Any]], RowText]:
    """Return the builder for a dialect of messages: the last one is the answer, what stands before it the prompt."""

    def build(row: Mapping[str, Any]) -> RowText:
        dialect = get_dialect(name)
        assert isinstance(dialect, ExchangeDialect)
        spoken = {key: row[key] for key in dialect.text_keys if key in row}  # the images may be references still
        texts = [said.text for said in dialect.read_said(spoken)]
        return RowText(Text(tuple(map(_without_mark, texts[:-1]))), Text(tuple(texts[-1:])))

    return build


def _easydistill(row: Mapping[str, Any]) -> RowText:
    """Source: EasyDistill @acbe49b: the answer is a Python dict with integer keys, or the one list (§3.2, §3.5)."""
    boxes = row.get("abs_box", row.get("bbox"))
    answer = {int(k) if k.isdecimal() else k: v for k, v in boxes.items()} if isinstance(boxes, Mapping) else boxes
    return _plain(row["instruction"], answer)


def _rexomni(row: Mapping[str, Any]) -> RowText:
    """Count an answer's tokens as Rex-Omni writes it: coordinates and marks are one token each.

    For each phrase: two marks around it, two around its places, four tokens a box or two a point, commas between them, `None`
    for an absent one; `, ` between phrases. Source: Rex-Omni @478e44f (specs/rexomni.md §3.2, §3.5, §3.7).
    """
    places: dict[str, list[int]] = {}
    for entry in (*row.get("boxes", ()), *row.get("points", ())):
        numbers = entry.get("bbox", entry.get("point"))
        places.setdefault(entry.get("phrase") or entry.get("caption") or "", []).extend(
            [len(numbers)] if numbers else []
        )
    inside = sum(sum(sizes) + len(sizes) - 1 if sizes else 1 for sizes in places.values())
    marks = inside + 4 * len(places) + 2 * max(0, len(places) - 1)
    return RowText(Text((", ".join(places),)), Text(tuple(places), marks))


def _plain(question: str, answer: Any) -> RowText:
    return RowText(Text((_without_mark(question),)), Text((answer if isinstance(answer, str) else str(answer),)))


def _without_mark(text: str) -> str:
    return text.replace(IMAGE_MARK, "")


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], RowText]] = {
    **dict.fromkeys(SCORED_ROWS, _scored),
    **{name: _exchange(name) for name in ("trl-sft", "qwen-vl")},
    **dict.fromkeys(("vlmr1", "vlmr1-ovd", "vlmr1-seg"), _conversation),
    **dict.fromkeys(("easydistill", "easydistill-single"), _easydistill),
    "rexomni": _rexomni,
}
