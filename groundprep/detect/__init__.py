"""Detectors: who proposes boxes, the ledger that remembers what they said, and the plan of their batches.

Adding a detector is a module that implements `Detector` and a line in `open_detector`.
"""

from __future__ import annotations

from groundprep.detect.base import Detections, Detector, DetectorOptions

__all__ = ["DEFAULT_DETECTOR", "Detections", "Detector", "DetectorOptions", "open_detector"]

DEFAULT_DETECTOR = "IDEA-Research/grounding-dino-tiny"
"""Swin-T Grounding DINO in transformers format: the weights that Rex-Thinker's script uses, converted."""


def open_detector(options: DetectorOptions) -> Detector:
    """Return the detector, its weights not loaded yet; raises DetectError, DeviceError, MissingDependencyError."""
    from groundprep.detect.grounding_dino import GroundingDino

    return GroundingDino(options)
