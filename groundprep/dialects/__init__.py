"""Which fields a row has. Adding a dialect is a module, a line in DIALECTS, a contract-test subclass and a docs page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from groundprep.dialects.base import Dialect, ReadContext, WriteContext
from groundprep.dialects.easydistill import EasyDistill, EasyDistillSingle
from groundprep.dialects.easydistill_sft import EasyDistillSft
from groundprep.dialects.easyr1 import EasyR1, RexThinkerParquet
from groundprep.dialects.humanref_cot import HumanRefCot
from groundprep.dialects.qwen_vl import QwenVL
from groundprep.dialects.rexomni import RexOmni
from groundprep.dialects.rexomni_engine import RexOmniEngine
from groundprep.dialects.rexomni_eval import RexOmniEval
from groundprep.dialects.rexthinker import RexThinker
from groundprep.dialects.trl import Trl, TrlSft
from groundprep.dialects.vlmr1 import VlmR1, VlmR1Ovd
from groundprep.dialects.vlmr1_refcoco import VlmR1RefCoco
from groundprep.dialects.vlmr1_seg import VlmR1Seg
from groundprep.errors import FormatError, UsageError

__all__ = ["DIALECTS", "Dialect", "ReadContext", "WriteContext", "detect_dialect", "get_dialect"]

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        RexThinker(),
        RexOmni(),
        EasyR1(),
        RexThinkerParquet(),
        HumanRefCot(),
        RexOmniEngine(),
        RexOmniEval(),
        Trl(),
        TrlSft(),
        QwenVL(),
        VlmR1(),
        VlmR1Ovd(),
        VlmR1RefCoco(),
        VlmR1Seg(),
        EasyDistill(),
        EasyDistillSingle(),
        EasyDistillSft(),
    )
}


def get_dialect(name: str) -> Dialect:
    """Return a dialect by name; raises UsageError naming those that exist."""
    if name not in DIALECTS:
        raise UsageError("no such dialect", found=name, expected=", ".join(DIALECTS))
    return DIALECTS[name]


def detect_dialect(
    rows: Iterable[Mapping[str, Any]], *, container: str, path: str, preferred: str | None = None
) -> Dialect:
    """Return the one dialect that fits the most of these rows; of several, the preferred one.

    Args:
        rows: some rows.
        container: what they lie in.
        path: where they were read, for messages.
        preferred: the layout of the trainer that shall read them: where the rows may be its own, they are.

    Raises:
        FormatError: `unknown-dialect`, `ambiguous-dialect`.
    """
    votes: Counter[str] = Counter()
    keys: list[str] = []
    for value in rows:
        keys = keys or sorted(map(str, value))
        votes.update(
            name
            for name, dialect in DIALECTS.items()
            if container in dialect.containers and dialect.matches(value, container)
        )
    if not votes:
        raise FormatError(
            "the rows have the shape of no known dialect",
            code="unknown-dialect",
            source=path,
            found=f"keys {keys}",
            expected="one of " + ", ".join(DIALECTS),
            fix="see `groundprep formats`; name the dialect with --from",
        )
    most = votes.most_common(1)[0][1]
    best = [name for name, count in votes.items() if count == most]
    if len(best) > 1 and preferred in best:
        best = [preferred]
    if len(best) > 1:
        raise FormatError(
            "the rows fit more than one dialect",
            code="ambiguous-dialect",
            source=path,
            found=" and ".join(sorted(best)),
            fix=f"pass --from {best[0]} or --from {best[1]}",
        )
    return DIALECTS[best[0]]
