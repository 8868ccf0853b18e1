"""Draw the coloured shapes that every toy image is made of, with the exact box of each.

The toy data and the toy detector must see the same kind of picture, so both draw it here.  A scene depends only on
its canvas and its seed.  Objects never touch, a "small" object is always clearly smaller than a "large" one, and
each stands out from the background behind it: a sentence about a scene has one meaning.

Nothing here writes files or knows about captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Scale = Literal["small", "large"]
BoxXyxy = tuple[float, float, float, float]
Rgb = tuple[int, int, int]

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS: dict[str, Rgb] = {
    "red": (220, 35, 35),
    "orange": (245, 140, 25),
    "yellow": (240, 220, 40),
    "green": (40, 165, 60),
    "cyan": (45, 205, 220),
    "blue": (40, 75, 215),
    "purple": (135, 45, 170),
    "pink": (250, 135, 185),
}

# The canvases of the toy data: six aspect ratios, none square, none a multiple of 28 (the patch of many
# vision-language models) on both sides, so that mixed-up axes and forgotten resizes show.
SIZES_WH = ((160, 120), (208, 144), (144, 208), (240, 160), (132, 172), (196, 152))

# The longer side of an object's box, as a fraction of the shorter side of the canvas.
SCALE_EXTENT: dict[Scale, tuple[float, float]] = {"small": (0.15, 0.19), "large": (0.30, 0.38)}

_GAP_PX = 3.0  # between the boxes of two objects
_BORDER_PX = 1.0  # between a box and the border of the canvas
_MIN_CONTRAST = 120.0  # sum of the three channel differences between an object and the pixels behind it
_PLACEMENT_TRIES = 40
_SUPERSAMPLING = 4


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One shape as drawn; `box_xyxy` encloses its pixels tightly, in pixels of the image, inside the image."""

    shape: str
    colour: str
    scale: Scale
    box_xyxy: BoxXyxy


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn canvas: `image` is (h, w, 3) uint8 RGB, `objects` are in drawing order."""

    size_wh: tuple[int, int]
    image: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]


def draw_scene(
    size_wh: tuple[int, int],
    seed_or_rng: int | np.random.Generator,
    *,
    min_objects: int = 1,
    max_objects: int = 6,
) -> Scene:
    """Draw between `min_objects` and `max_objects` shapes on a random background.

    The background is drawn first: the same seed with `min_objects=max_objects=0` gives the same picture without its
    objects.  Fewer than `max_objects` may fit; too little room for `min_objects` raises ValueError.
    """
    rng = np.random.default_rng(seed_or_rng)
    background = _draw_background(size_wh, rng)
    noise = rng.normal(0.0, rng.uniform(0.0, 8.0), background.shape)
    wanted = int(rng.integers(min_objects, max_objects + 1))
    canvas = background.copy()
    objects: list[SceneObject] = []
    for _ in range(wanted):
        drawn = _place_object(canvas, background, objects, rng)
        if drawn is not None:
            objects.append(drawn)
    if len(objects) < min_objects:
        raise ValueError(f"only {len(objects)} of {min_objects} objects fit on a {size_wh[0]}x{size_wh[1]} canvas")
    return Scene(size_wh, np.clip(canvas + noise, 0, 255).astype(np.uint8), tuple(objects))


def _place_object(
    canvas: NDArray[np.float64], background: NDArray[np.float64], others: list[SceneObject], rng: np.random.Generator
) -> SceneObject | None:
    """Draw one more object onto `canvas`, or return None when no free place was found."""
    height, width = canvas.shape[:2]
    for attempt in range(_PLACEMENT_TRIES):
        shape = str(rng.choice(SHAPES))
        # A crowded canvas has room for small objects only.
        scale: Scale = "large" if attempt < _PLACEMENT_TRIES // 2 and rng.random() < 0.5 else "small"
        extent_px = rng.uniform(*SCALE_EXTENT[scale]) * min(width, height)
        outline, hole = _outline(shape, extent_px, rng)
        box_xyxy = _random_box(outline.max(axis=0), (width, height), rng)
        colour = str(rng.choice(list(COLOURS)))
        paint = np.clip(np.array(COLOURS[colour]) * rng.uniform(0.88, 1.08) + rng.normal(0.0, 5.0, 3), 0, 255)
        if all(_apart(box_xyxy, other.box_xyxy) for other in others) and _contrasts(paint, background, box_xyxy):
            _paint(canvas, outline, hole, paint, box_xyxy[:2])
            return SceneObject(shape, colour, scale, box_xyxy)
    return None


def _random_box(extent_wh: NDArray[np.float64], size_wh: tuple[int, int], rng: np.random.Generator) -> BoxXyxy:
    """Put a box of this extent somewhere on the canvas, at hundredths of a pixel."""
    left, top = (rng.uniform(_BORDER_PX, side - _BORDER_PX - e) for side, e in zip(size_wh, extent_wh, strict=True))
    left, top = round(left, 2), round(top, 2)
    return (left, top, round(left + float(extent_wh[0]), 2), round(top + float(extent_wh[1]), 2))


def _apart(box_xyxy: BoxXyxy, other_xyxy: BoxXyxy) -> bool:
    """Tell whether two boxes have a gap between them on at least one axis."""
    return any(
        box_xyxy[axis + 2] + _GAP_PX < other_xyxy[axis] or other_xyxy[axis + 2] + _GAP_PX < box_xyxy[axis]
        for axis in (0, 1)
    )


def _contrasts(paint: NDArray[np.float64], background: NDArray[np.float64], box_xyxy: BoxXyxy) -> bool:
    """Tell whether this paint is visible on the part of the background under the box."""
    left, top, right, bottom = (round(edge) for edge in box_xyxy)
    behind = background[top:bottom, left:right].mean(axis=(0, 1))
    return bool(np.abs(paint - behind).sum() >= _MIN_CONTRAST)


def _outline(
    shape: str, extent_px: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the corners (n, 2) of a randomly turned shape, and those of its hole.

    The corners start at (0, 0) on both axes, and the longer side of their box is `extent_px`.
    """
    corners = _corners(shape, rng)
    angle = 0.0 if rng.random() < 0.4 else rng.uniform(0.0, 2.0 * np.pi)
    corners = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = extent_px / (high - low).max()
    hole = corners * rng.uniform(0.50, 0.65) if shape == "ring" else None
    return (corners - low) * scale, None if hole is None else (hole - low) * scale


