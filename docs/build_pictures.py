"""`python docs/build_pictures.py`: draw docs/pictures/coordinates.png, one photo as the chains of six trainers see it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from groundprep.profile import Profile
from groundprep.trainers import get_profile

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "toy_data" / "photos" / "coffee.jpg"
OUT = ROOT / "docs" / "pictures" / "coordinates.png"
STORED_WH = (1920, 1080)
BOX_XYXY = (1030.0, 75.0, 1365.0, 955.0)
"""The spoon, pixels of the stored image."""

TRAINERS = ("rexthinker", "rexthinker/converter", "easyr1", "rexomni-sft", "qwen2.5-vl", "qwen3-vl")
COLUMNS, CELL_WH, MARGIN, SCALE = 3, (545, 372), 10, 0.27
INK, BOX_COLOUR, PAPER = "#1b1b1b", "#d1005d", "#ffffff"


def profile_of(name: str) -> Profile:
    """Return a profile, or with /converter the view of the trainer's own converter."""
    profile = get_profile(name.removesuffix("/converter"))
    return profile.as_converter() if name.endswith("/converter") else profile


def canvas() -> Image.Image:
    """Return the photo, cut to 16:9 and enlarged to the stored size."""
    photo = Image.open(PHOTO).convert("RGB")
    w, h = photo.size
    high = w * STORED_WH[1] // STORED_WH[0]
    top = (h - high) // 2
    return photo.crop((0, top, w, top + high)).resize(STORED_WH, Image.Resampling.BICUBIC)


def row_of(name: str) -> tuple[tuple[int, int], list[float], list[float]]:
    """Return the size that the model sees, the box in pixels of it, and the numbers that a row for this trainer holds."""
    profile = profile_of(name)
    seen_w, seen_h = seen_wh = profile.seen_wh(STORED_WH)
    written = profile.frame.box_from_stored(BOX_XYXY, size_wh=STORED_WH, seen_wh=seen_wh)
    scale_x, scale_y = seen_w / STORED_WH[0], seen_h / STORED_WH[1]
    x0, y0, x1, y1 = BOX_XYXY
    return (seen_w, seen_h), [x0 * scale_x, y0 * scale_y, x1 * scale_x, y1 * scale_y], written


def main() -> None:
    """Draw every trainer's view at one scale, so that sizes can be compared by eye."""
    photo = canvas()
    rows = -(-len(TRAINERS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_WH[0] + MARGIN, rows * CELL_WH[1] + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(22)
    for index, name in enumerate(TRAINERS):
        seen_wh, box, written = row_of(name)
        shown_wh = (round(seen_wh[0] * SCALE), round(seen_wh[1] * SCALE))
        left, top = MARGIN + index % COLUMNS * CELL_WH[0], MARGIN + index // COLUMNS * CELL_WH[1]
        draw.text((left, top), f"{name}: {seen_wh[0]} x {seen_wh[1]}", INK, font)
        draw.text((left, top + 28), f"the row says {[round(number) for number in written]}", BOX_COLOUR, font)
        sheet.paste(photo.resize(shown_wh, Image.Resampling.BICUBIC), (left, top + 62))
        corners = [round(number * SCALE) for number in box]
        draw.rectangle(
            [corners[0] + left, corners[1] + top + 62, corners[2] + left, corners[3] + top + 62], None, BOX_COLOUR, 4
        )
        frame = profile_of(name).frame.name
        print(f"| `{name}` | {seen_wh[0]} x {seen_wh[1]} | {frame} | {[round(number) for number in written]} |")
    OUT.parent.mkdir(exist_ok=True)
    sheet.quantize(128).save(OUT, optimize=True)
    print(OUT.relative_to(ROOT))


if __name__ == "__main__":
    main()
