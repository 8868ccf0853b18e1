"""`groundprep score`."""

from __future__ import annotations

from typing import Annotated

import typer

from groundprep.cli.options import Globals

NAME = "score"
HELP = "Score completions as a trainer's reward does: one JSON object per line, in order."
EPILOG = "Example: groundprep score completions.jsonl --reward rexthinker > scores.jsonl"


def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help='Lines of {"completion": str, "ground_truth": …}; - is stdin.')
    ],
    reward: Annotated[str, typer.Option(metavar="NAME", help="The reward; docs/rewards.md lists all.")],
    *,
    options: Globals,
) -> int:
    """Print every line's score; at a bad line stop (exit 3), or print a null score for it and go on (exit 5)."""
    import dataclasses
    import json
    import sys

    from groundprep.api.score import ScoreConfig, ScoredRow, score
    from groundprep.cli.out import Out

    out = Out(options, stdout_is_data=True)
    interactive = file == "-"

    def show(row: ScoredRow) -> None:
        if row.error is not None:
            out.hint(f"dropped[{row.error.code}] {row.error}")
        sys.stdout.write(json.dumps(row.score.as_data()) + "\n")
        if interactive:
            sys.stdout.flush()

    config = ScoreConfig(file, reward, options.on_error.value, options.limit)
    try:
        result = score(config, show)
    finally:
        sys.stdout.flush()
    out.warnings(result.warnings)
    out.json(dataclasses.asdict(result))
    unknown = "".join(f"; {count} with a null part ({reason})" for reason, count in sorted(result.unknown.items()))
    bad = f"; {result.bad} bad lines" if result.bad else ""
    if out.is_human:
        out.hint(f"scored {result.rows} lines with {reward}{unknown}{bad}")
    return int(result.exit_code)
