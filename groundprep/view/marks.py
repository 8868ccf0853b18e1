"""What to draw for a record: every geometry with its colour, line and label, in pixels of the stored image.

Colours are Okabe and Ito's, which people with any colour vision tell apart, and each kind has its own line as well:
answers are solid, candidates dashed. They depend on nothing but the order in the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from groundprep.record import Box, BoxXYXY, Candidate, Keypoints, Mask, Record, Region
from groundprep.view.text import one_line

BLUE, VERMILLION, GREEN, PINK, SKY, YELLOW, ORANGE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#E69F00",
)  # fmt: skip
"""Source: Okabe and Ito, Color Universal Design (2008)."""
ANSWER_COLOUR = BLUE
CANDIDATE_COLOUR = ORANGE
PHRASE_COLOURS = (GREEN, VERMILLION, SKY, PINK, YELLOW)
LABEL_CHARACTERS = 28


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to draw, in continuous pixels of the stored image.

    Args:
        label: the short text beside it.
        colour: `#rrggbb`.
        dashed: a candidate.
        box_xyxy: sorted, not clipped.
    """

    label: str
    colour: str
    dashed: bool = False
    box_xyxy: BoxXYXY | None = None
    point_xy: tuple[float, float] | None = None
    rings: tuple[tuple[float, ...], ...] = ()
    keypoints: Keypoints | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line of the legend: how something is drawn, and what it means."""

    colour: str
    dashed: bool
    text: str


def marks_of(record: Record, image: int, size_wh: tuple[int, int]) -> list[Mark]:
    """Return what is to be drawn on one image of a record: phrases, answers, then candidates."""
    colours = phrase_colours(record.regions)
    marks = [
        _region_mark(region, _phrase_label(region), colours[region.phrase or ""], size_wh)
        for region in record.regions
        if region.image == image and not region.is_absent
    ]
    present = [region for region in record.answers if not region.is_absent]
    marks += [
        _region_mark(region, _answer_label(region, number, len(present), record), ANSWER_COLOUR, size_wh)
        for number, region in enumerate(present, start=1)
        if region.image == image
    ]
    marks += [
        Mark(candidate_label(index, candidate, size_wh), CANDIDATE_COLOUR, dashed=True, box_xyxy=_sorted(candidate.box))
        for index, candidate in enumerate(record.candidates or ())
        if candidate.image == image
    ]
    return marks


def phrase_colours(regions: Sequence[Region]) -> dict[str, str]:
    """Return a colour for each phrase, in the order in which phrases appear."""
    phrases = dict.fromkeys(region.phrase or "" for region in regions)
    return {phrase: PHRASE_COLOURS[i % len(PHRASE_COLOURS)] for i, phrase in enumerate(phrases)}


def candidate_label(index: int, candidate: Candidate, size_wh: tuple[int, int]) -> str:
    """Return `#index score`; the index counts from 0, as the data does."""
    score = "" if candidate.score is None else f" {candidate.score:.2f}"
    return f"#{index}{score}{_oddity(candidate.box, size_wh)}"


def legend_of(record: Record) -> list[LegendEntry]:
    """Return a line for each kind of thing that the record holds."""
    entries = []
    present = [region for region in record.answers if not region.is_absent]
    if present:
        entries.append(LegendEntry(ANSWER_COLOUR, dashed=False, text=f"answer: {_kinds(present)}"))
    if record.candidates:
        names = list(dict.fromkeys(c.phrase for c in record.candidates if c.phrase is not None))
        what = ", ".join(names[:3]) + (f" and {len(names) - 3} more phrases" if len(names) > 3 else "")
        scored = "#index score" if any(c.score is not None for c in record.candidates) else "#index"
        text = f"candidates, {scored}: {_plural(len(record.candidates), 'box')}" + (f" ({what})" if what else "")
        entries.append(LegendEntry(CANDIDATE_COLOUR, dashed=True, text=text))
    for phrase, colour in phrase_colours(record.regions).items():
        regions = [r for r in record.regions if (r.phrase or "") == phrase and not r.is_absent]
        if regions:
            entries.append(LegendEntry(colour, dashed=False, text=f"{phrase or '(no phrase)'}: {_kinds(regions)}"))
    return entries


def absent_phrases(record: Record) -> list[str]:
    """Return what the record says is not in the image, each phrase once."""
    absent = [region.phrase or record.referring or "" for region in record.answers if region.is_absent]
    if record.referring is not None and not record.answers:
        absent.append(record.referring)
    absent += [region.phrase or "" for region in record.regions if region.is_absent]
    return list(dict.fromkeys(absent))


def _region_mark(region: Region, label: str, colour: str, size_wh: tuple[int, int]) -> Mark:
    return Mark(
        label + (_oddity(region.box, size_wh) if region.box is not None else ""),
        colour,
        box_xyxy=None if region.box is None else _sorted(region.box),
        point_xy=None if region.point is None else region.point.xy,
        rings=() if region.polygon is None else region.polygon.rings,
        keypoints=region.keypoints,
        mask=region.mask,
    )


def _phrase_label(region: Region) -> str:
    return one_line(region.phrase or "(no phrase)", LABEL_CHARACTERS)


def _answer_label(region: Region, number: int, count: int, record: Record) -> str:
    label = "answer" if count == 1 else f"answer {number}"
    if region.candidate is not None:
        label += f" = #{region.candidate}"
    if region.phrase and region.phrase != record.referring:
        label += f": {one_line(region.phrase, LABEL_CHARACTERS)}"
    return label


def _oddity(box: Box, size_wh: tuple[int, int]) -> str:
    """Return a remark on a box that cannot be drawn as it is."""
    x0, y0, x1, y1 = box.xyxy
    if x1 < x0 or y1 < y0:
        return " (inverted)"
    if x1 <= 0 or y1 <= 0 or x0 >= size_wh[0] or y0 >= size_wh[1]:
        return " (outside)"
    return " (empty)" if x1 == x0 or y1 == y0 else ""


def _sorted(box: Box) -> BoxXYXY:
    x0, y0, x1, y1 = box.xyxy
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _kinds(regions: Sequence[Region]) -> str:
    """Return `2 boxes, 1 point`."""
    return ", ".join(_counts(regions))


def _counts(regions: Sequence[Region]) -> Iterator[str]:
    for name, kind in (
        ("box", "box"),
        ("point", "point"),
        ("polygon", "polygon"),
        ("keypoints", "pose"),
        ("mask", "mask"),
    ):
        count = sum(getattr(region, name) is not None for region in regions)
        if count:
            yield _plural(count, kind)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}es" if word.endswith("x") else f"{count} {word}s"
