"""Opening what a command reads: container, dialect, frame and image root of every SRC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from groundprep.api.line_index import manifest_of, triple_of
from groundprep.api.mixture import Part, expand
from groundprep.checks.files import FrameSays
from groundprep.checks.frames import FrameTally
from groundprep.containers import CONTAINERS, STDIN, Reader, Row, open_reader
from groundprep.containers.selected import SelectedReader
from groundprep.containers.tsv import LINE_INDEX, TsvReader
from groundprep.corpora import CORPORA, Corpus, detect_corpus
from groundprep.dialects import DIALECTS, Dialect, ReadContext, detect_dialect, get_dialect
from groundprep.errors import FormatError, PayloadError, SchemaError, UsageError
from groundprep.geometry.frames import FRAMES, Space
from groundprep.image_loader import ImageLoader
from groundprep.image_names import ImageRoot
from groundprep.images import FileImage
from groundprep.manifest import InputFile, hash_inputs
from groundprep.profile import RowFrame
from groundprep.record import Dropped, Record
from groundprep.trainers import PROFILES, get_profile

DETECTION_ROWS = 64
CONVERTER_SUFFIX = "/converter"


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How to read sources.

    Args:
        paths: the sources, in order.
        from_name: a container, a dialect or a corpus, where detection shall not decide.
        image_root: where image names start; None: each source's own directory; `x:y` for the files of `a.jsonl:b.jsonl`.
        source_frame: a frame, `PROFILE` or `PROFILE/converter`: what the numbers mean, whatever the file says.
        assumed_frame: what the numbers mean if neither `source_frame` nor the file says so.
        assumed_dialect: the layout that rows have if they fit several, and to whose rows `assumed_frame` belongs: it comes before
            what that layout usually means.
        frame_may_stay_unknown: rows are looked at, their boxes are not used.
        annotations: the annotations TSV that a line index alone belongs to, where its manifest does not say it.
        images: the images TSV of that one.
    """

    paths: tuple[str, ...]
    from_name: str | None = None
    image_root: str | None = None
    source_frame: str | None = None
    assumed_frame: RowFrame | None = None
    assumed_dialect: str | None = None
    frame_may_stay_unknown: bool = False
    annotations: str | None = None
    images: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Opened sources, one entry per file: a mixture gives several. `frames_say` holds who said what the numbers mean."""

    readers: tuple[Reader, ...]
    dialects: tuple[Dialect, ...]
    contexts: tuple[ReadContext, ...]
    parts: tuple[Part, ...]
    frames_say: tuple[FrameSays, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files that hold data; standard input is none."""
        return [file for reader in self.readers if reader.path != STDIN for file in reader.files]

    @property
    def flags(self) -> dict[str, Any]:
        """What decides the rows beyond the files' content, for the manifest; nothing where every file is read whole."""
        if all(part.selection.is_everything and not part.is_listed for part in self.parts):
            return {}
        return {"parts": [part.as_data() for part in self.parts]}

    @property
    def selects(self) -> bool:
        """Say whether rows are read twice: a choice of rows needs their number."""
        return not all(part.selection.is_everything for part in self.parts)

    @property
    def with_named_frame(self) -> frozenset[str]:
        """The files whose frame a mixture names."""
        named = [reader for part, reader in zip(self.parts, self.readers, strict=True) if part.source_frame is not None]
        return frozenset(name for reader in named for name in (reader.path, *map(str, reader.files)))

    def hash(self) -> tuple[InputFile, ...]:
        """Return size and SHA-256 of every file."""
        return hash_inputs(self.files)


