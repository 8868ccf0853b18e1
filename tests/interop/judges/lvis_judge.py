"""LVIS's own API reads a document, draws every mask, and scores the document's own boxes as detections."""

from __future__ import annotations

from typing import Any

from lvis import LVIS, LVISEval, LVISResults
from protocol import answer


def judge(path: str) -> dict[str, Any]:
    """Return what the reader sees."""
    lvis = LVIS(path)
    annotations = lvis.load_anns(lvis.get_ann_ids())
    names = {entry["id"]: entry["name"] for entry in lvis.load_cats(lvis.get_cat_ids())}
    files = {entry["id"]: "/".join(entry["coco_url"].split("/")[-2:]) for entry in lvis.imgs.values()}
    boxes = [(files[a["image_id"]], names[a["category_id"]], *map(float, a["bbox"])) for a in annotations]
    detections = [{key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0} for a in annotations]
    scored = LVISEval(lvis, LVISResults(lvis, detections), "bbox")
    scored.run()
    return {
        "images": len(files),
        "annotations": len(annotations),
        "categories": len(names),
        "crowd": 0,
        "boxes": boxes,
        "masks": [(a["id"], int(lvis.ann_to_mask(a).sum())) for a in annotations],
        "average_precision": float(scored.get_results()["AP"]),
    }


if __name__ == "__main__":
    answer("lvis", judge)
