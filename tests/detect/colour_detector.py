"""A small detector for tests: it really looks, for connected patches of one colour. Deterministic and without torch.

Run as a script, it is `add-candidates` with this detector, slow enough to be killed in the middle:
    python colour_detector.py SRC DST IMAGE_ROOT FORWARDS_LOG DELAY_S
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from groundprep.detect.base import Detections
from groundprep.errors import OutOfMemoryError, RecordError
from groundprep.geometry.boxes import as_boxes

COLOURS = {"red": (220, 30, 30), "grün": (30, 170, 60), "blue": (40, 70, 210)}
LONGEST_PROMPT = 40


@dataclass
class ColourDetector:
    """Finds patches of the prompt's colour: for each its box, a pixel's fraction off, and a slightly wider second one."""

    name: str = "colours"
    version: int = 1
    delay_s: float = 0.0
    largest_batch: int = 1000
    log: Path | None = None
    forwards: list[list[tuple[tuple[int, int], str]]] = field(default_factory=list)

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"kind": self.name, "version": self.version}

    def check_prompt(self, prompt: str) -> None:
        if len(prompt) > LONGEST_PROMPT:
            raise RecordError("the category is too long", code="prompt-too-long", found=prompt)

    def detect(self, images: list[Image.Image], prompts: list[str]) -> list[Detections]:
        if len(images) > self.largest_batch:
            raise OutOfMemoryError("too many images", found=f"{len(images)}")
        time.sleep(self.delay_s)
        self.forwards.append([(image.size, prompt) for image, prompt in zip(images, prompts, strict=True)])
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{len(images)}\n")
        return [self._find(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    @staticmethod
    def _find(image: Image.Image, prompt: str) -> Detections:
        assert image.mode == "RGB"
        wanted = COLOURS.get(prompt.removesuffix("."), (-1000, 0, 0))
        near = np.abs(np.asarray(image, dtype=int) - np.array(wanted)).sum(axis=2) < 60
        labels, _ = ndimage.label(near)
        boxes, scores = [], []
        for rows, columns in ndimage.find_objects(labels):
            x0, y0, x1, y1 = columns.start, rows.start, columns.stop, rows.stop
            filled = float(near[rows, columns].mean())
            boxes += [(x0 - 0.31, y0 + 0.17, x1 + 0.23, y1 - 0.09), (x0 - 0.29, y0 + 0.19, x1 + 0.9, y1 + 0.4)]
            scores += [0.9 * filled, 0.6 * filled]
        return Detections(as_boxes(np.float32(boxes) if boxes else []), np.array(scores))


def main() -> None:
    from groundprep.api.add_candidates import AddCandidatesConfig, add_candidates
    from groundprep.api.sources import SourceConfig

    source, dst, image_root, log, delay_s = sys.argv[1:]
    config = AddCandidatesConfig(SourceConfig((source,), None, image_root), dst, batch_size=2)
    add_candidates(config, detector=ColourDetector(delay_s=float(delay_s), log=Path(log)))


if __name__ == "__main__":
    main()
