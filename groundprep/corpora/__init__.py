"""Data sets of a layout of their own. Adding one is a module, a line in CORPORA, a test class and a docs page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from groundprep.containers import CONTAINERS, STDIN, Writer
from groundprep.corpora.base import Corpus
from groundprep.corpora.coco import Coco
from groundprep.corpora.coco_reader import CocoReader
from groundprep.corpora.coco_writer import CocoWriter
from groundprep.corpora.lvis import Lvis, LvisReader, LvisWriter
from groundprep.corpora.refcoco import RefCoco, RefCocoReader, is_refcoco
from groundprep.corpora.sniff import family_of
from groundprep.dialects import DIALECTS, Dialect
from groundprep.errors import UsageError

__all__ = ["CORPORA", "Corpus", "detect_corpus", "get_row_dialect", "writer_of"]


def _is_document(path: str, name: str) -> bool:
    return Path(path).is_file() and family_of(path) == name


CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus("coco", Coco.title, CocoReader, Coco(), CocoWriter, partial(_is_document, name="coco")),
        Corpus("lvis", Lvis.title, LvisReader, Lvis(), LvisWriter, partial(_is_document, name="lvis")),
        Corpus("refcoco", RefCoco.title, RefCocoReader, RefCoco(), None, is_refcoco),
    )
}


def detect_corpus(path: str) -> Corpus | None:
    """Return the corpus that a source is of, or None if it holds rows."""
    if path == STDIN:
        return None
    return next((corpus for corpus in CORPORA.values() if corpus.is_it(path)), None)


def writer_of(name: str) -> type[Writer]:
    """Return the writer of a container or corpus; raises UsageError (`read-only`)."""
    if name in CONTAINERS:
        return CONTAINERS[name].writer
    writer = CORPORA[name].writer
    if writer is None:
        raise UsageError(
            f"{name} is only read",
            code="read-only",
            expected=", ".join((*CONTAINERS, *(n for n, corpus in CORPORA.items() if corpus.writer))),
            fix="convert to one of these (`groundprep convert SRC DST`)",
        )
    return writer


def get_row_dialect(name: str) -> Dialect:
    """Return a dialect, or that of a corpus' rows; raises UsageError naming those that exist."""
    if name in CORPORA:
        return CORPORA[name].dialect
    if name not in DIALECTS:
        raise UsageError("no such dialect", found=name, expected=", ".join((*DIALECTS, *CORPORA)))
    return DIALECTS[name]
