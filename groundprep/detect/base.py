"""What a detector is: images and prompts in, scored boxes out, in the order in which it found them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundprep.errors import RecordError, UsageError

if TYPE_CHECKING:
    from PIL import Image

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
DType: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

BOX_THRESHOLD = 0.25
TEXT_THRESHOLD = 0.25
"""Source: Rex-Thinker add_candidates_by_grounding_dino.py @5038b47 (specs/rexthinker.md §1.1)."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """How to open a detector.

    Args:
        name: a hub id, or a directory in transformers format.
        box_threshold: a box is kept if its score is strictly above it, in [0, 1).
        text_threshold: which words of the prompt a box is said to be; it decides no box and no score.
        device: where it runs; `auto` means CUDA if there is any.
        dtype: of its weights; `auto` means float32.
    """

    name: str
    box_threshold: float = BOX_THRESHOLD
    text_threshold: float = TEXT_THRESHOLD
    device: Device = "auto"
    dtype: DType = "auto"

    def __post_init__(self) -> None:
        for name, value in (("--box-threshold", self.box_threshold), ("--text-threshold", self.text_threshold)):
            if not 0.0 <= value < 1.0:
                raise UsageError(f"{name} is out of range", found=value, expected="a number of at least 0, below 1")


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found in one image.

    Args:
        boxes_N4: (N, 4) float64, xyxy, pixels of the stored image, as the detector gave them: not clipped, not rounded.
        scores_N: (N,) float64 in (0, 1).
    """

    boxes_N4: NDArray[np.float64]
    scores_N: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores_N)


class Detector(Protocol):
    """Finds what a prompt names.

    Attributes:
        name: what a candidate says about who proposed it.
        fingerprint: all that decides its answers, as JSON values: what it is (revision or digest of config and weights),
            thresholds, precision. Finished work is reused only under an equal fingerprint.
    """

    @property
    def name(self) -> str:
        """The detector's name."""
        ...

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides its answers."""
        ...

    def check_prompt(self, prompt: str) -> None:
        """Raise RecordError (`prompt-too-long`) if the detector would read only a part of the prompt."""
        ...

    def detect(self, images: list[Image.Image], prompts: list[str]) -> list[Detections]:
        """Return what was found in each image for the prompt at the same place, in the detector's own order.

        Args:
            images: RGB.
            prompts: as `prompt_of` writes them.
        Raises DetectError (`nan-scores`, `detect-failed`) and OutOfMemoryError, after which a smaller batch may succeed.
        """
        ...


def prompt_of(category: str | None) -> str:
    """Return the prompt of a category: stripped, lower-cased, with a final full stop; raises RecordError (`no-category`).

    A full stop inside the category stays: the detector then reads several phrases, and finds all of them.
    Source: Rex-Thinker @5038b47 via GroundingDINO @856dde2 (specs/rexthinker.md §1.3).
    """
    text = "" if category is None else category.lower().strip()
    if not text.strip(". "):
        raise RecordError(
            "the row has no category, which is what the detector looks for",
            code="no-category",
            found=category,
            expected='a word such as "person"',
            fix='give the row a "category"',
        )
    return text if text.endswith(".") else text + "."
