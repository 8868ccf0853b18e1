"""RefCOCO, RefCOCO+ and RefCOCOg: referring expressions in a pickle, their boxes in the COCO document beside it.

    refs(unc).p     [{"ref_id", "ann_id", "category_id", "image_id", "file_name", "split", "sent_ids",
                      "sentences": [{"sent_id", "sent", "raw", "tokens"}, …]}, …]
    instances.json  COCO

SRC is the pickle (`refs(unc).p`, `refs(google).p`, `refs(umd).p`), or its folder if that holds one only; `@SPLIT` after the
name reads one split. A row is a sentence. The image's name is taken from instances.json, because `file_name` of a ref ends
in the annotation's id. Source: lichengunc/refer, refer.py (specs/targets.md §3.10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import msgspec

from groundprep.containers.base import OutRow, Reader, Row, require_readable
from groundprep.containers.json_text import decode_object
from groundprep.corpora.coco import CocoAnnotation, CocoImage, image_ref, region_of
from groundprep.corpora.coco_reader import require_annotation
from groundprep.corpora.document import Document, Id
from groundprep.corpora.pickles import read_plain_pickle, require_json_row
from groundprep.dialects.base import Dialect, ReadContext, WriteContext, convert_row, extra_keys
from groundprep.errors import FormatError, RecordError, UsageError
from groundprep.geometry.frames import FRAMES
from groundprep.record import Dropped, Header, Record
from groundprep.source import Source

INSTANCES = "instances.json"
REFS = "refs(*).p"


class Sentence(msgspec.Struct):
    """One way to refer to the object; further keys are kept."""

    sent_id: Id
    sent: str


class Ref(msgspec.Struct):
    """An object that is referred to; further keys are kept."""

    ref_id: Id
    ann_id: Id
    image_id: Id
    split: str
    sentences: list[dict[str, Any]]


class RefCocoRow(msgspec.Struct):
    """A row: a sentence, what it refers to (without its other sentences), and the object's image, box and category."""

    sentence: Sentence
    ref: dict[str, Any]
    image: CocoImage
    annotation: CocoAnnotation
    category: dict[str, Any]


class RefCocoReader(Reader):
    """Reads a pickle of references with its instances.json."""

    container = "refcoco"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        name, self.split = split_of(path)
        self.refs_path = refs_path(name)
        self.instances_path = self.refs_path.with_name(INSTANCES)
        require_readable(self.instances_path)
        self.refs = self._read_refs()
        self.document = Document(str(self.instances_path), annotations_by="id")
        self.header = Header(
            container=self.container,
            dialect="refcoco",
            categories=self.document.categories.names,
            category_entries=self.document.categories.entries,
            info=self.document.info,
            licences=self.document.licences,
            splits=self._splits(),
        )
        if self.split is not None and self.split not in self.header.splits:
            raise UsageError(
                "there is no such split",
                code="no-such-split",
                source=str(self.refs_path),
                found=self.split,
                expected=", ".join(self.header.splits),
            )

    def _read_refs(self) -> list[Any]:
        require_readable(self.refs_path)
        refs, encoding = read_plain_pickle(str(self.refs_path))
        if not isinstance(refs, list):
            raise FormatError(
                "the pickle is not a list of references",
                code="schema",
                source=str(self.refs_path),
                found=type(refs).__name__,
                expected='[{"ref_id": …, "sentences": […]}, …]',
            )
        if encoding != "utf-8":
            self.warn("latin-1", "the pickle's strings are not UTF-8; they are read as Latin-1")
        return refs

    def _splits(self) -> dict[str, int]:
        """Return split → number of sentences, in order of first appearance."""
        counts = Counter[str]()
        for ref in self.refs:
            if isinstance(ref, dict) and isinstance(ref.get("split"), str) and isinstance(ref.get("sentences"), list):
                counts[ref["split"]] += len(ref["sentences"])
        return dict(counts)

    @property
    def files(self) -> list[Path]:
        """The pickle and the document."""
        return [self.refs_path, self.instances_path]

    def __iter__(self) -> Iterator[Row | Dropped]:
        """Yield every sentence, reference by reference."""
        with self.document.open() as file:
            for number, value in enumerate(self.refs, start=1):
                if self.split is not None and isinstance(value, dict) and value.get("split") != self.split:
                    continue
                source = Source(str(self.refs_path), number)
                shown = None  # what JSON cannot hold is not kept
                try:
                    require_json_row(value)
                    shown = value
                    ref = convert_row(value, Ref)
                    common = self._common(value, ref, file)
                except RecordError as error:
                    error.at(source)
                    yield Dropped(source, error.code, error.message, shown, error)
                    continue
                for part, sentence in enumerate(ref.sentences, start=1):
                    place = Source(source.path, number, part if len(ref.sentences) > 1 else None)
                    yield Row(place, {"sentence": sentence} | common)

    def _common(self, value: dict[str, Any], ref: Ref, file: IO[bytes]) -> dict[str, Any]:
        """Return what the sentences of a reference share; raises RecordError."""
        annotation = self._element(file, ref.ann_id, "annotation")
        typed = require_annotation(annotation, self.document.categories.names)
        return {
            "ref": extra_keys(value, ("sentences",)),
            "image": self._element(file, typed.image_id, "image"),
            "annotation": annotation,
            "category": self.document.categories.entries[typed.category_id],
        }

    def _element(self, file: IO[bytes], key: int, what: str) -> dict[str, Any]:
        index = self.document.annotations if what == "annotation" else self.document.images
        found = index.of(key)
        if not found:
            raise RecordError(
                f"the {what} that is referred to is not in {INSTANCES}",
                code="missing-reference",
                found=f"{what} id {key}",
                fix=f"use the {INSTANCES} that belongs to the pickle",
            )
        return decode_object(self.document.read(file, found[0]))


