"""The pixel limits that trainers inherit from Qwen2.5-VL's own files; a trainer's own limits stand in its module."""

from __future__ import annotations

QWEN25_MODEL_LIMITS = (3_136, 12_845_056)
"""min_pixels, max_pixels of Qwen2.5-VL's preprocessor_config.json. Source: specs/targets.md §3.0."""
