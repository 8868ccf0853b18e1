"""Several conversions as one: counts, losses and warnings added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from groundprep.api.convert_config import ConvertResult
from groundprep.counts import Counts
from groundprep.run_result import RunResult


def merged_runs(runs: Sequence[RunResult]) -> RunResult:
    """Return the sum of several runs, in order; the watch over frames stays with each of them."""
    merged = RunResult()
    for run in runs:
        for field in fields(Counts):
            setattr(merged.counts, field.name, getattr(merged.counts, field.name) + getattr(run.counts, field.name))
        merged.losses.add(run.losses)
        for code, finding in run.warnings.first.items():
            merged.warnings.add(finding, run.warnings.counts[code])
    return merged


def merged_results(results: Sequence[ConvertResult]) -> ConvertResult:
    """Return several results as one; further files of dropped rows are among the side files."""
    first = results[0]
    dropped = [result.dropped_file for result in results if result.dropped_file is not None]
    return replace(
        first,
        outputs=tuple(name for result in results for name in result.outputs),
        counts={name: sum(result.counts[name] for result in results) for name in first.counts},
        losses=_merged_losses([result.losses for result in results]),
        warnings=_merged_warnings([warning for result in results for warning in result.warnings]),
        dropped_file=dropped[0] if dropped else None,
        units=tuple(dict.fromkeys(change for result in results for change in result.units)),
        unchanged=all(result.unchanged for result in results),
        side_files=(*(name for result in results for name in result.side_files), *dropped[1:]),
    )


def _merged_losses(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, dict[str, Any]] = {}
    for report in reports:
        for field, loss in report.items():
            mine = merged.setdefault(field, dict.fromkeys(loss, 0))
            for kind, value in loss.items():
                mine[kind] = max(mine[kind], value) if kind == "largest_error_px" else mine[kind] + value
    return dict(sorted(merged.items()))


def _merged_warnings(warnings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for warning in warnings:
        before = merged.get(warning["code"])
        merged[warning["code"]] = warning if before is None else before | {"count": before["count"] + warning["count"]}
    return list(merged.values())