def _corners(shape: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the corners (n, 2) of an upright shape around the origin, in units of about its radius."""
    if shape in ("circle", "ring"):
        return _on_circle(48)
    if shape == "square":
        return np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    if shape == "triangle":
        return _on_circle(3) * [rng.uniform(0.9, 1.1), 1.0]
    if shape == "star":
        radius = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.36, 0.44))
        return _on_circle(10) * radius[:, None]
    if shape == "cross":
        arm = rng.uniform(0.26, 0.36)
        quarter = np.array([[-arm, -1.0], [arm, -1.0], [arm, -arm]])
        turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    raise ValueError(f"unknown shape {shape!r}; expected one of {', '.join(SHAPES)}")


def _on_circle(count: int) -> NDArray[np.float64]:
    """Return `count` points (count, 2) spread over the unit circle, the first one straight up."""
    angles = np.arange(count) * (2.0 * np.pi / count) - np.pi / 2.0
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _paint(
    canvas: NDArray[np.float64],
    outline: NDArray[np.float64],
    hole: NDArray[np.float64] | None,
    paint: NDArray[np.float64],
    origin_xy: tuple[float, float],
) -> None:
    """Blend a filled shape into the canvas with its corner of origin at `origin_xy`."""
    left, top = int(origin_xy[0]), int(origin_xy[1])
    width, height = (outline.max(axis=0) + np.mod(origin_xy, 1.0)).astype(int) + 1
    mask = Image.new("L", (int(width) * _SUPERSAMPLING, int(height) * _SUPERSAMPLING))
    draw = ImageDraw.Draw(mask)
    for corners, value in ((outline, 255), (hole, 0)):
        if corners is not None:
            # Pillow names a pixel by its centre, half a pixel from the corner that our coordinates name it by.
            points = (corners + np.mod(origin_xy, 1.0)) * _SUPERSAMPLING - 0.5
            draw.polygon([(float(x), float(y)) for x, y in points], fill=value)
    alpha = np.asarray(mask.reduce(_SUPERSAMPLING), dtype=np.float64)[..., None] / 255.0
    region = canvas[top : top + height, left : left + width]
    region += (paint - region) * alpha[: region.shape[0], : region.shape[1]]


def _draw_background(size_wh: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an (h, w, 3) picture, 0 to 255: flat, a gradient, soft blotches or stripes of a muted colour."""
    width, height = size_wh
    base = rng.uniform(0.0, 255.0, 3)
    base = base.mean() + (base - base.mean()) * rng.uniform(0.0, 0.6)
    y, x = np.mgrid[0:height, 0:width] / max(size_wh)
    pattern = np.zeros((height, width))
    kind = int(rng.integers(4))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if kind == 1:
        pattern = along * rng.uniform(20.0, 70.0)
    elif kind == 2:
        pattern = _blotches(size_wh, rng) * rng.uniform(6.0, 18.0)
    elif kind == 3:
        pattern = np.sin(along * rng.uniform(25.0, 90.0)) * rng.uniform(4.0, 14.0)
    tint = rng.uniform(0.6, 1.0, 3)
    return np.asarray(np.clip(base + pattern[..., None] * tint, 0.0, 255.0))


def _blotches(size_wh: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return smooth noise (h, w) of about unit variance, with blotches a sixteenth of the canvas wide or larger."""
    coarse = rng.normal(0.0, 1.0, (int(rng.integers(4, 17)), int(rng.integers(4, 17)))).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size_wh, Image.Resampling.BICUBIC), dtype=np.float64)
