"""Crowds: one box or outline around many objects, which only corpora can say. A trainer's row would call it one object.

Source: COCO's `iscrowd` (cocoapi PythonAPI/pycocotools/coco.py, cocoeval.py: such boxes are ignored, never matched).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from groundprep.finding import Finding, Severity
from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage

CROWD_AS_OBJECT = "crowd-as-object"


class Crowds(StreamStage):
    """Look for regions that are crowds; count them, or take them out.

    Args:
        takes_out: whether they are taken out, and counted as lost.

    Attributes:
        kept: crowds that stay.
        example: the place of the first of them.
        fix: what to do about them.
    """

    name = "crowds"

    def __init__(self, *, takes_out: bool) -> None:
        super().__init__()
        self.takes_out = takes_out
        self.fix = "pass --crowds drop to leave crowds out"
        self.kept = 0
        self.example: Record | None = None

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the records, as they are or without crowds."""
        for record in records:
            crowds = sum(map(is_crowd, record.regions)) + sum(map(is_crowd, record.answers))
            if not crowds:
                yield record
            elif self.takes_out:
                self.losses.lost("regions.crowd", crowds)
                regions = tuple(region for region in record.regions if not is_crowd(region))
                answers = tuple(region for region in record.answers if not is_crowd(region))
                yield replace(record, regions=regions, answers=answers)
            else:
                self.example = self.example or record
                self.kept += crowds
                yield record

    def finding(self) -> Finding | None:
        """Return what is to be said of crowds that stay; None if there are none."""
        if self.example is None:
            return None
        return Finding(
            code=CROWD_AS_OBJECT,
            severity=Severity.WARNING,
            record=self.example.id,
            source=str(self.example.source),
            message="an annotation surrounds a crowd of objects (iscrowd), and a trainer reads it as one",
            fix=self.fix,
        )


def is_crowd(region: Region) -> bool:
    """Say whether a region is many objects in one outline."""
    return region.extra.get("iscrowd") in (1, True)
