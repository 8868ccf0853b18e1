"""Records as people have them, for tests that write them in any layout: one strategy, shared.

Images are those of `make_images`; boxes are not square, touch no border (most of them) and have fractions; words are of several
scripts, some with quotes, brackets and blanks; further keys are sometimes named like the keys of another layout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from groundprep.dialects import DIALECTS
from groundprep.dialects.citations import THINK
from groundprep.images import FileImage, ImageRef
from groundprep.record import Box, Candidate, Header, Mask, Point, Polygon, Record, Region, Turn
from groundprep.source import Source

SIZES_WH = {"bilder/straße 0.png": (61, 37), "bilder/straße 1.png": (640, 426), "bilder/straße 2.png": (90, 333)}
LABELS = ("0", "2", "3")
WORDS = (
    "le chien à gauche",
    "狗",
    "Straßenbahn",
    'der "große" Hund.',
    "l'homme [à droite]",
    "a, b / c_d",
    "two\nlines",
    "the dog in this image.",
    "None",
    "Person 2",
    " blank ",
)
FOREIGN_KEYS = sorted(
    {name for dialect in DIALECTS.values() for name in dialect.row_type.__struct_fields__} - {"id"} | {"split", "é"}
)
"""Keys that are further keys in one layout and mean something in another."""

HEADER = Header(
    categories={7: "狗", 3: "Straßenbahn"},
    category_entries={
        7: {"id": 7, "name": "狗", "supercategory": "animal"},
        3: {"id": 3, "name": "Straßenbahn", "frequency": "r", "synonyms": ["Tram"]},
    },
    info={"description": "drei Bilder", "year": 2026},
    licences=({"id": 3, "name": "CC BY"},),
)

json_values = st.sampled_from([1, 2.5, "été", None, True, [1, "狗"], {"k": [0.5]}, [[1, 2]], {}])


def words(*, labels: bool) -> st.SearchStrategy[str]:
    """Phrases; `labels`: those of EasyDistill's multi-box rows."""
    return st.sampled_from(LABELS if labels else WORDS)


@st.composite
def boxes(draw: st.DrawFn, size_wh: tuple[int, int], *, flat: bool = True) -> Box:
    """A box; now and then flat, at the border, or a little outside."""
    corners: list[float] = []
    for side in size_wh:
        low = draw(st.integers(-1, side - 3))
        length = draw(st.sampled_from([*([0, 1] if flat else []), 2.25, side / 3, side / 2, side - low]))
        corners.append(low + draw(st.sampled_from([0, 0.5, 0.125])))
        corners.append(corners[-1] + length)
    x0, x1, y0, y1 = corners
    return Box((float(x0), float(y0), float(x1), float(y1)))


@st.composite
def regions(draw: st.DrawFn, size_wh: tuple[int, int], phrase: str | None, *, needs_shape: bool, flat: bool) -> Region:
    """A region with a box, a point, a polygon or a mask, or several of them."""
    w, h = size_wh
    box = draw(boxes(size_wh, flat=flat))
    x0, y0, x1, y1 = (min(max(n, 1.0), side - 2.0) for n, side in zip(box.xyxy, (w, h, w, h), strict=True))
    ring = (x0, y0, x1 + 1, y0, x1 + 1, y1 + 1)
    shapes: dict[str, dict[str, Any]] = {
        "box": {"box": box},
        "point": {"point": Point((x0, y0))},
        "polygon": {"polygon": Polygon((ring,))},
        "box and polygon": {"box": box, "polygon": Polygon((ring, ring[::-1]))},
        "box and point": {"box": box, "point": Point((x0, y0))},
        "mask": {"box": box, "mask": Mask((h, w), (w, h, w * h - w - h))},
    }
    usual = ["polygon", "mask", "box and polygon"] if needs_shape else ["box"]
    kind = draw(st.sampled_from(usual * 3 + list(shapes)))
    extra = draw(st.dictionaries(st.sampled_from(["iscrowd", "é", "caption", "label"]), json_values, max_size=1))
    category = draw(st.sampled_from([None, None, None, "animal", "Straßenbahn"]))
    return Region(phrase, **shapes[kind], category=category, extra=extra)


@st.composite
def candidates(draw: st.DrawFn, size_wh: tuple[int, int], answers: tuple[Region, ...]) -> tuple[Candidate, ...] | None:
    """Proposed boxes, the answers sometimes among them; none; or nobody asked."""
    if draw(st.booleans()):
        return None
    phrase = draw(st.sampled_from(["chien", "狗", None]))
    one = st.builds(
        Candidate,
        boxes(size_wh),
        st.sampled_from([phrase, phrase, "autre"]),
        st.sampled_from([None, 0.5]),
        st.sampled_from([None, "gdino"]),
        extra=st.sampled_from([{}, {}, {"é": 1}]),
    )
    known = [Candidate(region.box, phrase) for region in answers if region.box is not None]
    return (*(known if draw(st.booleans()) else ()), *draw(st.lists(one, max_size=2)))


@st.composite
def records(
    draw: st.DrawFn,
    folder: Path,
    *,
    unit: str,
    labels: bool = False,
    needs_shape: bool = False,
    one_box: bool = False,
) -> Record:
    """A record of an expression, of an image with its phrases, of a question about one, or of a conversation.

    Args:
        folder: where `make_images` wrote.
        unit: what a row of the layout is.
        labels: phrases are labels.
        needs_shape: most regions have a polygon or a mask.
        one_box: an expression has one answer, which is not flat.
    """
    counts = [1] if one_box else [1, 1, 1, 0, 2]
    shape = {"needs_shape": needs_shape, "flat": not one_box}
    name, size_wh = draw(st.sampled_from(sorted(SIZES_WH.items())))
    common: dict[str, Any] = {
        "source": Source("<records>"),
        "id": draw(st.sampled_from([None, 7, "é-1", 8, 9, "x"])),
        "images": (ImageRef(name, FileImage(str(folder / name))),),
        "extra": draw(st.dictionaries(st.sampled_from(FOREIGN_KEYS), json_values, max_size=2)),
    }
    kinds = {"expression": ["expression"] * 6 + ["asked"], "image": ["phrases"] * 4 + ["question"] * 2}
    kind = draw(st.sampled_from(kinds[unit] + ["conversation"]))
    phrase = draw(words(labels=labels))
    if kind == "conversation":
        turns = (Turn("user", draw(st.sampled_from(["Wie viele?", " How many 狗? "]))), Turn("assistant", "drei"))
        return Record(**common, turns=turns)
    if kind == "expression":
        answers = tuple(draw(regions(size_wh, phrase, **shape)) for _ in range(draw(st.sampled_from(counts))))
        category = draw(st.sampled_from([None, "chien", phrase]))
        thinks = draw(st.sampled_from([(), (), (Turn(THINK, "Chien 1 is left."),)]))
        return Record(
            **common,
            referring=phrase,
            category=category,
            answers=answers,
            candidates=draw(candidates(size_wh, answers)),
            turns=thinks,
        )
    if kind == "asked":  # a box without words of its own, such as a button to click on
        return Record(**common, instruction="Click on the Straße.", answers=(draw(regions(size_wh, None, **shape)),))
    found: list[Region] = []
    for word in draw(st.lists(words(labels=labels), min_size=1, max_size=3, unique=True)):
        count = draw(st.sampled_from(counts))
        found += [draw(regions(size_wh, word, **shape)) for _ in range(count)] or [Region(word)]
    if kind == "question":
        return Record(
            **common, instruction=draw(st.sampled_from(["Find them all.", "Où? [1, 2]"])), regions=tuple(found)
        )
    return Record(**common, regions=tuple(found))
