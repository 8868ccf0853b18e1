"""From rows to findings: parse, look at the images, make the rows that the trainer would read, run the checks.

A batch of rows is examined on any thread or in any process; what rows have to do with each other is left to the watches, which
see the notes of the batches in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias

from groundprep.api.unsized import DeclaredSizes, SizeUnknownError, without_sizes
from groundprep.checks.base import Batch, Check, Split, Subject
from groundprep.checks.registry import CHECKS
from groundprep.checks.sizes import refuses
from groundprep.checks.suite import Suite, Wanted
from groundprep.checks.tokens import ESTIMATED, TokenCounter
from groundprep.checks.verdicts import ImageVerdicts, Verdict
from groundprep.containers import Reader, Row
from groundprep.containers.jsonl import STDIN, JsonlReader
from groundprep.containers.line_blocks import BlockReader, LineBlock, UnreadBlock, blocks_of
from groundprep.dialects import Dialect, ReadContext, WriteContext, get_dialect
from groundprep.errors import LineIndexError, PayloadError
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import PIXELS, SizeWH
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.losses import Losses
from groundprep.pipeline import ROW_ERRORS, parse
from groundprep.profile import Profile, RowFrame
from groundprep.record import Dropped, Record
from groundprep.stages.explode import QUESTION_FIELDS, ExplodePhrases

Verify: TypeAlias = Literal["none", "header", "decode"]

CHUNK_ROWS = 8
"""Few: rows may hold their images, and decoding one costs far more than handing it to a thread."""

PLAIN_CHUNK_ROWS = 256
"""Where no image is decoded, many: what looks at many rows at once costs less each."""

EMBEDDING = ("parquet",)
"""Containers whose rows hold their images."""


REMEMBERED_SIZES = 4096

ONE_UNSEEN = (Verdict(None),)
"""The verdict on the one image of a row that nobody looked at and whose size nobody says."""


class SourceSetup(NamedTuple):
    """How the rows of one source are read, in a form that another process can be given.

    `reads_as_is`: the trainer reads them as they stand; otherwise they are judged as a conversion would write them.
    `split`: the split of a data set that the file is.
    """

    path: str
    dialect: Dialect
    images: ImageRoot
    row_frame: RowFrame
    is_frame_named: bool
    reads_as_is: bool = False
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What an examiner must know.

    Args:
        sources: how the rows of each source are read.
        verify: how images are proven; `none`: not at all.
        profile: the trainer, if one was named.
        wanted: the codes to report.
        tokens: counts the tokens of a text.
        further_checks: checks of this run alone, after those of the registry; they cannot go to another process.
    """

    sources: tuple[SourceSetup, ...]
    verify: Verify = "decode"
    profile: Profile | None = None
    wanted: Wanted = field(default_factory=Wanted)
    tokens: TokenCounter = ESTIMATED
    further_checks: tuple[Check, ...] = ()

    def suite(self) -> Suite:
        """Return the checks of this run."""
        return Suite((*CHECKS, *self.further_checks), self.profile, self.wanted)

    @property
    def may_use_processes(self) -> bool:
        """Say whether rows may be examined in other processes, and are better off there: decoding alone leaves threads free."""
        return self.verify != "decode" and not self.further_checks and self.tokens is ESTIMATED


class Chunk(NamedTuple):
    """Some rows of one source, as they were read or still to be decoded."""

    source: int
    rows: list[Row | Dropped] | LineBlock | UnreadBlock


class Examined(NamedTuple):
    """What some rows gave.

    Args:
        records: how many rows there were, bad ones included.
        unsized: how many of them have an image whose size is unknown.
        findings: in the order of the rows.
        notes: what each watch shall see.
        source: whose rows they are.
        warnings: oddities of the container that reading these rows met.
    """

    records: int
    unsized: int
    findings: list[Finding]
    notes: list[Any]
    source: int
    warnings: list[Finding]


