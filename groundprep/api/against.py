"""Contamination: the evaluation data (`validate --against EVAL`) and the splits of one data set as indexes, and their checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from groundprep.api.examine import Verify
from groundprep.api.sources import SourceConfig, open_sources
from groundprep.api.splits import split_of_file, splits_of
from groundprep.api.unsized import without_sizes
from groundprep.checks.base import Check
from groundprep.checks.leaks import (
    EVALUATION_UNREAD,
    RULES,
    EvaluationIndex,
    Fingerprints,
    LeakCheck,
    SplitLeakCheck,
    split_of_record,
)
from groundprep.checks.perceptual import can_hash
from groundprep.checks.suite import Wanted
from groundprep.containers import STDIN, Reader, Row
from groundprep.dialects import Dialect, ReadContext
from groundprep.errors import FormatError, GroundprepError, LineIndexError, PayloadError, UsageError, shown
from groundprep.finding import Finding
from groundprep.image_loader import ImageLoader
from groundprep.images import ImageRef, decode
from groundprep.pipeline import parse
from groundprep.record import Dropped, Record
from groundprep.source import Source


@dataclass(frozen=True, slots=True)
class AgainstConfig:
    """What the rows shall not be part of.

    Args:
        paths: the evaluation data; none: nothing is compared.
        image_root: where their image names start; None: each source's own directory.
    """

    paths: tuple[str, ...] = ()
    image_root: str | None = None


@dataclass(slots=True)
class Leaks:
    """What finds leaks in one run of `validate`.

    Args:
        checks: look every row up.
        findings: what of the evaluation data could not be compared, or not fully.
    """

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def leaks_of(config: AgainstConfig, sources: SourceConfig, verify: Verify, wanted: Wanted) -> Leaks:
    """Return the checks for leaks; none if there is nothing to compare with. Raises UsageError, FormatError.

    What cannot be read of the evaluation data does not end the run: an image is then compared by its name, a row not at all,
    and a finding says how many. The splits of the sources themselves are checked as all rows are, which tells of theirs.

    Args:
        config: the evaluation data.
        sources: the data to be checked: each of its splits is compared with those after it.
        verify: `decode` compares how images look, their bytes and their names; `header` bytes and names; `none` names only.
        wanted: the codes to report: where none is of leaks, nothing is compared.
    """
    leaks = Leaks()
    if STDIN in config.paths:
        raise UsageError("the evaluation data is a file", found="--against -", expected="--against EVAL")
    if not any(rule.code in wanted for rule in RULES):
        return leaks
    if config.paths:
        index = EvaluationIndex(_fingerprints(verify))
        evaluation = SourceConfig(config.paths, image_root=config.image_root, frame_may_stay_unknown=True)
        for opened in _open(evaluation):
            leaks.findings += _add_all(index, *opened)
        index.finish()
        leaks.checks.append(Check("leaks of this run", RULES, LeakCheck(index)))
    checked = _split_check(sources, verify)
    if checked is not None:
        leaks.checks.append(Check("leaks between splits", RULES, checked))
    return leaks


def _split_check(sources: SourceConfig, verify: Verify) -> SplitLeakCheck | None:
    opened = list(_open(replace(sources, paths=tuple(path for path in sources.paths if path != STDIN))))
    order = splits_of(reader for reader, _, _ in opened)
    if not order:
        return None
    fingerprints = _fingerprints(verify if verify != "decode" or can_hash() else "header")
    first = {split.data_set: split for split in reversed(order)}
    indexes = {split: EvaluationIndex(fingerprints) for split in order if split is not first[split.data_set]}
    for reader, dialect, context in opened:
        own = split_of_file(reader.path)
        if own is not None and own not in indexes:
            continue
        for row in reader:
            record = _record_of(row, dialect, context)
            split = split_of_record(record) if own is None and isinstance(record, Record) else own
            if isinstance(record, Record) and split in indexes:
                indexes[split].add(record)
    for index in indexes.values():
        index.finish()
    return SplitLeakCheck(order, indexes)


def _open(config: SourceConfig) -> Iterator[tuple[Reader, Dialect, ReadContext]]:
    if config.paths:
        sources = open_sources(config, ImageLoader())
        yield from zip(sources.readers, sources.dialects, sources.contexts, strict=True)


def _fingerprints(verify: Verify) -> Fingerprints | None:
    return None if verify == "none" else Fingerprints(ImageLoader(), pixels=verify == "decode")


def _record_of(row: Row | Dropped, dialect: Dialect, context: ReadContext) -> Record | Dropped:
    """Return the record; where its image cannot be read, what the row says without the image's size."""
    record = parse(row, dialect, context)
    if isinstance(row, Row) and isinstance(record, Dropped) and isinstance(record.error, PayloadError | LineIndexError):
        return parse(row, dialect, without_sizes(context))
    return record


@dataclass(slots=True)
class _Unread:
    """What could not be read of a file: how many rows, and the first of them with the reason."""

    rows: int = 0
    first: str = ""

    def add(self, source: Source, error: GroundprepError) -> None:
        self.rows += 1
        self.first = self.first or f"the first is row {source.row}: {error.message}"


def _add_all(index: EvaluationIndex, reader: Reader, dialect: Dialect, context: ReadContext) -> Iterator[Finding]:
    """Take a file into the index; yield what could not be read of it. Raises FormatError where no image of it can be read."""
    rows, images, with_image = _Unread(), _Unread(), 0
    for row in reader:
        record = _record_of(row, dialect, context)
        if isinstance(record, Dropped):
            rows.add(record.source, record.error)
            continue
        unread = index.add(record)
        with_image += bool(record.images)
        if unread:
            images.add(record.source, _error_of(unread[0], context))
    if images.rows and images.rows == with_image:  # a wrong root: what is left of the comparison would prove nothing
        raise FormatError(
            "no image of the evaluation data can be read",
            code=EVALUATION_UNREAD.code,
            source=reader.path,
            found=f"{images.rows} rows; {images.first}",
            expected="evaluation data that can be read",
            fix="pass --against-image-root DIR, or --verify none to compare names and expressions only",
        )
    if images.rows:
        yield _unread_finding(
            reader.path,
            images,
            "images of the evaluation data cannot be read, and are compared by their names only",
            "pass --against-image-root DIR, or put the images where the rows say that they are",
        )
    if rows.rows:
        yield _unread_finding(
            reader.path,
            rows,
            "rows of the evaluation data cannot be read, and are not compared",
            "validate the evaluation data itself",
        )


def _error_of(ref: ImageRef, context: ReadContext) -> GroundprepError:
    """Return why an image cannot be read."""
    try:
        decode(context.loader.read(ref))
    except (PayloadError, LineIndexError) as error:
        return error
    return PayloadError("it cannot be decoded")


def _unread_finding(path: str, unread: _Unread, message: str, fix: str) -> Finding:
    return Finding(
        code=EVALUATION_UNREAD.code,
        severity=EVALUATION_UNREAD.severity,
        record=None,
        source=path,
        message=message,
        found=shown(f"{unread.rows} {'row' if unread.rows == 1 else 'rows'}; {unread.first}"),
        expected="evaluation data that can be read",
        fix=fix,
    )
