"""LVIS: a COCO document whose images also say which categories they do not hold, or do not hold in full.

Images have `coco_url` instead of `file_name`, `neg_category_ids` (proven absent) and `not_exhaustive_category_ids` (present,
but not all of them annotated); categories have `frequency`, `synset`, `synonyms`; segmentations are polygons only.
Source: lvis-dataset/lvis-api README and lvis/lvis.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundprep.containers.base import OutRow
from groundprep.corpora.coco import IMAGE_KEYS, Coco, Number
from groundprep.corpora.coco_reader import CocoReader
from groundprep.corpora.coco_writer import CategoryTable, CocoWriter
from groundprep.dialects.base import WriteContext, extra_keys
from groundprep.record import Mask, Record, Region

NEGATIVE = "neg_category_ids"
NOT_EXHAUSTIVE = "not_exhaustive_category_ids"

RARE_IMAGES, COMMON_IMAGES = 10, 100
"""Categories in at most so many images are rare (r) or common (c), the others frequent (f). Source: the LVIS paper, §3."""


class LvisReader(CocoReader):
    """Reads an LVIS document."""

    container = "lvis"
    dialect_name = "lvis"

    def mentioned_categories(self, image: Mapping[str, Any]) -> list[Any]:
        """Return the categories that the image is said not to hold, or not to hold in full."""
        return [key for name in (NEGATIVE, NOT_EXHAUSTIVE) for key in _ids(image, name)]


class Lvis(Coco):
    """Rows of an image, its annotations and what it does not hold."""

    name = "lvis"
    title = "LVIS instances: COCO with negative categories and frequencies"
    containers = ("lvis",)
    image_keys = (*IMAGE_KEYS, NEGATIVE, NOT_EXHAUSTIVE)
    says_absent = True
    holds = Coco.holds - {"regions.mask"}

    def image_extra(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of the image that no field holds; `not_exhaustive` names categories."""
        extra = extra_keys(value["image"], self.image_keys)
        names = [entry["name"] for _, entry in _entries(value, NOT_EXHAUSTIVE)]
        return extra | {"not_exhaustive": names} if names else extra

    def absent_regions(self, value: Mapping[str, Any]) -> Iterator[Region]:
        """Yield an absent region for every negative category."""
        for key, entry in _entries(value, NEGATIVE):
            yield Region(phrase=entry["name"], category_id=key)

    def format(self, record: Record, context: WriteContext) -> OutRow:
        """Return the row for the writer; ids in the image that are in no table are lost, and missing lists stay missing."""
        row = super().format(record, context)
        own = context.own_value(record, self.name)
        if own is None or not record.unchanged("images"):
            row.value["image"] |= {NOT_EXHAUSTIVE: [], NEGATIVE: []}
        else:
            for name in (NOT_EXHAUSTIVE, NEGATIVE):
                unknown = len(_ids(own["image"], name)) - sum(1 for _ in _entries(own, name))
                context.losses.lost(f"images.extra.{name}", unknown)
        return row

    def segmentation(self, rings: list[list[Number]] | None, mask: Mask | None) -> Any:
        """Return the rings; LVIS holds no run lengths."""
        del mask
        return rings or []


class LvisWriter(CocoWriter):
    """Writes an LVIS document."""

    container = "lvis"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.categories = LvisCategories(self.header)

    def image_entry(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """Return the image, with the ids of the categories that it is said not to hold, or not in full."""
        image = {key: item for key, item in prepared["image"].items() if key != "not_exhaustive"}
        for key, names in ((NOT_EXHAUSTIVE, prepared["not_exhaustive"]), (NEGATIVE, prepared["absent"])):
            if names or isinstance(image.get(key), list):
                image[key] = [self.categories.id_of(name, wished) for name, wished in names]
        return image


class LvisCategories(CategoryTable):
    """A category table whose new entries have a frequency."""

    def new_entry(self, identity: int, name: str) -> dict[str, Any]:
        """Return an entry with counts and frequency, as the API needs them; a synset nobody knows."""
        images = self.images[identity]
        frequency = "r" if images <= RARE_IMAGES else "c" if images <= COMMON_IMAGES else "f"
        counts = {"image_count": images, "instance_count": self.instances[identity], "frequency": frequency}
        return {"id": identity, "name": name, "synonyms": [name]} | counts


def _ids(image: Mapping[str, Any], name: str) -> list[int]:
    found = image.get(name)
    return [key for key in found if type(key) is int] if isinstance(found, list) else []


def _entries(value: Mapping[str, Any], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the table's entries for a list of ids in the image; ids that are not in the table mean nothing."""
    for key in _ids(value["image"], name):
        entry = value["categories"].get(str(key))
        if entry is not None:
            yield key, entry
