"""pycocotools reads a document, draws every mask, and scores the document's own boxes as detections."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from protocol import answer
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def judge(path: str) -> dict[str, Any]:
    """Return what the reader sees."""
    with contextlib.redirect_stdout(io.StringIO()):
        return judged(COCO(path))


def judged(coco: COCO) -> dict[str, Any]:
    """Return what an opened document says."""
    annotations = coco.loadAnns(coco.getAnnIds())
    names = {entry["id"]: entry["name"] for entry in coco.loadCats(coco.getCatIds())}
    files = {entry["id"]: entry["file_name"] for entry in coco.loadImgs(coco.getImgIds())}
    boxes = [(files[a["image_id"]], names[a["category_id"]], *map(float, a["bbox"])) for a in annotations]
    masks = [(a["id"], int(coco.annToMask(a).sum())) for a in annotations if a.get("segmentation")]
    plain = [a for a in annotations if not a["iscrowd"]]
    detections = [{key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0} for a in plain]
    scored = COCOeval(coco, coco.loadRes(detections), "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    return {
        "images": len(files),
        "annotations": len(annotations),
        "categories": len(names),
        "crowd": sum(bool(a["iscrowd"]) for a in annotations),
        "boxes": boxes,
        "masks": masks,
        "average_precision": float(scored.stats[0]),
    }


if __name__ == "__main__":
    answer("pycocotools", judge)
