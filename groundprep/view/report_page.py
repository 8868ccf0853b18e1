"""The report of `validate` as one HTML file: no script, nothing loaded from elsewhere, all text from data escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from groundprep.checks.tally import CodeTally
from groundprep.errors import visible
from groundprep.finding import Finding

STYLE = """
:root { color-scheme: light dark; --line: #8884; --error: #c0392b; --warning: #b7791f; --good: #2f855a }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; width: 100%; font-size: .93rem }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right } .error { color: var(--error) } .warning { color: var(--warning) }
.good { color: var(--good) } code { font-size: .92em; overflow-wrap: anywhere } .muted { opacity: .7 }
section { border-top: 1px solid var(--line) } dl { margin: .3rem 0 } dt { float: left; clear: left; width: 6rem; opacity: .7 }
dd { margin-left: 6.5rem } .bar { background: #4a90d9; height: .8rem; display: inline-block; min-width: 1px }
"""


def report_page(title: str, data: dict[str, Any], tallies: Sequence[CodeTally]) -> str:
    """Return the page.

    Args:
        title: what was checked, as the user named it.
        data: the result as JSON values; `findings` is not used.
        tallies: the findings by code, in the order in which they shall stand.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        _summary(data),
        _overview(tallies),
        *(_code(tally) for tally in tallies),
        *(
            _facts(name, value)
            for name, value in data.items()
            if isinstance(value, dict) and value and name != "by_code"
        ),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(value: object) -> str:
    """Return a text from data for HTML: control characters visible, escaped."""
    return escape(visible(str(value)))


def _summary(data: dict[str, Any]) -> str:
    profile = f" for <code>{_text(data['profile'])}</code>" if data.get("profile") else ""
    if not data["errors"] and not data["warnings"]:
        return f'<p class="good">{data["records"]} records{profile}: no finding.</p>'
    return (
        f'<p>{data["records"]} records{profile}: <b class="error">{data["errors"]} errors</b>, '
        f'<b class="warning">{data["warnings"]} warnings</b>.</p>'
    )


def _overview(tallies: Sequence[CodeTally]) -> str:
    if not tallies:
        return ""
    rows = "".join(
        f'<tr><td class="{tally.severity}">{tally.severity}</td>'
        f'<td><a href="#{_text(tally.code)}"><code>{_text(tally.code)}</code></a></td>'
        f'<td class="number">{tally.count}</td><td>{_text(tally.meaning)}</td></tr>'
        for tally in tallies
    )
    return f'<table><tr><th></th><th>code</th><th class="number">findings</th><th>meaning</th></tr>{rows}</table>'


def _facts(name: str, value: dict[str, Any]) -> str:
    """Return a part of the result that is more than a number, such as the distribution of ceilings."""
    return f"<h2>{_text(name.replace('_', ' '))}</h2><table>{''.join(_fact_rows(value))}</table>"


def _fact_rows(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        name = prefix + key.replace("_", " ")
        if isinstance(item, dict):
            yield from _fact_rows(item, f"{name} / ")
            continue
        if isinstance(item, list) and item and all(type(number) is int for number in item):
            cell = _bars(item)
        else:
            cell = _text(item if isinstance(item, str) else json.dumps(item))
        yield f"<tr><td>{_text(name)}</td><td>{cell}</td></tr>"


def _bars(counts: list[int]) -> str:
    most = max(*counts, 1)
    return " ".join(
        f'<span class="bar" style="width:{round(8 * count / most, 2)}rem"></span> {count}<br>' for count in counts
    )


def _code(tally: CodeTally) -> str:
    shown_first = f" The first {len(tally.examples)}:" if tally.count > len(tally.examples) else ""
    examples = "".join(_example(finding) for finding in tally.examples)
    return (
        f'<section><h2 id="{_text(tally.code)}"><span class="{tally.severity}">{tally.severity}</span> '
        f"<code>{_text(tally.code)}</code></h2>"
        f"<p>{_text(tally.meaning)}. Findings: {tally.count}.{shown_first}</p>{examples}</section>"
    )


def _example(finding: Finding) -> str:
    named = (("where", finding.source), ("found", finding.found), ("expected", finding.expected), ("fix", finding.fix))
    items = "".join(
        f"<dt>{name}</dt><dd><code>{_text(value)}</code></dd>" for name, value in named if value is not None
    )
    return f"<p>{_text(finding.message)}</p><dl>{items}</dl>"
