"""What `validate --for` measured of the whole, for people: what the answers earn, and how far the boxes are off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundprep.cli.out import Out


def print_measures(out: Out, measured: Mapping[str, Any]) -> None:
    """Print a table of what right and useless answers earn, and a line on alignment; nothing without a trainer."""
    ceilings, alignment = measured.get("ceilings"), measured.get("alignment")
    if ceilings is not None:
        _print_ceilings(out, ceilings)
    if alignment is not None and alignment["rows"]:
        out.line(f"alignment: boxes are at most {alignment['max_error_px']:g} px off (in {alignment['where']})")


def _print_ceilings(out: Out, ceilings: Mapping[str, Any]) -> None:
    if ceilings["reward"] is None:
        out.line(f"no ceilings: {ceilings['reason']}")
        return
    rows, title = ceilings["rows"], f"{ceilings['reward']} ({ceilings['part']})"
    if not rows:
        out.line(f"no ceilings: no row could be scored with {title}")
        return
    quantiles = ceilings["quantiles"]
    out.line(
        f"ceilings of {title}, {rows} rows: lowest {ceilings['min']:g}, 5 % at or below {quantiles['0.05']:g},"
        f" median {quantiles['0.5']:g}; {ceilings['below_min_ceiling']} below {ceilings['min_ceiling']:g}"
    )
    best = {} if ceilings["best_hint"] is None else {"best hint": ceilings["best_hint"]}
    means = {"right answer": ceilings["mean"]} | best | ceilings["useless"]
    out.table(("answer", "mean score"), [(name.replace("_", " "), mean) for name, mean in means.items()])
