"""`groundprep convert`: any layout to any other, in a trainer's frame if asked, with a loss report."""

from __future__ import annotations

from dataclasses import replace

from groundprep.api.conversion import BYTE_PACKAGES, Job
from groundprep.api.convert_config import ConvertConfig, ConvertResult
from groundprep.api.destination import convert_to_destination
from groundprep.api.first_frames import require_frames_of_first_rows
from groundprep.api.mixture_target import MixtureTarget, mixture_target
from groundprep.api.negatives import require_negatives
from groundprep.api.sources import Sources, accept_declared_sizes, open_sources
from groundprep.api.target import resolve_profile, resolve_target
from groundprep.api.write_mixture import convert_into_files, convert_into_yaml
from groundprep.containers import STDIN
from groundprep.errors import UsageError
from groundprep.image_loader import ImageLoader
from groundprep.profile import Profile, RowFrame

__all__ = ["BYTE_PACKAGES", "ConvertConfig", "ConvertResult", "convert"]


def convert(config: ConvertConfig) -> ConvertResult:
    """Convert; raises UsageError, FormatError, RecordError, PayloadError. Nothing half-written stays behind."""
    mixture = mixture_target(config)
    if mixture is not None:
        return _convert_mixture(mixture)
    profile = resolve_profile(config)
    loader = ImageLoader(verify=config.verify)
    sources = _open(config, profile, loader)
    target = resolve_target(config, sources, profile)
    require_negatives(config.negatives, dialect=target.dialect, profile=target.profile)
    if config.negatives and STDIN in config.sources.paths:
        raise UsageError(
            "the phrases are read first, and standard input can be read once",
            code="stdin-twice",
            found=f"--negatives {config.negatives}",
            fix="write standard input to a file first",
        )
    require_frames_of_first_rows(config, sources, target)
    return convert_to_destination(Job(config, sources, target, loader))


def _open(config: ConvertConfig, profile: Profile | None, loader: ImageLoader) -> Sources:
    assumed = None if profile is None else RowFrame.of_profile(profile)
    sources = open_sources(replace(config.sources, assumed_frame=assumed), loader)
    accept_declared_sizes(loader, sources)
    return sources


def _convert_mixture(mixture: MixtureTarget) -> ConvertResult:
    config = mixture.config
    profile = resolve_profile(config)
    loader = ImageLoader(verify=config.verify)
    sources = _open(config, profile, loader)
    job = Job(config, sources, resolve_target(config, sources, profile), loader)
    require_frames_of_first_rows(config, sources, job.target)
    return convert_into_files(mixture, job) if mixture.files else convert_into_yaml(mixture, job)
