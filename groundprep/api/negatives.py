"""`--negatives`: what sample and convert share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from groundprep.dialects import Dialect
from groundprep.errors import UsageError
from groundprep.finding import Finding, Severity
from groundprep.image_loader import ImageLoader
from groundprep.pipeline import ROW_ERRORS, Pipeline
from groundprep.profile import Profile
from groundprep.record import Record
from groundprep.stages.negatives import AddNegatives, PhraseCorpus


def require_negatives(
    count: int, *, dialect: Dialect, profile: Profile | None = None, is_line_index: bool = False
) -> None:
    """Raise UsageError (`negatives-not-held`) where negatives were asked for and cannot be written."""
    if count < 0:
        raise UsageError("--negatives is a number of phrases", found=count, expected="0 or more")
    if count and is_line_index:
        raise UsageError(
            "a line index points at rows that are there and holds no new ones",
            code="negatives-not-held",
            found=f"--negatives {count}",
            fix="write a complete TSV: groundprep convert SRC DST --negatives",
        )
    if count and profile is not None and not profile.holds_absent:
        raise UsageError(
            f"rows of {profile.full_name} cannot say that something is absent",
            code="negatives-not-held",
            found=f"--negatives {count}",
            fix="drop --negatives, or choose another --for",
        )
    if count and not (dialect.says_absent and dialect.holds & {"regions", "answers"}):
        raise UsageError(
            f"rows of {dialect.name} cannot say of a phrase that it is not in the image",
            code="negatives-not-held",
            found=f"--negatives {count}",
            fix="choose another dialect",
        )


def with_negatives(
    records: Iterable[Record],
    pipeline: Pipeline,
    again: Iterable[Record],
    loader: ImageLoader,
    *,
    count: int,
    seed: int,
) -> Iterator[Record]:
    """Yield records with absent phrases; warns (`negatives-few`) where phrases ran out.

    Args:
        records: those to write.
        pipeline: that they come from.
        again: all records of the data set, read once more, before the first of the others.
        loader: reads the images, which are told apart by their bytes.
        count: of phrases for every image.
        seed: decides which.
    """
    corpus = PhraseCorpus(loader)
    for record in again:
        try:
            corpus.see(record)
        except ROW_ERRORS as error:
            if pipeline.on_error == "fail":
                error.at(record.source)
                raise
    stage = AddNegatives(corpus, count, seed=seed)
    yield from pipeline.through(stage, records)
    if stage.missing:
        finding = Finding(
            code="negatives-few",
            severity=Severity.WARNING,
            record=None,
            source="--negatives",
            message="an image has fewer negatives than were asked for: the data set has no more phrases that are absent from it",
            expected=f"{count} for every image",
            fix="ask for fewer, or add data with other phrases",
        )
        pipeline.result.warnings.add(finding, stage.missing)
