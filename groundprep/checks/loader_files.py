"""What a trainer's loader makes of the files themselves.

That is: image columns that it cannot take, metadata that turns images, paths that it cuts in two, and strange files in a
directory that it reads as a whole. Files are looked at once, after their rows; only those that the named trainer would read as
they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundprep.checks.base import Rule, Subject
from groundprep.containers.json_text import BOM
from groundprep.errors import shown
from groundprep.finding import Finding, Severity
from groundprep.images import FileImage

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMN = Rule("image-column", Severity.ERROR, "the image column has a type that the trainer's loader cannot take")
HF_IMAGE_FEATURE = Rule(
    "hf-image-feature",
    Severity.WARNING,
    "Hugging Face metadata makes the loader decode images: it turns them by EXIF, or stores their pixels",
)
COLON_IN_PATH = Rule("colon-in-path", Severity.ERROR, "a path holds a colon, at which the trainer cuts its arguments")
NOT_JSONL = Rule("not-jsonl", Severity.ERROR, "the trainer reads one row a line, and the file is one JSON array")
STRAY_FILE = Rule(
    "stray-file", Severity.WARNING, "a directory that the trainer reads as a whole holds something else too"
)

RULES = (IMAGE_COLUMN, HF_IMAGE_FEATURE, COLON_IN_PATH, NOT_JSONL, STRAY_FILE)

IMAGES = "images"
HF_METADATA_KEY = b"huggingface"

VLMR1 = ("vlmr1", "vlmr1-ovd", "vlmr1-seg")
"""`--data_file_paths a:b` and `--image_folders x:y` are cut at every colon, and a file is read line by line
(specs/vlmr1_easydistill.md §1.1, §1.2)."""

READ_BY_DIRECTORY = ("easyr1",)
"""A directory's file type is that of the first entry, whatever it is (specs/rexthinker.md §4.2)."""

SHOWN_STRAYS = 3
START_BYTES = 4096
MAX_DEPTH = 8


@dataclass(slots=True)
class _Seen:
    """What the rows of one file showed: the dialect, a turned image, and an image whose directory holds a colon."""

    dialect: str
    turned: str | None = None
    colon: str | None = None

    def add(self, other: _Seen) -> None:
        self.turned, self.colon = self.turned or other.turned, self.colon or other.colon


class LoaderWatch:
    """Looks at every file once; it remembers a few words for each."""

    def __init__(self) -> None:
        self._files: dict[str, _Seen] = {}

    def note(self, subjects: Sequence[Subject]) -> dict[str, _Seen] | None:
        """Return the files of some rows that the named trainer reads as they are."""
        files: dict[str, _Seen] = {}
        for subject in subjects:
            origin, profile = subject.record.origin, subject.profile
            if origin is None or profile is None or origin.dialect != profile.dialect:
                continue
            seen = _Seen(origin.dialect)
            if any(verdict.orientation != 1 for verdict in subject.verdicts):
                seen.turned = str(subject.record.source)
            if origin.dialect in VLMR1:
                seen.colon = _colon_of(subject)
            path = subject.record.source.path
            files.setdefault(path, seen).add(seen)
        return files or None

    def see(self, note: dict[str, _Seen] | None) -> Iterable[Finding]:
        """Remember them."""
        for path, seen in (note or {}).items():
            self._files.setdefault(path, seen).add(seen)
        return ()

    def findings(self) -> Iterator[Finding]:
        """Yield what the loader stumbles over, file by file."""
        for path, seen in self._files.items():
            if seen.dialect in VLMR1:
                yield from _colons(path, seen)
                yield from _lines(path)
            if path.endswith(".parquet"):
                yield from _columns(path, seen)
        yield from self._strays()

    def _strays(self) -> Iterator[Finding]:
        """Yield what lies beside the files of one directory; a single file is passed to the trainer by its name."""
        by_directory: dict[Path, list[str]] = {}
        for path, seen in self._files.items():
            if seen.dialect in READ_BY_DIRECTORY and Path(path).is_file():
                by_directory.setdefault(Path(path).parent, []).append(Path(path).name)
        for directory, names in by_directory.items():
            strays = sorted({entry.name for entry in directory.iterdir()} - set(names)) if len(names) > 1 else []
            if strays:
                more = f" and {len(strays) - SHOWN_STRAYS} more" if len(strays) > SHOWN_STRAYS else ""
                yield _finding(
                    STRAY_FILE,
                    str(directory),
                    "beside the files of this data set the directory holds others: given the directory, the trainer takes the"
                    " type of the first entry for all, and reads them too",
                    found=", ".join(strays[:SHOWN_STRAYS]) + more,
                    expected=f"the {len(names)} files only",
                    fix="move the others away, or name each file to the trainer",
                )


