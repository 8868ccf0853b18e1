"""One picture per record: its images with everything that is marked on them, and below a panel that says what was asked.

Small images are enlarged by a whole factor, so that their pixels stay square and countable; huge ones are reduced. The
panel says so, because a picture is not the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundprep.image_loader import ImageLoader
from groundprep.images import decode_rgb
from groundprep.record import Record
from groundprep.view.labels import Rect
from groundprep.view.marks import LegendEntry, absent_phrases, legend_of, marks_of
from groundprep.view.paint import DARK, Painter, Viewport
from groundprep.view.text import one_line, wrap
from groundprep.view.typeface import Typeface

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SMALL_PX = 400
"""Images whose longer side is at most this are enlarged."""
ENLARGED_PX = 800
LARGEST_PX = 1600
"""Images whose longer side is above this are reduced to it."""
MARGIN_PX = 10
"""Around every image: the frames of boxes at its border need room."""
CROWDED = 20
"""From this many marks on, images below LARGEST_PX are enlarged as far as it allows, and label text stays small."""
MIN_CANVAS_WH = (560, 120)
"""Room for labels and for the panel, however narrow the image is."""

SMALLEST_TEXT_PX, LARGEST_TEXT_PX = 14, 22

BACKDROP, PANEL, BORDER = "#D9D9D9", "#FFFFFF", "#A6A6A6"
INK, FAINT, ABSENT = "#1A1A1A", "#5C5C5C", "#A33B00"
MAX_TEXT_LINES = 40
"""Lines of one text in the panel; a longer text is cut, and the panel says so."""
MAX_LEGEND = 30
"""Entries of the legend; the panel says how many more there are."""
NAME_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class _Shown:
    """An image ready to be laid out."""

    image: Image.Image
    stored_wh: tuple[int, int]
    note: str


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the panel; with a legend entry it starts with a sample of the line that it explains."""

    text: str
    px: int
    colour: str
    indent: int = 0
    swatch: LegendEntry | None = None
    gap_above: int = 0


def draw_record(record: Record, loader: ImageLoader, typeface: Typeface) -> Image.Image:
    """Return the picture of a record, RGB; raises PayloadError and RecordError for an image or a mask that is broken."""
    from PIL import Image

    crowded = len(record.regions) + len(record.answers) + len(record.candidates or ()) > CROWDED
    images = [_shown(decode_rgb(loader.read(ref)), crowded=crowded) for ref in record.images]
    width = max([MIN_CANVAS_WH[0], *(shown.image.width + 2 * MARGIN_PX for shown in images)])
    text_px = SMALLEST_TEXT_PX if crowded else max(SMALLEST_TEXT_PX, min(LARGEST_TEXT_PX, round(width / 70)))
    heights = [max(MIN_CANVAS_WH[1], shown.image.height + 2 * MARGIN_PX) for shown in images]
    painted = Image.new("RGB", (width, sum(heights)), BACKDROP)
    top = homeless = 0
    for index, (shown, height) in enumerate(zip(images, heights, strict=True)):
        area = Rect(0, top, width, top + height)
        homeless += _paint_image(painted, shown, record, index, area, text_px, typeface)
        top += height
    lines = _panel_lines(record, images, homeless, width=width, px=text_px, typeface=typeface)
    return _with_panel(painted, lines, text_px, typeface)


def shown_size(stored_wh: tuple[int, int], *, crowded: bool = False) -> tuple[tuple[int, int], str]:
    """Return the size at which an image is shown, and what to say about it."""
    w, h = stored_wh
    longer = max(w, h)
    factor = LARGEST_PX // longer if crowded else ENLARGED_PX // longer if longer <= SMALL_PX else 1
    if factor > 1:
        return (w * factor, h * factor), f"shown enlarged {factor}×"
    if longer <= LARGEST_PX:
        return stored_wh, "shown at its own size"
    share = LARGEST_PX / longer
    shown_wh = (max(1, round(w * share)), max(1, round(h * share)))
    return shown_wh, f"shown reduced to {shown_wh[0]}×{shown_wh[1]} px ({share:.0%})"


def _shown(image: Image.Image, *, crowded: bool) -> _Shown:
    from PIL import Image

    stored_wh = image.size
    shown_wh, note = shown_size(stored_wh, crowded=crowded)
    if shown_wh != stored_wh:
        enlarging = shown_wh[0] > stored_wh[0]
        how = Image.Resampling.NEAREST if enlarging else Image.Resampling.LANCZOS
        image = image.resize(shown_wh, how, reducing_gap=None if enlarging else 3.0)
    return _Shown(image, stored_wh, note)


def _paint_image(
    picture: Image.Image, shown: _Shown, record: Record, index: int, area: Rect, text_px: int, typeface: Typeface
) -> int:
    """Put one image with its marks into its area; returns how many labels found no room."""
    left = (area.x1 - shown.image.width) // 2
    top = area.y0 + (area.y1 - area.y0 - shown.image.height) // 2
    picture.paste(shown.image, (left, top))
    viewport = Viewport((left, top), shown.image.size, shown.stored_wh, area, text_px)
    return Painter(picture, viewport, typeface).paint(marks_of(record, index, shown.stored_wh))


