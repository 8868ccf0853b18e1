"""The public surface of the package: a change here is a change for users."""

from __future__ import annotations

import pytest

import groundprep

PUBLIC = {
    "__version__",
    "AddCandidatesConfig",
    "ConvertConfig",
    "Header",
    "Record",
    "SampleConfig",
    "SourceConfig",
    "SplitConfig",
    "TrainConfig",
    "TsvDataset",
    "TsvItem",
    "ValidateConfig",
    "VisConfig",
    "add_candidates",
    "convert",
    "read",
    "sample",
    "split",
    "train",
    "validate",
    "vis",
    "write",
}


def test_the_public_names_are_these() -> None:
    assert set(groundprep.__all__) == PUBLIC
    assert set(dir(groundprep)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    value = getattr(groundprep, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = groundprep.nothing
