"""Regions that a trainer's rows cannot hold are taken out, counted, and their phrases remembered for its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from groundprep.record import Dropped, Record, Region
from groundprep.stages.base import StreamStage

PARTS = ("point", "polygon", "keypoints", "mask")


class HoldRegions(StreamStage):
    """Look at the regions of every record; take out those that the trainer's rows cannot hold.

    Memory: every distinct phrase that is absent somewhere.

    Args:
        boxes_only: rows hold boxes and nothing else: absent phrases and regions without a box are taken out. Otherwise
            they hold boxes, points and absent phrases: regions that are an outline or a mask alone are taken out.

    Attributes:
        absent: phrases that were taken out because they are absent, in order of appearance, with the number of images.
        boxes, points: regions that stay, by what is written of them.
    """

    name = "hold-regions"

    def __init__(self, *, boxes_only: bool) -> None:
        super().__init__()
        self.boxes_only = boxes_only
        self.absent: dict[str, int] = {}
        self.boxes = 0
        self.points = 0

    def __call__(self, records: Iterable[Record]) -> Iterator[Record | Dropped]:
        """Yield the records with the regions that can be held."""
        for given in records:
            is_asked = given.referring is not None and (self.boxes_only or not all(map(self._holds, given.answers)))
            record = self._of_image(given) if is_asked else given
            regions = record.regions
            if not all(map(self._holds, regions)):
                regions = tuple(filter(self._holds, regions))
                self._take_out(region for region in record.regions if not self._holds(region))
            self.boxes += sum(region.box is not None for region in regions)
            self.points += sum(region.box is None and region.point is not None for region in regions)
            yield record if regions is record.regions else replace(record, regions=regions)

    def _holds(self, region: Region) -> bool:
        if region.box is not None or self.boxes_only:
            return region.box is not None
        return region.point is not None or region.is_absent

    def _of_image(self, record: Record) -> Record:
        """Return a record of an expression as one of its image, so that nothing that is absent is left to be written."""
        self.losses.renamed("referring")
        phrase = record.referring
        regions = tuple(replace(region, phrase=phrase, candidate=None) for region in record.answers)
        return replace(record, referring=None, answers=(), regions=(*record.regions, *(regions or (Region(phrase),))))

    def _take_out(self, regions: Iterable[Region]) -> None:
        for region in regions:
            if region.is_absent:
                self.losses.lost("regions.absent")
                if region.phrase is not None:
                    self.absent[region.phrase] = self.absent.get(region.phrase, 0) + 1
                continue
            self.losses.lost("regions")
            for part in PARTS:
                self.losses.lost(f"regions.{part}", int(getattr(region, part) is not None))