class _Panel:
    """Collects the lines of the panel.

    Args:
        width: of the picture, pixels.
        px: size of its ordinary text.
    """

    def __init__(self, width: int, px: int, typeface: Typeface) -> None:
        self.width = width
        self.px = px
        self.typeface = typeface
        self.lines: list[_Line] = []

    def say(
        self, text: str, *, px: int | None = None, colour: str = INK, gap: int = 0, swatch: LegendEntry | None = None
    ) -> None:
        """Append a text, wrapped."""
        size = px or self.px
        indent = 3 * self.px if swatch else 0
        wrapped = wrap(
            text,
            max_width=self.width - 2 * self.px - indent,
            advance=lambda character: self.typeface.advance(character, size),
            max_lines=MAX_TEXT_LINES,
        )
        for number, line in enumerate(wrapped):
            first = number == 0
            self.lines.append(_Line(line, size, colour, indent, swatch if first else None, gap if first else 0))


def _panel_lines(
    record: Record, images: list[_Shown], homeless: int, *, width: int, px: int, typeface: Typeface
) -> list[_Line]:
    """Return the panel's text: the expression, what is absent, the legend, and where it all comes from."""
    panel = _Panel(width, px, typeface)
    small, gap = max(12, px - 3), px // 3
    if record.referring is not None:
        panel.say(record.referring, px=px + 4)
    if record.instruction is not None:
        panel.say(record.instruction, px=px + 1, gap=gap)
    for turn in record.turns:
        panel.say(f"{turn.role}: {turn.text}", gap=gap)
    absent = absent_phrases(record)
    if absent:
        named = "; ".join(phrase or "(no phrase)" for phrase in absent)
        panel.say(f"not in the image: {named}", colour=ABSENT, gap=gap)
    if record.category is not None:
        panel.say(f"category: {record.category}", gap=gap)
    legend = legend_of(record)
    for entry in legend[:MAX_LEGEND]:
        panel.say(entry.text, gap=gap, swatch=entry)
    if len(legend) > MAX_LEGEND:
        panel.say(f"{len(legend) - MAX_LEGEND} more phrases are not listed here", colour=FAINT, gap=gap)
    if homeless:
        panel.say(f"{homeless} labels are left out: there is no room for them", colour=ABSENT, gap=gap)
    panel.say(_origin(record), px=small, colour=FAINT, gap=px // 2)
    for note in _image_notes(record, images):
        panel.say(note, px=small, colour=FAINT)
    return panel.lines


def _image_notes(record: Record, images: list[_Shown]) -> list[str]:
    """Return the name, the size and the enlargement of every image."""
    notes = []
    for ref, shown in zip(record.images, images, strict=True):
        name = one_line(ref.name, NAME_CHARACTERS) if ref.name is not None else "image in the data itself"
        notes.append(f"{name} · {shown.stored_wh[0]}×{shown.stored_wh[1]} px, {shown.note}")
    return notes or ["the record has no image"]


def _origin(record: Record) -> str:
    identity = "" if record.id is None else f"id {one_line(str(record.id), NAME_CHARACTERS)} · "
    return f"{identity}{one_line(str(record.source), NAME_CHARACTERS)}"


def _with_panel(painted: Image.Image, lines: list[_Line], px: int, typeface: Typeface) -> Image.Image:
    from PIL import Image, ImageDraw

    margin = px
    height = sum(typeface.line_height(line.px) + line.gap_above for line in lines) + 2 * margin
    picture = Image.new("RGB", (painted.width, painted.height + height), PANEL)
    picture.paste(painted, (0, 0))
    draw = ImageDraw.Draw(picture)
    draw.line((0, painted.height, painted.width, painted.height), fill=BORDER, width=1)
    y = painted.height + margin
    for line in lines:
        y += line.gap_above
        if line.swatch is not None:
            _draw_swatch(draw, (margin, y), line.swatch, px)
        typeface.draw(draw, (margin + line.indent, y), line.text, px=line.px, fill=line.colour)
        y += typeface.line_height(line.px)
    draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=BORDER, width=1)
    return picture


def _draw_swatch(draw: ImageDraw.ImageDraw, xy: tuple[int, int], entry: LegendEntry, px: int) -> None:
    """Draw a short piece of the line that an entry explains."""
    x0, x1 = xy[0], xy[0] + round(2.4 * px)
    middle, half = xy[1] + round(px * 0.7), max(2, px // 7)
    draw.rectangle((x0, middle - half - 1, x1, middle + half + 1), fill=DARK)
    step = round(px * 0.6)
    if not entry.dashed:
        draw.rectangle((x0 + 1, middle - half, x1 - 1, middle + half), fill=entry.colour)
        return
    for x in range(x0 + 1, x1, 2 * step):
        draw.rectangle((x, middle - half, min(x + step, x1 - 1), middle + half), fill=entry.colour)
