"""`python -m tests.interop [READER…] [--fresh]`: other people's readers judge our output; exit 1 if one of them fails."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import groundprep
from tests.interop import report
from tests.interop.environments import READERS, ROOT, InstallError, Reader, last_line, python_of
from tests.interop.inputs import ConvertError, Document, Inputs, make
from tests.interop.report import Verdict
from tests.interop.verdicts import counted, document_problems, mask_problems, table_problems, training_problems

SOURCE = "source of "
"""In front of a document's name: its source is read as well, for its masks."""


class JudgeError(Exception):
    """A reader stopped."""


def main(arguments: Sequence[str]) -> int:
    """Ask the readers; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    names = [reader.name for reader in READERS]
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"those to ask: {', '.join(names)}; all if none")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    asked = parser.parse_args(arguments)
    unknown = set(asked.readers) - set(names)
    if unknown:
        parser.error(f"no such reader: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="groundprep-interop-") as scratch:
        try:
            inputs = make(Path(scratch))
        except ConvertError as error:
            print(f"FAILED {error}", file=sys.stderr)
            return 1
        readers = [reader for reader in READERS if reader.name in (asked.readers or names)]
        verdicts = [_judged(reader, inputs, Path(scratch), fresh=asked.fresh) for reader in readers]
    page = report.write(verdicts, groundprep.__version__)
    print(
        f"report: {page.relative_to(ROOT)}" if len(readers) == len(READERS) else "no report: not every reader was asked"
    )
    return int(any(verdict.problems for verdict in verdicts))


def _judged(reader: Reader, inputs: Inputs, scratch: Path, *, fresh: bool) -> Verdict:
    """Return one reader's verdict, and print it."""
    verdict = Verdict(reader)
    try:
        answer = _ask(reader, _tasks(reader, inputs), scratch, fresh=fresh)
    except (InstallError, JudgeError) as error:
        verdict.problems.append(str(error))
    else:
        verdict.version = answer["version"]
        files = {name: seen for name, seen in answer["seen"].items() if not name.startswith(SOURCE)}
        verdict.files = [(name, counted(seen)) for name, seen in files.items()]
        verdict.problems += _problems(reader, inputs, answer["seen"])
    print(verdict.line, flush=True, file=sys.stderr if verdict.problems else sys.stdout)
    return verdict


def _tasks(reader: Reader, inputs: Inputs) -> dict[str, Path]:
    if reader.name in ("datasets", "polars"):
        return {name: table.path for name, table in inputs.tables.items()}
    if reader.name == "trl":
        return dict(inputs.trained)
    documents = _documents(reader, inputs)
    sources = {SOURCE + name: document.source for name, document in documents.items() if document.source is not None}
    draws = reader.name in ("pycocotools", "lvis")
    return {name: document.path for name, document in documents.items()} | (sources if draws else {})


def _documents(reader: Reader, inputs: Inputs) -> Mapping[str, Document]:
    return inputs.lvis if reader.name == "lvis" else inputs.coco


def _ask(reader: Reader, tasks: Mapping[str, Path], scratch: Path, *, fresh: bool) -> dict[str, Any]:
    """Run the judge in the reader's environment; raises InstallError, JudgeError."""
    question, answer = scratch / f"{reader.name}.ask.json", scratch / f"{reader.name}.answer.json"
    options = {"model": str(ROOT / "toy_data" / "vlm")} if reader.name == "trl" else {}
    question.write_text(json.dumps({"tasks": tasks, "options": options}, default=str), encoding="utf-8")
    script = Path(__file__).parent / "judges" / f"{reader.name}_judge.py"
    command = [python_of(reader, fresh=fresh), str(script), str(question), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
    if done.returncode or not answer.exists():
        raise JudgeError(f"the reader stopped: {last_line(done.stderr)}")
    value: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return value


def _problems(reader: Reader, inputs: Inputs, seen: Mapping[str, Any]) -> Iterator[str]:
    for name, value in seen.items():
        if name.startswith(SOURCE):
            continue
        yield from (f"{name}: {problem}" for problem in _problems_of(reader, inputs, name, value, seen))


def _problems_of(
    reader: Reader, inputs: Inputs, name: str, value: Mapping[str, Any], seen: Mapping[str, Any]
) -> Iterator[str]:
    if reader.name == "trl":
        yield from training_problems(name, value)
    elif reader.name in ("datasets", "polars"):
        yield from table_problems(inputs.tables[name], value)
    else:
        yield from document_problems(_documents(reader, inputs)[name], value, stems=reader.name == "datumaro")
        if SOURCE + name in seen:
            yield from mask_problems(value, seen[SOURCE + name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
