"""Prepare visual-grounding data for vision-language models, prove that it can be learned from, start the trainer.

Every command of the command line is a function here with a typed configuration and a typed result. Names are loaded on
first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundprep.api.add_candidates import AddCandidatesConfig, add_candidates
    from groundprep.api.convert import ConvertConfig, convert
    from groundprep.api.read_write import read, write
    from groundprep.api.sample import SampleConfig, sample
    from groundprep.api.sources import SourceConfig
    from groundprep.api.split import SplitConfig, split
    from groundprep.api.train import TrainConfig, train
    from groundprep.api.tsv_dataset import TsvDataset, TsvItem
    from groundprep.api.validate import ValidateConfig, validate
    from groundprep.api.vis import VisConfig, vis
    from groundprep.record import Header, Record

__version__ = "0.1.0"

__all__ = [
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
    "__version__",
    "add_candidates",
    "convert",
    "read",
    "sample",
    "split",
    "train",
    "validate",
    "vis",
    "write",
]

_MODULES = {
    "AddCandidatesConfig": "groundprep.api.add_candidates",
    "ConvertConfig": "groundprep.api.convert",
    "Header": "groundprep.record",
    "Record": "groundprep.record",
    "SampleConfig": "groundprep.api.sample",
    "SourceConfig": "groundprep.api.sources",
    "SplitConfig": "groundprep.api.split",
    "TrainConfig": "groundprep.api.train",
    "TsvDataset": "groundprep.api.tsv_dataset",
    "TsvItem": "groundprep.api.tsv_dataset",
    "ValidateConfig": "groundprep.api.validate",
    "VisConfig": "groundprep.api.vis",
    "add_candidates": "groundprep.api.add_candidates",
    "convert": "groundprep.api.convert",
    "read": "groundprep.api.read_write",
    "sample": "groundprep.api.sample",
    "split": "groundprep.api.split",
    "train": "groundprep.api.train",
    "validate": "groundprep.api.validate",
    "vis": "groundprep.api.vis",
    "write": "groundprep.api.read_write",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'groundprep' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
