"""Expressions about a scene, and the proof that each of them has one meaning.

An expression is a small structure, not a string: `solve` finds the objects that it fits, and refuses (returns None)
where two careful people could disagree, for example whether a shape that is a bit lower is "left of" another.  Texts are
made from the same structure, in four languages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from toy_data.scenes import COLOURS, SHAPES, BoxXyxy, Scale, SceneObject

DIRECTIONS = ("left of", "right of", "above", "below")
EXTREMES = ("leftmost", "rightmost", "largest", "smallest")
CLEARLY_LARGER = 1.25
CLEARLY_APART_PX = 12.0
LOOKS_ALIKE = {"circle": "ring", "ring": "circle"}
"""A ring may pass for a circle, so neither word is used while the other shape is there."""


@dataclass(frozen=True, slots=True)
class Words:
    """Attributes that an object must have; None says nothing about it."""

    shape: str
    colour: str | None = None
    scale: Scale | None = None

    def fits(self, item: SceneObject) -> bool:
        """Say whether an object has all the attributes."""
        return item.shape == self.shape and self.colour in (None, item.colour) and self.scale in (None, item.scale)


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression says.

    Args:
        words: the attributes of what is meant.
        direction, anchor: "left of" the one object that the anchor's words fit.
        extreme: the leftmost, largest, … of those that the words fit.
        every: all that the words fit, two or more; otherwise at most one is meant.
        language: en, de, ru or ja.
    """

    words: Words
    direction: str | None = None
    anchor: Words | None = None
    extreme: str | None = None
    every: bool = False
    language: str = "en"

    @property
    def kind(self) -> str:
        """The group that the toy data balances."""
        if self.language != "en":
            return "foreign"
        if self.every:
            return "every"
        return "relation" if self.direction else "extreme" if self.extreme else "attribute"


def solve(expression: Expression, objects: Sequence[SceneObject]) -> tuple[int, ...] | None:
    """Return the indices of the objects that are meant, in drawing order; None where the meaning is not certain."""
    words = expression.words
    if any(item.shape == LOOKS_ALIKE.get(words.shape) for item in objects):
        return None
    found = [index for index, item in enumerate(objects) if words.fits(item)]
    if expression.anchor is not None:
        found_or_unsure = _beside(expression, objects, found)
        if found_or_unsure is None:
            return None
        found = found_or_unsure
    if expression.extreme is not None:
        if len(found) < 2:
            return None
        found_or_unsure = _extreme(expression.extreme, objects, found)
        if found_or_unsure is None:
            return None
        found = found_or_unsure
    fits_number = len(found) >= 2 if expression.every else len(found) <= 1
    return tuple(found) if fits_number else None


def _beside(expression: Expression, objects: Sequence[SceneObject], found: list[int]) -> list[int] | None:
    """Return those of `found` that are beside the anchor; None if the anchor or a side is not certain."""
    assert expression.anchor is not None
    assert expression.direction is not None
    anchors = [index for index, item in enumerate(objects) if expression.anchor.fits(item)]
    if len(anchors) != 1 or any(item.shape == LOOKS_ALIKE.get(expression.anchor.shape) for item in objects):
        return None
    beside = []
    for index in found:
        if index == anchors[0]:
            return None
        verdict = is_beside(objects[index].box_xyxy, objects[anchors[0]].box_xyxy, expression.direction)
        if verdict is None:
            return None
        if verdict:
            beside.append(index)
    return beside


def is_beside(box: BoxXyxy, anchor: BoxXyxy, direction: str) -> bool | None:
    """Say whether a box is left of (…) an anchor; None where the boxes overlap on that axis."""
    axis = 0 if direction in ("left of", "right of") else 1
    before = box[axis + 2] < anchor[axis]
    after = box[axis] > anchor[axis + 2]
    if not before and not after:
        return None
    return before if direction in ("left of", "above") else after


def _extreme(extreme: str, objects: Sequence[SceneObject], found: list[int]) -> list[int] | None:
    """Return the one that stands out clearly; None if none does."""
    boxes = {index: objects[index].box_xyxy for index in found}
    if extreme in ("largest", "smallest"):
        sides = sorted((max(b[2] - b[0], b[3] - b[1]), index) for index, b in boxes.items())
        first, second = (sides[-1], sides[-2]) if extreme == "largest" else (sides[0], sides[1])
        larger, smaller = max(first[0], second[0]), min(first[0], second[0])
        return [first[1]] if larger >= CLEARLY_LARGER * smaller else None
    centres = sorted(((b[0] + b[2]) / 2, index) for index, b in boxes.items())
    first, second = (centres[0], centres[1]) if extreme == "leftmost" else (centres[-1], centres[-2])
    return [first[1]] if abs(first[0] - second[0]) >= CLEARLY_APART_PX else None


