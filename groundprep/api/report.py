"""Where the findings of a run go: files that are whole or not there.

A report takes every finding as it is found, in order, and the result at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from groundprep.containers.json_text import encode_compact
from groundprep.errors import UsageError
from groundprep.finding import Finding
from groundprep.output import writing

if TYPE_CHECKING:
    from groundprep.api.validate import ValidateResult


class Report(Protocol):
    """What takes the findings of a run."""

    def add(self, finding: Finding) -> None:
        """Take the next finding."""

    def finish(self, result: ValidateResult) -> None:
        """Take the result; nothing comes after it."""


class FileReport:
    """A report that is a file: it has its name once it is whole, and nothing stays behind before.

    Args:
        path: the file's name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        with writing(path):
            self.file: IO[bytes] = self.partial.open("wb")

    def add(self, finding: Finding) -> None:
        """Take the next finding."""

    def finish(self, result: ValidateResult) -> None:
        """Write the end of the file and give it its name."""
        with writing(self.path):
            self.file.write(self.end(result))
            self.file.close()
            self.partial.replace(self.path)

    def end(self, result: ValidateResult) -> bytes:
        """Return what comes after all findings."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what was not finished."""
        self.partial.unlink(missing_ok=True)
        with suppress(OSError):  # what cannot be flushed now was told, or is of no interest any more
            self.file.close()


class ResultReport(FileReport):
    """`.json`: the result, with the findings that it keeps."""

    def end(self, result: ValidateResult) -> bytes:
        """Return the result."""
        return encode_compact(result.as_data()) + b"\n"


class FindingsReport(FileReport):
    """`.jsonl`: one finding a line, all of them."""

    def add(self, finding: Finding) -> None:
        """Write a line."""
        with writing(self.path):
            self.file.write(encode_compact(finding.as_dict()) + b"\n")

    def end(self, result: ValidateResult) -> bytes:
        """Return nothing."""
        del result
        return b""


class PageReport(FileReport):
    """`.html`: the findings by code, with examples, as one page for people."""

    def end(self, result: ValidateResult) -> bytes:
        """Return the page."""
        from groundprep.view.report_page import report_page

        title = ", ".join(result.sources)
        return report_page(title, result.as_data(), result.tallies).encode("utf-8", "backslashreplace")


REPORTS: Mapping[str, Callable[[Path], FileReport]] = {
    ".json": ResultReport,
    ".jsonl": FindingsReport,
    ".html": PageReport,
}
"""Extension → what writes it."""


def require_report_name(name: str | None) -> None:
    """Raise UsageError unless the name's extension is that of a report."""
    if name is not None and Path(name).suffix not in REPORTS:
        raise UsageError(
            "the report's extension says its format",
            found=name,
            expected=" or ".join(f"FILE{suffix}" for suffix in REPORTS),
        )


@contextmanager
def open_reports(names: Sequence[str]) -> Iterator[list[Report]]:
    """Yield the reports of these names; nothing of one that is not finished stays behind."""
    with ExitStack() as stack:
        reports: list[Report] = []
        for name in names:
            report = REPORTS[Path(name).suffix](Path(name))
            stack.callback(report.close)
            reports.append(report)
        yield reports