def open_sources(config: SourceConfig, loader: ImageLoader) -> Sources:
    """Open every source; raises FormatError and UsageError."""
    if not config.paths:
        raise UsageError("no source was given", expected="SRC…")
    readers, dialects, contexts, frames_say = [], [], [], []
    parts = tuple(part for path in config.paths for part in expand(path, config.image_root))
    for part in parts:
        path, of_part = part.path, _config_of(config, part)
        container, named_dialect, named_corpus = _from_name(of_part.from_name)
        corpus = named_corpus if of_part.from_name is not None else detect_corpus(path)
        reader = _open_reader(path, container, config) if corpus is None else _open_corpus(corpus, path)
        if corpus is not None:
            dialect = corpus.dialect
        elif path == STDIN:
            reader, dialect = _peek_stdin(reader, named_dialect, config.assumed_dialect)
        else:
            dialect = named_dialect or _detect(reader, config.assumed_dialect)
        directory = "." if path == STDIN else str(Path(path).parent if corpus is None else reader.files[0].parent)
        row_frame, says = _row_frame(reader, dialect, of_part)
        readers.append(reader if part.selection.is_everything else SelectedReader(reader, part.selection))
        dialects.append(dialect)
        contexts.append(ReadContext(ImageRoot(of_part.image_root, directory), loader, row_frame))
        frames_say.append(says)
    return Sources(tuple(readers), tuple(dialects), tuple(contexts), parts, tuple(frames_say))


def _config_of(config: SourceConfig, part: Part) -> SourceConfig:
    """Return how to read one part: what a mixture says of it comes before what is said of all."""
    return replace(
        config,
        from_name=part.from_name or config.from_name,
        image_root=part.image_root or config.image_root,
        source_frame=part.source_frame or config.source_frame,
    )


def _open_reader(path: str, container: str | None, config: SourceConfig) -> Reader:
    if path.endswith(LINE_INDEX) and container in (None, "tsv"):
        return TsvReader(path, triple_of(path, config.annotations, config.images))
    if config.annotations is not None or config.images is not None:
        raise UsageError(
            "--annotations and --images belong to a line index", found=path, expected=f"a SRC that ends in {LINE_INDEX}"
        )
    return open_reader(path, container)


def require_frames(frames: FrameTally, config: SourceConfig, sources: Sources) -> None:
    """Raise FormatError (`frame-contradicted`) for a file whose boxes contradict its frame, unless a person named the frame."""
    if config.source_frame is None:
        frames.require_consistent(sources.with_named_frame)


def accept_declared_sizes(loader: ImageLoader, sources: Sources) -> None:
    """Let sizes that the data declares do where there is no image file, unless a person named a root or wants images decoded."""
    named = any(context.images.directory is not None for context in sources.contexts)
    loader.accepts_declared = not named and loader.verify == "header"


def with_one_root(records: Iterator[Record], sources: Sources) -> Iterator[Record]:
    """Return the records, of which every image name must mean the same in the first source: an output has one image root.

    Raises:
        UsageError: `image-roots-differ`: a name of another source means another file there.
    """
    roots = {context.images.locate("x").path for context in sources.contexts}
    return records if len(roots) == 1 else _with_root_of(sources.contexts[0].images, records)