def iter_expressions(objects: Sequence[SceneObject], *, colours: bool, places: bool) -> Iterator[Expression]:
    """Yield expressions worth asking about a scene, in a fixed order; their meaning is for `solve` to find.

    Args:
        objects: what is drawn.
        colours: colours can be seen (the image is not grayscale).
        places: left and right mean the same to everybody (no EXIF orientation).
    """
    shapes = [shape for shape in SHAPES if any(item.shape == shape for item in objects)]
    any_colour: list[str | None] = [None, *COLOURS] if colours else [None]
    scales: list[Scale | None] = [None, "small", "large"]
    for shape, colour, scale in product(shapes, any_colour, scales):
        words = Words(shape, colour, scale)
        yield Expression(words)
        yield Expression(words, every=True)
        if places and len([item for item in objects if words.fits(item)]) > 1:
            for extreme in EXTREMES:
                yield Expression(words, extreme=extreme)
            for direction, anchor in product(DIRECTIONS, _anchors(objects, colours=colours)):
                yield Expression(words, direction=direction, anchor=anchor)
        for language in ("de", "ru", "ja"):
            if colour is not None and scale is None:
                yield Expression(words, language=language)


def _anchors(objects: Sequence[SceneObject], *, colours: bool) -> list[Words]:
    plain = {Words(item.shape): None for item in objects}
    coloured = {Words(item.shape, item.colour): None for item in objects} if colours else {}
    return [*plain, *coloured]


def text_of(expression: Expression) -> str:
    """Return the expression in its language."""
    words = expression.words
    if expression.language != "en":
        assert words.colour is not None
        return _FOREIGN[expression.language](words.shape, words.colour)
    head = _english(words)
    if expression.every:
        return f"every {head}"
    if expression.extreme is not None:
        return f"the {expression.extreme} {head}"
    if expression.anchor is not None:
        return f"the {head} {expression.direction} the {_english(expression.anchor)}"
    return f"the {head}"


def _english(words: Words) -> str:
    return " ".join(word for word in (words.scale, words.colour, words.shape) if word)


_GERMAN_COLOURS = dict(
    zip(
        COLOURS, ("rote", "orangefarbene", "gelbe", "grüne", "türkise", "blaue", "violette", "rosafarbene"), strict=True
    )
)
_GERMAN_SHAPES = dict(
    zip(
        SHAPES,
        ("der {} Kreis", "das {} Quadrat", "das {} Dreieck", "der {} Stern", "der {} Ring", "das {} Kreuz"),
        strict=True,
    )
)
_RUSSIAN_COLOURS = dict(
    zip(COLOURS, ("красн", "оранжев", "жёлт", "зелён", "голуб", "син", "фиолетов", "розов"), strict=True)
)
_RUSSIAN_SHAPES = dict(
    zip(
        SHAPES,
        (("круг", "m"), ("квадрат", "m"), ("треугольник", "m"), ("звезда", "f"), ("кольцо", "n"), ("крест", "m")),
        strict=True,
    )
)
_RUSSIAN_ENDINGS = {"m": "ый", "f": "ая", "n": "ое"}
_RUSSIAN_IRREGULAR = {("син", "m"): "синий", ("син", "f"): "синяя", ("син", "n"): "синее", ("голуб", "m"): "голубой"}
_JAPANESE_COLOURS = dict(
    zip(COLOURS, ("赤い", "オレンジ色の", "黄色い", "緑の", "水色の", "青い", "紫の", "ピンクの"), strict=True)
)
_JAPANESE_SHAPES = dict(zip(SHAPES, ("円", "正方形", "三角形", "星", "輪", "十字"), strict=True))


def _german(shape: str, colour: str) -> str:
    return _GERMAN_SHAPES[shape].format(_GERMAN_COLOURS[colour])


def _russian(shape: str, colour: str) -> str:
    noun, gender = _RUSSIAN_SHAPES[shape]
    stem = _RUSSIAN_COLOURS[colour]
    return f"{_RUSSIAN_IRREGULAR.get((stem, gender), stem + _RUSSIAN_ENDINGS[gender])} {noun}"


def _japanese(shape: str, colour: str) -> str:
    return _JAPANESE_COLOURS[colour] + _JAPANESE_SHAPES[shape]


_FOREIGN = {"de": _german, "ru": _russian, "ja": _japanese}