class RefCoco(Dialect):
    """Rows of a sentence and the object that it refers to."""

    name = "refcoco"
    title = "RefCOCO, RefCOCO+, RefCOCOg: refs(*).p beside instances.json; read only"
    containers = ("refcoco",)
    unit = "expression"
    row_type = RefCocoRow
    frame = FRAMES["pixels-xywh"]
    holds = frozenset[str]()

    def matches(self, value: Mapping[str, Any], container: str) -> bool:
        """A row of the corpus' own reader has a sentence and what it refers to."""
        return container == "refcoco" and {"sentence", "ref"} <= value.keys()

    def parse(self, row: Row, context: ReadContext) -> Record:
        """Return the record of one sentence."""
        value = row.value
        sentence = convert_row(value["sentence"], Sentence)
        image = image_ref(value["image"], context, extra_keys(value["image"], ("id", "file_name", "width", "height")))
        region = region_of(value["annotation"], value["category"], image, context)
        extra = extra_keys(value["ref"], ("category_id", "file_name", "sent_ids"))
        return Record(
            source=row.source,
            id=sentence.sent_id,
            images=(image,),
            referring=sentence.sent,
            category=value["category"]["name"],
            answers=(replace(region, phrase=sentence.sent, category=None),),
            extra=extra | extra_keys(value["sentence"], ("sent_id", "sent")),
        ).with_origin(self.name, value, context.row_frame)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Refuse: nobody writes pickles any more."""
        del context
        raise RecordError("RefCOCO is only read", code="read-only", source=record.source)


def split_of(path: str) -> tuple[str, str | None]:
    """Return path and split of `PATH@SPLIT`; a file whose name holds an @ is that file."""
    name, at, split = path.rpartition("@")
    return (path, None) if not at or not split or Path(path).exists() else (name, split)


def refs_path(name: str) -> Path:
    """Return the pickle that a name means: itself, or the only one in the folder; raises FormatError, UsageError."""
    path = Path(name)
    if not path.is_dir():
        return path
    found = sorted(path.glob(REFS))
    if len(found) == 1:
        return found[0]
    raise UsageError(
        "the folder holds no references" if not found else "the folder holds several files of references",
        code="is-directory",
        source=name,
        found=", ".join(file.name for file in found) or None,
        expected=f"one file {REFS}",
        fix="name the file",
    )


def is_refcoco(path: str) -> bool:
    """Say whether a path is a pickle of references, or a folder with one."""
    named = Path(split_of(path)[0])
    return named.suffix == ".p" or (named.is_dir() and any(named.glob(REFS)))