def _colon_of(subject: Subject) -> str | None:
    """Return the directory that an image's name starts in, if it holds a colon."""
    for ref in subject.record.images:
        if isinstance(ref.location, FileImage) and ref.name is not None:
            directory = ref.location.path.removesuffix(ref.name)
            if ":" in directory:
                return directory
    return None


def _colons(path: str, seen: _Seen) -> Iterator[Finding]:
    for what, name in (("the file's path", path), ("the images' directory", seen.colon)):
        if name is not None and ":" in name:
            yield _finding(
                COLON_IN_PATH,
                path,
                f"{what} holds a colon, and the trainer takes what stands on either side for a path of its own",
                found=name,
                expected="a path without a colon",
                fix="rename the directory, or reach it through a link",
            )


def _lines(path: str) -> Iterator[Finding]:
    try:
        with Path(path).open("rb") as file:
            start = file.read(START_BYTES).removeprefix(BOM).lstrip()
    except OSError:
        return  # its rows were read a moment ago; who reads it next is told
    if start.startswith(b"["):
        yield _finding(
            NOT_JSONL,
            path,
            "the trainer reads one row a line, and the file is one JSON array",
            found="[",
            expected="a JSON object on every line",
            fix="write it again under a name that ends in .jsonl",
        )


def _columns(path: str, seen: _Seen) -> Iterator[Finding]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return  # its rows were read a moment ago; who reads it next is told
    features = _image_features(schema)
    if seen.dialect == "rexthinker-parquet" and IMAGES in features and not _is_binary(schema.field(IMAGES).type):
        # Source: specs/rexthinker.md §4.3: binary and structs load; with the feature, a struct becomes a picture, and fails.
        yield _finding(
            IMAGE_COLUMN,
            path,
            "Hugging Face metadata turns the image column into pictures, and this trainer's loader takes bytes only",
            found=f"{schema.field(IMAGES).type} with an Image feature",
            expected="binary, without Hugging Face metadata",
            fix="write the file again with `groundprep convert --for rexthinker`",
        )
    elif IMAGES in features and seen.turned is not None and not _is_binary(schema.field(IMAGES).type):
        yield _finding(
            HF_IMAGE_FEATURE,
            path,
            "Hugging Face metadata makes the loader turn images by their EXIF orientation, away under their boxes",
            found=f"an Image feature, and a turned image in {seen.turned}",
            expected="no Image feature, or upright images",
            fix="write the file again with `groundprep convert`",
        )
    for name in sorted(features - {IMAGES}):
        yield _finding(
            HF_IMAGE_FEATURE,
            path,
            "Hugging Face metadata makes pictures of a further column, and the trainer carries their pixels through every step",
            found=f"an Image feature on the column {name}",
            expected="further columns of text and numbers only",
            fix="remove the column",
        )


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_features(schema: pa.Schema) -> set[str]:
    """Return the columns to which the metadata of `datasets` gives an Image feature, at any depth.

    Source: the schema key `huggingface`, {"info": {"features": {name: feature}}} (specs/rexthinker.md §4.3).
    """
    try:
        features = json.loads((schema.metadata or {}).get(HF_METADATA_KEY, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
    if not isinstance(features, dict):
        return set()
    return {name for name, feature in features.items() if name in schema.names and _holds_image(feature)}


def _holds_image(feature: Any, depth: int = 0) -> bool:
    """Say whether a feature is one of images, or a list (`Sequence`, `List`, or a bare list) or struct of such."""
    if isinstance(feature, Mapping):
        if feature.get("_type") == "Image":
            return True
        feature = list(feature.values())
    return isinstance(feature, list) and depth < MAX_DEPTH and any(_holds_image(item, depth + 1) for item in feature)


def _finding(rule: Rule, path: str, message: str, *, found: str, expected: str, fix: str) -> Finding:
    return Finding(
        code=rule.code,
        severity=rule.severity,
        record=None,
        source=path,
        message=message,
        found=shown(found),
        expected=expected,
        fix=fix,
    )