def iter_chunks(readers: Sequence[Reader], verify: Verify, limit: int | None = None) -> Iterator[Chunk]:
    """Yield all rows, in order; the chunks are the same for every number of workers."""
    left = limit
    for source, reader in enumerate(readers):
        if verify != "decode" and limit is None and type(reader) is JsonlReader and reader.path != STDIN:
            yield from (Chunk(source, block) for block in blocks_of(reader))
            continue
        rows, size = iter(reader), CHUNK_ROWS
        if verify != "decode" and reader.container not in EMBEDDING:
            size = PLAIN_CHUNK_ROWS
        while left is None or left > 0:
            chunk = list(islice(rows, size if left is None else min(size, left)))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield Chunk(source, chunk)


class Examiner:
    """Examines rows; any thread may call it."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.suite = setup.suite()
        self.loader = ImageLoader()
        self.verdicts = None if setup.verify == "none" else ImageVerdicts(self.loader, verify=setup.verify)
        self.is_refused = lru_cache(REMEMBERED_SIZES)(self._is_refused)

    def __call__(self, chunk: Chunk) -> Examined:
        """Return what some rows gave."""
        source = self.setup.sources[chunk.source]
        rows = chunk.rows if isinstance(chunk.rows, list) else BlockReader(source.path, chunk.rows)
        batch = _RowBatch(self, source)
        count = 0
        for row in rows:
            batch.add(count, row)
            count += 1
        findings, notes = batch.check()
        warnings = rows.warnings if isinstance(rows, BlockReader) else []
        return Examined(count, batch.unsized, findings, notes, chunk.source, warnings)

    def _is_refused(self, size_wh: SizeWH) -> bool:
        """Say whether the trainer refuses images of this size: such a row never gets as far as its other rules."""
        return self.setup.profile is not None and refuses(self.setup.profile, size_wh)


class _RowBatch:
    """The rows of one chunk on their way; used by one thread."""

    def __init__(self, examiner: Examiner, source: SourceSetup) -> None:
        self.examiner = examiner
        self.source = source
        self.records = Batch()
        self.rows = Batch()
        self._found: defaultdict[int, list[Finding]] = defaultdict(list)
        self.unsized = 0
        self._record_places: list[int] = []
        self._row_items: list[tuple[int, Finding | None]] = []
        self._declared = DeclaredSizes()
        loader = self._declared if examiner.verdicts is None else examiner.loader
        self._context = ReadContext(source.images, loader, source.row_frame)
        self._unsized_context = without_sizes(self._context)
        profile = examiner.setup.profile
        self._maker = None if profile is None else _RowMaker(profile, loader, reads_as_is=source.reads_as_is)

    def add(self, place: int, row: Row | Dropped) -> None:
        """Take the next row, which stands at this place in its chunk."""
        record, unread = self._parse(row)
        if isinstance(record, Dropped):
            self._found[place].append(finding_of(record))
            return
        setup = self.examiner.setup
        verdicts = self._verdicts(record)
        self.unsized += verdicts is ONE_UNSEEN or any(verdict.size_wh is None for verdict in verdicts)
        if unread is not None and all(verdict.problem is None for verdict in verdicts):
            self._found[place].append(finding_of(unread))
        subject = Subject(
            record,
            verdicts,
            setup.profile,
            tokens=setup.tokens,
            is_frame_named=self.source.is_frame_named,
            split=self.source.split,
        )
        self.records.append(subject)
        self._record_places.append(place)
        if self._maker is not None:
            self._add_rows(place, subject, self._maker)

    def _add_rows(self, place: int, subject: Subject, maker: _RowMaker) -> None:
        """Take what the trainer would read of a record, unless it refuses the image's size."""
        if any(wh is not None and self.examiner.is_refused(wh) for wh in subject.sizes_wh):
            return
        for item in maker(subject):
            if isinstance(item, Finding):
                self._row_items.append((place, item))
            else:
                self._row_items.append((place, None))
                self.rows.append(item)

    def check(self) -> tuple[list[Finding], list[Any]]:
        """Run the checks; returns the findings in the order of the rows, and what each watch shall see."""
        suite, found = self.examiner.suite, self._found
        for index, findings in suite.record_findings(self.records).items():
            found[self._record_places[index]] += findings
        of_rows, index = suite.row_findings(self.rows), 0
        for place, finding in self._row_items:
            if finding is not None:
                found[place].append(finding)
                continue
            if index in of_rows:
                found[place] += of_rows[index]
            index += 1
        wanted = self.examiner.setup.wanted
        kept = [finding for place in sorted(found) for finding in found[place] if finding.code in wanted]
        return kept, suite.notes(self.records, self.rows)

    def _parse(self, row: Row | Dropped) -> tuple[Record | Dropped, Dropped | None]:
        """Return the record; and, if it was read without the size of an image that it needs, why."""
        if self.examiner.verdicts is None and isinstance(row, Row):
            self._declared.look_at(row.value)
        record = parse(row, self.source.dialect, self._context)
        if isinstance(record, Dropped):
            return self._parse_unsized(row, record)
        if self._declared.of_row_wh is not None and len(record.images) != 1:
            self._declared.of_row_wh = None  # one size for several images is none
            if self.source.row_frame.frame.needs_size and isinstance(row, Row):
                return parse(row, self.source.dialect, self._unsized_context), None
        return record, None

    def _parse_unsized(self, row: Row | Dropped, dropped: Dropped) -> tuple[Record | Dropped, Dropped | None]:
        """Return what a bad row says without the size of its image, if that is what is wrong with it."""
        if isinstance(row, Row) and isinstance(dropped.error, PayloadError | LineIndexError):
            again = parse(row, self.source.dialect, self._unsized_context)
            if isinstance(again, Record):
                return again, None if isinstance(dropped.error, SizeUnknownError) else dropped
        return dropped, None

    def _verdicts(self, record: Record) -> tuple[Verdict, ...]:
        images, verdicts = record.images, self.examiner.verdicts
        if verdicts is not None:
            return tuple([verdicts.of(ref) for ref in images])
        if len(images) == 1 and self._declared.of_row_wh is None and images[0].declared_size_wh is None:
            return ONE_UNSEEN  # most rows
        return tuple([Verdict(self._declared.known_size_wh(ref)) for ref in images])


