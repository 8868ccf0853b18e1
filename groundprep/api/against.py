"""`validate --against EVAL`: the evaluation data as an index, and the check that looks every row to train on up in it."""

from __future__ import annotations

from dataclasses import dataclass

from groundprep.api.sources import SourceConfig, open_sources
from groundprep.checks.base import Check
from groundprep.checks.leaks import RULES, EvaluationIndex, Fingerprints, LeakCheck
from groundprep.containers import STDIN
from groundprep.errors import PayloadError, UsageError
from groundprep.images import ImageLoader
from groundprep.pipeline import parse
from groundprep.record import Dropped, Record


@dataclass(frozen=True, slots=True)
class AgainstConfig:
    """What the rows shall not be part of.

    Args:
        paths: the evaluation data; none: nothing is compared.
        image_root: where their image names start; None: each source's own directory.
    """

    paths: tuple[str, ...] = ()
    image_root: str | None = None


def leak_check(config: AgainstConfig, verify: str) -> Check | None:
    """Return the check, or None if there is nothing to compare with; raises UsageError, FormatError, PayloadError.

    Rows of the evaluation data that cannot be read are left out: `validate` tells of them where that data is checked. An image
    that cannot be read ends the run: a comparison that did not take place must not look like a clean one.

    Args:
        config: the evaluation data.
        verify: `decode` compares how images look, their bytes and their names; `header` bytes and names; `none` names only.
    """
    if not config.paths:
        return None
    if STDIN in config.paths:
        raise UsageError("the evaluation data is a file", found="--against -", expected="--against EVAL")
    loader = ImageLoader()
    fingerprints = None if verify == "none" else Fingerprints(loader, pixels=verify == "decode")
    index = EvaluationIndex(fingerprints)
    sources = open_sources(
        SourceConfig(config.paths, image_root=config.image_root, frame_may_stay_unknown=True), loader
    )
    for reader, dialect, context in zip(sources.readers, sources.dialects, sources.contexts, strict=True):
        for row in reader:
            record = parse(row, dialect, context)
            if isinstance(record, Dropped):
                continue
            if fingerprints is not None:
                _require_images(record, loader)
            index.add(record)
    index.finish()
    return Check("leaks of this run", RULES, LeakCheck(index))


def _require_images(record: Record, loader: ImageLoader) -> None:
    """Raise PayloadError for an image that cannot be read, with what to do about it."""
    for ref in record.images:
        try:
            loader.size_wh(ref)
        except PayloadError as error:
            error.at(record.source)
            if error.code == "image-missing":
                error.fix = "pass --against-image-root DIR, or --verify none to compare names only"
            raise
