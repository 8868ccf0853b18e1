"""`groundprep score`: what a reward gives each completion of a file, without a trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from groundprep.containers import require_text
from groundprep.containers.base import Row, require_readable
from groundprep.containers.jsonl import STDIN, JsonlReader
from groundprep.errors import ExitCode, FormatError, GroundprepError, RecordError
from groundprep.rewards import get_scorer
from groundprep.rewards.base import Score, Scorer
from groundprep.source import Source


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """What to score, and how.

    Args:
        src: a JSON Lines file of `{"completion": str, "ground_truth": …}`; `-` is standard input.
        reward: a name of `groundprep.rewards.SCORER_NAMES`.
        on_error: fail at a bad line, or give it a null score and go on.
        limit: read at most so many lines.
    """

    src: str
    reward: str
    on_error: Literal["fail", "drop"] = "fail"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """The score of one line.

    Args:
        source: where the completion is.
        score: its parts; for a bad line `{"score": None}` with the error's code as the reason.
        error: what is wrong with the line; None if nothing is.
    """

    source: Source
    score: Score
    error: GroundprepError | None = None


@dataclass(slots=True)
class ScoreResult:
    """What scoring a file gave.

    Args:
        rows: lines read.
        bad: lines that could not be scored at all.
        unknown: reason → lines of which a part is null.
        warnings: oddities of the file that were accepted.
    """

    rows: int = 0
    bad: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """OK, or DROPPED if a line could not be scored."""
        return ExitCode.DROPPED if self.bad else ExitCode.OK


def score(config: ScoreConfig, on_row: Callable[[ScoredRow], None]) -> ScoreResult:
    """Score every line in order, handing each to on_row as soon as it is done; memory does not grow with the file.

    Raises:
        UsageError: no such reward.
        FormatError: the file cannot be read.
        RecordError: a bad line, with on_error `fail`; the lines before it have been handed on.
        MissingDependencyError: a mask reward without the extra `masks`.
    """
    scorer = get_scorer(config.reward)
    if config.src != STDIN:
        require_readable(Path(config.src))
        require_text(config.src)
    reader = JsonlReader(config.src)
    result = ScoreResult()
    for scored in islice(_scored(reader, scorer), config.limit):
        if scored.error is not None and config.on_error == "fail":
            raise scored.error
        result.rows += 1
        if scored.error is not None:
            result.bad += 1
        elif (reason := scored.score.reason) is not None:
            result.unknown[reason] = result.unknown.get(reason, 0) + 1
        on_row(scored)
    if result.rows == 0:
        raise FormatError("the source holds no rows", code="no-rows", source=config.src, expected="at least one line")
    result.warnings = [warning.as_dict() | {"count": 1} for warning in reader.warnings]
    return result


def _scored(reader: JsonlReader, scorer: Scorer) -> Iterator[ScoredRow]:
    for row in reader:
        try:
            if not isinstance(row, Row):
                raise row.error
            yield ScoredRow(row.source, scorer(_completion(row), _ground_truth(row)))
        except RecordError as error:
            yield ScoredRow(row.source, Score({"score": None}, error.code), error.at(row.source))


def _completion(row: Row) -> str:
    completion = row.value.get("completion")
    if not isinstance(completion, str):
        raise RecordError(
            "the line has no completion",
            code="completion",
            found=completion if "completion" in row.value else list(row.value),
            expected='{"completion": str, "ground_truth": …}',
            fix="write what the model said as the text of `completion`",
        )
    return completion


def _ground_truth(row: Row) -> Any:
    if "ground_truth" not in row.value:
        raise RecordError(
            "the line has no ground truth",
            code="ground-truth",
            found=list(row.value),
            expected='{"completion": str, "ground_truth": …}',
            fix="see docs/rewards.md for what each reward reads",
        )
    return row.value["ground_truth"]