class _RowMaker:
    """Makes what the trainer would read of a record: as it is in the file, or as a conversion would write it."""

    def __init__(self, profile: Profile, loader: ImageLoader, *, reads_as_is: bool) -> None:
        self.profile = profile
        self.reads_as_is = reads_as_is
        self.dialect = get_dialect(profile.dialect)
        row_frame = RowFrame.of_profile(profile)
        self.context = WriteContext(profile.container, loader, row_frame, Losses(), profile.style)
        unsized = RowFrame(PIXELS) if row_frame.frame.needs_size else row_frame
        self.unsized_context = replace(self.context, loader=DeclaredSizes(), row_frame=unsized)
        self.explode = ExplodePhrases(keep_questions=self.dialect.holds >= QUESTION_FIELDS)

    def __call__(self, subject: Subject) -> Iterator[Subject | Finding]:
        """Yield the rows of a record, and findings on those that cannot be made; none whose making needs an unknown size."""
        record = subject.record
        origin = record.origin
        if self.reads_as_is and origin is not None:
            yield replace(subject, row=origin.value, is_native=True)
            return
        context = self.context if subject.is_sized else self.unsized_context
        parts: Iterable[Record | Dropped] = (record,)
        if self.profile.unit == "expression":
            parts = self.explode((record,))
        for part in parts:
            if isinstance(part, Dropped):
                yield finding_of(part)
                continue
            try:
                row = self.dialect.format(part, context).value
            except SizeUnknownError:
                continue
            except ROW_ERRORS as error:
                error.at(part.source)
                value = None if part.origin is None else part.origin.value
                yield finding_of(Dropped(part.source, error.code, error.message, value, error))
                continue
            yield replace(subject, record=part, row=row)


def finding_of(dropped: Dropped) -> Finding:
    """Return a bad row as a finding."""
    identity = dropped.row.get("id") if isinstance(dropped.row, dict) else None
    error = dropped.error
    return Finding(
        code=dropped.code,
        severity=Severity.ERROR,
        source=str(error.source or dropped.source),
        message=dropped.message,
        record=identity if isinstance(identity, str | int) and not isinstance(identity, bool) else dropped.source.row,
        found=error.found,
        expected=error.expected,
        fix=error.fix,
    )
