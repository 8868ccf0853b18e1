"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.contracts.samples import make_images, rexomni_row, rexthinker_row, write_jsonl

# The machine that runs the tests may be busy: a slow example is no defect.
# In continuous integration the examples are the same on every run; elsewhere each run tries new ones.
settings.register_profile(
    "groundprep", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("groundprep")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with three images, seven rexthinker rows in expressions.jsonl and four rexomni rows in regions.jsonl."""
    make_images(tmp_path)
    write_jsonl(tmp_path / "expressions.jsonl", map(rexthinker_row, range(7)))
    write_jsonl(tmp_path / "regions.jsonl", map(rexomni_row, range(4)))
    return tmp_path
