"""Everything groundprep raises on purpose.

    GroundprepError
    ├── UsageError                 the command line or configuration is wrong         exit 2
    ├── MissingDependencyError     an optional package is not installed               exit 4
    ├── FormatError                a container cannot be read or written              exit 3
    │   ├── LineIndexError
    │   ├── PayloadError           image bytes are missing, broken or refused
    │   └── SchemaError
    ├── RecordError                one row cannot be carried                          exit 3
    ├── DetectError                                                                   exit 3
    │   └── DeviceError                                                               exit 4
    │       └── OutOfMemoryError   a batch does not fit the device
    ├── TrainError                                                                    exit 3
    ├── HubUnavailableError        a model cannot be fetched                          exit 4
    ├── WorkerLostError            a worker process was killed                        exit 4
    └── CountError                 a run lost or invented rows: a bug in groundprep   exit 70

A message says where, what was found, what was expected and what to do. Every error has a stable kebab-case
`code`, which is a heading in docs/errors.md, and survives pickling.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundprep.source import Source

SHOWN_CHARACTERS = 120


class ExitCode(IntEnum):
    """The process exit codes; the only place where they are numbered."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    DATA = 3
    ENVIRONMENT = 4
    DROPPED = 5
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


def visible(text: str) -> str:
    """Return text with control characters and line breaks escaped, so that they are seen and do nothing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def shown(value: object) -> str:
    """Return value as one line of at most 120 visible characters; control characters escaped, bytes never shown."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    text = value if isinstance(value, str) else repr(value)
    text = visible(text[: SHOWN_CHARACTERS + 1])  # escaping only makes it longer
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


class GroundprepError(Exception):
    """Base of all our errors.

    Args:
        message: what is wrong, without a final full stop.
        code: stable kebab-case name, a heading in docs/errors.md.
        source: where.
        found: the value found, cut to 120 characters when shown.
        expected: what should have been there.
        fix: what to do about it.
    """

    default_code = "error"
    exit_code = ExitCode.DATA

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        source: Source | str | None = None,
        found: object = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.source = source
        self.found = None if found is None else shown(found)
        self.expected = expected
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.as_dict() | {"source": self.source})

    def at(self, source: Source | str) -> GroundprepError:
        """Return the same error with its place filled in, if it had none."""
        if self.source is None:
            self.source = source
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return code, message, source, found, expected and fix, for JSON output."""
        return {
            "code": self.code,
            "message": self.message,
            "source": None if self.source is None else str(self.source),
            "found": self.found,
            "expected": self.expected,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        where = "" if self.source is None else f"{shown(str(self.source))}: "
        found = "" if self.found is None else f"; found {self.found}"
        expected = "" if self.expected is None else f"; expected {self.expected}"
        fix = "" if self.fix is None else f"; fix: {self.fix}"
        return f"{where}{self.message}{found}{expected}{fix}"


def _rebuild(cls: type[GroundprepError], message: str, fields: dict[str, Any]) -> GroundprepError:
    fields.pop("message", None)
    return cls(message, **fields)


class UsageError(GroundprepError):
    """The command line or a configuration file is wrong."""

    default_code = "usage"
    exit_code = ExitCode.USAGE


class MissingDependencyError(GroundprepError, ImportError):
    """A package of an extra is not installed."""

    default_code = "missing-dependency"
    exit_code = ExitCode.ENVIRONMENT


class FormatError(GroundprepError, ValueError):
    """A container as a whole cannot be read or written."""

    default_code = "format"


class LineIndexError(FormatError):
    """A TSV's byte offsets do not lead to a line."""

    default_code = "line-index"


class PayloadError(FormatError):
    """Image bytes are missing, broken or refused."""

    default_code = "image-broken"


class SchemaError(FormatError):
    """Columns or keys are not those of the format."""

    default_code = "schema"


class RecordError(GroundprepError, ValueError):
    """One row cannot be carried; the others can."""

    default_code = "record"


class DetectError(GroundprepError):
    """A detector failed."""

    default_code = "detect"


class DeviceError(DetectError):
    """The device asked for is not there or cannot hold the model."""

    default_code = "device"
    exit_code = ExitCode.ENVIRONMENT


class OutOfMemoryError(DeviceError):
    """A batch does not fit the device's memory; a smaller one may."""

    default_code = "out-of-memory"


class HubUnavailableError(GroundprepError):
    """A model's files are not here and cannot be fetched."""

    default_code = "hub-unavailable"
    exit_code = ExitCode.ENVIRONMENT


class WorkerLostError(GroundprepError):
    """A worker process was killed: by the system, for want of memory, or by a person."""

    default_code = "worker-lost"
    exit_code = ExitCode.ENVIRONMENT


class TrainError(GroundprepError):
    """A trainer cannot be started, or failed."""

    default_code = "train"


class CountError(GroundprepError):
    """Rows read and rows written do not add up: a bug in groundprep, never in the data."""

    default_code = "count"
    exit_code = ExitCode.INTERNAL
