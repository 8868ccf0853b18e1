"""Where labels go: near what they name, inside the picture, never over one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rect(NamedTuple):
    """A rectangle in picture pixels: left and top inside, right and bottom outside."""

    x0: int
    y0: int
    x1: int
    y1: int


class Placer:
    """Finds a free place for one label after another; equal calls give equal places.

    Args:
        area: where labels may lie.
    """

    def __init__(self, area: Rect) -> None:
        self.area = area
        self._taken: NDArray[np.int64] = np.empty((0, 4), np.int64)  # x0, y0, x1, y1 a row

    def reserve(self, rect: Rect) -> None:
        """Keep labels away from a rectangle."""
        self._taken = np.vstack([self._taken, np.array([rect], np.int64)])

    def place(self, label_wh: tuple[int, int], target: Rect) -> Rect | None:
        """Return the nearest free place for a label of `target`, and reserve it; None if there is no room left."""
        w, h = label_wh
        area = self.area
        if w > area.x1 - area.x0 or h > area.y1 - area.y0:
            return None
        near = np.array(list(_beside(w, h, target)), np.int64)
        found = self._first_free(near, w, h)
        if found is None:
            found = self._first_free(self._everywhere(w, h, target), w, h)
        if found is not None:
            self.reserve(found)
        return found

    def _first_free(self, corners: NDArray[np.int64], w: int, h: int) -> Rect | None:
        """Return the first of these top left corners, (M, 2), moved into the area, where a label covers nothing taken."""
        area = self.area
        x = np.clip(corners[:, 0], area.x0, area.x1 - w)[:, None]
        y = np.clip(corners[:, 1], area.y0, area.y1 - h)[:, None]
        taken = self._taken
        # (M places, N taken rectangles)
        hits = (x < taken[:, 2]) & (x + w > taken[:, 0]) & (y < taken[:, 3]) & (y + h > taken[:, 1])
        free = np.flatnonzero(~hits.any(axis=1))
        if not len(free):
            return None
        left, top = int(x[free[0], 0]), int(y[free[0], 0])
        return Rect(left, top, left + w, top + h)

    def _everywhere(self, w: int, h: int, target: Rect) -> NDArray[np.int64]:
        """Return a grid of places over the whole area, the nearest to the target's corner first."""
        area = self.area
        xs = np.arange(area.x0, max(area.x0 + 1, area.x1 - w + 1), max(1, w // 3))
        ys = np.arange(area.y0, max(area.y0 + 1, area.y1 - h + 1), max(1, h // 2))
        grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        distances = np.abs(grid - (target.x0, target.y0 - h)).sum(axis=1)
        return np.asarray(grid[np.argsort(distances, kind="stable")], np.int64)


def _beside(w: int, h: int, target: Rect) -> Iterator[tuple[int, int]]:
    """Yield top left corners around a target; inside it only where most of it stays visible."""
    x0, y0, x1, y1 = target
    roomy = x1 - x0 > 2 * w and y1 - y0 > 2 * h
    yield x0, y0 - h
    if roomy:
        yield x0, y0
    yield x0, y1
    yield x1 - w, y0 - h
    if roomy:
        yield x1 - w, y0
        yield x0, y1 - h
        yield x1 - w, y1 - h
    yield x1 - w, y1
    yield x1, y0
    yield x0 - w, y0
    yield x1, y1 - h
    yield x0 - w, y1 - h


def is_far(label: Rect, target: Rect) -> bool:
    """Say whether a label does not touch its target, so that a line must join them."""
    return label.x0 > target.x1 + 2 or label.x1 < target.x0 - 2 or label.y0 > target.y1 + 2 or label.y1 < target.y0 - 2
