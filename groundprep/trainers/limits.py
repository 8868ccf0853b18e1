"""Limits that several trainers inherit from the model's own files."""

from __future__ import annotations

QWEN25_MODEL_LIMITS = (3_136, 12_845_056)
"""min_pixels, max_pixels of Qwen2.5-VL's preprocessor_config.json. Source: specs/targets.md §3.0."""