def _with_root_of(first: ImageRoot, records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        for ref in record.images:
            if (
                ref.name is not None
                and isinstance(ref.location, FileImage)
                and not _means(first, ref.name, ref.location)
            ):
                raise UsageError(
                    "the sources' image names start in different directories, and an output has one image root",
                    code="image-roots-differ",
                    source=record.source,
                    found=ref.name,
                    fix="write the images with --image-out DIR, or a container that embeds them, or use absolute names",
                )
        yield record


def _means(root: ImageRoot, name: str, file: FileImage) -> bool:
    try:
        return root.locate(name) == file
    except PayloadError:
        return False


def parse_frame(name: str) -> RowFrame:
    """Return the frame that a name means: a frame, a profile, or `PROFILE/converter`; raises UsageError."""
    if name in FRAMES:
        if FRAMES[name].space is Space.SEEN:
            raise UsageError(
                "this frame needs a trainer's resize chain",
                found=name,
                expected="a profile, such as easyr1 or rexthinker/converter",
            )
        return RowFrame(FRAMES[name])
    profile_name = name.removesuffix(CONVERTER_SUFFIX)
    if not any(profile_name in (profile.name, profile.full_name) for profile in PROFILES.values()):
        expected = ", ".join(n for n, frame in FRAMES.items() if frame.space is not Space.SEEN)
        raise UsageError("no such frame", found=name, expected=f"{expected}, or a trainer profile")
    profile = get_profile(profile_name)
    return RowFrame.of_profile(profile.as_converter() if name.endswith(CONVERTER_SUFFIX) else profile)


def _from_name(name: str | None) -> tuple[str | None, Dialect | None, Corpus | None]:
    if name is None:
        return None, None, None
    if name in CONTAINERS:
        return name, None, None
    if name in DIALECTS:
        return None, get_dialect(name), None
    if name in CORPORA:
        return None, None, CORPORA[name]
    raise UsageError(
        "no such container, dialect or corpus", found=name, expected=", ".join((*CONTAINERS, *DIALECTS, *CORPORA))
    )


def _open_corpus(corpus: Corpus, path: str) -> Reader:
    if path == STDIN:
        raise UsageError(
            "a corpus is read by byte ranges, and standard input has none",
            found=f"- as {corpus.name}",
            fix="name a file",
        )
    return corpus.reader(path)


def _detect(reader: Reader, preferred: str | None) -> Dialect:
    bad = False

    def decodable() -> Iterator[dict[str, Any]]:
        nonlocal bad
        for row in reader:
            if isinstance(row, Row):
                yield row.value
            bad = bad or isinstance(row, Dropped)

    rows = decodable()
    first = next(rows, None)
    if first is None:
        return _dialect_of_no_row(reader, bad=bad)
    return detect_dialect(
        chain((first,), islice(rows, DETECTION_ROWS - 1)),
        container=reader.container,
        path=reader.path,
        preferred=preferred,
    )


def _dialect_of_no_row(reader: Reader, *, bad: bool) -> Dialect:
    """Return some dialect for a source whose every row is `bad`: each is its own error; raises FormatError if it has none."""
    if not bad:
        raise FormatError(
            "the source holds no rows",
            code="no-rows",
            source=reader.path,
            expected="at least one row",
            fix="check what wrote it",
        )
    return next(dialect for dialect in DIALECTS.values() if reader.container in dialect.containers)


class _Replayed(Reader):
    """Standard input whose first rows were read already."""

    container = "jsonl"

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.path)
        self._rows = iter(reader)
        self.warnings = reader.warnings
        self.head = list(islice(self._rows, DETECTION_ROWS))

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield the first rows, then the rest."""
        yield from self.head
        yield from self._rows


def _peek_stdin(reader: Reader, named: Dialect | None, preferred: str | None) -> tuple[Reader, Dialect]:
    replayed = _Replayed(reader)
    if named is not None:
        return replayed, named
    rows = [row.value for row in replayed.head if isinstance(row, Row)]
    if not rows:
        return replayed, _dialect_of_no_row(replayed, bad=bool(replayed.head))
    return replayed, detect_dialect(rows, container=replayed.container, path=STDIN, preferred=preferred)


def _first_values(reader: Reader) -> Iterator[dict[str, Any]]:
    rows = reader.head if isinstance(reader, _Replayed) else islice(reader, DETECTION_ROWS)
    return (row.value for row in rows if isinstance(row, Row))


def _row_frame(reader: Reader, dialect: Dialect, config: SourceConfig) -> tuple[RowFrame, FrameSays]:
    """Return the frame of a file's numbers and who says so; raises UsageError (`frame-unknown`), SchemaError."""
    if config.source_frame is not None:
        return parse_frame(config.source_frame), "user"
    metadata = reader.header.profile
    if metadata is None and reader.path != STDIN:
        manifest = manifest_of(reader.path)
        metadata = manifest.config.profile if manifest is not None else None
    if metadata is not None:
        reader.header = replace(reader.header, profile=metadata)
        try:
            return RowFrame.from_metadata(metadata), "file"
        except SchemaError as error:
            raise error.at(reader.path) from error
    frame = dialect.frame_of(_first_values(reader))
    if frame == dialect.frame and config.assumed_frame is not None and config.assumed_dialect == dialect.name:
        return config.assumed_frame, "layout" if config.assumed_frame.frame == frame else "nobody"
    if frame is not None:
        return RowFrame(frame), "layout"
    if config.frame_may_stay_unknown:
        return RowFrame(dialect.frame), "nobody"
    if config.assumed_frame is not None and dialect.may_be_in(config.assumed_frame.frame):
        return config.assumed_frame, "nobody"
    raise UsageError(
        "the file does not say in which frame its numbers are",
        code="frame-unknown",
        source=reader.path,
        expected="groundprep metadata, or --source-frame",
        fix="pass --source-frame and the profile that it was written for, such as easyr1, rexthinker/converter or qwen3-vl",
    )
